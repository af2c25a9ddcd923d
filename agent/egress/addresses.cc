// SPDX-License-Identifier: Apache-2.0
#include "egress/addresses.h"

#include <algorithm>

#include "egress/cluster.h"

namespace sallyport::egress {

bool IsOlder(const model::EgressGateway& a, const model::EgressGateway& b) {
  if (a.created.empty() != b.created.empty()) return b.created.empty();
  if (a.created != b.created) return a.created < b.created;
  return a.name < b.name;
}

std::vector<model::EgressGatewayPtr> ByAge(const model::Snapshot& snapshot) {
  std::vector<model::EgressGatewayPtr> out;
  for (const auto& [name, gateway] : snapshot.egress_gateways) out.push_back(gateway);
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return IsOlder(*a, *b); });
  return out;
}

Addresses AddressesOf(const model::Snapshot& snapshot) {
  Addresses out;
  for (const model::EgressGatewayPtr& gateway : ByAge(snapshot)) {
    for (const net::Address& address : gateway->egress_ips) {
      out.try_emplace(address, AddressSpec{gateway->name, gateway->gateways, gateway->interface,
                                           gateway->port_block_size, ""});
    }
  }
  if (out.empty()) return out;
  Owners owners(snapshot);
  for (auto& [address, spec] : out) spec.unusable = owners.WhoseElse(address);
  return out;
}

std::string WhyNotIts(const Addresses& addresses, const model::EgressGateway& gateway,
                      const net::Address& address) {
  auto it = addresses.find(address);
  if (it == addresses.end()) return "nothing is known of it";
  const AddressSpec& spec = it->second;
  if (!spec.unusable.empty()) return spec.unusable;
  if (spec.nodes == gateway.gateways && spec.interface == gateway.interface) return "";
  return "it is that of EgressGateway " + spec.gateway +
         ", which is older and names other nodes or another interface";
}

}  // namespace sallyport::egress
