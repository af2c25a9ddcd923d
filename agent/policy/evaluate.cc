// SPDX-License-Identifier: Apache-2.0
#include "policy/evaluate.h"

#include <algorithm>

#include "base/check.h"
#include "model/endpoint_slices.h"
#include "model/node_port.h"
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

bool IsOtherNode(const Snapshot& snapshot, const Pod& pod, const net::Address& peer) {
  return std::any_of(snapshot.nodes.begin(), snapshot.nodes.end(), [&](const auto& entry) {
    const std::vector<net::Address>& addresses = entry.second->addresses;
    return entry.first != pod.node &&
           std::find(addresses.begin(), addresses.end(), peer) != addresses.end();
  });
}

// One rule of one policy is enough, and their order does not matter.
DirectionVerdict ByRules(DirectionVerdict verdict, const std::vector<PlacedRule>& rules,
                         const RuleMatcher& match) {
  for (const PlacedRule& placed : rules) {
    if (!match.Allows(*placed.policy, *placed.rule)) continue;
    verdict.rule = placed.where;
    verdict.allowed = true;
    verdict.why = Why::kRule;
    return verdict;
  }
  for (const PlacedRule& placed : rules) {
    NearMiss miss = Missed(match, *placed.policy, *placed.rule, placed.where);
    bool nearer = !verdict.near_miss || miss.distance < verdict.near_miss->distance;
    if (nearer) verdict.near_miss = std::move(miss);
  }
  return verdict;
}

// The egress of one pod to one address of another node.
class NodePortJudge {
 public:
  // `verdict` says who isolates. Keeps references to its arguments.
  NodePortJudge(const Snapshot& snapshot, const Pod& pod, const std::vector<PlacedRule>& rules,
                const DirectionVerdict& verdict, const net::Address& node)
      : snapshot_(snapshot), pod_(pod), rules_(rules), verdict_(verdict), node_(node) {}

  // Nothing if the port is no NodePort.
  std::optional<DirectionVerdict> OfPort(net::Protocol protocol, uint16_t port) const {
    std::optional<DirectionVerdict> first;
    for (const auto& [name, service] : snapshot_.services) {
      if (!model::HasNodePorts(*service)) continue;
      for (const model::ServicePort& candidate : service->ports) {
        if (candidate.node_port == 0) continue;
        if (candidate.node_port != port || candidate.protocol != protocol) continue;
        DirectionVerdict verdict = Through(*service, candidate);
        if (!verdict.allowed) return verdict;
        if (!first) first = std::move(verdict);
      }
    }
    return first;
  }

  // The first NodePort that is not allowed.
  std::optional<DirectionVerdict> Denied() const {
    for (const auto& [name, service] : snapshot_.services) {
      if (!model::HasNodePorts(*service)) continue;
      for (const model::ServicePort& port : service->ports) {
        if (port.node_port == 0) continue;
        DirectionVerdict verdict = Through(*service, port);
        if (verdict.allowed) continue;
        verdict.node_port->for_node = true;
        return verdict;
      }
    }
    return std::nullopt;
  }

 private:
  DirectionVerdict Through(const model::Service& service, const model::ServicePort& port) const {
    std::vector<model::EndpointSlicePtr> slices = model::SlicesOf(snapshot_, service.name);
    std::optional<DirectionVerdict> first;
    for (const model::NodePortBackend& backend :
         model::NodePortBackends(service, port, slices, node_.IsV4())) {
      RuleMatcher match(snapshot_, pod_, Direction::kEgress, backend.address, port.protocol,
                        backend.port);
      DirectionVerdict verdict = ByRules(verdict_, rules_, match);
      std::string pod = match.DestinationName();
      std::string words = (pod.empty() ? "" : pod + " ") + backend.ToString();
      verdict.node_port = NodePortUse{service.name, std::move(words)};
      if (!verdict.allowed) return verdict;
      if (!first) first = std::move(verdict);
    }
    if (first) return *first;
    DirectionVerdict nowhere = verdict_;
    nowhere.node_port = NodePortUse{service.name, ""};
    return nowhere;
  }

  const Snapshot& snapshot_;
  const Pod& pod_;
  const std::vector<PlacedRule>& rules_;
  const DirectionVerdict& verdict_;
  const net::Address& node_;
};

bool AllowsEverything(const PlacedRule& placed) {
  return placed.rule->peers.empty() && placed.rule->ports.empty();
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

std::string NodePortUse::ToString() const {
  std::string out = "a NodePort of Service " + service.ToString() + ": ";
  if (for_node) out = "what has no port needs all of that node: " + out;
  return out + (backend.empty() ? "no backend is usable" : "backend " + backend);
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
  for (const NetworkPolicy* policy : isolating) {
    verdict.isolating.push_back(policy->name);
    if (!policy->keeps_established) verdict.not_keeping.push_back(policy->name);
  }
  verdict.keeps = !isolating.empty() && verdict.not_keeping.empty();
  if (verdict.not_keeping.size() == isolating.size()) verdict.not_keeping.clear();

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

  // What is allowed is the union of what the policies allow.
  std::vector<PlacedRule> rules = RulesOf(isolating, direction);
  DirectionVerdict by_address =
      ByRules(verdict, rules, RuleMatcher(snapshot, pod, direction, peer, protocol, port));

  // What goes to another node's NodePort is judged as what it becomes there. A rule for any peer
  // and any port allows that, whatever it is.
  bool through = direction == Direction::kEgress && IsOtherNode(snapshot, pod, peer) &&
                 std::none_of(rules.begin(), rules.end(), AllowsEverything);
  if (!through) return by_address;
  NodePortJudge node_ports(snapshot, pod, rules, verdict, peer);
  if (net::HasPorts(protocol)) return node_ports.OfPort(protocol, port).value_or(by_address);
  // A node is one identity, and what that is allowed is a port set: all that has no port is in it
  // only together with every port.
  return by_address.allowed ? node_ports.Denied().value_or(by_address) : by_address;
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
