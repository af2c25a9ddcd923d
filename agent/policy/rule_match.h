// SPDX-License-Identifier: Apache-2.0
// Does one rule allow one flow? The API text, clause by clause. Part of Evaluate.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/snapshot.h"
#include "net/flow.h"
#include "policy/image.h"

namespace sallyport::policy {

// One direction of `pod` against a peer address, as in Judge. Keeps references to its arguments.
class RuleMatcher {
 public:
  RuleMatcher(const model::Snapshot& snapshot, const model::Pod& pod, Direction direction,
              const net::Address& peer, net::Protocol protocol, uint16_t port);

  // A rule allows what matches both its peers and its ports.
  bool Allows(const model::NetworkPolicy& policy, const model::Rule& rule) const;

  bool PeersMatch(const model::NetworkPolicy& policy, const model::Rule& rule) const;
  bool PeerMatches(const model::NetworkPolicy& policy, const model::Peer& peer) const;
  bool PortsMatch(const model::Rule& rule) const;
  bool PortMatches(const model::PolicyPort& port) const;

  // One pod against a selecting peer.
  bool PodMatches(const model::NetworkPolicy& policy, const model::PodPeer& peer,
                  const model::Pod& pod) const;
  // The number that a port's name stands for on the destination, if it has one.
  std::optional<uint16_t> Resolve(const std::string& name, net::Protocol protocol) const;

  const model::Snapshot& snapshot() const { return snapshot_; }
  const net::Address& peer() const { return peer_; }
  // Live pods that claim the peer's address.
  const std::vector<model::PodPtr>& peer_pods() const { return peer_pods_; }
  // Who has the ports: the pod itself for ingress, the peer for egress. "" if it is no pod.
  std::string DestinationName() const;
  net::Protocol protocol() const { return protocol_; }
  uint16_t port() const { return port_; }

 private:
  const model::Snapshot& snapshot_;
  const model::Pod& pod_;
  const Direction direction_;
  const net::Address peer_;
  const net::Protocol protocol_;
  const uint16_t port_;
  const std::vector<model::PodPtr> peer_pods_;
};

}  // namespace sallyport::policy
