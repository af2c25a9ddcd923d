// SPDX-License-Identifier: Apache-2.0
// Which pods of a node are seen as which egress IP by whom. Entry points: MakePinPlan, PinOf.
//
// For a pod and a destination:
//
// 1. The cluster is never pinned (cluster.h), whatever an object says.
// 2. Of the EgressGateways that select the pod, those that except the destination do not count.
// 3. Of the others' CIDRs that contain it the longest decides; of equal ones the older object's. An
//    object without CIDRs has 0.0.0.0/0 and ::/0.
// 4. The pod has one of that object's egress IPs of the destination's family, always the same
//    (rendezvous hashing). If there is none, or it cannot be had: pinned to nothing, dropped.
//
// An object that selects a pod only if its namespace has labels that nobody has told yet counts,
// and pins to nothing until they are told.
#pragma once

#include <compare>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "egress/addresses.h"
#include "egress/cluster.h"
#include "model/snapshot.h"
#include "net/address.h"

namespace sallyport::egress {

struct Target {
  enum class Kind { kNotPinned, kPinned, kDrop };
  Kind kind = Kind::kNotPinned;
  net::Address egress_ip;  // of kPinned

  static Target NotPinned() { return {}; }
  static Target Pinned(const net::Address& egress_ip) { return {Kind::kPinned, egress_ip}; }
  static Target Drop() { return {Kind::kDrop, {}}; }
  // "not pinned", "203.0.113.10", "dropped"
  std::string ToString() const;
  friend auto operator<=>(const Target&, const Target&) = default;
};

// The longest prefix decides (net/prefix_search.h); what has none is not pinned. No entry says what
// the next shorter one says already.
using PinSet = std::map<net::Cidr, Target>;
Target Find(const PinSet& set, const net::Address& destination);
// "198.51.100.0/24 203.0.113.10\n..."
std::string ToString(const PinSet& set);

// What the plans for all pods have in common.
struct PinWorld {
  Cluster cluster;
  Addresses addresses;
};
// Costs a look at each pod of the cluster.
PinWorld WorldOf(const model::Snapshot& snapshot);

struct PinPlan {
  // Those that are selected. Pods with equal sets share one.
  std::map<model::ObjectName, std::shared_ptr<const PinSet>> pods;
  // The egress IPs in those sets, and how many ports a block of each has.
  std::map<net::Address, int> block_sizes;

  // What the change may make another: nothing, the plan, or what it was made from as well.
  enum class Effect { kNone, kPlan, kWorld };
  Effect EffectOf(const model::Delta& delta, const std::string& node) const;

  bool any_gateways = false;
  PinWorld world;
};

// The plan for these pods, in the world of this snapshot. Costs for each set that reaches beyond
// single destinations a look at each range of the cluster.
PinPlan MakePinPlan(const model::Snapshot& snapshot, PinWorld world,
                    const std::set<model::ObjectName>& pods);
// For the pods of this node.
PinPlan MakePinPlan(const model::Snapshot& snapshot, const std::string& node);

struct PinAnswer {
  std::string gateway;  // the EgressGateway that decides
  net::Cidr by;         // its CIDR that does
  Target target;        // never kNotPinned
  std::string why;      // of kDrop: why nothing
};
// What the plan of the pod's node says of it, and why; nothing if it is not pinned. Slow and
// obvious.
std::optional<PinAnswer> PinOf(const model::Snapshot& snapshot, const model::Pod& pod,
                               const net::Address& destination);

}  // namespace sallyport::egress
