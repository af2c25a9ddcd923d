// SPDX-License-Identifier: Apache-2.0
#include "policy/rule_match.h"

#include <algorithm>

#include "policy/evaluate.h"

namespace sallyport::policy {
namespace {

std::optional<uint16_t> ContainerPortNamed(const model::Pod& pod, const std::string& name,
                                           net::Protocol protocol) {
  for (const model::ContainerPort& port : pod.ports) {
    if (port.name == name && port.protocol == protocol) return port.port;
  }
  return std::nullopt;
}

}  // namespace

RuleMatcher::RuleMatcher(const model::Snapshot& snapshot, const model::Pod& pod,
                         Direction direction, const net::Address& peer, net::Protocol protocol,
                         uint16_t port)
    : snapshot_(snapshot),
      pod_(pod),
      direction_(direction),
      peer_(peer),
      protocol_(protocol),
      port_(port),
      peer_pods_(PodsAt(snapshot, peer)) {}

bool RuleMatcher::Allows(const model::NetworkPolicy& policy, const model::Rule& rule) const {
  return PeersMatch(policy, rule) && PortsMatch(rule);
}

bool RuleMatcher::PeersMatch(const model::NetworkPolicy& policy, const model::Rule& rule) const {
  // Empty or missing from/to: all sources or destinations, traffic not restricted by peer.
  if (rule.peers.empty()) return true;
  // Items in the list are combined with a logical OR.
  return std::any_of(rule.peers.begin(), rule.peers.end(),
                     [&](const model::Peer& peer) { return PeerMatches(policy, peer); });
}

bool RuleMatcher::PeerMatches(const model::NetworkPolicy& policy, const model::Peer& peer) const {
  // ipBlock: a range of addresses, whoever has them; those in `except` are not of the range.
  if (const auto* block = std::get_if<model::IpBlock>(&peer)) return block->Contains(peer_);
  // Selectors: the pods that both match. An address that several pods claim is a pod's only as far
  // as all of them agree.
  const auto& selectors = std::get<model::PodPeer>(peer);
  return !peer_pods_.empty() &&
         std::all_of(peer_pods_.begin(), peer_pods_.end(),
                     [&](const model::PodPtr& pod) { return PodMatches(policy, selectors, *pod); });
}

bool RuleMatcher::PodMatches(const model::NetworkPolicy& policy, const model::PodPeer& peer,
                             const model::Pod& pod) const {
  // namespaceSelector: the namespaces by their labels, all of them if it is empty. Without one:
  // the policy's own namespace. One whose labels are not told yet may have any.
  bool namespace_matches = peer.namespaces
                               ? snapshot_.NamespaceMatches(*peer.namespaces, pod.name.ns)
                               : pod.name.ns == policy.name.ns;
  // podSelector: the pods of those namespaces by their labels. Without one, or if it is empty: all.
  bool labels_match = !peer.pods || peer.pods->Matches(pod.labels);
  return namespace_matches && labels_match;
}

bool RuleMatcher::PortsMatch(const model::Rule& rule) const {
  // Empty or missing ports: all ports, traffic not restricted by port.
  if (rule.ports.empty()) return true;
  // Items in the list are combined with a logical OR.
  return std::any_of(rule.ports.begin(), rule.ports.end(),
                     [&](const model::PolicyPort& port) { return PortMatches(port); });
}

bool RuleMatcher::PortMatches(const model::PolicyPort& port) const {
  // protocol: TCP, UDP or SCTP. Nothing else can be listed, so a list allows nothing else.
  if (!net::HasPorts(protocol_) || port.protocol != protocol_) return false;
  // port, endPort: a number, or all numbers from the one to the other.
  if (const auto* range = std::get_if<net::PortRange>(&port.port)) return range->Contains(port_);
  // port: a name, which stands for what the destination pod declares.
  if (const auto* name = std::get_if<std::string>(&port.port)) {
    return Resolve(*name, port.protocol) == port_;
  }
  // No port: all port numbers of the protocol.
  return true;
}

std::optional<uint16_t> RuleMatcher::Resolve(const std::string& name,
                                             net::Protocol protocol) const {
  if (direction_ == Direction::kIngress) return ContainerPortNamed(pod_, name, protocol);
  if (peer_pods_.empty()) return std::nullopt;
  std::optional<uint16_t> number = ContainerPortNamed(*peer_pods_.front(), name, protocol);
  bool agreed = std::all_of(peer_pods_.begin(), peer_pods_.end(), [&](const model::PodPtr& pod) {
    return ContainerPortNamed(*pod, name, protocol) == number;
  });
  return agreed ? number : std::nullopt;
}

std::string RuleMatcher::DestinationName() const {
  if (direction_ == Direction::kIngress) return pod_.name.ToString();
  return peer_pods_.empty() ? "" : peer_pods_.front()->name.ToString();
}

}  // namespace sallyport::policy
