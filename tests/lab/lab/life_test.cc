// SPDX-License-Identifier: Apache-2.0
// A lab's life: up, changes, down; killed at any moment; two at once.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include "cli/probe.h"
#include "lab/cluster.h"
#include "lab/files.h"
#include "lab/lab/lab_fixture.h"
#include "lab/layout.h"
#include "lab/netns.h"
#include "lab/sweep.h"

namespace sallyport::lab {
namespace {

using testing::HasSubstr;

class Life : public LabTest {
 protected:
  std::string Pods() {
    return StandIn("x", "a", "{containerPort: 80}") + StandIn("x", "b", "{containerPort: 80}");
  }
  bool IsOpen(const std::string& from_netns, const net::Address& to) {
    auto answers = probe::Probe({{from_netns, {{to, {net::Protocol::kTcp, 80}}}}}, {});
    return answers && (*answers)[0][0].outcome == probe::Outcome::kOpen;
  }
};

TEST_F(Life, DownOfNothingIsFine) {
  EXPECT_EQ(Run({"lab", "down", "--name", name()}).exit_code, 0);
}

TEST_F(Life, ManifestsWithErrorsMakeNothing) {
  Finished up = Run({"lab", "up", "--no-agent", "--name", name(), "-f",
                     File(Pods() + "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, "
                                   "metadata: {name: p}, spec: {podSelector: {}, ingress: [{ports: "
                                   "[{port: 70000}]}]}}\n")});
  EXPECT_EQ(up.exit_code, 2);
  EXPECT_THAT(up.errors, HasSubstr("70000"));
  EXPECT_FALSE(AnythingLeft(name()));
}

TEST_F(Life, WhatIsMissingIsToldBeforeAnythingIsMade) {
  Finished up = Run({"lab", "up", "--no-agent", "--name", name(), "-f",
                     File("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: "
                          "[{name: c, image: i, env: [{name: A, valueFrom: {secretKeyRef: {name: "
                          "pass, key: word}}}]}]}}")});
  EXPECT_EQ(up.exit_code, 2);
  EXPECT_THAT(up.errors, HasSubstr("Secret default/pass"));
  EXPECT_FALSE(AnythingLeft(name()));
  EXPECT_EQ(Run({"lab", "status", "--name", name()}).exit_code, 2);
}

// Each time a little later, until it comes through.
TEST_F(Life, KilledWhileItIsMadeItGoesAndComesBack) {
  std::string file = File(Pods());
  Layout layout(name());
  std::vector<std::string> stages = {layout.state(), NetnsPath(layout.fabric_netns()),
                                     NetnsPath(layout.node_netns("node2")), layout.kubeconfig(),
                                     NetnsPath(layout.pod_netns({"x", "a"}))};
  for (size_t i = 0; i < stages.size(); ++i) {
    Command up;
    up.argv = {Tool(), "lab", "up", "--no-agent", "--name", name(), "-f", file};
    up.env = EnvironmentWith({});
    up.log = file + ".log";
    auto pid = StartDaemon(up);
    ASSERT_TRUE(pid);
    Await(stages[i], [&] { return access(stages[i].c_str(), F_OK) == 0; });
    ASSERT_TRUE(EndProcesses({*pid}, SIGKILL, std::chrono::seconds(10)));
    if (i % 2) {
      EXPECT_EQ(Run({"lab", "down", "--name", name()}).exit_code, 0);
      EXPECT_FALSE(AnythingLeft(name())) << stages[i];
    }
  }
  Up(Pods());
  EXPECT_TRUE(IsOpen(Pod("x", "a").netns_path, Pod("x", "b").addresses.at(0)));
}

TEST_F(Life, AHalfMadeLabIsNotUp) {
  Up(Pods());
  auto state = LoadState(name());
  ASSERT_TRUE(state);
  EXPECT_THAT(ListWholeLabs(), testing::Contains(name()));
  state->complete = false;
  ASSERT_TRUE(SaveState(*state));
  auto half_made = [&] {
    EXPECT_THAT(ListLabs(), testing::Contains(name()));
    EXPECT_THAT(ListWholeLabs(), testing::Not(testing::Contains(name())));
    for (std::vector<std::string> words : {std::vector<std::string>{"exec", "x/a", "true"},
                                           {"apply", "-f", File(Pods())},
                                           {"delete", "pod", "x/a"},
                                           {"agent", "stop"}}) {
      words.insert(words.begin(), "lab");
      words.insert(words.begin() + 2, {"--name", name()});
      Finished refused = Run(words);
      EXPECT_EQ(refused.exit_code, 2) << words[1];
      EXPECT_THAT(refused.errors, HasSubstr("lab down --name " + name())) << words[1];
    }
    EXPECT_FALSE(ReadInventory(name()));
  };
  half_made();
  ASSERT_EQ(unlink(Layout(name()).state().c_str()), 0);
  half_made();
}

TEST_F(Life, WhatIsNotThereLeavesNoLock) {
  for (const char* verb : {"start", "stop"})
    EXPECT_EQ(Run({"lab", "agent", verb, "--name", name()}).exit_code, 2);
  EXPECT_NE(access(Layout(name()).lock().c_str(), F_OK), 0);
}

TEST_F(Life, OptionsThatMakeNoSenseAreRefused) {
  for (const auto& [option, value] : {std::pair("--timeout", "-5"), {"--nodes", "0"}}) {
    Finished up =
        Run({"lab", "up", "--no-agent", "--name", name(), option, value, "-f", File(Pods())});
    EXPECT_EQ(up.exit_code, 2);
    EXPECT_THAT(up.errors, HasSubstr(option));
  }
}

TEST_F(Life, AKilledPodIsMadeAnewByItsNode) {
  Up(Pods());
  EXPECT_EQ(Run({"lab", "status", "--name", name()}).exit_code, 0);
  PodState before = State("x", "a");
  ASSERT_TRUE(EndProcesses({before.status.keeper}, SIGKILL, std::chrono::seconds(10)));
  Await("the pod to be back", [&] {
    PodState now = State("x", "a");
    return now.status.keeper != before.status.keeper && now.status.ready;
  });
  EXPECT_EQ(UidOf(State("x", "a").tree), UidOf(before.tree));
  EXPECT_TRUE(IsOpen(Pod("x", "b").netns_path, Pod("x", "a").addresses.at(0)));
}

TEST_F(Life, ALaterUpReplacesTheLab) {
  Up(Pods());
  pid_t before = State("x", "a").status.keeper;
  Up(StandIn("x", "c", "{containerPort: 80}"));
  EXPECT_FALSE(IsAlive(before));
  EXPECT_EQ(Read().pods.size(), 1u);
}

TEST_F(Life, TwoLabsStandSideBySide) {
  Up(Pods());
  std::string second = SecondName();
  ASSERT_EQ(Run({"lab", "up", "--no-agent", "--name", second, "-f", File(Pods())}).exit_code, 0);
  Inventory one = Read();
  Inventory two = Read(second);
  ASSERT_EQ(two.pods.size(), 2u);
  EXPECT_EQ(one.pods[0].addresses.size(), 2u);
  EXPECT_NE(one.pods[0].netns_path, two.pods[0].netns_path);
  EXPECT_TRUE(IsOpen(two.pods[0].netns_path, two.pods[1].addresses.at(0)));
  ASSERT_EQ(Run({"lab", "down", "--name", name()}).exit_code, 0);
  EXPECT_FALSE(AnythingLeft(name()));
  EXPECT_TRUE(IsOpen(two.pods[0].netns_path, two.pods[1].addresses.at(0)));
  EXPECT_EQ(Run({"lab", "status", "--name", second}).exit_code, 0);
}

TEST_F(Life, ALabelChangesWithoutRestartingThePod) {
  Up(Pods());
  PodState before = State("x", "a");
  std::string changed = StandIn("x", "a", "{containerPort: 80}");
  changed.replace(changed.find("app: a"), 6, "app: other");
  ASSERT_EQ(Run({"lab", "apply", "--name", name(), "-f", File(changed)}).exit_code, 0);
  PodState after = State("x", "a");
  EXPECT_EQ(after.status.containers.at(0).pid, before.status.containers.at(0).pid);
  auto snapshot = Read().snapshot;
  EXPECT_EQ(snapshot.pods.at({"x", "a"})->labels.ToString(), "app=other");
  EXPECT_EQ(snapshot.pods.at({"x", "a"})->addresses.size(), 2u);
  EXPECT_EQ(snapshot.pods.at({"x", "a"})->uid, TextAt(before.tree, {"metadata", "uid"}));
}

std::string Deployment(int replicas) {
  return "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: x}, spec: "
         "{replicas: " +
         std::to_string(replicas) +
         ", selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: "
         "{containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}}}}";
}

TEST_F(Life, AWorkloadIsScaledAndTakenAway) {
  Up(Deployment(1));
  model::ObjectName first = Read().pods.at(0).pod;
  pid_t keeper = State(first.ns, first.name).status.keeper;
  ASSERT_EQ(Run({"lab", "apply", "--name", name(), "-f", File(Deployment(3))}).exit_code, 0);
  EXPECT_EQ(Read().pods.size(), 3u);
  EXPECT_EQ(State(first.ns, first.name).status.keeper, keeper);
  // A workload's pod comes back, as another.
  ASSERT_EQ(Run({"lab", "delete", "--name", name(), "pod", first.ToString()}).exit_code, 0);
  EXPECT_EQ(Read().pods.size(), 3u);
  EXPECT_NE(State(first.ns, first.name).status.keeper, keeper);
  ASSERT_EQ(Run({"lab", "delete", "--name", name(), "deploy", "-n", "x", "web"}).exit_code, 0);
  EXPECT_TRUE(Read().pods.empty());
  EXPECT_EQ(Run({"lab", "delete", "--name", name(), "deploy", "x/web"}).exit_code, 2);
}

TEST_F(Life, PoliciesComeAndGo) {
  Up(Pods());
  std::string policy =
      "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: x}, "
      "spec: {podSelector: {}}}";
  ASSERT_EQ(Run({"lab", "apply", "--name", name(), "-f", File(policy)}).exit_code, 0);
  EXPECT_EQ(Read().snapshot.policies.size(), 1u);
  // What cannot be understood changes nothing.
  EXPECT_EQ(Run({"lab", "apply", "--name", name(), "-f",
                 File("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, "
                      "namespace: x}, spec: {podSelector: 7}}")})
                .exit_code,
            2);
  EXPECT_EQ(Read().snapshot.policies.size(), 1u);
  ASSERT_EQ(Run({"lab", "delete", "--name", name(), "netpol", "x/p"}).exit_code, 0);
  EXPECT_TRUE(Read().snapshot.policies.empty());
}

TEST_F(Life, ANamespaceGoesWithAllThatIsInIt) {
  Up(Pods() + StandIn("z", "c", "{containerPort: 80}"));
  ASSERT_EQ(Run({"lab", "delete", "--name", name(), "ns", "x"}).exit_code, 0);
  Inventory lab = Read();
  ASSERT_EQ(lab.pods.size(), 1u);
  EXPECT_EQ(lab.pods[0].pod.ns, "z");
  EXPECT_FALSE(lab.snapshot.namespaces.contains("x"));
}

}  // namespace
}  // namespace sallyport::lab
