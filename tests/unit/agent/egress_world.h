// SPDX-License-Identifier: Apache-2.0
// Three nodes, two of which are gateways, and an EgressGateway with two addresses.
#pragma once

#include <memory>
#include <string>

#include "control/pin_keeper.h"

namespace sallyport::control {

inline net::Address At(const char* text) { return net::Address::Parse(text).value(); }
inline const net::Address kFirstIp = At("203.0.113.10"), kSecondIp = At("203.0.113.11");

inline EgressNews ThreeNodes() {
  EgressNews out;
  int last = 1;
  for (const char* name : {"gw1", "gw2", "n1"}) {
    auto node = std::make_shared<model::Node>();
    node->name = name;
    node->ready = true;
    node->boot_id = std::string("boot-") + name;
    node->internal_addresses = {At(("172.30.0." + std::to_string(last++)).c_str())};
    if (name[0] == 'g') node->labels = model::Labels({{"egress", "true"}});
    out.nodes[name] = node;
  }
  auto gateway = std::make_shared<model::EgressGateway>();
  gateway->name = "partner";
  gateway->uid = "u1";
  gateway->generation = 3;
  gateway->egress_ips = {kFirstIp, kSecondIp};
  gateway->gateways = model::Selector({{"egress", model::Operator::kIn, {"true"}}});
  out.gateways["partner"] = gateway;
  model::Snapshot objects;
  objects.nodes = out.nodes;
  objects.egress_gateways = out.gateways;
  out.addresses = egress::AddressesOf(objects);
  out.needed = {{kFirstIp, 1024}};
  return out;
}

}  // namespace sallyport::control
