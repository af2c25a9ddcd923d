// SPDX-License-Identifier: Apache-2.0
// The egress IPs of all EgressGateways: whose each is, and who may hold it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/snapshot.h"
#include "net/address.h"

namespace sallyport::egress {

struct AddressSpec {
  std::string gateway;    // the EgressGateway whose it is: the oldest one that names it
  model::Selector nodes;  // who may hold it
  std::string interface;  // "": the route's
  int block_size = 0;     // ports
  // Why nobody may hold it; "" if somebody may.
  std::string unusable;
  friend bool operator==(const AddressSpec&, const AddressSpec&) = default;
};
using Addresses = std::map<net::Address, AddressSpec>;

// By creation, then by name; one that has no creation time yet is the youngest.
bool IsOlder(const model::EgressGateway& a, const model::EgressGateway& b);
// Oldest first.
std::vector<model::EgressGatewayPtr> ByAge(const model::Snapshot& snapshot);

Addresses AddressesOf(const model::Snapshot& snapshot);

// Why pods of this gateway cannot have this one of its addresses; "" if they can. The same address
// in two objects is well if both name the same nodes and interface, else it is the older one's.
std::string WhyNotIts(const Addresses& addresses, const model::EgressGateway& gateway,
                      const net::Address& address);

}  // namespace sallyport::egress
