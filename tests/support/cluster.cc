// SPDX-License-Identifier: Apache-2.0
#include "support/cluster.h"

#include <algorithm>
#include <array>

namespace sallyport::test {
namespace {

using model::Operator;
using model::Requirement;
using model::Selector;

constexpr int kApps = 8;    // a namespace
constexpr int kTeams = 20;  // a cluster
constexpr std::array kShapes = {"typical", "cidr-heavy", "policies-on-one", "unique-labels",
                                "every-namespace"};

std::string Number(const char* prefix, int n) { return prefix + std::to_string(n); }

Selector Is(const std::string& key, const std::string& value) {
  return Selector({{key, Operator::kIn, {value}}});
}

model::PolicyPort Port(int number) {
  auto port = static_cast<uint16_t>(number);
  return {net::Protocol::kTcp, net::PortRange{port, port}};
}

// 10.0.0.0/8 and fd00::/8, one address after the other.
std::vector<net::Address> PodAddresses(int index, bool dual_stack) {
  std::vector<net::Address> out = {
      net::Address::V4(0x0a000000u + static_cast<uint32_t>(index) + 256)};
  if (!dual_stack) return out;
  net::Address::Bytes bytes{0xfd};
  for (size_t i = 0; i < 4; ++i) bytes[15 - i] = static_cast<uint8_t>((index + 256) >> (8 * i));
  out.emplace_back(bytes);
  return out;
}

class Maker {
 public:
  explicit Maker(const ClusterSize& size) : size_(size) {}

  model::Snapshot Make() {
    for (int i = 0; i < size_.namespaces; ++i) AddNamespace(i);
    for (int i = 0; i * size_.pods_per_node < size_.pods; ++i) AddNode(i);
    for (int i = 0; i < size_.pods; ++i) AddPod(i);
    for (int i = 0; i < size_.policies; ++i) AddPolicy(i);
    for (int i = 0; i < size_.node_ports; ++i) AddNodePort(i);
    return std::move(snapshot_);
  }

 private:
  std::string Namespace(int i) const { return Number("ns-", i % size_.namespaces); }
  std::string OwnLabel(int pod) const { return Number("pod-", pod); }

  template <typename Object>
  void Add(std::shared_ptr<const Object> object) {
    snapshot_.Apply(model::Delta::Set(std::move(object)));
  }

  void AddNamespace(int i) {
    model::Namespace ns;
    ns.name = Namespace(i);
    ns.labels = model::Labels({{std::string(model::kNamespaceNameLabel), ns.name},
                               {"team", Number("team-", i % kTeams)}});
    Add(std::make_shared<const model::Namespace>(std::move(ns)));
  }

  void AddNode(int i) {
    model::Node node;
    node.name = Number("node-", i);
    node.addresses = {net::Address::V4(0xac100000u + static_cast<uint32_t>(i))};
    Add(std::make_shared<const model::Node>(std::move(node)));
  }

  // Pods go round the namespaces; a node has pods of as many namespaces as it can.
  void AddPod(int i) {
    bool on_one = size_.shape == ClusterShape::kPoliciesOnOne && i < size_.pods_per_node;
    model::Pod pod;
    pod.name = {on_one ? Namespace(0) : Namespace(i), Number("pod-", i)};
    pod.uid = "6d1ee5a4-4b8b-4b53-9c4b-" + std::to_string(100000000 + i);
    pod.labels = model::Labels({
        {"app", Number("app-", i / size_.namespaces % kApps)},
        {"pod-template-hash", "5c689d88bb"},
        {"tier", i % 3 == 0 ? "front" : "back"},
        {"statefulset.kubernetes.io/pod-name", OwnLabel(i)},
    });
    pod.node = Number("node-", i / size_.pods_per_node);
    pod.phase = model::PodPhase::kRunning;
    pod.addresses = PodAddresses(i, size_.dual_stack);
    pod.ports = {{"http", net::Protocol::kTcp, 8080},
                 {"metrics", net::Protocol::kTcp, static_cast<uint16_t>(9090 + i % 4)}};
    Add(std::make_shared<const model::Pod>(std::move(pod)));
  }

  void AddNodePort(int i) {
    model::Service service;
    service.name = {Namespace(i), Number("service-", i)};
    service.type = model::ServiceType::kNodePort;
    auto node_port = static_cast<uint16_t>(30000 + i % 2768);
    service.ports = {{"", net::Protocol::kTcp, 80, uint16_t{8080}, node_port}};
    model::EndpointSlice slice;
    slice.name = service.name;
    slice.service = service.name.name;
    slice.ports = {{"", net::Protocol::kTcp, 8080}};
    int first = i % (size_.namespaces * kApps);
    for (int pod = first; pod < size_.pods; pod += size_.namespaces * kApps) {
      slice.endpoints.push_back({{PodAddresses(pod, false)}, true, true, false, "", {}});
    }
    Add(std::make_shared<const model::Service>(std::move(service)));
    Add(std::make_shared<const model::EndpointSlice>(std::move(slice)));
  }

  void AddPolicy(int i) {
    model::NetworkPolicy policy;
    policy.name = {Namespace(i), Number("policy-", i)};
    policy.isolates_ingress = true;
    switch (size_.shape) {
      case ClusterShape::kTypical:
        Typical(i, policy);
        break;
      case ClusterShape::kCidrHeavy:
        CidrHeavy(i, policy);
        break;
      case ClusterShape::kPoliciesOnOne:
        PoliciesOnOne(i, policy);
        break;
      case ClusterShape::kUniqueLabels:
        UniqueLabels(i, policy);
        break;
      case ClusterShape::kEveryNamespace:
        EveryNamespace(i, policy);
        break;
    }
    Add(std::make_shared<const model::NetworkPolicy>(std::move(policy)));
  }

  void Typical(int i, model::NetworkPolicy& policy) {
    int turn = i / size_.namespaces;  // the how-many-eth policy of its namespace
    int app = turn % kApps;
    policy.pods = turn == 0 ? Selector() : Is("app", Number("app-", app));
    if (turn == 0) return;  // default deny
    model::PodPeer same_namespace{std::nullopt, Is("app", Number("app-", (app + 1) % kApps))};
    model::PodPeer other_team{Is("team", Number("team-", (i + turn) % kTeams)),
                              Is("tier", "front")};
    switch (turn % 5) {
      case 1:
        policy.ingress = {{{same_namespace}, {Port(8080)}, 0}};
        break;
      case 2:
        policy.ingress = {{{other_team}, {Port(8000 + turn)}, 0}, {{same_namespace}, {}, 0}};
        break;
      case 3:
        policy.isolates_egress = true;
        policy.egress = {
            {{same_namespace, other_team}, {{net::Protocol::kTcp, std::string("http")}}, 0}};
        break;
      case 4:
        policy.ingress = {{{model::PodPeer{Is("team", "team-0"), std::nullopt}},
                           {{net::Protocol::kTcp, std::string("metrics")}},
                           0}};
        break;
      default:
        policy.isolates_egress = true;
        policy.egress = {{{Block(i, 0)}, {Port(443)}, 0}};
    }
  }

  void CidrHeavy(int i, model::NetworkPolicy& policy) {
    policy.pods = Is("app", Number("app-", i / size_.namespaces % kApps));
    policy.isolates_ingress = false;
    policy.isolates_egress = true;
    model::Rule rule;
    for (int j = 0; j < size_.cidrs; ++j) rule.peers.push_back(Block(i, j));
    rule.ports = {Port(443)};
    policy.egress = {rule};
  }

  void PoliciesOnOne(int i, model::NetworkPolicy& policy) {
    policy.name.ns = Namespace(0);
    model::PodPeer peer{Is(std::string(model::kNamespaceNameLabel), Namespace(i)),
                        Is("app", Number("app-", i / size_.namespaces % kApps))};
    policy.ingress = {{{peer}, {Port(1024 + i % 60000)}, 0}};
  }

  void UniqueLabels(int i, model::NetworkPolicy& policy) {
    // The pods of the node measured are the first ones: many policies are about them.
    int pod = i % 4 == 0 ? i % size_.pods_per_node : i % size_.pods;
    policy.name.ns = Namespace(pod);
    policy.pods = Is("statefulset.kubernetes.io/pod-name", OwnLabel(pod));
    model::PodPeer peer{
        Selector(), Is("statefulset.kubernetes.io/pod-name", OwnLabel((i * 7 + 13) % size_.pods))};
    policy.ingress = {{{peer}, {Port(8080)}, 0}};
  }

  void EveryNamespace(int i, model::NetworkPolicy& policy) {
    model::PodPeer everyone{Selector(), std::nullopt};
    policy.ingress = {{{everyone}, {Port(1024 + i % 60000)}, 0}};
  }

  // 64.0.0.0/2 and on, some around others, some with a hole.
  model::IpBlock Block(int policy, int j) const {
    auto n = static_cast<uint32_t>(policy * size_.cidrs + j);
    int length = 16 + static_cast<int>(n % 17);
    net::Cidr cidr(net::Address::V4(0x40000000u + n * 2654435761u % 0x60000000u), length);
    model::IpBlock block{cidr, {}};
    if (n % 4 == 0 && length < 30) block.except = {net::Cidr(cidr.address(), length + 2)};
    return block;
  }

  const ClusterSize size_;
  model::Snapshot snapshot_;
};

}  // namespace

std::string ToString(ClusterShape shape) { return kShapes[static_cast<size_t>(shape)]; }

std::optional<ClusterShape> ParseClusterShape(const std::string& name) {
  auto it = std::find(kShapes.begin(), kShapes.end(), name);
  if (it == kShapes.end()) return std::nullopt;
  return static_cast<ClusterShape>(it - kShapes.begin());
}

model::Snapshot MakeCluster(const ClusterSize& size) { return Maker(size).Make(); }

}  // namespace sallyport::test
