// SPDX-License-Identifier: Apache-2.0
// The tables of egress IPs (bpf/abi/egress.h): which ports this node may give, whose all others
// are, and where packets go. Written by plain stores, each of which leaves what the programs can
// act on: a gateway changes with one word.
//
// Thread-safe: numbers are asked for by who writes pin sets, everything else is told by who leases
// ports and watches gateways. What is told is a whole state, and the tables become that. They
// outlive this process: until the first state is told, what an earlier one has written stays.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "abi/egress.h"
#include "base/result.h"
#include "dataplane/pen.h"
#include "net/address.h"
#include "net/flow.h"

namespace sallyport::dataplane {

// What a node knows of egress IPs, as it is to be in force.
struct EgressState {
  struct Tunnel {
    uint32_t ifindex = 0;  // of the VXLAN device; 0: there is none
    uint32_t vni = 0;
    uint32_t mtu = 0;             // the largest IP packet that it takes whole
    uint16_t port = 0;            // UDP
    uint16_t heartbeat_port = 0;  // UDP: pods may not send there
    friend bool operator==(const Tunnel&, const Tunnel&) = default;
  };
  struct Ip {
    std::string gateway;           // the node that it leaves through; "": none
    bool gateway_known = true;     // false: as it was
    uint32_t uplink = 0;           // where this node is that one; 0: by the route
    uint16_t block_ports = 0;      // of each own block; a power of two, SP_PORT_GROUP at least
    std::vector<uint16_t> blocks;  // first ports of those to give ports from
    // Whose ports are whose, in whole groups of SP_PORT_GROUP.
    std::map<net::PortRange, std::string> owners;
    // Ticks from which on no more ports are given, and nothing leaves: unless said anew. 0: never.
    uint32_t use_until = 0, keep_until = 0;
    friend bool operator==(const Ip&, const Ip&) = default;
  };
  std::string self;         // this node's name
  bool ports_known = true;  // false: blocks and owners stay as they were
  Tunnel tunnel;
  std::map<std::string, net::Address> nodes;  // where the tunnel ends; this one's too
  std::map<net::Address, Ip> ips;
  friend bool operator==(const EgressState&, const EgressState&) = default;
};

// Of one egress IP, how this node uses its ports.
struct EgressUse {
  std::map<uint16_t, uint32_t> live;     // by first port of a group: flows that are alive
  std::map<uint16_t, uint32_t> resting;  // that are over, and a remote may still remember
  std::map<uint16_t, uint32_t> busiest;  // of both, those to the remote that has most
  uint32_t refused = 0, hurried = 0;     // since the tables were made, modulo 2^32
  uint32_t cursor = 0;                   // ports that were tried, modulo 2^32
  uint64_t opened = 0, packets[2] = {}, bytes[2] = {}, strangers = 0, foreign = 0;
};

class EgressTables {
 public:
  struct Memory {
    std::span<sp_egress_ip> ips;
    std::span<sp_port_blocks> blocks;
    std::span<sp_port_owners> owners;
    std::span<sp_tunnel_node> nodes;
    sp_tunnel* tunnel = nullptr;
  };
  // Says what an address is in map "outside"; nothing: it is none any more.
  using TellOutside = std::function<Status(const sp_address&, std::optional<uint32_t>)>;

  // Takes over what is there.
  EgressTables(const Memory& memory, TellOutside tell, const Pen& pen = Pen());

  // For pin sets: the number of an egress IP, which it keeps until KeepNumbers() leaves it out and
  // no state names it. SP_PIN_NOWHERE: all numbers are given.
  uint32_t NumberOf(const net::Address& egress_ip);
  void KeepNumbers(const std::set<net::Address>& pinned);

  // Makes the tables say it. Tells of what found no room; the rest is in force. After an error of
  // the system the next call tries again.
  Status Apply(const EgressState& state);

  // The numbers in use, for who reads flows and counters.
  std::map<uint32_t, net::Address> Numbers() const;
  size_t used() const;
  size_t capacity() const { return memory_.ips.empty() ? 0 : memory_.ips.size() - 1; }

 private:
  void Adopt();
  uint32_t NumberLocked(const net::Address& egress_ip);
  void Free(uint32_t number);
  Status ApplyNodes(const EgressState& state);
  Status DropNodes(const EgressState& state);
  uint32_t NodeNumber(const EgressState& state, const std::string& node) const;
  void WriteIp(uint32_t number, const EgressState& state, const EgressState::Ip& ip);
  void WritePorts(uint32_t number, const EgressState& state, const EgressState::Ip& ip);
  void WriteOwners(uint32_t number, const EgressState& state, const EgressState::Ip& ip);

  const Memory memory_;
  const TellOutside tell_;
  const Pen pen_;
  mutable std::mutex mutex_;
  std::map<net::Address, uint32_t> numbers_;
  std::set<net::Address> pinned_, stated_;
  std::set<net::Address> outside_;                      // egress IPs that map "outside" has
  std::map<net::Address, uint32_t> nodes_;              // by address: its number
  std::map<uint32_t, std::set<uint32_t>> told_owners_;  // groups that this process has written
};

}  // namespace sallyport::dataplane
