// SPDX-License-Identifier: Apache-2.0
// The verdict of NetworkPolicy on a flow, straight from the API text: slow, obvious, and the oracle
// that the compiled form is held to. Entry points: Evaluate, and Judge for one direction of one
// pod. explain prints what these return.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/snapshot.h"
#include "net/flow.h"
#include "policy/image.h"

namespace sallyport::policy {

// One rule of a policy: where it stands, e.g. "shop/web ingress[1]".
struct RuleRef {
  model::ObjectName policy;
  Direction direction = Direction::kIngress;
  int index = 0;  // in spec.ingress or spec.egress
  model::Place place;
  std::string ToString() const;
  friend bool operator==(const RuleRef&, const RuleRef&) = default;
};

// A rule that did not allow, and what it lacked, for a person: "peer matches; port 5432/TCP is not
// among 6379/TCP". `distance` orders near misses: smaller is nearer. A rule that lacks only the
// port is nearer than one that lacks only the peer; one that lacks both is farthest.
struct NearMiss {
  RuleRef rule;
  std::string lacked;
  int distance = 0;
};

enum class Why {
  kNotIsolated,  // no policy isolates the pod for this direction
  kRule,         // `rule` allows it
  kOwnNode,      // between a pod and the node it runs on
  kSelf,         // a pod and itself
  kNotAPod,      // this side is no pod: nothing to judge here
  kNoRule,       // denied: isolated, and no rule allows it
};
// Stable words for scripts: "not-isolated", "rule", "own-node", "self", "not-a-pod", "no-rule".
std::string ToString(Why why);

// A NodePort of another node: judged by what is behind it, not by the node's address.
struct NodePortUse {
  model::ObjectName service;
  std::string backend;    // judged, "shop/db 10.1.0.2:5432"; empty: none of them is usable
  bool for_node = false;  // asked for a protocol without ports, which all NodePorts must allow
  std::string ToString() const;  // "a NodePort of Service shop/api: backend shop/db 10.1.0.2:5432"
  friend bool operator==(const NodePortUse&, const NodePortUse&) = default;
};

// What one side says.
struct DirectionVerdict {
  bool allowed = false;
  Why why = Why::kNoRule;
  std::vector<model::ObjectName> isolating;  // the policies that isolate, sorted
  // Established connections stay although they are denied: all of those that isolate ask for it.
  bool keeps = false;
  std::vector<model::ObjectName> not_keeping;  // where some ask and these do not
  std::optional<RuleRef> rule;                 // Why::kRule: the first that allows, by policy name
  std::optional<NearMiss> near_miss;           // Why::kNoRule, if any policy has a rule at all
  // Egress through a NodePort of another node: the backend whose verdict this is, the first that
  // is denied, else the first.
  std::optional<NodePortUse> node_port;
};

struct FlowVerdict {
  bool allowed = false;  // both sides allow
  DirectionVerdict egress;
  DirectionVerdict ingress;
  // The live pod at either address, if any; of several that claim it, the one whose verdict this
  // is: the first that denies, else the first.
  std::optional<model::ObjectName> source;
  std::optional<model::ObjectName> destination;
};

// Requires that both addresses are of one family and the protocol's ports are set. Each pod that
// claims an end must allow.
FlowVerdict Evaluate(const model::Snapshot& snapshot, const net::FlowTuple& flow);

// One direction of one pod against a peer address. For egress `port` is the peer's port, for
// ingress the pod's. Requires that the pod is in the snapshot and live.
//
// Egress to a NodePort of another node is allowed if there is a usable backend and each of them is
// allowed, at its address and port, whatever policies say of the node's address: which one that
// node chooses is not known here. Protocols without ports go to that node if they may go to its
// address and every NodePort of its family is allowed. A rule for any peer and any port allows all.
DirectionVerdict Judge(const model::Snapshot& snapshot, const model::Pod& pod, Direction direction,
                       const net::Address& peer, net::Protocol protocol, uint16_t port);

// Live pods that claim the address, by name. Not exactly one: nobody's, or doubtful.
std::vector<model::PodPtr> PodsAt(const model::Snapshot& snapshot, const net::Address& address);

}  // namespace sallyport::policy
