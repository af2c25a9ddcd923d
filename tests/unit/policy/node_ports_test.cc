// SPDX-License-Identifier: Apache-2.0
// Egress through NodePorts of other nodes: judged as what is behind them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/node_port.h"
#include "policy/compile.h"
#include "policy/explain.h"
#include "policy/port_spec.h"
#include "support/image_checks.h"
#include "support/questions.h"
#include "support/village.h"

namespace sallyport::test {
namespace {

using policy::Changes;
using policy::Compiler;
using policy::Direction;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// The Service shop/api, and a slice of it; lists in flow style.
std::string Api(const std::string& ports) {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: shop}\n"
         "spec: {type: NodePort, ports: [" +
         ports + "]}\n---\n";
}
std::string Slice(const std::string& endpoints, const std::string& ports,
                  const std::string& name = "api") {
  bool v6 = endpoints.find("fd00") != std::string::npos;
  return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " + name +
         ", namespace: shop, labels: {kubernetes.io/service-name: api}}\naddressType: " +
         (v6 ? "IPv6" : "IPv4") + "\nendpoints: [" + endpoints + "]\nports: [" + ports + "]\n---\n";
}

// shop/db and shop/cache behind port 30080 of every node, as 5432.
const std::string kApi = Api("{port: 80, targetPort: 5432, nodePort: 30080}");
const std::string kBoth =
    kApi + Slice("{addresses: [10.1.0.2]}, {addresses: [10.2.0.1]}", "{port: 5432}");

// The village, where the egress of the pods of shop has these rules.
model::Snapshot With(const std::string& egress, const std::string& more) {
  return SnapshotOf(
      VillageWith("{podSelector: {}, policyTypes: [Egress], egress: [" + egress + "]}") + more);
}

std::string Egress(const model::Snapshot& snapshot, const std::string& question) {
  return Explain(policy::Evaluate(snapshot, FlowOf(snapshot, question)).egress, Direction::kEgress);
}

constexpr char kToNodePort[] = "shop/web -> 192.168.0.2:30080/TCP";

TEST(NodePort, IsNotOpenedByTheNodesAddress) {
  for (const char* rule : {"{to: [{ipBlock: {cidr: 192.168.0.0/24}}]}", "{ports: [{port: 30080}]}",
                           "{to: [{ipBlock: {cidr: 192.168.0.2/32}}], ports: [{port: 30080}]}"}) {
    EXPECT_DENIED(With(rule, kBoth), kToNodePort);
  }
  model::Snapshot snapshot = With("{to: [{ipBlock: {cidr: 192.168.0.0/24}}]}", kBoth);
  EXPECT_ALLOWED(snapshot, "shop/web -> 192.168.0.2:30079/TCP");
  EXPECT_ALLOWED(snapshot, "shop/web -> 192.168.0.2:30081/TCP");
  EXPECT_ALLOWED(snapshot, "shop/web -> 192.168.0.2:30080/UDP");
  EXPECT_ALLOWED(snapshot, "shop/web -> 192.168.0.77:30080/TCP");
}

TEST(NodePort, IsNotThatOfAPortWithoutOne) {
  model::Snapshot snapshot = With("{ports: [{protocol: TCP}]}", Api("{port: 80, nodePort: 0}"));
  net::FlowTuple flow = FlowOf(snapshot, "shop/web -> 192.168.0.2:1/TCP");
  flow.destination_port = 0;
  EXPECT_TRUE(policy::Evaluate(snapshot, flow).egress.allowed);
}

TEST(NodePort, IsOpenedByItsBackendsAndTheirPort) {
  EXPECT_ALLOWED(With("{to: [{podSelector: {}}], ports: [{port: 5432}]}", kBoth), kToNodePort);
  EXPECT_DENIED(With("{to: [{podSelector: {}}], ports: [{port: 80}, {port: 30080}]}", kBoth),
                kToNodePort);
  EXPECT_ALLOWED(With("{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}", kBoth), kToNodePort);
  EXPECT_ALLOWED(With("{ports: [{port: 5432}]}", kBoth), kToNodePort);
}

TEST(NodePort, NeedsEveryBackend) {
  EXPECT_DENIED(With("{to: [{podSelector: {matchLabels: {app: db}}}]}", kBoth), kToNodePort);
  EXPECT_DENIED(With("{to: [{podSelector: {matchLabels: {app: cache}}}]}", kBoth), kToNodePort);
  EXPECT_ALLOWED(With("{to: [{podSelector: {matchLabels: {app: db}}}]}, "
                      "{to: [{podSelector: {matchLabels: {app: cache}}}]}",
                      kBoth),
                 kToNodePort);
}

TEST(NodePort, NeedsABackendUnlessEverythingIsAllowed) {
  for (const std::string& slices :
       {std::string(), Slice("{addresses: [10.1.0.2]}", "{name: other, port: 5432}"),
        Slice("{addresses: [10.1.0.2], conditions: {ready: false}}", "{port: 5432}")}) {
    EXPECT_DENIED(With("{to: [{podSelector: {}}, {ipBlock: {cidr: 0.0.0.0/0}}]}", kApi + slices),
                  kToNodePort);
    EXPECT_ALLOWED(With("{}", kApi + slices), kToNodePort);
  }
}

TEST(NodePort, KeepsTheFamiliesApart) {
  std::string both = kBoth + Slice("{addresses: [\"fd00:2::2\"]}", "{port: 5432}", "api-v6");
  model::Snapshot snapshot = With("{to: [{podSelector: {}}]}", both);
  EXPECT_ALLOWED(snapshot, kToNodePort);
  EXPECT_DENIED(snapshot, "shop/web#1 -> [fd00:a::2]:30080/TCP");
  snapshot = With("{to: [{ipBlock: {cidr: \"fd00:2::/64\"}}]}", both);
  EXPECT_DENIED(snapshot, kToNodePort);
  EXPECT_ALLOWED(snapshot, "shop/web#1 -> [fd00:a::2]:30080/TCP");
}

TEST(NodePort, OfThePodsOwnNodeIsJudgedAfterTranslation) {
  EXPECT_ALLOWED(With("", kBoth), "shop/web -> 192.168.0.1:30080/TCP");
}

TEST(NodePort, IsAlsoThatOfLoadBalancersAndAtExternalAddresses) {
  std::string node =
      "apiVersion: v1\nkind: Node\nmetadata: {name: n3}\n"
      "status: {addresses: [{type: ExternalIP, address: 203.0.113.3}]}\n---\n";
  std::string text = kBoth + node;
  text.replace(text.find("type: NodePort"), 14, "type: LoadBalancer");
  EXPECT_DENIED(With("{to: [{ipBlock: {cidr: 203.0.113.3/32}}]}", text),
                "shop/web -> 203.0.113.3:30080/TCP");
  EXPECT_ALLOWED(With("{to: [{podSelector: {}}]}", text), "shop/web -> 203.0.113.3:30080/TCP");
  text.replace(text.find("type: LoadBalancer"), 18, "type: ClusterIP");
  EXPECT_ALLOWED(With("{to: [{ipBlock: {cidr: 203.0.113.3/32}}]}", text),
                 "shop/web -> 203.0.113.3:30080/TCP");
}

TEST(NodePort, ABackendOnTheHostsNetworkIsItsNode) {
  std::string host = kApi + Slice("{addresses: [192.168.0.2]}", "{port: 30080}");
  EXPECT_DENIED(With("{to: [{podSelector: {}}]}", host), kToNodePort);
  EXPECT_ALLOWED(With("{to: [{ipBlock: {cidr: 192.168.0.2/32}}]}", host), kToNodePort);
}

TEST(NodePort, LeadsToTheNumberThatEachSliceGivesThePort) {
  std::string slices = Api("{name: web, port: 80, nodePort: 30080}");
  slices += Slice("{addresses: [10.1.0.2]}", "{name: web, port: 9187}", "api-1");
  slices += Slice("{addresses: [10.2.0.1]}", "{name: web, port: 9121}", "api-2");
  EXPECT_ALLOWED(With("{to: [{podSelector: {}}], ports: [{port: metrics}]}", slices), kToNodePort);
  EXPECT_DENIED(With("{to: [{podSelector: {}}], ports: [{port: 9187}]}", slices), kToNodePort);
}

TEST(NodePort, WhatHasNoPortNeedsAllOfThem) {
  constexpr char kPing[] = "shop/web -> 192.168.0.2 ICMP";
  EXPECT_DENIED(With("{to: [{ipBlock: {cidr: 192.168.0.0/24}}]}", kBoth), kPing);
  EXPECT_DENIED(With("{to: [{podSelector: {}}]}", kBoth), kPing);
  EXPECT_ALLOWED(With("{to: [{podSelector: {}}, {ipBlock: {cidr: 192.168.0.0/24}}]}", kBoth),
                 kPing);
  EXPECT_ALLOWED(With("{}", kApi), kPing);
  // A port without a NodePort, in a slice that leads nowhere, is none of them.
  std::string with_another =
      Api("{name: web, port: 80, targetPort: 5432, nodePort: 30080}, {name: other, port: 81}") +
      Slice("{addresses: [10.1.0.2]}", "{name: web, port: 5432}");
  EXPECT_ALLOWED(With("{to: [{podSelector: {}}, {ipBlock: {cidr: 192.168.0.0/24}}]}", with_another),
                 kPing);
}

TEST(NodePort, IsNobodysConcernForIngress) {
  model::Snapshot snapshot = SnapshotOf(
      VillageWith("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.168.0.2/32}}]}], "
                  "egress: [{to: [{ipBlock: {cidr: 192.168.0.2/32}}]}]}") +
      kBoth);
  EXPECT_ALLOWED(snapshot, "192.168.0.2 -> shop/web:30080/TCP");
  EXPECT_DENIED(snapshot, kToNodePort);
}

TEST(NodePort, DoesNotTellNodesApartForNothing) {
  for (const char* spec : {"{podSelector: {}, ingress: []}", "{podSelector: {}, egress: [{}]}",
                           "{podSelector: {}, policyTypes: [Egress]}"}) {
    policy::Image image = policy::Compile(SnapshotOf(VillageWith(spec) + kBoth), "n1").image;
    EXPECT_EQ(image.IdentityOf(*net::Address::Parse("192.168.0.2")), policy::kNoIdentity) << spec;
  }
}

// What comes from them may be somebody whom they translated.
TEST(OtherNodes, AreKnownUnlessAPodHasTheAddress) {
  model::Snapshot snapshot = SnapshotOf(VillageWith("{podSelector: {}}"));
  policy::Image image = policy::Compile(snapshot, "n1").image;
  const net::Address n2 = *net::Address::Parse("192.168.0.2");
  EXPECT_TRUE(image.other_nodes.contains(n2));
  EXPECT_TRUE(image.other_nodes.contains(*net::Address::Parse("fd00:a::2")));
  EXPECT_FALSE(image.other_nodes.contains(*net::Address::Parse("192.168.0.1"))) << "this one";
  EXPECT_THAT(image.ToString(), HasSubstr("other nodes\n  192.168.0.2\n"));

  Compiler compiler("n1");
  model::NodePtr node = snapshot.nodes.at("n2");
  compiler.Apply({model::Delta::Set(node)});
  EXPECT_TRUE(compiler.image().other_nodes.contains(n2));
  EXPECT_FALSE(compiler.image().shared_nodes.contains(n2));
  model::Pod pod = *snapshot.pods.at({"shop", "cache"});
  pod.addresses = {n2};
  Changes changes = compiler.Apply({model::Delta::Set(std::make_shared<const model::Pod>(pod))});
  EXPECT_FALSE(compiler.image().other_nodes.contains(n2));
  EXPECT_TRUE(compiler.image().shared_nodes.contains(n2));
  EXPECT_TRUE(changes.peers.contains(n2));
  compiler.Apply({model::Delta::Remove(model::Kind::kPod, pod.name)});
  EXPECT_TRUE(compiler.image().other_nodes.contains(n2));
  EXPECT_FALSE(compiler.image().shared_nodes.contains(n2));
  compiler.Apply({model::Delta::Remove(model::Kind::kNode, {"", "n2"})});
  EXPECT_TRUE(compiler.image().other_nodes.empty());
  EXPECT_TRUE(compiler.image().shared_nodes.empty());
}

TEST(NodePort, OneMoreBackendLikeTheOthersChangesNothing) {
  model::Snapshot snapshot = With("{to: [{podSelector: {matchLabels: {app: cache}}}]}",
                                  kApi + Slice("{addresses: [10.2.0.1]}", "{port: 5432}"));
  Compiler compiler("n1");
  std::vector<model::Delta> deltas;
  for (const auto& [name, object] : snapshot.nodes) deltas.push_back(model::Delta::Set(object));
  for (const auto& [name, object] : snapshot.pods) deltas.push_back(model::Delta::Set(object));
  for (const auto& [name, object] : snapshot.policies) deltas.push_back(model::Delta::Set(object));
  for (const auto& [name, object] : snapshot.services) deltas.push_back(model::Delta::Set(object));
  for (const auto& [name, object] : snapshot.endpoint_slices) {
    deltas.push_back(model::Delta::Set(object));
  }
  compiler.Apply(deltas);

  model::Pod pod = *snapshot.pods.at({"shop", "cache"});
  pod.name.name = "cache-2";
  pod.addresses = {*net::Address::Parse("10.2.0.77")};
  Changes changes =
      compiler.Apply({model::Delta::Set(std::make_shared<const model::Pod>(std::move(pod)))});
  EXPECT_EQ(ToString(changes), " peer 10.2.0.77");
  model::EndpointSlice slice = *snapshot.endpoint_slices.begin()->second;
  auto add = [&](const char* address) {
    slice.endpoints.push_back({{*net::Address::Parse(address)}, true, true, false, "", {}});
    return compiler.Apply({model::Delta::Set(std::make_shared<const model::EndpointSlice>(slice))});
  };
  EXPECT_EQ(ToString(add("10.2.0.77")), "");
  // shop/db is another kind of backend: the nodes' addresses mean something else now.
  EXPECT_THAT(ToString(add("10.1.0.2")), HasSubstr(" peer 192.168.0.2"));
}

TEST(NodePort, IsNamedInWords) {
  model::Snapshot snapshot = With("{to: [{podSelector: {matchLabels: {app: cache}}}]}", kBoth);
  EXPECT_THAT(Egress(snapshot, kToNodePort),
              StartsWith("denied: a NodePort of Service shop/api: backend shop/db 10.1.0.2:5432 "
                         "denied: isolated by shop/policy; nearest: shop/policy egress[0] "));
  EXPECT_EQ(
      Egress(With("{ports: [{port: 1}]}", kApi), kToNodePort),
      "denied: a NodePort of Service shop/api: no backend is usable; isolated by shop/policy");
  EXPECT_THAT(Egress(With("{ports: [{port: 5432}]}", kBoth), kToNodePort),
              StartsWith("allowed: a NodePort of Service shop/api: backend shop/db 10.1.0.2:5432 "
                         "and all others: rule shop/policy egress[0] "));
  EXPECT_THAT(Egress(With("{to: [{ipBlock: {cidr: 192.168.0.2/32}}]}", kBoth),
                     "shop/web -> 192.168.0.2 ICMP"),
              StartsWith("denied: what has no port needs all of that node: a NodePort of Service "
                         "shop/api: backend shop/db 10.1.0.2:5432 denied: isolated by "));
}

// "10.1.0.2:8080 …" behind a Service's port "http", with this slice, twice.
std::string Usable(const model::Service& service, const std::string& endpoints,
                   const std::string& ports = "{name: http, port: 8080}") {
  model::EndpointSlicePtr slice =
      SnapshotOf(Slice(endpoints, ports)).endpoint_slices.begin()->second;
  std::string out;
  model::ServicePort port{"http", net::Protocol::kTcp, 80, uint16_t{1}, 30080};
  for (const model::NodePortBackend& backend :
       NodePortBackends(service, port, {slice, slice}, true)) {
    out += (out.empty() ? "" : " ") + backend.ToString();
  }
  EXPECT_TRUE(NodePortBackends(service, port, {slice}, false).empty());
  return out;
}

TEST(NodePortBackends, AreReadyOrElseLeaving) {
  const std::string ready = "{addresses: [10.1.0.3]}, {addresses: [10.1.0.2]}, ";
  const std::string leaving =
      "{addresses: [10.1.0.4], conditions: {ready: false, serving: true, terminating: true}}, ";
  const std::string neither =
      "{addresses: [10.1.0.5], conditions: {ready: false, serving: false, terminating: true}}, "
      "{addresses: [10.1.0.6], conditions: {ready: false, serving: true}}";
  model::Service service;
  EXPECT_EQ(Usable(service, ready + leaving + neither), "10.1.0.2:8080 10.1.0.3:8080");
  EXPECT_EQ(Usable(service, leaving + neither), "10.1.0.4:8080");
  EXPECT_EQ(Usable(service, neither), "");
  service.external_local = true;  // each node chooses among its own
  EXPECT_EQ(Usable(service, ready + leaving + neither),
            "10.1.0.2:8080 10.1.0.3:8080 10.1.0.4:8080");
}

TEST(NodePortBackends, HaveThePortOfTheSameNameAndProtocol) {
  const std::string one = "{addresses: [10.1.0.2]}";
  model::Service service;
  EXPECT_EQ(Usable(service, one, "{port: 1}, {name: http, port: 2}"), "10.1.0.2:2");
  EXPECT_EQ(Usable(service, one, "{name: http, port: 2, protocol: UDP}"), "");
  EXPECT_EQ(Usable(service, one, "{name: http}"), "");
  EXPECT_EQ((model::NodePortBackend{*net::Address::Parse("fd00::1"), 80}.ToString()),
            "[fd00::1]:80");
}

TEST(PortSet, WithoutLeavesWhatIsNotInTheOther) {
  policy::PortSet all = policy::EveryPort();
  policy::PortSet some{{{0, 0}, {80, 90}, {65535, 65535}}, {}, {{5, 5}}};
  policy::PortSet rest = Without(all, some);
  EXPECT_EQ(rest.tcp, (std::vector<net::PortRange>{{1, 79}, {91, 65534}}));
  EXPECT_EQ(rest.udp, all.udp);
  EXPECT_EQ(rest.sctp, (std::vector<net::PortRange>{{0, 4}, {6, 65535}}));
  EXPECT_EQ(Union(rest, some), all);
  EXPECT_EQ(Without(some, all), policy::PortSet{});
  policy::PortSet three{{{1, 3}, {5, 7}, {9, 11}}, {}, {}};
  EXPECT_EQ(Without(three, {{{2, 5}, {7, 9}}, {}, {}}).tcp,
            (std::vector<net::PortRange>{{1, 1}, {6, 6}, {10, 11}}));
}

}  // namespace
}  // namespace sallyport::test
