// SPDX-License-Identifier: Apache-2.0
// The kernel's part, as the agent sees it: programs on interfaces, and tables that follow images.
//
// One instance per pin directory and process (a lock file in the directory sees to it). All calls
// from one thread (the reconciler's), except where said; but Attach, Close, Disturbed, Detach and
// Attached touch nothing that the other calls do, and one other thread may call those meanwhile.
// After any failure, and after the process was killed at any moment, what the kernel enforces is a
// complete earlier state (or the newest one, where endpoints may lack addresses that they have just
// got); the same call may be tried again. Destruction leaves everything in force.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "dataplane/egress_tables.h"
#include "egress/pin_plan.h"
#include "model/objects.h"
#include "net/address.h"
#include "net/flow.h"
#include "policy/image.h"

namespace sallyport::dataplane {

enum class AttachMode { kAuto, kTcx, kClsact };  // kAuto: tcx where the kernel has it

// What an interface is to the node: a pod's; its own, with frames that have an Ethernet header; its
// own, a tunnel whose frames begin with the IP header; the device of the agent's own tunnel to
// gateways.
enum class Role { kPod, kNode, kTunnel, kEgress };
inline constexpr int kRoles = 4;

struct Capacities {  // 0: the default in abi/limits.h; rounded up to what the table needs
  uint32_t endpoints = 0, peers = 0, rules = 0, port_sets = 0, port_pages = 0, prefixes = 0,
           flows = 0, fragments = 0;
};

struct Options {
  std::string pins = "/sys/fs/bpf/sallyport";  // on a bpffs
  uint32_t mark = 0x00100000;                  // one bit of skb->mark
  bool anti_spoofing = true;
  bool tunnels_from_pods = false;
  bool fast_path = true;
  uint32_t events_per_second = 0;  // per endpoint and CPU; 0: the default
  AttachMode attach = AttachMode::kAuto;
  Capacities capacities;
};

// Which interface is which pod's: what endpoint/ found out.
struct Binding {
  uint32_t ifindex = 0;
  std::vector<net::Address> addresses;  // at most one of each family
  bool direct =
      false;  // nothing on the interface needs to see its packets (no shaping, no filters)
  // What the pod's traffic is pinned to; nullptr or empty: nothing is.
  std::shared_ptr<const egress::PinSet> pins = nullptr;
  friend bool operator==(const Binding& a, const Binding& b) {
    static const egress::PinSet kNothing;
    if (a.ifindex != b.ifindex || a.addresses != b.addresses || a.direct != b.direct) return false;
    return a.pins == b.pins || (a.pins ? *a.pins : kNothing) == (b.pins ? *b.pins : kNothing);
  }
};
using Bindings = std::map<model::ObjectName, Binding>;

struct Counters {
  uint64_t packets[2] = {}, bytes[2] = {};     // [egress, ingress], passed
  std::map<std::string, uint64_t> dropped[2];  // by reason's name; only those above 0
  uint64_t events_suppressed = 0;
};

struct FlowEntry {
  net::FlowTuple tuple;                                  // as opened
  bool egress_allowed = false, ingress_allowed = false;  // under the generation in force
  bool answered = false, closing = false, cut = false, direct = false;
  bool pinned = false;       // leaves through an egress IP
  net::Address egress_ip;    // of a pinned one, if it has got a port: all zero if not
  uint16_t egress_port = 0;  // host byte order
  bool kept = false;         // policy allows no new one like it, and its endpoint keeps it
  uint32_t source_ifindex = 0, destination_ifindex = 0;  // 0: not an endpoint of this node
  int idle_seconds = 0;
};

struct DropEvent {
  WallTime time;
  uint32_t ifindex = 0;   // where the packet was seen
  uint32_t endpoint = 0;  // ifindex of the endpoint that denies
  uint32_t generation = 0;
  policy::Direction direction = policy::Direction::kEgress;
  std::string reason;       // "policy", "spoofed-source", ...
  std::string description;  // the same for a person
  net::FlowTuple tuple;     // as the packet had it
  uint8_t icmp_type = 0;
  uint16_t ethertype = 0;
  uint16_t length = 0;
  uint32_t suppressed = 0;
};

struct TableUse {
  std::string name;  // "events", the ring buffer, is measured in bytes, all others in entries
  uint64_t used = 0, capacity = 0;
};

// What an image says, and a table had no room for: all of it is denied.
struct Shortfall {
  TableUse use;
  uint64_t left_out = 0;               // entries that found no place
  std::set<model::ObjectName> closed;  // endpoints that are closed for it
  bool denies_all = false;             // every endpoint allows nothing but its node
};

// Our programs are not where they were put on an interface.
struct Disturbance {
  bool missing = false;  // one of them is not there; else somebody's comes before it
  uint32_t ifindex = 0;
  std::string
      what;  // of the latter, for a person: "a tcx program on ingress comes before ours ..."
};

// Where none but this node's pods are.
struct Enclosure {
  // Addresses: at most one CIDR of each family; of IPv6 no longer than /96, of others nothing is
  // known.
  std::vector<net::Cidr> home;
  // All interfaces through which comes what no pod here has sent: what has come in elsewhere is a
  // pod's, if it leaves the node, or has the node's own address by now. Nothing: not all are known.
  std::optional<std::set<uint32_t>> entrances;

  friend bool operator==(const Enclosure&, const Enclosure&) = default;
};

class Dataplane {
 public:
  // Loads the programs, or adopts the pinned maps and links of an earlier instance and swaps the
  // programs in place. An older ABI version's stay in force until the first Apply (upgrade.h); a
  // newer one's are left alone: an error that says what to do.
  static Result<std::unique_ptr<Dataplane>> Open(const Options& options);
  virtual ~Dataplane() = default;

  // Puts both programs on the interface and pins the links. Closed until Apply opens it.
  // Idempotent; puts back what someone took off, and to the front what someone displaced.
  virtual Status Attach(uint32_t ifindex, const std::string& name) = 0;
  // The same with the programs for the node's own interfaces, of another role. An
  // interface has one role: its programs take the place of another's, in one step each.
  virtual Status AttachNode(uint32_t ifindex, const std::string& name, Role role) = 0;
  // Interfaces of pods without any program of ours, many at once: makes sure that nothing passes
  // there unjudged, quickly. Attach() must follow for each.
  virtual void Close(const std::vector<uint32_t>& interfaces) = 0;
  // Which of these, that were attached, are not as Attach() left them. Asks for clsact filters only
  // if said so: that takes longer, and the kernel tells of their changes.
  virtual std::vector<Disturbance> Disturbed(const std::set<uint32_t>& interfaces,
                                             bool filters) = 0;
  // Takes them off again: the interface is no endpoint. Fine if it has gone.
  virtual Status Detach(uint32_t ifindex) = 0;
  // Interfaces that carry our programs for pods now, whoever put them there; for the node.
  virtual std::vector<uint32_t> Attached() = 0;
  virtual std::vector<uint32_t> AttachedToNode() = 0;

  // From the next Apply on: does every way out of this node carry the programs for it, so that what
  // pods send to Services may be judged there? At first not: it is judged at the pod, as it is.
  virtual void Defer(bool defer) = 0;

  // At once, and beyond the agent's end: who sends from inside, and not through an interface that
  // carries the programs for pods, is a pod whose interface nobody has heard of yet, and closed
  // like that one. At first nothing is inside.
  virtual Status Enclose(const Enclosure& enclosure) = 0;

  // Makes the kernel enforce `image` for `bindings`, in one step for the whole node. `changes` are
  // those since the last successful Apply (nullptr: unknown, compare everything). Every bound pod
  // with an endpoint in the image is open; every other interface is closed. What finds no room in a
  // table is denied, and everything else is in force: shortfalls() says so. Does not attach.
  virtual Status Apply(const policy::Image& image, const policy::Changes* changes,
                       const Bindings& bindings) = 0;
  // Of the last Apply that succeeded: by table. The next one tries again, whatever it changes.
  virtual std::vector<Shortfall> shortfalls() const = 0;
  // Another interface has this index now, and none of the policy that was in force under it: closed
  // until the next Apply.
  virtual void Forget(uint32_t ifindex) = 0;
  // Finishes the last Apply in the background's stead: waits for the grace period and frees what
  // the former generation used. Apply does it first if it was not called.
  virtual Status Settle() = 0;

  // Takes flows out of which every end was a pod's that has gone, and returns how many. Looks at
  // the whole table, some ms: for an idle moment.
  virtual size_t SweepFlows() = 0;

  // Egress IPs: ports, gateways, the way there. nullptr: this one has none.
  virtual EgressTables* egress() { return nullptr; }
  // By egress IP. Looks at the whole table of flows, some ms.
  virtual std::map<net::Address, EgressUse> ReadEgressUse() { return {}; }
  // Flows that found no port, of all egress IPs: a number that changes when there are more. Looks
  // at nothing else.
  virtual uint32_t EgressRefusals() { return 0; }

  virtual uint32_t generation() const = 0;
  // What a person should know about this start: a capacity that could not be changed, ...
  virtual const std::vector<std::string>& notes() const {
    static const std::vector<std::string> kNone;
    return kNone;
  }
  // By ifindex; under 0 those of interfaces that are closed because they are nobody's.
  virtual std::map<uint32_t, Counters> ReadCounters() = 0;
  virtual std::vector<FlowEntry> ReadFlows(size_t limit) = 0;
  // Of those, how many are kept. Looks at the whole table.
  virtual uint64_t CountKept() = 0;
  virtual std::vector<TableUse> ReadUse() = 0;
  // Calls back for each event that waits, on the calling thread; waits up to `timeout` for the
  // first. May be called from one thread of its own.
  virtual Status PollEvents(Duration timeout,
                            const std::function<void(const DropEvent&)>& sink) = 0;

  // Takes every program, link, map and pin of this directory away. Works without a running agent,
  // for any ABI version, with parts missing. (clsact filters are found by scanning interfaces.)
  static Status RemoveAll(const std::string& pins);
};

}  // namespace sallyport::dataplane
