// SPDX-License-Identifier: Apache-2.0
#include "lab/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "unit/lab/make.h"

namespace sallyport::lab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr const char* kContainers = "containers: [{name: c, image: i}]";

std::string Pod(const std::string& name, const std::string& labels, const std::string& spec = "") {
  return "---\n{apiVersion: v1, kind: Pod, metadata: {name: " + name + ", namespace: x, labels: {" +
         labels + "}}, spec: {" + spec + (spec.empty() ? "" : ", ") + kContainers + "}}\n";
}

std::string Apart(const std::string& labels, const std::string& key = "kubernetes.io/hostname") {
  return "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
         "[{labelSelector: {matchLabels: {" +
         labels + "}}, topologyKey: " + key + "}]}}";
}

Plan PlanOf(const std::string& yaml, PlanOptions options = {}) {
  Plan plan = MakePlan(MakeObjects(yaml), options);
  for (const model::Diagnostic& diagnostic : plan.diagnostics)
    ADD_FAILURE() << diagnostic.ToString();
  return plan;
}

std::map<std::string, std::string> Places(const Plan& plan) {
  std::map<std::string, std::string> places;
  for (const PodPlan& pod : plan.pods) places[pod.name().name] = pod.node;
  return places;
}

std::vector<std::string> NodeNames(const Plan& plan) {
  std::vector<std::string> names;
  for (const NodePlan& node : plan.nodes) names.push_back(node.name());
  return names;
}

std::string FirstError(const std::string& yaml, PlanOptions options = {}) {
  Plan plan = MakePlan(MakeObjects(yaml), options);
  return plan.diagnostics.empty() ? "" : plan.diagnostics.front().ToString();
}

TEST(Plan, TwoNodesAreInventedAndPodsSpread) {
  Plan plan = PlanOf(Pod("a", "") + Pod("b", "") + Pod("c", "") + Pod("d", ""));
  EXPECT_THAT(NodeNames(plan), ElementsAre("node1", "node2"));
  EXPECT_EQ(Places(plan), (std::map<std::string, std::string>{
                              {"a", "node1"}, {"b", "node2"}, {"c", "node1"}, {"d", "node2"}}));
}

TEST(Plan, NodesCanBeAskedFor) {
  PlanOptions options;
  options.nodes = 4;
  EXPECT_EQ(PlanOf(Pod("a", ""), options).nodes.size(), 4u);
}

TEST(Plan, AsManyNodesAreInventedAsAntiAffinityNeeds) {
  Plan plan = PlanOf(Pod("a", "app: db", Apart("app: db")) + Pod("b", "app: db", Apart("app: db")) +
                     Pod("c", "app: db", Apart("app: db")));
  EXPECT_EQ(plan.nodes.size(), 3u);
  std::set<std::string> nodes;
  for (const auto& [pod, node] : Places(plan)) nodes.insert(node);
  EXPECT_EQ(nodes.size(), 3u);
}

TEST(Plan, InventedNodesAreInZonesOfTheirOwn) {
  Plan plan = PlanOf(Pod("a", "app: db", Apart("app: db", "topology.kubernetes.io/zone")) +
                     Pod("b", "app: db", Apart("app: db", "topology.kubernetes.io/zone")));
  EXPECT_NE(Places(plan)["a"], Places(plan)["b"]);
}

// An anti-affinity keeps others away too, though they ask for nothing themselves.
TEST(Plan, AntiAffinityHoldsBothWays) {
  PlanOptions options;
  options.nodes = 2;
  Plan plan = PlanOf(Pod("a", "app: db", Apart("app: web")) + Pod("b", "app: web") +
                         Pod("c", "app: web") + Pod("d", "app: web"),
                     options);
  auto places = Places(plan);
  for (const char* web : {"b", "c", "d"}) EXPECT_NE(places[web], places["a"]) << web;
}

TEST(Plan, PreferredAntiAffinityGivesWayWhereItMust) {
  std::string spec =
      "affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 10, "
      "podAffinityTerm: {labelSelector: {matchLabels: {app: db}}, topologyKey: "
      "kubernetes.io/hostname}}]}}";
  Plan plan =
      PlanOf(Pod("a", "app: db", spec) + Pod("b", "app: db", spec) + Pod("c", "app: db", spec));
  EXPECT_EQ(plan.nodes.size(), 2u);
  EXPECT_NE(Places(plan)["a"], Places(plan)["b"]);
}

TEST(Plan, AffinityPutsPodsTogether) {
  std::string spec =
      "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: "
      "{matchLabels: {app: web}}, topologyKey: kubernetes.io/hostname}]}}";
  Plan plan =
      PlanOf(Pod("a", "app: web", spec) + Pod("b", "app: web", spec) + Pod("c", "app: web", spec));
  auto places = Places(plan);
  EXPECT_EQ(places["a"], places["b"]);
  EXPECT_EQ(places["a"], places["c"]);
}

TEST(Plan, AnAntiAffinityThatTheNodesCannotGiveIsAnErrorWithItsPlace) {
  PlanOptions options;
  options.nodes = 1;
  std::string error = FirstError(
      Pod("a", "app: db", Apart("app: db")) + Pod("b", "app: db", Apart("app: db")), options);
  EXPECT_THAT(error, HasSubstr("Pod x/b"));
  EXPECT_THAT(error, HasSubstr("test.yaml:4"));
  EXPECT_THAT(error, HasSubstr("anti-affinity"));
}

TEST(Plan, NodeNameIsHonouredAndInventsItsNode) {
  Plan plan = PlanOf(Pod("a", "", "nodeName: edge") + Pod("b", ""));
  EXPECT_THAT(NodeNames(plan), UnorderedElementsAre("edge", "node1"));
  EXPECT_EQ(Places(plan)["a"], "edge");
  EXPECT_EQ(Places(plan)["b"], "node1");
}

constexpr const char* kTwoNodes = R"(
---
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {disk: ssd}},
 status: {addresses: [{type: InternalIP, address: 10.9.0.5}]}, spec: {podCIDRs: [10.20.0.0/24]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}}
)";

TEST(Plan, DeclaredNodesKeepWhatTheySayAndGetTheRest) {
  Plan plan = PlanOf(kTwoNodes + Pod("a", ""));
  ASSERT_EQ(plan.nodes.size(), 2u);
  const NodeAddresses& n1 = plan.nodes[0].addresses;
  EXPECT_EQ(n1.internal[0].ToString(), "10.9.0.5/24");
  EXPECT_EQ(n1.internal[1].ToString(), "fd00:172:30::b/64");
  EXPECT_EQ(n1.gateways[0].ToString(), "10.9.0.1");
  EXPECT_EQ(n1.pod_cidrs[0].ToString(), "10.20.0.0/24");
  EXPECT_EQ(n1.pod_cidrs[1].ToString(), "fd00:10:244:1::/64");
  EXPECT_EQ(plan.nodes[1].addresses.internal[0].ToString(), "172.30.0.11/24");
  EXPECT_EQ(TextAt(plan.nodes[0].tree, {"metadata", "labels", "kubernetes.io/hostname"}), "n1");
  EXPECT_EQ(Texts(At(plan.nodes[0].tree, {"spec", "podCIDRs"})),
            (std::vector<std::string>{"10.20.0.0/24", "fd00:10:244:1::/64"}));
}

TEST(Plan, NodeSelectorAndNodeAffinityAreHonoured) {
  std::string required =
      "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
      "{nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: DoesNotExist}]}]}}}";
  Plan plan = PlanOf(kTwoNodes + Pod("a", "", "nodeSelector: {disk: ssd}") +
                     Pod("b", "", "nodeSelector: {disk: ssd}") + Pod("c", "", required));
  EXPECT_EQ(Places(plan),
            (std::map<std::string, std::string>{{"a", "n1"}, {"b", "n1"}, {"c", "n2"}}));
}

TEST(Plan, ANodeThatIsNotThereIsAnError) {
  EXPECT_THAT(FirstError(kTwoNodes + Pod("a", "", "nodeName: n3")), HasSubstr("no node n3"));
  EXPECT_THAT(FirstError(kTwoNodes + Pod("a", "", "nodeSelector: {disk: tape}")),
              HasSubstr("nodeSelector"));
}

TEST(Plan, OverlappingPodRangesAreAnError) {
  EXPECT_THAT(FirstError(R"(
{apiVersion: v1, kind: Node, metadata: {name: a}, spec: {podCIDRs: [10.20.0.0/24]}}
---
{apiVersion: v1, kind: Node, metadata: {name: b}, spec: {podCIDRs: [10.20.0.128/25]}}
)"),
              HasSubstr("overlaps"));
}

TEST(Plan, ANetworkThatIsTooSmallIsAnError) {
  PlanOptions options;
  options.networks.pods = {net::Cidr::Parse("10.0.0.0/23").value()};
  options.nodes = 2;
  EXPECT_THAT(FirstError(Pod("a", ""), options), HasSubstr("no room"));
}

TEST(Plan, NamespacesThatAreOnlyReferredToAreInvented) {
  Plan plan = PlanOf(
      "{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {a: b}}}\n" + Pod("a", "") +
      "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: "
      "p, namespace: z}, spec: {podSelector: {}}}\n");
  ASSERT_EQ(plan.namespaces.size(), 2u);
  EXPECT_EQ(TextAt(plan.namespaces[0], {"metadata", "labels", "a"}), "b");
  EXPECT_EQ(TextAt(plan.namespaces[1], {"metadata", "labels", "kubernetes.io/metadata.name"}), "z");
  EXPECT_EQ(plan.policies.size(), 1u);
}

TEST(Plan, WhatTheEngineRefusesIsRefusedWithItsPlace) {
  std::string error = FirstError(Pod("a", "") + R"(---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: x}
spec:
  podSelector: {}
  ingress:
  - from:
    - ipBlock: {cidr: 10.0.0.0/33}
)");
  EXPECT_THAT(error, HasSubstr("test.yaml:"));
  EXPECT_THAT(error, HasSubstr("cidr"));
}

TEST(Plan, ATemplatesErrorIsToldOnce) {
  Plan plan = MakePlan(MakeObjects(R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: x}
spec:
  replicas: 3
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      containers:
      - name: c
        image: i
        ports: [{containerPort: 99999}]
)"),
                       {});
  EXPECT_EQ(std::count_if(plan.diagnostics.begin(), plan.diagnostics.end(),
                          [](const auto& d) { return d.severity == model::Severity::kError; }),
            1);
}

TEST(Plan, APodOfTheSameNameAsAWorkloadsIsAnError) {
  EXPECT_THAT(FirstError(R"(
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: x}
spec:
  selector: {matchLabels: {a: b}}
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}
)" + Pod("db-0", "")),
              HasSubstr("twice"));
}

TEST(Plan, KindsThatDoNotConcernTheLabAreNamedInOneNote) {
  Plan plan = PlanOf(Pod("a", "") +
                     "---\n{apiVersion: v1, kind: Service, metadata: {name: s}}\n"
                     "---\n{apiVersion: v1, kind: Service, metadata: {name: t}}\n"
                     "---\n{apiVersion: batch/v1, kind: CronJob, metadata: {name: j}}\n");
  EXPECT_THAT(plan.notes, ElementsAre("passed over: 1 batch/v1 CronJob, 2 v1 Service"));
}

TEST(Plan, ARunningLabKeepsItsPodsWhereTheyAre) {
  PlanOptions options;
  Plan before = PlanOf(Pod("b", "") + Pod("c", ""), options);
  for (const NodePlan& node : before.nodes) options.existing_nodes.push_back(node.tree);
  for (const PodPlan& pod : before.pods) options.existing_pods[pod.name()] = pod.node;
  Plan after = PlanOf(Pod("a", "") + Pod("b", "") + Pod("c", ""), options);
  auto places = Places(before);
  places["a"] = "node1";
  EXPECT_EQ(Places(after), places);
  for (size_t i = 0; i < after.nodes.size(); ++i)
    EXPECT_EQ(after.nodes[i].addresses.internal, before.nodes[i].addresses.internal);
}

}  // namespace
}  // namespace sallyport::lab
