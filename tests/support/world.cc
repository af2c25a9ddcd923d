// SPDX-License-Identifier: Apache-2.0
#include "support/world.h"

#include <cstdlib>
#include <random>
#include <sstream>

#include "support/manifest_text.h"

namespace sallyport::test {
namespace {

using model::Operator;
using net::Address;
using net::Cidr;
using net::Protocol;

const std::vector<std::string> kNamespaces = {"shop", "bank", "farm", "attic"};
const std::vector<std::string> kNodes = {"here", "there", "yonder"};
const std::vector<std::string> kKeys = {"app", "tier", "env"};
const std::vector<std::string> kValues = {"a", "b", "c", ""};
const std::vector<std::string> kPortNames = {"web", "metrics", "dns"};
const std::vector<uint16_t> kPorts = {1, 53, 80, 81, 82, 443, 8080, 9090, 65535};
const std::vector<Protocol> kPortProtocols = {Protocol::kTcp, Protocol::kTcp, Protocol::kUdp,
                                              Protocol::kSctp};
const std::vector<std::string> kServices = {"api", "site", "feed"};
const std::vector<std::string> kTargetNames = {"one", "two", "three"};
const std::vector<uint16_t> kNodePorts = {80, 443, 30080, 30081, 32767};

Address Parse(const std::string& text) { return *Address::Parse(text); }

// Pods live in 10.0.0.0/28 and 10.0.1.0/28, fd00::/124 and fd00:0:0:1::/124.
Address RandomPodAddress(Random& random, bool v4) {
  int net = random.Between(0, 1);
  int host = random.Between(0, 15);
  if (v4) return Address::V4(0x0a000000u | static_cast<uint32_t>(net << 8 | host));
  Address::Bytes bytes{0xfd};
  bytes[7] = static_cast<uint8_t>(net);
  bytes[15] = static_cast<uint8_t>(host);
  return Address(bytes);
}

Address RandomAddress(Random& random, bool v4) {
  static const std::vector<std::string> kV4 = {"172.16.0.1", "172.16.0.2",     "192.168.7.7",
                                               "10.0.0.200", "11.0.0.1",       "203.0.113.9",
                                               "0.0.0.0",    "255.255.255.255"};
  static const std::vector<std::string> kV6 = {
      "fd00:aa::1", "fd00:aa::2",   "2001:db8::7",
      "fd00::200",  "fe80::1",      "::",
      "::1",        "::fffe:a00:1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
  if (random.Chance(60)) return RandomPodAddress(random, v4);
  return Parse(random.Pick(v4 ? kV4 : kV6));
}

Cidr RandomCidr(Random& random, bool v4) {
  static const std::vector<int> kV4Lengths = {0, 0, 8, 23, 24, 27, 28, 29, 30, 31, 32, 32};
  static const std::vector<int> kV6Lengths = {0, 0, 8, 48, 63, 64, 80, 123, 124, 126, 127, 128};
  int length = random.Pick(v4 ? kV4Lengths : kV6Lengths);
  if (random.Chance(10)) length = random.Between(0, v4 ? 32 : 128);
  return Cidr(RandomAddress(random, v4), length);
}

// Inside `around` and longer, as the API wants it.
Cidr RandomHole(Random& random, const Cidr& around) {
  int most = around.IsV4() ? 32 : 128;
  if (around.length() == most) return around;
  Address address = around.address();
  for (int i = 0; i < 20 && random.Chance(90); ++i) {
    Address candidate = RandomAddress(random, around.IsV4());
    if (around.Contains(candidate)) address = candidate;
  }
  int length = random.Chance(50) ? random.Between(around.length() + 1, most)
                                 : std::min(most, around.length() + random.Between(1, 4));
  return Cidr(address, length);
}

model::IpBlock RandomBlock(Random& random) {
  model::IpBlock block{RandomCidr(random, random.Chance(65)), {}};
  int holes = random.Chance(50) ? random.Between(1, 3) : 0;
  for (int i = 0; i < holes; ++i) {
    Cidr hole = RandomHole(random, block.cidr);
    if (hole != block.cidr) block.except.push_back(hole);
  }
  std::sort(block.except.begin(), block.except.end());
  block.except.erase(std::unique(block.except.begin(), block.except.end()), block.except.end());
  return block;
}

model::Labels RandomLabels(Random& random) {
  std::vector<model::Labels::Entry> entries;
  for (const std::string& key : kKeys) {
    if (random.Chance(55)) entries.emplace_back(key, random.Pick(kValues));
  }
  return model::Labels(std::move(entries));
}

model::Requirement RandomRequirement(Random& random, bool for_namespaces) {
  model::Requirement out;
  out.key = random.Pick(kKeys);
  out.op = static_cast<Operator>(random.Between(0, 3));
  if (random.Chance(50)) out.op = Operator::kIn;
  bool by_name = for_namespaces && random.Chance(30);
  if (by_name) out.key = model::kNamespaceNameLabel;
  if (out.op == Operator::kExists || out.op == Operator::kDoesNotExist) return out;
  int values = random.Chance(60) ? 1 : random.Between(1, 3);
  for (int i = 0; i < values; ++i)
    out.values.push_back(random.Pick(by_name ? kNamespaces : kValues));
  return out;
}

model::Selector RandomSelector(Random& random, bool for_namespaces) {
  std::vector<model::Requirement> requirements;
  int count = random.Chance(25) ? 0 : random.Chance(70) ? 1 : random.Between(2, 3);
  for (int i = 0; i < count; ++i) {
    requirements.push_back(RandomRequirement(random, for_namespaces));
  }
  return model::Selector(std::move(requirements));
}

model::Peer RandomPeer(Random& random) {
  if (random.Chance(35)) return RandomBlock(random);
  model::PodPeer peer;
  int form = random.Between(0, 2);
  if (form != 0) peer.namespaces = RandomSelector(random, true);
  if (form != 1) peer.pods = RandomSelector(random, false);
  return peer;
}

model::PolicyPort RandomPolicyPort(Random& random) {
  model::PolicyPort port;
  port.protocol = random.Pick(kPortProtocols);
  switch (random.Between(0, 5)) {
    case 0:
      break;
    case 1:
    case 2:
      port.port = random.Pick(kPortNames);
      break;
    case 3: {
      uint16_t a = random.Pick(kPorts);
      uint16_t b = random.Pick(kPorts);
      port.port = net::PortRange{std::min(a, b), std::max(a, b)};
      break;
    }
    default: {
      uint16_t number = random.Pick(kPorts);
      port.port = net::PortRange{number, number};
    }
  }
  return port;
}

model::Rule RandomRule(Random& random) {
  model::Rule rule;
  int peers = random.Chance(20) ? 0 : random.Chance(70) ? 1 : random.Between(2, 4);
  int ports = random.Chance(35) ? 0 : random.Between(1, 3);
  for (int i = 0; i < peers; ++i) rule.peers.push_back(RandomPeer(random));
  for (int i = 0; i < ports; ++i) rule.ports.push_back(RandomPolicyPort(random));
  return rule;
}

model::NetworkPolicyPtr RandomPolicy(Random& random) {
  model::NetworkPolicy policy;
  policy.name = {random.Pick(kNamespaces), "policy-" + std::to_string(random.Between(0, 9))};
  policy.pods = RandomSelector(random, false);
  int ingress = random.Chance(70) ? random.Between(0, 3) : 0;
  int egress = random.Chance(70) ? random.Between(0, 3) : 0;
  for (int i = 0; i < ingress; ++i) policy.ingress.push_back(RandomRule(random));
  for (int i = 0; i < egress; ++i) policy.egress.push_back(RandomRule(random));
  // As the API defaults policyTypes; or as someone wrote them.
  policy.isolates_ingress = true;
  policy.isolates_egress = egress > 0;
  if (random.Chance(50)) {
    int types = random.Between(1, 3);
    policy.isolates_ingress = (types & 1) != 0;
    policy.isolates_egress = (types & 2) != 0;
  }
  policy.keeps_established = random.Chance(50);
  return std::make_shared<const model::NetworkPolicy>(std::move(policy));
}

std::vector<model::ContainerPort> RandomContainerPorts(Random& random) {
  std::vector<model::ContainerPort> out;
  int count = random.Chance(30) ? 0 : random.Between(1, 4);
  for (int i = 0; i < count; ++i) {
    model::ContainerPort port;
    if (random.Chance(85)) port.name = random.Pick(kPortNames);
    port.protocol = random.Pick(kPortProtocols);
    port.port = random.Pick(kPorts);
    out.push_back(port);
  }
  return out;
}

model::PodPtr RandomPod(Random& random) {
  model::Pod pod;
  pod.name = {random.Pick(kNamespaces), "pod-" + std::to_string(random.Between(0, 19))};
  pod.uid = std::to_string(random.Between(0, 2));
  pod.labels = RandomLabels(random);
  pod.node = random.Chance(60) ? "here" : random.Chance(90) ? "there" : "";
  pod.host_network = random.Chance(6);
  pod.phase = random.Chance(80) ? model::PodPhase::kRunning
                                : static_cast<model::PodPhase>(random.Between(0, 4));
  int families = random.Chance(8) ? 0 : random.Between(1, 3);
  if ((families & 1) != 0) pod.addresses.push_back(RandomPodAddress(random, true));
  if ((families & 2) != 0) pod.addresses.push_back(RandomPodAddress(random, false));
  if (pod.host_network && random.Chance(80)) pod.addresses = {Parse("172.16.0.1")};
  pod.ports = RandomContainerPorts(random);
  return std::make_shared<const model::Pod>(std::move(pod));
}

model::NamespacePtr RandomNamespace(Random& random) {
  model::Namespace ns;
  ns.name = random.Pick(kNamespaces);
  std::vector<model::Labels::Entry> entries = RandomLabels(random).entries();
  entries.emplace_back(model::kNamespaceNameLabel, ns.name);
  ns.labels = model::Labels(std::move(entries));
  return std::make_shared<const model::Namespace>(std::move(ns));
}

model::NodePtr RandomNode(Random& random) {
  model::Node node;
  node.name = random.Pick(kNodes);
  const char* suffix = node.name == "here" ? "1" : node.name == "there" ? "2" : "3";
  if (random.Chance(90)) node.addresses.push_back(Parse(std::string("172.16.0.") + suffix));
  if (random.Chance(60)) node.addresses.push_back(Parse(std::string("fd00:aa::") + suffix));
  // Not to be relied upon: an address that another node has, or a pod.
  if (random.Chance(8)) node.addresses.push_back(Parse("172.16.0.2"));
  if (random.Chance(8)) node.addresses.push_back(RandomPodAddress(random, random.Chance(50)));
  return std::make_shared<const model::Node>(std::move(node));
}

// Without an address of its own: what is sent to those is judged as what it becomes.
model::ServicePtr RandomService(Random& random) {
  model::Service service;
  service.name = {random.Pick(kNamespaces), random.Pick(kServices)};
  int type = random.Between(0, 9);
  service.type = type < 7   ? model::ServiceType::kNodePort
                 : type < 9 ? model::ServiceType::kLoadBalancer
                            : model::ServiceType::kClusterIp;
  service.external_local = random.Chance(20);
  int ports = random.Between(1, 3);
  for (int i = 0; i < ports; ++i) {
    model::ServicePort port;
    port.name = kTargetNames[static_cast<size_t>(i)];
    port.protocol = random.Pick(kPortProtocols);
    port.port = random.Pick(kPorts);
    port.target_port = port.port;
    if (random.Chance(90)) port.node_port = random.Pick(kNodePorts);
    service.ports.push_back(std::move(port));
  }
  return std::make_shared<const model::Service>(std::move(service));
}

model::SliceEndpoint RandomBackend(Random& random, bool v4) {
  model::SliceEndpoint out;
  if (random.Chance(95)) {
    out.addresses.push_back(random.Chance(85) ? RandomPodAddress(random, v4)
                                              : Parse(v4 ? "172.16.0.2" : "fd00:aa::2"));
  }
  out.ready = random.Chance(85);
  out.serving = random.Chance(out.ready ? 95 : 50);
  out.terminating = !out.ready && random.Chance(60);
  return out;
}

model::EndpointSlicePtr RandomSlice(Random& random) {
  model::EndpointSlice slice;
  slice.name = {random.Pick(kNamespaces), "slice-" + std::to_string(random.Between(0, 7))};
  if (random.Chance(95)) slice.service = random.Pick(kServices);
  bool v4 = random.Chance(60);
  int endpoints = random.Between(0, 3);
  for (int i = 0; i < endpoints; ++i) slice.endpoints.push_back(RandomBackend(random, v4));
  for (const std::string& name : kTargetNames) {
    if (random.Chance(25)) continue;
    model::SlicePort port{name, random.Pick(kPortProtocols), std::nullopt};
    if (random.Chance(95)) port.port = random.Pick(kPorts);
    slice.ports.push_back(std::move(port));
  }
  return std::make_shared<const model::EndpointSlice>(std::move(slice));
}

model::LocalAddresses RandomLocalAddresses(Random& random) {
  model::LocalAddresses out;
  if (random.Chance(50)) out.insert(Parse("10.0.0.200"));
  if (random.Chance(50)) out.insert(Parse("fe80::1"));
  return out;
}

template <typename Map>
void SetRandom(Random& random, const Map& map, std::vector<model::Delta>& deltas) {
  if (map.empty()) return;
  auto it = map.begin();
  std::advance(it, static_cast<long>(random.Below(map.size())));
  // An equal object, not the same one.
  using Object = std::remove_const_t<typename Map::mapped_type::element_type>;
  deltas.push_back(model::Delta::Set(std::make_shared<const Object>(*it->second)));
}

// The same object with one thing else: what real changes look like.
model::Delta ChangedPod(Random& random, const model::Pod& before) {
  model::Pod pod = before;
  model::PodPtr other = RandomPod(random);
  switch (random.Between(0, 4)) {
    case 0:
      pod.labels = other->labels;
      break;
    case 1:
      pod.addresses = other->addresses;
      break;
    case 2:
      pod.ports = other->ports;
      break;
    case 3:
      pod.phase = other->phase;
      break;
    default:
      pod.node = other->node;
  }
  return model::Delta::Set(std::make_shared<const model::Pod>(std::move(pod)));
}

model::Delta ChangedPolicy(Random& random, const model::NetworkPolicy& before) {
  model::NetworkPolicy policy = before;
  std::vector<model::Rule>& rules = random.Chance(50) ? policy.ingress : policy.egress;
  switch (random.Between(0, 3)) {
    case 0:
      rules.push_back(RandomRule(random));
      break;
    case 1:
      if (!rules.empty())
        rules.erase(rules.begin() + static_cast<long>(random.Below(rules.size())));
      break;
    case 2:
      policy.pods = RandomSelector(random, false);
      break;
    default:
      policy.isolates_egress = !policy.isolates_egress;
      policy.keeps_established = random.Chance(50);
  }
  return model::Delta::Set(std::make_shared<const model::NetworkPolicy>(std::move(policy)));
}

template <typename Map>
const auto& PickFrom(Random& random, const Map& map) {
  auto it = map.begin();
  std::advance(it, static_cast<long>(random.Below(map.size())));
  return *it;
}

model::Delta RandomRemoval(Random& random, const model::Snapshot& snapshot) {
  switch (random.Between(0, 4)) {
    case 0:
    case 1:
      if (snapshot.pods.empty()) break;
      return model::Delta::Remove(model::Kind::kPod, PickFrom(random, snapshot.pods).first);
    case 2:
    case 3:
      if (snapshot.policies.empty()) break;
      return model::Delta::Remove(model::Kind::kNetworkPolicy,
                                  PickFrom(random, snapshot.policies).first);
    default:
      break;
  }
  if (random.Chance(30)) return model::Delta::Remove(model::Kind::kNode, {"", random.Pick(kNodes)});
  if (random.Chance(40) && !snapshot.services.empty()) {
    return model::Delta::Remove(model::Kind::kService, PickFrom(random, snapshot.services).first);
  }
  if (random.Chance(40) && !snapshot.endpoint_slices.empty()) {
    return model::Delta::Remove(model::Kind::kEndpointSlice,
                                PickFrom(random, snapshot.endpoint_slices).first);
  }
  return model::Delta::Remove(model::Kind::kNamespace, {"", random.Pick(kNamespaces)});
}

}  // namespace

model::Delta RandomDelta(Random& random, const model::Snapshot& snapshot) {
  int what = random.Between(0, 99);
  if (what < 15 && !snapshot.pods.empty()) {
    return ChangedPod(random, *PickFrom(random, snapshot.pods).second);
  }
  if (what < 30 && !snapshot.policies.empty()) {
    return ChangedPolicy(random, *PickFrom(random, snapshot.policies).second);
  }
  if (what < 50) return RandomRemoval(random, snapshot);
  if (what < 55) {
    std::vector<model::Delta> same;
    SetRandom(random, snapshot.pods, same);
    SetRandom(random, snapshot.policies, same);
    SetRandom(random, snapshot.namespaces, same);
    SetRandom(random, snapshot.services, same);
    SetRandom(random, snapshot.endpoint_slices, same);
    SetRandom(random, snapshot.nodes, same);
    if (!same.empty()) return random.Pick(same);
  }
  if (what < 68) return model::Delta::Set(RandomPod(random));
  if (what < 80) return model::Delta::Set(RandomPolicy(random));
  if (what < 84) return model::Delta::Set(RandomService(random));
  if (what < 91) return model::Delta::Set(RandomSlice(random));
  if (what < 95) return model::Delta::Set(RandomNamespace(random));
  if (what < 97) return model::Delta::Set(RandomNode(random));
  if (what < 98) {
    return random.Chance(70) ? model::Delta::Set(model::NamespacesListed{})
                             : model::Delta::Remove(model::Kind::kNamespacesListed, {});
  }
  return model::Delta::Set(RandomLocalAddresses(random));
}

World RandomWorld(uint64_t seed, const WorldSize& size) {
  Random random(seed);
  World world;
  world.seed = seed;
  world.node = "here";
  int pods = random.Between(1, size.pods);
  int policies = random.Between(0, size.policies);
  for (int i = 0; i < 3; ++i) world.snapshot.Apply(model::Delta::Set(RandomNamespace(random)));
  for (int i = 0; i < 4; ++i) world.snapshot.Apply(model::Delta::Set(RandomNode(random)));
  for (int i = 0; i < pods; ++i) world.snapshot.Apply(model::Delta::Set(RandomPod(random)));
  for (int i = 0; i < policies; ++i) world.snapshot.Apply(model::Delta::Set(RandomPolicy(random)));
  int services = random.Chance(60) ? random.Between(1, 4) : 0;
  for (int i = 0; i < services; ++i) {
    world.snapshot.Apply(model::Delta::Set(RandomService(random)));
    for (int j = 0; j < 2; ++j) world.snapshot.Apply(model::Delta::Set(RandomSlice(random)));
  }
  if (random.Chance(20)) {
    world.snapshot.Apply(model::Delta::Set(RandomLocalAddresses(random)));
  }
  if (random.Chance(50)) world.snapshot.Apply(model::Delta::Set(model::NamespacesListed{}));
  world.flows = RandomFlows(random, world.snapshot, static_cast<size_t>(size.flows));
  return world;
}

std::vector<model::Delta> AllOf(const model::Snapshot& snapshot) {
  std::vector<model::Delta> out;
  for (const auto& [name, object] : snapshot.namespaces) out.push_back(model::Delta::Set(object));
  for (const auto& [name, object] : snapshot.nodes) out.push_back(model::Delta::Set(object));
  for (const auto& [name, object] : snapshot.pods) out.push_back(model::Delta::Set(object));
  for (const auto& [name, object] : snapshot.policies) out.push_back(model::Delta::Set(object));
  for (const auto& [name, object] : snapshot.services) out.push_back(model::Delta::Set(object));
  for (const auto& [name, object] : snapshot.endpoint_slices) {
    out.push_back(model::Delta::Set(object));
  }
  for (const auto& [name, object] : snapshot.egress_gateways) {
    out.push_back(model::Delta::Set(object));
  }
  out.push_back(model::Delta::Set(snapshot.local_addresses));
  if (snapshot.namespaces_listed) out.push_back(model::Delta::Set(model::NamespacesListed{}));
  return out;
}

std::vector<uint64_t> Seeds(int count) {
  if (const char* text = std::getenv("SALLYPORT_WORLDS")) count = std::atoi(text);
  const char* text = std::getenv("SALLYPORT_SEED");
  uint64_t first = text ? std::strtoull(text, nullptr, 0) : std::random_device{}();
  std::vector<uint64_t> seeds;
  for (int i = 0; i < count; ++i) seeds.push_back(first + static_cast<uint64_t>(i));
  return seeds;
}

std::string World::ToString() const {
  std::ostringstream out;
  out << "# SALLYPORT_SEED=" << seed << " SALLYPORT_WORLDS=1\n# node " << node << "\n";
  for (const net::Address& address : snapshot.local_addresses) {
    out << "# local address " << address.ToString() << "\n";
  }
  if (snapshot.namespaces_listed) out << "# namespaces are listed\n";
  out << ManifestText(snapshot);
  for (const net::FlowTuple& flow : flows) out << "# flow " << flow.ToString() << "\n";
  return out.str();
}

}  // namespace sallyport::test
