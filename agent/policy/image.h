// SPDX-License-Identifier: Apache-2.0
// The compiled form of all policy that a node enforces: what the kernel tables will say, in
// numbers that are free of the kernel's layout. A value; prints itself.
//
// The kernel's question is: may this endpoint, in this direction, talk to that peer on this
// protocol and port? The image answers:
//
//   identity = peers[address], else the longest prefix in `prefixes`, else kNoIdentity
//   port set = sets[endpoint's set].rules[identity], else sets[...].any
//   verdict  = port set contains (protocol, port)
//
// Numbers (identities, sets, port sets) mean something within one image and its successors from the
// same Compiler only; a Compiler never uses a number again for something else.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "model/objects.h"
#include "net/address.h"
#include "net/flow.h"

namespace sallyport::policy {

enum class Direction { kEgress, kIngress };
std::string ToString(Direction direction);  // "egress", "ingress"

using IdentityId = uint32_t;
using SetId = uint32_t;
using PortSetId = uint32_t;

inline constexpr IdentityId kNoIdentity = 0;  // peers that no policy in force can tell apart
inline constexpr SetId kNoSet = 0;            // not isolated: allows everything
inline constexpr PortSetId kNoPorts = 0;      // allows nothing
inline constexpr PortSetId kAllPorts = 1;     // allows every port of every protocol, ICMP included

// What is allowed to one identity, when it is neither nothing nor everything. Ranges are sorted,
// disjoint and not adjacent, so equal contents compare equal.
struct PortSet {
  std::vector<net::PortRange> tcp, udp, sctp;
  // False for protocols without ports: only kAllPorts allows those.
  bool Allows(net::Protocol protocol, uint16_t port) const;
  friend auto operator<=>(const PortSet&, const PortSet&) = default;
};

// One direction of an endpoint, isolated. `any` is for peers without a rule of their own; a rule's
// port set includes it already, but for what other nodes' NodePorts lead to. No rule equals `any`
// (it would say nothing).
struct PolicySet {
  std::map<IdentityId, PortSetId> rules;
  PortSetId any = kNoPorts;
  friend auto operator<=>(const PolicySet&, const PolicySet&) = default;
};

// A live pod of this node.
struct Endpoint {
  std::vector<net::Address> addresses;  // sorted; empty while it has none
  SetId egress = kNoSet;
  SetId ingress = kNoSet;
  // Connections of this direction that were established stay when no rule allows them any more.
  bool keep_egress = false;
  bool keep_ingress = false;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

struct Image {
  // Pods anywhere that some policy of this node can tell from the addresses around them: where
  // the identity is not what `prefixes` would say.
  std::map<net::Address, IdentityId> peers;
  // ipBlocks, flattened: longest prefix wins. kNoIdentity is a valid value (an `except`). The
  // families are apart: ::/0 says nothing about IPv4.
  std::map<net::Cidr, IdentityId> prefixes;
  // This node's own addresses: traffic between a pod and its node is always allowed.
  std::set<net::Address> node_addresses;
  // Other nodes', but for those that a pod claims as well. What seems to come from them may be
  // somebody else's, whom they have translated.
  std::set<net::Address> other_nodes;
  // Other nodes' that a pod claims as well: allowed less, maybe, than the prefixes say.
  std::set<net::Address> shared_nodes;
  // Services': what is sent to them is translated, and judged as what it has become.
  std::set<net::Address> service_addresses;
  std::map<SetId, PolicySet> sets;
  std::map<PortSetId, PortSet> port_sets;  // without kNoPorts and kAllPorts
  std::map<model::ObjectName, Endpoint> endpoints;

  IdentityId IdentityOf(const net::Address& peer) const;
  // Requires that `set` and everything it refers to is in the image.
  bool Allows(SetId set, IdentityId identity, net::Protocol protocol, uint16_t port) const;

  // As text, for golden tests and people. Deterministic.
  std::string ToString() const;
  friend bool operator==(const Image&, const Image&) = default;
};

// The same image with numbers given in an order that depends on content only: images that mean the
// same by construction are equal after it.
Image Canonical(const Image& image);

// Keys of an image whose entry was added, removed or changed; the image says which.
struct Changes {
  std::set<net::Address> peers;  // of `peers`, `other_nodes` or `shared_nodes`
  std::set<net::Cidr> prefixes;
  bool node_addresses = false;
  std::set<net::Address> service_addresses;
  std::set<SetId> sets;
  std::set<std::pair<SetId, IdentityId>> rules;  // of sets that are not in `sets`
  std::set<PortSetId> port_sets;
  std::set<model::ObjectName> endpoints;
  bool empty() const;
};

}  // namespace sallyport::policy
