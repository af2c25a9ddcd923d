// SPDX-License-Identifier: Apache-2.0
#include "policy/evaluate.h"

#include <algorithm>

#include "base/check.h"
#include "policy/near_miss.h"
#include "policy/rule_match.h"

namespace sallyport::policy {
namespace {

using model::NetworkPolicy;
using model::Pod;
using model::Snapshot;

bool Isolates(const NetworkPolicy& policy, Direction direction) {
  return direction == Direction::kIngress ? policy.isolates_ingress : policy.isolates_egress;
}

// A policy applies to the pods of its own namespace that its podSelector matches; an empty
// selector matches all of them. Its policyTypes say which directions it isolates them for.
std::vector<const NetworkPolicy*> IsolatingPolicies(const Snapshot& snapshot, const Pod& pod,
                                                    Direction direction) {
  std::vector<const NetworkPolicy*> out;
  for (const auto& [name, policy] : snapshot.policies) {
    if (policy->name.ns != pod.name.ns) continue;
    if (!Isolates(*policy, direction)) continue;
    if (!policy->pods.Matches(pod.labels)) continue;
    out.push_back(policy.get());
  }
  return out;
}

struct PlacedRule {
  const NetworkPolicy* policy;
  const model::Rule* rule;
  RuleRef where;
};

// Their rules for the direction, by policy name and place.
std::vector<PlacedRule> RulesOf(const std::vector<const NetworkPolicy*>& policies,
                                Direction direction) {
  std::vector<PlacedRule> out;
  for (const NetworkPolicy* policy : policies) {
    int index = 0;
    for (const model::Rule& rule :
         direction == Direction::kIngress ? policy->ingress : policy->egress) {
      model::Place place{policy->place.file, rule.line};
      out.push_back({policy, &rule, {policy->name, direction, index++, place}});
    }
  }
  return out;
}

// The node's addresses are those of its Node object, and those that the agent found on it.
bool IsOwnNode(const Snapshot& snapshot, const Pod& pod, const net::Address& peer) {
  if (snapshot.local_addresses.count(peer) > 0) return true;
  auto node = snapshot.nodes.find(pod.node);
  if (node == snapshot.nodes.end()) return false;
  const std::vector<net::Address>& addresses = node->second->addresses;
  return std::find(addresses.begin(), addresses.end(), peer) != addresses.end();
}

bool HasAddress(const Pod& pod, const net::Address& address) {
  return std::find(pod.addresses.begin(), pod.addresses.end(), address) != pod.addresses.end();
}

// The verdict of one end of a flow, of whichever pods claim it.
DirectionVerdict JudgeEnd(const Snapshot& snapshot, const std::vector<model::PodPtr>& claimants,
                          Direction direction, const net::Address& peer, const net::FlowTuple& flow,
                          std::optional<model::ObjectName>& judged) {
  if (claimants.empty()) {
    DirectionVerdict nothing;
    nothing.allowed = true;
    nothing.why = Why::kNotAPod;
    return nothing;
  }
  std::optional<DirectionVerdict> first;
  for (const model::PodPtr& pod : claimants) {
    DirectionVerdict verdict =
        Judge(snapshot, *pod, direction, peer, flow.protocol, flow.destination_port);
    if (first && verdict.allowed) continue;
    bool denied = !verdict.allowed;
    first = std::move(verdict);
    judged = pod->name;
    if (denied) break;
  }
  return *first;
}

}  // namespace

std::string RuleRef::ToString() const {
  return policy.ToString() + " " + policy::ToString(direction) + "[" + std::to_string(index) + "]";
}

std::string ToString(Why why) {
  switch (why) {
    case Why::kNotIsolated:
      return "not-isolated";
    case Why::kRule:
      return "rule";
    case Why::kOwnNode:
      return "own-node";
    case Why::kSelf:
      return "self";
    case Why::kNotAPod:
      return "not-a-pod";
    case Why::kNoRule:
      return "no-rule";
  }
  return "unknown";
}

std::vector<model::PodPtr> PodsAt(const Snapshot& snapshot, const net::Address& address) {
  std::vector<model::PodPtr> out;
  for (const auto& [name, pod] : snapshot.pods) {
    // Pods on the host's network are their node, and pods that have ended may have left their
    // address to another.
    if (pod->IsLive() && HasAddress(*pod, address)) out.push_back(pod);
  }
  return out;
}

DirectionVerdict Judge(const Snapshot& snapshot, const Pod& pod, Direction direction,
                       const net::Address& peer, net::Protocol protocol, uint16_t port) {
  CHECK(pod.IsLive()) << pod.name.ToString();
  DirectionVerdict verdict;
  std::vector<const NetworkPolicy*> isolating = IsolatingPolicies(snapshot, pod, direction);
  for (const NetworkPolicy* policy : isolating) verdict.isolating.push_back(policy->name);

  auto allow = [&](Why why) {
    verdict.allowed = true;
    verdict.why = why;
    return verdict;
  };

  // By default a pod is not isolated: every connection is allowed.
  if (isolating.empty()) return allow(Why::kNotIsolated);
  // A pod cannot block access to itself.
  if (HasAddress(pod, peer)) return allow(Why::kSelf);
  // Traffic to and from the node where a pod runs is always allowed.
  if (IsOwnNode(snapshot, pod, peer)) return allow(Why::kOwnNode);

  // What is allowed is the union of what the policies allow: one rule of one policy is enough,
  // and their order does not matter.
  RuleMatcher match(snapshot, pod, direction, peer, protocol, port);
  std::vector<PlacedRule> rules = RulesOf(isolating, direction);
  for (const PlacedRule& placed : rules) {
    if (!match.Allows(*placed.policy, *placed.rule)) continue;
    verdict.rule = placed.where;
    return allow(Why::kRule);
  }
  for (const PlacedRule& placed : rules) {
    NearMiss miss = Missed(match, *placed.policy, *placed.rule, placed.where);
    bool nearer = !verdict.near_miss || miss.distance < verdict.near_miss->distance;
    if (nearer) verdict.near_miss = std::move(miss);
  }
  return verdict;
}

FlowVerdict Evaluate(const Snapshot& snapshot, const net::FlowTuple& flow) {
  FlowVerdict verdict;
  std::vector<model::PodPtr> sources = PodsAt(snapshot, flow.source);
  std::vector<model::PodPtr> destinations = PodsAt(snapshot, flow.destination);
  // Both sides must allow: the source's egress and the destination's ingress.
  verdict.egress =
      JudgeEnd(snapshot, sources, Direction::kEgress, flow.destination, flow, verdict.source);
  verdict.ingress =
      JudgeEnd(snapshot, destinations, Direction::kIngress, flow.source, flow, verdict.destination);
  verdict.allowed = verdict.egress.allowed && verdict.ingress.allowed;
  return verdict;
}

}  // namespace sallyport::policy
