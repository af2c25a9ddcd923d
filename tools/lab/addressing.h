// SPDX-License-Identifier: Apache-2.0
// The lab's networks and who has which address in them. Pure.
//
//   nodes    one Ethernet; the fabric's bridge holds the gateway of each segment
//   pods     each node has a range of either family, reached through the node
//   outside  behind the fabric; whatever is nowhere else is there
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "lab/tree.h"
#include "net/address.h"

namespace sallyport::lab {

// An address of an interface, with the length of its network's prefix.
struct InterfaceAddress {
  net::Address address;
  int prefix = 0;
  std::string ToString() const;  // "10.0.0.5/24"
  friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};
Result<InterfaceAddress> ParseInterfaceAddress(std::string_view text);

// One network of either family for each purpose.
struct Networks {
  std::vector<net::Cidr> pods;
  std::vector<net::Cidr> nodes;
  std::vector<net::Cidr> outside;
  std::vector<net::Address> outside_addresses;  // beyond the one in each outside network
  std::vector<net::Cidr> services;              // nobody's interface has them
  std::vector<net::Cidr>
      egress;  // on the nodes' Ethernet: egress IPs, for whichever node holds one
};

// 10.244.0.0/16 fd00:10:244::/48, 172.30.0.0/24 fd00:172:30::/64, 198.51.100.0/24
// 2001:db8:100::/64, services 10.96.0.0/16 fd00:10:96::/112, egress 203.0.113.0/24
// 2001:db8:ffff::/64
Networks DefaultNetworks();

struct NodeAddresses {
  std::vector<InterfaceAddress> internal;  // at most one segment a family
  std::vector<net::Address> external;      // the node's too, as single addresses
  std::vector<net::Address> gateways;      // the fabric's, one a family
  std::vector<net::Cidr> pod_cidrs;
};

struct OutsideAddresses {
  std::vector<InterfaceAddress> own;       // on the link to the fabric, in order of the networks
  std::vector<InterfaceAddress> gateways;  // the fabric's end of that link
};

// For each Node object: what it declares (status.addresses, spec.podCIDRs), and for what it leaves
// open the next free of the networks. Fails where something overlaps, or a network is too small.
Result<std::vector<NodeAddresses>> AssignNodeAddresses(const std::vector<const Value*>& nodes,
                                                       const Networks& networks);
OutsideAddresses AssignOutsideAddresses(const Networks& networks);

// The address `offset` after the network's first.
net::Address Nth(const net::Cidr& network, uint64_t offset);

}  // namespace sallyport::lab
