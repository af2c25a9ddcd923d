// SPDX-License-Identifier: Apache-2.0
// A lab with its agents: they settle, they are started and ended, and `lab test` finds the kernel
// and the verdicts in agreement.
#include <gmock/gmock.h>

#include "lab/lab/lab_fixture.h"
#include "lab/layout.h"
#include "lab/settle.h"
#include "lab/tree.h"

namespace sallyport::lab {
namespace {

using testing::Each;
using testing::HasSubstr;

constexpr const char* kPorts = "{containerPort: 80}, {containerPort: 53, protocol: UDP}";

// Nine pods in three namespaces.
std::string NinePods() {
  std::string out;
  for (const char* ns : {"x", "w", "z"})
    for (const char* pod : {"a", "b", "c"}) out += StandIn(ns, pod, kPorts);
  return out;
}

constexpr const char* kPolicies = R"(---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: x}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: b, namespace: x}
spec:
  podSelector: {matchExpressions: [{key: app, operator: In, values: [b]}]}
  ingress:
  - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: w}}}]
    ports: [{port: 80}]
  - from: [{ipBlock: {cidr: 10.244.0.0/16, except: [10.244.1.0/24]}}]
    ports: [{port: 1, endPort: 100, protocol: UDP}]
  egress:
  - to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: c}}}]
)";

constexpr const char* kGateway = R"(---
apiVersion: sallyport.io/v1alpha1
kind: EgressGateway
metadata: {name: partner}
spec:
  egressIPs: [198.51.100.200]
  pods: {}
  destinations: {cidrs: [203.0.113.0/24]}
  gateways: {nodeSelector: {}}
)";

class Agents : public LabTest, public testing::WithParamInterface<const char*> {
 protected:
  Agents() : LabTest(std::string("t-") + GetParam() + "-") {}
  void UpWithAgents(const std::string& yaml) {
    ASSERT_EQ(
        Run({"lab", "up", "--no-dns", "--cni", GetParam(), "--name", name(), "-f", File(yaml)})
            .exit_code,
        0);
  }
  std::vector<int> Pids() {
    std::vector<int> pids;
    for (const NodePlace& node : Read().nodes) pids.push_back(node.agent_pid);
    return pids;
  }
};

TEST_P(Agents, LabTestAgreesCellByCell) {
  Finished test = Run({"lab", "test", "--cni", GetParam(), "--name", name(), "--outside", "-f",
                       File(NinePods()), "-f", File(kPolicies), "-o", "json"});
  EXPECT_EQ(test.exit_code, 0);
  auto rows = FromJson(test.output, "rows");
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_GE(Items(&*rows).size(), 9u * 9 * 2 * 2);
  EXPECT_TRUE(ListPods(Layout(name())).empty()) << "the lab is gone";
}

// Told like any object: the agents know it before `lab up` and `lab apply` are done.
TEST_P(Agents, EgressGatewaysAreAmongTheObjects) {
  UpWithAgents(StandIn("x", "a", "{containerPort: 80}") + kGateway);
  auto said = [&] {
    auto status = AskAgent(Layout(name()).socket("node2"), "/v1/status");
    EXPECT_TRUE(status) << status.error().message;
    return status ? ToJson(*status->Find("diagnostics")) : "";
  };
  EXPECT_THAT(said(), HasSubstr("EgressGateway partner: spec.pods: is empty"));
  model::Snapshot snapshot = Read().snapshot;
  ASSERT_TRUE(snapshot.egress_gateways.contains("partner"));
  EXPECT_NE(snapshot.egress_gateways.at("partner")->created, "");
  for (const auto& [node, object] : snapshot.nodes) {
    EXPECT_TRUE(object->ready) << node;
    EXPECT_NE(object->boot_id, "") << node;
    EXPECT_EQ(object->internal_addresses.size(), 2u) << node;
  }
  EXPECT_EQ(Kube({"get", "egw", "-o", "name"}), "egressgateway.sallyport.io/partner");
  EXPECT_EQ(Run({"lab", "delete", "--name", name(), "egw", "partner"}).exit_code, 0);
  EXPECT_EQ(said(), "[]");
  EXPECT_TRUE(Read().snapshot.egress_gateways.empty());
}

TEST_P(Agents, AnExpectationThatIsNotMetIsNo) {
  Finished test = Run(
      {"lab", "test", "--cni", GetParam(), "--name", name(), "-f",
       File(StandIn("x", "a", "{containerPort: 80}") + StandIn("x", "b", "{containerPort: 80}")),
       "--expect", File("denied:\n- x/a -> x/b:80\n")});
  EXPECT_EQ(test.exit_code, 1);
}

TEST_P(Agents, AreKilledAndStartedAgain) {
  UpWithAgents(StandIn("x", "a", "{containerPort: 80}") + StandIn("w", "b", "{containerPort: 80}"));
  std::vector<int> before = Pids();
  EXPECT_THAT(before, Each(testing::Gt(0)));
  ASSERT_EQ(Run({"lab", "agent", "kill", "--name", name()}).exit_code, 0);
  EXPECT_THAT(Pids(), Each(0));
  Finished status = Run({"lab", "status", "--name", name()});
  EXPECT_EQ(status.exit_code, 1);
  EXPECT_THAT(status.output, HasSubstr("not running"));
  // A change still goes through; that nobody enforces it yet is said.
  Finished apply = Run({"lab", "apply", "--name", name(), "-f", File(kPolicies)});
  EXPECT_EQ(apply.exit_code, 0);
  EXPECT_THAT(apply.errors, HasSubstr("not running"));
  // When the command is back, they enforce it.
  std::vector<std::string> probe = {"probe",  "run", "--lab", name(),
                                    "--from", "w/b", "--to",  "x/a:80"};
  EXPECT_EQ(Run(probe).exit_code, 0);
  ASSERT_EQ(Run({"lab", "agent", "start", "--name", name()}).exit_code, 0);
  EXPECT_EQ(Run(probe).exit_code, 1);
  for (const NodePlace& node : Read().nodes)
    EXPECT_TRUE(AskAgent(node.agent_socket, "/v1/status")) << node.name;
  ASSERT_EQ(Run({"lab", "agent", "restart", "--name", name(), "--node", "node1"}).exit_code, 0);
  EXPECT_TRUE(AskAgent(Read().nodes.at(0).agent_socket, "/v1/status"));
  EXPECT_EQ(Run({"lab", "agent", "restart", "--name", name(), "--node", "none"}).exit_code, 2);
  EXPECT_THAT(Pids(), Each(testing::Gt(0)));
  EXPECT_EQ(Run({"lab", "status", "--name", name()}).exit_code, 0);
}

// When the command is back, the agents enforce what it said.
TEST_P(Agents, AChangeIsInForceWhenApplyReturns) {
  UpWithAgents(StandIn("x", "a", "{containerPort: 80}") + StandIn("x", "b", "{containerPort: 80}"));
  std::vector<std::string> probe = {"probe",  "run", "--lab", name(),
                                    "--from", "x/a", "--to",  "x/b:80"};
  EXPECT_EQ(Run(probe).exit_code, 0);
  std::string policy = File(kPolicies);
  ASSERT_EQ(Run({"lab", "apply", "--name", name(), "-f", policy}).exit_code, 0);
  EXPECT_EQ(Run(probe).exit_code, 1);
  ASSERT_EQ(Run({"lab", "delete", "--name", name(), "-f", policy}).exit_code, 0);
  EXPECT_EQ(Run(probe).exit_code, 0);
}

TEST_P(Agents, SideBySideDoNotTouchEachOther) {
  std::string pods =
      StandIn("x", "a", "{containerPort: 80}") + StandIn("x", "b", "{containerPort: 80}");
  UpWithAgents(pods + kPolicies);
  ASSERT_EQ(
      Run({"lab", "up", "--no-dns", "--cni", GetParam(), "--name", SecondName(), "-f", File(pods)})
          .exit_code,
      0);
  auto probe = [&](const std::string& lab) {
    return Run({"probe", "run", "--lab", lab, "--from", "x/a", "--to", "x/b:80"}).exit_code;
  };
  EXPECT_EQ(probe(name()), 1);
  EXPECT_EQ(probe(SecondName()), 0);
  ASSERT_EQ(Run({"lab", "down", "--name", SecondName()}).exit_code, 0);
  EXPECT_EQ(probe(name()), 1);
}

TEST_P(Agents, OneThatDoesNotStartIsToldAtOnceWithItsLog) {
  Finished up = Run({"lab", "up", "--cni", GetParam(), "--name", name(), "--agent", "/bin/false",
                     "-f", File(StandIn("x", "a", "{containerPort: 80}"))});
  EXPECT_EQ(up.exit_code, 1);
  EXPECT_THAT(up.errors, HasSubstr("agent-node1.log"));
}

INSTANTIATE_TEST_SUITE_P(Cni, Agents, testing::Values("ptp", "bridge"),
                         [](const auto& cni) { return cni.param; });

}  // namespace
}  // namespace sallyport::lab
