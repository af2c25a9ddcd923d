// SPDX-License-Identifier: Apache-2.0
// Short ways to write links, claims and pods, and a resolver that knows what the test says.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "endpoint/tracker.h"

namespace sallyport::endpoint {

inline net::Address Ip(const char* text) { return net::Address::Parse(text).value(); }

class FakeResolver : public Resolver {
 public:
  std::optional<FarEnd> Find(const std::string& path, const std::string& name) override {
    auto it = sandboxes.find({path, name});
    if (it == sandboxes.end()) return std::nullopt;
    return it->second;
  }
  std::optional<uint32_t> Route(const net::Address& address) override {
    auto it = routes.find(address);
    if (it == routes.end()) return std::nullopt;
    return it->second;
  }
  std::map<std::pair<std::string, std::string>, FarEnd> sandboxes;
  std::map<net::Address, uint32_t> routes;
};

inline Link Veth(uint32_t ifindex, const std::string& name, int netns = 7) {
  Link link;
  link.ifindex = ifindex;
  link.name = name;
  link.kind = "veth";
  link.peer_ifindex = 2;
  link.peer_netns = netns;
  return link;
}

struct ClaimOf {
  std::string pod;
  std::vector<std::string> host_interfaces;
  std::vector<const char*> addresses = {"10.0.0.1"};
  std::string uid = {};
  int64_t age_order = 1;
  std::string file = {};
  std::string netns = {};
  std::string interface = "eth0";
  std::string container = "c1";

  Claim Make() const {
    Claim claim{};
    claim.pod = {"shop", pod};
    claim.host_interfaces = host_interfaces;
    for (const char* address : addresses) claim.addresses.push_back(Ip(address));
    claim.uid = uid;
    claim.age_order = age_order;
    claim.file = file.empty() ? "net-" + pod + "-" + interface : file;
    claim.container = container;
    claim.netns = netns;
    claim.interface = interface;
    return claim;
  }
};

struct PodOf {
  std::string name;
  std::vector<const char*> addresses = {};
  std::string uid = {};
  std::string node = "n1";
  bool host_network = false;
  model::PodPhase phase = model::PodPhase::kRunning;

  model::PodPtr Make() const {
    auto pod = std::make_shared<model::Pod>();
    pod->name = {"shop", name};
    for (const char* address : addresses) pod->addresses.push_back(Ip(address));
    pod->uid = uid;
    pod->node = node;
    pod->host_network = host_network;
    pod->phase = phase;
    return pod;
  }
};

}  // namespace sallyport::endpoint
