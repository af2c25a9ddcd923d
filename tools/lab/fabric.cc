// SPDX-License-Identifier: Apache-2.0
#include "lab/fabric.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <utility>

#include "lab/netlink.h"
#include "lab/netns.h"

namespace sallyport::lab {
namespace {

constexpr const char* kUplink = "eth0";
constexpr const char* kBridge = "nodes";
constexpr const char* kToOutside = "out";

// What every namespace gets: addresses usable at once, and nothing inherited that the machine's
// administrator set for the machine.
Sysctls Common() {
  return {{"net/ipv6/conf/all/accept_dad", "0"},     {"net/ipv6/conf/default/accept_dad", "0"},
          {"net/ipv6/conf/all/accept_ra", "0"},      {"net/ipv6/conf/default/accept_ra", "0"},
          {"net/ipv6/conf/all/disable_ipv6", "0"},   {"net/ipv6/conf/default/disable_ipv6", "0"},
          {"net/ipv4/conf/all/rp_filter", "0"},      {"net/ipv4/conf/default/rp_filter", "0"},
          {"net/ipv4/conf/all/send_redirects", "0"}, {"net/ipv4/conf/default/send_redirects", "0"}};
}

Sysctls Forwarding() {
  Sysctls out = Common();
  out.emplace_back("net/ipv4/ip_forward", "1");
  out.emplace_back("net/ipv6/conf/all/forwarding", "1");
  out.emplace_back("net/ipv6/conf/default/forwarding", "1");
  return out;
}

Status MakeNamespace(const std::string& name, const Sysctls& sysctls) {
  Status done = CreateNetns(name);
  if (done) done = SetSysctls(NetnsPath(name), sysctls);
  if (!done) return done;
  auto netlink = Netlink::Open(NetnsPath(name));
  return netlink ? netlink->SetUp("lo") : Status(std::move(netlink).error());
}

bool SameSegment(const InterfaceAddress& a, const InterfaceAddress& b) {
  return a.prefix == b.prefix && a.address.IsV4() == b.address.IsV4() &&
         net::Cidr(a.address, a.prefix) == net::Cidr(b.address, b.prefix);
}

net::Cidr Everything(const net::Address& like) {
  return net::Cidr(like.IsV4() ? net::Address::V4(0) : net::Address(), 0);
}

net::Cidr Single(const net::Address& address) { return {address, address.IsV4() ? 32 : 128}; }

const InterfaceAddress* OfFamily(const std::vector<InterfaceAddress>& addresses, bool v4) {
  for (const InterfaceAddress& address : addresses)
    if (address.address.IsV4() == v4) return &address;
  return nullptr;
}

class FabricBuilder {
 public:
  FabricBuilder(const LabState& state, Netlink fabric)
      : state_(state), layout_(state.name), fabric_(std::move(fabric)) {}

  Status Build() {
    Status done = fabric_.AddBridge(kBridge);
    if (done) done = fabric_.SetUp(kBridge);
    if (done) done = AddGateways();
    for (size_t i = 0; i < state_.nodes.size(); ++i)
      if (done) done = AddNode(state_.nodes[i], "node" + std::to_string(i));
    if (done) done = AddOutside();
    return done;
  }

 private:
  Status AddGateways() {
    std::set<std::string> added;
    for (const NodePlan& node : state_.nodes) {
      for (size_t i = 0; i < node.addresses.internal.size(); ++i) {
        InterfaceAddress gateway{node.addresses.gateways[i], node.addresses.internal[i].prefix};
        if (!added.insert(gateway.ToString()).second) continue;
        if (Status done = fabric_.AddAddress(kBridge, gateway); !done) return done;
      }
    }
    for (const net::Cidr& network : state_.networks.egress) {
      InterfaceAddress gateway{Nth(network, 1), network.length()};
      if (!added.insert(gateway.ToString()).second) continue;
      if (Status done = fabric_.AddAddress(kBridge, gateway); !done) return done;
    }
    return Ok();
  }

  Status AddNode(const NodePlan& node, const std::string& port) {
    std::string path = NetnsPath(layout_.node_netns(node.name()));
    auto opened = Netlink::Open(path);
    if (!opened) return std::move(opened).error();
    Netlink& own = *opened;
    Status done = fabric_.AddVeth(port, kUplink, path);
    if (done) done = fabric_.SetMaster(port, kBridge);
    if (done) done = fabric_.SetUp(port);
    if (done) done = own.SetUp(kUplink);
    for (const InterfaceAddress& address : node.addresses.internal)
      if (done) done = own.AddAddress(kUplink, address);
    for (const net::Address& address : node.addresses.external)
      if (done) done = own.AddAddress(kUplink, {address, address.IsV4() ? 32 : 128});
    for (const net::Address& gateway : node.addresses.gateways)
      if (done) done = own.AddRoute(Everything(gateway), gateway);
    for (const NodePlan& other : state_.nodes)
      if (done && &other != &node) done = RouteToPeer(own, node, other);
    return done ? RouteToNode(node) : done;
  }

  // Directly where the two share a segment; else the fabric has the route.
  static Status RouteToPeer(Netlink& own, const NodePlan& node, const NodePlan& other) {
    for (const net::Cidr& pods : other.addresses.pod_cidrs) {
      const InterfaceAddress* here = OfFamily(node.addresses.internal, pods.IsV4());
      const InterfaceAddress* there = OfFamily(other.addresses.internal, pods.IsV4());
      if (!here || !there || !SameSegment(*here, *there)) continue;
      if (Status done = own.AddRoute(pods, there->address); !done) return done;
    }
    return Ok();
  }

  Status RouteToNode(const NodePlan& node) {
    std::vector<net::Cidr> behind = node.addresses.pod_cidrs;
    for (const net::Address& address : node.addresses.external) behind.push_back(Single(address));
    for (const net::Cidr& destination : behind) {
      const InterfaceAddress* via = OfFamily(node.addresses.internal, destination.IsV4());
      if (!via) continue;
      if (Status done = fabric_.AddRoute(destination, via->address); !done) return done;
    }
    return Ok();
  }

  Status AddOutside() {
    std::string path = NetnsPath(layout_.outside_netns());
    auto opened = Netlink::Open(path);
    if (!opened) return std::move(opened).error();
    Netlink& outside = *opened;
    Status done = fabric_.AddVeth(kToOutside, kUplink, path);
    if (done) done = fabric_.SetUp(kToOutside);
    if (done) done = outside.SetUp(kUplink);
    for (const InterfaceAddress& address : state_.outside.own)
      if (done) done = outside.AddAddress(kUplink, address);
    for (const InterfaceAddress& gateway : state_.outside.gateways) {
      const InterfaceAddress* there = OfFamily(state_.outside.own, gateway.address.IsV4());
      if (done) done = fabric_.AddAddress(kToOutside, gateway);
      if (done) done = outside.AddRoute(Everything(gateway.address), gateway.address);
      if (done) done = fabric_.AddRoute(Everything(gateway.address), there->address);
    }
    return done;
  }

  const LabState& state_;
  Layout layout_;
  Netlink fabric_;
};

// The networks of one family that another lab must not have, too.
std::vector<net::Cidr> Inside(const LabState& state, bool v4) {
  std::vector<net::Cidr> out;
  for (const auto* networks : {&state.networks.pods, &state.networks.nodes})
    for (const net::Cidr& network : *networks)
      if (network.IsV4() == v4) out.push_back(network);
  return out;
}

bool Overlap(const std::vector<net::Cidr>& a, const std::vector<net::Cidr>& b) {
  for (const net::Cidr& left : a)
    for (const net::Cidr& right : b)
      if (left.Contains(right) || right.Contains(left)) return true;
  return false;
}

// The two ends of the cable: addresses of a network that is only theirs.
net::Cidr CableNetwork(const LabState& a, const LabState& b, bool v4) {
  uint64_t number =
      std::hash<std::string>{}(std::min(a.name, b.name) + "/" + std::max(a.name, b.name));
  net::Cidr all = net::Cidr::Parse(v4 ? "100.64.0.0/10" : "fd00:64::/64").value();
  return net::Cidr(Nth(all, number % (1 << 18) * 4), v4 ? 30 : 126);
}

Status RouteBetween(Netlink& here, const std::string& port, Netlink& there,
                    const std::string& other_port, const LabState& state, const LabState& peer,
                    bool v4) {
  net::Cidr cable = CableNetwork(state, peer, v4);
  Status done = here.AddAddress(port, {Nth(cable, 1), cable.length()});
  if (done) done = there.AddAddress(other_port, {Nth(cable, 2), cable.length()});
  for (const net::Cidr& network : Inside(peer, v4))
    if (done) done = here.AddRoute(network, Nth(cable, 2));
  for (const net::Cidr& network : Inside(state, v4))
    if (done) done = there.AddRoute(network, Nth(cable, 1));
  return done;
}

// Interface names are short, and labs' are not.
std::string PortTo(const LabState& lab) {
  return "lab" + std::to_string(std::hash<std::string>{}(lab.name) % 1'000'000'000);
}

}  // namespace

Status WireLabs(const LabState& state, const LabState& peer) {
  std::vector<bool> families;
  for (bool v4 : {true, false})
    if (!Overlap(Inside(state, v4), Inside(peer, v4))) families.push_back(v4);
  if (families.empty())
    return Error{"the networks of labs " + state.name + " and " + peer.name +
                     " overlap: give this one others (--pod-network, --node-network)",
                 0};
  auto here = Netlink::Open(NetnsPath(Layout(state.name).fabric_netns()));
  if (!here) return std::move(here).error();
  std::string peer_path = NetnsPath(Layout(peer.name).fabric_netns());
  auto there = Netlink::Open(peer_path);
  if (!there) return std::move(there).error().Context("lab " + peer.name);
  std::string port = PortTo(peer);
  std::string other_port = PortTo(state);
  Status done = here->AddVeth(port, other_port, peer_path);
  if (done) done = here->SetUp(port);
  if (done) done = there->SetUp(other_port);
  for (bool v4 : families)
    if (done) done = RouteBetween(*here, port, *there, other_port, state, peer, v4);
  return done;
}

Status BuildFabric(const LabState& state) {
  Layout layout(state.name);
  Status done = MakeNamespace(layout.fabric_netns(), Forwarding());
  if (done) done = MakeNamespace(layout.outside_netns(), Common());
  for (const NodePlan& node : state.nodes)
    if (done) done = MakeNamespace(layout.node_netns(node.name()), Forwarding());
  if (!done) return done;
  auto fabric = Netlink::Open(NetnsPath(layout.fabric_netns()));
  if (!fabric) return std::move(fabric).error();
  return FabricBuilder(state, *std::move(fabric)).Build();
}

}  // namespace sallyport::lab
