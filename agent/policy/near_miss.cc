// SPDX-License-Identifier: Apache-2.0
#include "policy/near_miss.h"

#include <algorithm>

namespace sallyport::policy {
namespace {

// How far, and in words how, one part of a rule is from matching. Distance 0: it matches.
struct Lack {
  int distance = 0;
  std::string words;
};

// Distances. Ports are below 10; peers are counted in tens, one for each thing that is not so.
constexpr int kPort = 1;
constexpr int kProtocol = 2;
constexpr int kNoProtocolPorts = 3;
constexpr int kRequirement = 10;
constexpr int kExcepted = 15;
constexpr int kOutsideBlock = 80;
constexpr int kNotAPod = 90;
constexpr int kMostRequirements = 7;
constexpr int kBoth = 100;

// Of a long list a person reads the beginning.
constexpr size_t kShown = 8;

std::string RangeText(const net::PortRange& range) {
  if (range.first == 0 && range.last == 0xffff) return "every port";
  std::string out = std::to_string(range.first);
  return range.first == range.last ? out : out + "-" + std::to_string(range.last);
}

// What the labels have where the requirement fails, and what was wanted.
std::string Failure(const model::Requirement& requirement, const model::Labels& labels) {
  const std::string* value = labels.Find(requirement.key);
  std::string has =
      value ? "has " + requirement.key + "=" + *value : "has no label " + requirement.key;
  return has + " (wanted " + requirement.ToString() + ")";
}

// Adds one lack for each requirement that fails.
void AddFailures(const std::string& who, const model::Selector& selector,
                 const model::Labels& labels, std::vector<std::string>& failures) {
  for (const model::Requirement& requirement : selector.requirements()) {
    if (!requirement.Matches(labels)) failures.push_back(who + " " + Failure(requirement, labels));
  }
}

// The same of a namespace; of one whose labels are not known, what they might not fulfil.
void AddNamespaceFailures(const model::Snapshot& snapshot, const std::string& ns,
                          const model::Selector& selector, std::vector<std::string>& failures) {
  std::string who = "namespace " + ns;
  model::Labels labels = snapshot.NamespaceLabels(ns);
  for (const model::Requirement& requirement : selector.requirements()) {
    if (!snapshot.KnowsLabelsOf(ns) && requirement.key != model::kNamespaceNameLabel) {
      failures.push_back(who + " is not known yet (wanted " + requirement.ToString() + ")");
    } else if (!requirement.Matches(labels)) {
      failures.push_back(who + " " + Failure(requirement, labels));
    }
  }
}

std::string Join(const std::vector<std::string>& items, const std::string& separator) {
  std::string out;
  for (size_t i = 0; i < items.size() && i < kShown; ++i) {
    out += (i == 0 ? "" : separator) + items[i];
  }
  if (items.size() > kShown) out += " and " + std::to_string(items.size() - kShown) + " more";
  return out;
}

Lack PodLack(const RuleMatcher& match, const model::NetworkPolicy& policy,
             const model::PodPeer& peer, const model::Pod& pod) {
  std::vector<std::string> failures;
  if (peer.namespaces) {
    AddNamespaceFailures(match.snapshot(), pod.name.ns, *peer.namespaces, failures);
  } else if (pod.name.ns != policy.name.ns) {
    failures.push_back("pod " + pod.name.ToString() + " is not in namespace " + policy.name.ns);
  }
  if (peer.pods) AddFailures("pod " + pod.name.ToString(), *peer.pods, pod.labels, failures);
  int count = std::min(static_cast<int>(failures.size()), kMostRequirements);
  return {count * kRequirement, Join(failures, ", ")};
}

Lack SelectorLack(const RuleMatcher& match, const model::NetworkPolicy& policy,
                  const model::PodPeer& peer) {
  const std::vector<model::PodPtr>& pods = match.peer_pods();
  if (pods.empty()) return {kNotAPod, match.peer().ToString() + " is not a pod's address"};
  Lack worst;
  for (const model::PodPtr& pod : pods) {
    Lack lack = PodLack(match, policy, peer, *pod);
    if (lack.distance > worst.distance) worst = std::move(lack);
  }
  if (pods.size() > 1 && worst.distance > 0) {
    worst.words += " (" + std::to_string(pods.size()) + " pods claim " + match.peer().ToString() +
                   ": all must match)";
  }
  return worst;
}

Lack BlockLack(const model::IpBlock& block, const net::Address& address) {
  if (!block.cidr.Contains(address)) {
    return {kOutsideBlock, address.ToString() + " is not in " + block.cidr.ToString()};
  }
  for (const net::Cidr& except : block.except) {
    if (!except.Contains(address)) continue;
    return {kExcepted, address.ToString() + " is in " + block.cidr.ToString() +
                           ", but excepted by " + except.ToString()};
  }
  return {};
}

// Of the peers listed, the one that is nearest.
Lack PeersLack(const RuleMatcher& match, const model::NetworkPolicy& policy,
               const model::Rule& rule) {
  if (match.PeersMatch(policy, rule)) return {};
  std::optional<Lack> nearest;
  for (const model::Peer& peer : rule.peers) {
    const auto* block = std::get_if<model::IpBlock>(&peer);
    Lack lack = block ? BlockLack(*block, match.peer())
                      : SelectorLack(match, policy, std::get<model::PodPeer>(peer));
    if (!nearest || lack.distance < nearest->distance) nearest = std::move(lack);
  }
  if (rule.peers.size() > 1) {
    nearest->words += " (nearest of " + std::to_string(rule.peers.size()) + " peers)";
  }
  return *nearest;
}

// "6379/TCP", "8000-8100/UDP", "every port/TCP", "metrics/TCP (9187)"
std::string Listed(const RuleMatcher& match, const model::PolicyPort& port) {
  std::string protocol = "/" + net::ToString(port.protocol);
  if (const auto* range = std::get_if<net::PortRange>(&port.port)) {
    return RangeText(*range) + protocol;
  }
  const auto* name = std::get_if<std::string>(&port.port);
  if (!name) return "every port" + protocol;
  std::optional<uint16_t> number = match.Resolve(*name, port.protocol);
  return *name + protocol + (number ? " (" + std::to_string(*number) + ")" : "");
}

// Names that stand for nothing on the destination: "shop/db has no port named metrics/TCP".
std::string Unresolved(const RuleMatcher& match, const model::Rule& rule) {
  std::string destination = match.DestinationName();
  if (destination.empty()) destination = match.peer().ToString() + ", which is no pod,";
  std::vector<std::string> missing;
  for (const model::PolicyPort& port : rule.ports) {
    const auto* name = std::get_if<std::string>(&port.port);
    if (!name || match.Resolve(*name, port.protocol)) continue;
    missing.push_back(*name + "/" + net::ToString(port.protocol));
  }
  return missing.empty() ? "" : destination + " has no port named " + Join(missing, ", ");
}

Lack PortsLack(const RuleMatcher& match, const model::Rule& rule) {
  if (match.PortsMatch(rule)) return {};
  if (!net::HasPorts(match.protocol())) {
    return {kNoProtocolPorts, net::ToString(match.protocol()) +
                                  " has no ports: only a rule that lists none allows it"};
  }
  std::vector<std::string> listed;
  int distance = kProtocol;
  for (const model::PolicyPort& port : rule.ports) {
    listed.push_back(Listed(match, port));
    if (port.protocol == match.protocol()) distance = kPort;
  }
  std::string words = "port " + std::to_string(match.port()) + "/" +
                      net::ToString(match.protocol()) + " is not among " + Join(listed, ", ");
  std::string unresolved = Unresolved(match, rule);
  return {distance, unresolved.empty() ? words : words + "; " + unresolved};
}

}  // namespace

NearMiss Missed(const RuleMatcher& match, const model::NetworkPolicy& policy,
                const model::Rule& rule, const RuleRef& where) {
  Lack peers = PeersLack(match, policy, rule);
  Lack ports = PortsLack(match, rule);
  bool both = peers.distance > 0 && ports.distance > 0;
  std::string words = peers.distance == 0 ? "peer matches" : peers.words;
  words += "; " + (ports.distance == 0 ? std::string("port matches") : ports.words);
  return {where, std::move(words), peers.distance + ports.distance + (both ? kBoth : 0)};
}

}  // namespace sallyport::policy
