// SPDX-License-Identifier: Apache-2.0
// The kernel side under test: loads the programs, fills their tables, runs packets through them.
//
//   Kernel k;
//   k.SetEndpoint({.ifindex = Interface(0), .v4 = "10.0.0.1", .egress = 7});
//   k.SetRule(7, 0, Ports::None());
//   k.NextGeneration();
//   EXPECT_DROP(k.FromPod(Interface(0), Ethernet() / IPv4{} / TCP{}), "policy");
//
// What is stated (Set..., Remove...) is only noted; NextGeneration() writes all of it to the half
// that is not in force and flips the word. The tables are written here by the plainest means, from
// the text of abi/tables.h alone: this is the second opinion on the agent's own writer.
//
// Programs are loaded once for each distinct KernelOptions and reused; a new Kernel starts from
// empty tables. One Kernel of the same options at a time. Needs root.
#pragma once

#include <gtest/gtest.h>

#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "abi/egress.h"
#include "abi/tables.h"
#include "base/unique_fd.h"
#include "support/packet.h"

namespace sallyport::test {

// Index of an interface in the sandbox (support/sandbox.h); `i` below kInterfaces.
inline constexpr uint32_t kInterfaces = 16;
uint32_t Interface(uint32_t i);

struct KernelOptions {
  uint32_t endpoints = 64;
  uint32_t peer_buckets = 64;
  uint32_t rule_buckets = 64;
  uint32_t port_sets = 64;
  uint32_t port_pages = 64;
  uint32_t trie_nodes = 1024;
  uint32_t flow_buckets = 64;
  uint32_t fragments = 64;
  uint32_t events_bytes = 1 << 16;
  uint32_t mark = 0x100;
  bool anti_spoofing = true;
  bool fast_path = true;
  uint32_t events_per_tick = 1u << 30;
  uint32_t hash_seed = 0x5eed;
  bool tunnels_from_pods = false;

  friend auto operator<=>(const KernelOptions&, const KernelOptions&) = default;
};

// Ports of each protocol. Not necessarily whole pages, and pages are shared where equal.
class Ports {
 public:
  static Ports None() { return {}; }
  static Ports All();  // and every protocol, ICMP included
  Ports& Tcp(unsigned first, unsigned last = 0) { return Add(SP_PROTOCOL_TCP, first, last); }
  Ports& Udp(unsigned first, unsigned last = 0) { return Add(SP_PROTOCOL_UDP, first, last); }
  Ports& Sctp(unsigned first, unsigned last = 0) { return Add(SP_PROTOCOL_SCTP, first, last); }

  bool all = false;
  std::shared_ptr<std::array<std::bitset<65536>, SP_PROTOCOLS>> bits;

 private:
  Ports& Add(int protocol, unsigned first, unsigned last);
};

struct Endpoint {
  uint32_t ifindex = 0;
  const char* v4 = nullptr;
  const char* v6 = nullptr;
  uint32_t egress = 0;  // policy sets
  uint32_t ingress = 0;
  uint32_t flags = SP_ENDPOINT_OPEN | SP_ENDPOINT_DIRECT;
  uint32_t pins = 0;  // pin set
};

enum class Action { kPass = -1, kDrop = 2, kDirect = 7 };  // kDirect: sent to an interface

// What became of a packet.
struct Outcome {
  Action action = Action::kDrop;
  std::string reason;             // of a drop, as counted
  uint32_t mark = 0;              // of the packet, afterwards
  std::optional<sp_event> event;  // the last one that came
  std::string packet;             // for messages
  Bytes frame;                    // as the program left it
};

// The tables of egress IPs (abi/egress.h), as they are.
struct EgressTables {
  sp_pin_set* pin_sets = nullptr;
  sp_trie_node* pin_prefixes = nullptr;
  sp_egress_ip* egress_ips = nullptr;
  sp_port_blocks* port_blocks = nullptr;
  sp_port_owners* port_owners = nullptr;
  sp_tunnel_node* tunnel_nodes = nullptr;
  sp_tunnel* tunnel = nullptr;
  sp_pin_bucket* pins = nullptr;
};

// How a packet arrives at the programs.
struct Arrival {
  uint32_t mark = 0;
  // The interface it came in by. Default: the pod's own for pod_egress, another one for
  // pod_ingress; 0: none, it was sent on this machine.
  std::optional<uint32_t> ingress_ifindex = {};
  uint32_t gso_size = 0;
};

enum class Hook { kTcx, kClsact };

class Kernel {
 public:
  explicit Kernel(const KernelOptions& options = {});
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  void SetEndpoint(const Endpoint& endpoint);  // by ifindex
  void RemoveEndpoint(uint32_t ifindex);
  // `identity`: 0 to ask the prefixes, SP_PEER_NONE for none; with SP_PEER_NODE for the node's own.
  void SetPeer(Ip address, uint32_t identity, uint32_t ifindex = 0);
  void SetPrefix(const char* cidr, uint32_t identity);
  void RemovePrefix(const char* cidr);
  void SetRule(uint32_t set, uint32_t identity, const Ports& ports);
  void RemoveRule(uint32_t set, uint32_t identity);
  // A pin set, at once: of flows to `cidr`, the number of an egress IP, 0 or SP_PIN_NOWHERE.
  // Shorter prefixes first.
  void SetPin(uint32_t set, const char* cidr, uint32_t egress_ip);
  // In map "outside".
  void SetOutside(Ip address, uint32_t value);
  // Writes what was stated to the half that is not in force, and puts that half in force.
  void NextGeneration();
  // Fills all places of the half that is not in force with ones.
  void SpoilOtherHalf();

  Outcome FromPod(uint32_t ifindex, const Packet& packet, const Arrival& arrival = {});
  Outcome ToPod(uint32_t ifindex, const Packet& packet, const Arrival& arrival = {});
  Outcome Run(sp_direction direction, uint32_t ifindex, const Bytes& frame,
              const Arrival& arrival = {});

  // At an interface of the node's: what comes to it, and what is about to leave.
  Outcome ToNode(uint32_t ifindex, const Packet& packet, const Arrival& arrival = {});
  // At our own tunnel's device; nothing says which node it came from.
  Outcome FromTunnel(uint32_t ifindex, const Packet& packet);
  Outcome RunOnNode(uint32_t ifindex, const Bytes& frame, const Arrival& arrival = {});
  Outcome FromNode(uint32_t ifindex, const Packet& packet, const Arrival& arrival = {});

  // As Attach() does for the table of guarded interfaces.
  void Guard(uint32_t ifindex);
  // As Enclose() does for the table of entrances.
  void Admit(uint32_t ifindex);
  // Puts both programs for pods on an interface until the Kernel goes.
  void Attach(uint32_t ifindex, Hook hook = Hook::kTcx);
  // The same with those for the node's own interfaces; `tunnel`: frames there begin with IP.
  void AttachNode(uint32_t ifindex, Hook hook = Hook::kTcx, bool tunnel = false);
  // The same for our own tunnel's device.
  void AttachTunnel(uint32_t ifindex, Hook hook = Hook::kTcx);
  // The events that came since the last packet that was run, or the last call.
  std::vector<sp_event> TakeEvents();

  // The flows in use; their state and times may be changed in place.
  std::vector<sp_flow*> Flows();
  // All flows had their last packet `ticks` earlier than they did.
  void Age(uint32_t ticks);
  void AgeFragments(uint32_t ticks);
  // Of an endpoint, or with 0 of interfaces that have none; summed over processors.
  sp_counters Counters(uint32_t ifindex);

  // As if the tick that events are counted in were over.
  void EndTick();
  // false: the ring buffer is not read any more, and drops have no reason.
  void ReadEvents(bool read);

  // The tables as they are, to break them.
  sp_control* control();
  sp_endpoint* endpoints();
  sp_peer_bucket* peers();
  sp_rule_bucket* rules();
  sp_port_set* port_sets();
  sp_port_page* port_pages();
  sp_trie_node* prefixes();
  sp_flow_bucket* flows();
  const EgressTables& egress();
  // Of an egress IP, summed over processors.
  sp_egress_counters EgressCounters(uint32_t number);
  // What the verifier made of the programs.
  struct Verified {
    std::string name;
    uint32_t instructions = 0;  // that it went through
    uint32_t functions = 0;     // and the program itself
  };
  std::vector<Verified> VerifiedPrograms();

 private:
  class Loaded;
  struct Stated;
  Outcome RunProgram(int program, const Bytes& frame, uint32_t ifindex, uint32_t ingress_ifindex,
                     const Arrival& arrival);
  void AttachBoth(uint32_t ifindex, Hook hook, int at_ingress, int at_egress);
  Loaded& loaded_;
  std::unique_ptr<Stated> stated_;
  std::vector<UniqueFd> links_;
  std::vector<uint32_t> filtered_;  // interfaces with clsact filters
};

// "policy", "closed", ...
const char* ReasonText(uint32_t reason);

// Reasons that some packet of this test program was dropped for.
const std::vector<bool>& ProducedReasons();

testing::AssertionResult IsPass(const Outcome& outcome);
testing::AssertionResult IsDirect(const Outcome& outcome);
testing::AssertionResult IsDrop(const Outcome& outcome, const std::string& reason);

#define EXPECT_PASS(outcome) EXPECT_TRUE(::sallyport::test::IsPass(outcome))
#define EXPECT_DIRECT(outcome) EXPECT_TRUE(::sallyport::test::IsDirect(outcome))
#define EXPECT_DROP(outcome, reason) EXPECT_TRUE(::sallyport::test::IsDrop(outcome, reason))

}  // namespace sallyport::test
