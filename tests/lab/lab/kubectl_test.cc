// SPDX-License-Identifier: Apache-2.0
// A lab as a cluster: driven by the real kubectl; its processes ended while pods come and go.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "cli/probe.h"
#include "lab/cluster.h"
#include "lab/daemons.h"
#include "lab/files.h"
#include "lab/lab/lab_fixture.h"
#include "lab/layout.h"

namespace sallyport::lab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string Deployment(int replicas, const std::string& version = "one") {
  // kubectl takes what begins with a brace for JSON.
  return "---\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: x, labels: "
         "{part: shop}}, spec: {replicas: " +
         std::to_string(replicas) +
         ", selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web, "
         "version: " +
         version +
         "}}, spec: {containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}}}}\n";
}

constexpr const char* kService =
    "---\n{apiVersion: v1, kind: Service, metadata: {name: web, namespace: x, labels: {part: "
    "shop}}, spec: {ipFamilyPolicy: PreferDualStack, selector: {app: web}, ports: [{port: 8080, "
    "targetPort: 80}]}}\n";

constexpr const char* kDenyAll =
    "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny, "
    "namespace: "
    "x, labels: {part: shop}}, spec: {podSelector: {}}}\n";

class Kubernetes : public LabTest {
 protected:
  std::vector<std::string> PodNames(const std::string& ns = "x") {
    std::vector<std::string> names;
    for (const PodState& pod : PodStates(Layout(name())))
      if (pod.pod.ns == ns) names.push_back(pod.pod.name);
    return names;
  }
  std::vector<pid_t> Containers() {
    std::vector<pid_t> pids;
    for (const PodState& pod : PodStates(Layout(name())))
      for (const ContainerStatus& container : pod.status.containers) pids.push_back(container.pid);
    std::sort(pids.begin(), pids.end());
    return pids;
  }
  bool IsOpen(const std::string& from_netns, const net::Address& to) {
    auto answers = probe::Probe({{from_netns, {{to, {net::Protocol::kTcp, 80}}}}}, {});
    return answers && (*answers)[0][0].outcome == probe::Outcome::kOpen;
  }
  void Daemon(const std::string& command, const std::string& verb) {
    EXPECT_EQ(Run({"lab", command, verb, "--name", name()}).exit_code, 0);
  }
};

TEST_F(Kubernetes, WorkloadsAreDrivenByKubectl) {
  Up(Deployment(2));
  EXPECT_EQ(Kube({"get", "nodes", "-o", "name"}), "node/node1\nnode/node2");
  Kube({"rollout", "status", "-n", "x", "deploy/web", "--timeout=30s"});
  std::vector<std::string> before = PodNames();
  Kube({"scale", "-n", "x", "deploy/web", "--replicas=4"});
  Kube({"rollout", "status", "-n", "x", "deploy/web", "--timeout=30s"});
  EXPECT_THAT(PodNames(), testing::IsSupersetOf(before));
  EXPECT_EQ(PodNames().size(), 4u);
  Kube({"apply", "-f", File(Deployment(4, "two"))});
  Kube({"rollout", "status", "-n", "x", "deploy/web", "--timeout=30s"});
  Await("the old pods to be gone", [&] { return PodNames().size() == 4; });
  for (const std::string& pod : before) EXPECT_THAT(PodNames(), Not(testing::Contains(pod)));
  Kube({"rollout", "undo", "-n", "x", "deploy/web"});
  Kube({"rollout", "status", "-n", "x", "deploy/web", "--timeout=30s"});
  EXPECT_EQ(Kube({"get", "pods", "-n", "x", "-l", "version=two", "--field-selector",
                  "status.phase=Pending", "-o", "name"}),
            "");
  Kube({"delete", "-n", "x", "deploy/web", "--wait"});
  Await("the pods to be gone", [&] { return PodNames().empty(); });
  EXPECT_EQ(Kube({"get", "pods", "-n", "x", "-o", "name"}), "");
}

TEST_F(Kubernetes, ALabelChangesWhileThePodRuns) {
  Up(StandIn("x", "a", "{containerPort: 80}"));
  std::vector<pid_t> before = Containers();
  Kube({"label", "-n", "x", "pod/a", "app=other", "--overwrite"});
  Await("the node to know", [&] {
    return TextAt(State("x", "a").tree, {"metadata", "labels", "app"}) == "other";
  });
  EXPECT_EQ(Containers(), before);
  EXPECT_EQ(Read().snapshot.pods.at({"x", "a"})->labels.ToString(), "app=other");
}

TEST_F(Kubernetes, WhatLeavesTheFolderIsPruned) {
  Up(Deployment(1));
  // Kinds are named: an old kubectl's default has some that no server has any more.
  bool recent = Kubectl({"apply", "--help"}).output.find("--prune-allowlist") != std::string::npos;
  std::string kinds = recent ? "--prune-allowlist" : "--prune-whitelist";
  auto apply = [&](const std::string& yaml) {
    Kube({"apply", "-f", File(yaml), "--prune", "-l", "part=shop",
          kinds + "=networking.k8s.io/v1/NetworkPolicy"});
  };
  apply(Deployment(1) + kService + kDenyAll);
  EXPECT_EQ(Read().snapshot.policies.size(), 1u);
  apply(Deployment(1) + kService);
  EXPECT_TRUE(Read().snapshot.policies.empty());
  EXPECT_EQ(Kube({"get", "svc", "-n", "x", "-o", "name"}), "service/web");
}

TEST_F(Kubernetes, PodsSayWhatTheyWaitFor) {
  Up(StandIn("x", "a", "{containerPort: 80}"));
  Kube(
      {"apply", "-f",
       File(
           "---\n{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: x}, spec: "
           "{nodeSelector: "
           "{disk: ssd}, containers: [{name: c, image: i, envFrom: [{secretRef: {name: s}}]}]}}")});
  auto message = [&](const std::string& path) {
    return Kube({"get", "pod", "-n", "x", "b", "-o", "jsonpath=" + path});
  };
  std::string scheduled = "{.status.conditions[?(@.type==\"PodScheduled\")].message}";
  Await("the scheduler", [&] { return !message(scheduled).empty(); });
  EXPECT_THAT(message(scheduled), HasSubstr("nodeSelector"));
  Kube({"label", "node/node2", "disk=ssd"});
  std::string waiting = "{.status.containerStatuses[0].state.waiting.message}";
  Await("the node", [&] { return message(waiting).find("Secret x/s") != std::string::npos; });
  EXPECT_EQ(message("{.spec.nodeName}"), "node2");
  Kube({"create", "secret", "generic", "s", "-n", "x", "--from-literal=A=1"});
  Kube({"wait", "-n", "x", "--for=condition=Ready", "pod/b", "--timeout=30s"});
  EXPECT_EQ(message("{.status.phase} {.status.containerStatuses[0].restartCount}"), "Running 0");
}

// The ways that every pod has: Services by name, the API server with the pod's own token.
TEST_F(Kubernetes, PodsFindServicesAndTheApiServer) {
  ASSERT_EQ(Run({"lab", "up", "--no-agent", "--name", name(), "-f",
                 File(Deployment(2) + kService + StandIn("x", "client", "{containerPort: 80}"))})
                .exit_code,
            0);
  EXPECT_THAT(Said("x/client", {"cat", "/etc/resolv.conf"}),
              HasSubstr("search x.svc.cluster.local svc.cluster.local cluster.local"));
  for (const char* url : {"http://web:8080/", "http://web.x.svc.cluster.local:8080/"})
    EXPECT_EQ(Exec("x/client", {"curl", "-s", "-m", "10", "-o", "/dev/null", url}).exit_code, 0)
        << url;
  std::string folder = "/var/run/secrets/kubernetes.io/serviceaccount";
  EXPECT_EQ(Said("x/client", {"cat", folder + "/namespace"}), "x");
  std::string ask = "curl -s -m 10 --cacert " + folder +
                    "/ca.crt -H \"Authorization: Bearer $(cat " + folder +
                    "/token)\" https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT";
  EXPECT_THAT(Said("x/client", {"sh", "-c", ask + "/version"}), HasSubstr("gitVersion"));
  EXPECT_THAT(Said("x/client", {"sh", "-c", ask + "/api/v1/namespaces/x/secrets"}),
              HasSubstr("system:serviceaccount:x:default"));
  // A Service's backends follow its pods.
  Kube({"scale", "-n", "x", "deploy/web", "--replicas=0"});
  Kube({"wait", "-n", "x", "--for=delete", "pod", "-l", "app=web", "--timeout=30s"});
  Await("nobody to answer", [&] {
    return Exec("x/client", {"curl", "-s", "-m", "10", "-o", "/dev/null", "http://web:8080/"})
               .exit_code == 7;
  });
}

TEST_F(Kubernetes, PodsOutliveTheirNodesProcess) {
  Up(Deployment(3));
  std::vector<pid_t> before = Containers();
  Daemon("nodes", "kill");
  EXPECT_EQ(Containers(), before);
  std::string victim = PodNames().front();
  Kube({"delete", "pod", "-n", "x", victim, "--wait=false"});
  Daemon("nodes", "start");
  Await("the deleted pod to be gone, and another to be there", [&] {
    std::vector<std::string> now = PodNames();
    return now.size() == 3 && std::find(now.begin(), now.end(), victim) == now.end();
  });
  Kube({"rollout", "status", "-n", "x", "deploy/web", "--timeout=30s"});
  std::vector<pid_t> after = Containers();
  std::vector<pid_t> kept;
  std::set_intersection(before.begin(), before.end(), after.begin(), after.end(),
                        std::back_inserter(kept));
  EXPECT_EQ(kept.size(), before.size() - 1);
}

TEST_F(Kubernetes, TheClusterGoesOnWithoutItsApiServer) {
  Up(Deployment(2) + StandIn("x", "client", "{containerPort: 80}"));
  std::vector<pid_t> before = Containers();
  std::string netns = Pod("x", "client").netns_path;
  net::Address server;
  for (const PodPlace& pod : Read().pods)
    if (pod.pod.name != "client") server = pod.addresses.at(0);
  for (const auto& [end, again] : {std::pair("kill", "start"), {"hang", "resume"}}) {
    Daemon("apiserver", end);
    EXPECT_TRUE(IsOpen(netns, server));
    EXPECT_TRUE(Read().stale) << end;
    Daemon("apiserver", again);
    EXPECT_FALSE(Read().stale);
    EXPECT_EQ(Containers(), before);
  }
  // What changes right behind a restart is carried out by everybody.
  Daemon("apiserver", "restart");
  Kube({"scale", "-n", "x", "deploy/web", "--replicas=3"});
  Kube({"rollout", "status", "-n", "x", "deploy/web", "--timeout=60s"});
  EXPECT_EQ(PodNames().size(), 4u);
  Kube({"delete", "pod", "-n", "x", "client"});
  Await("the pod to be gone", [&] { return PodNames().size() == 3; });
}

TEST_F(Kubernetes, TheNodesJoinAnotherApiServer) {
  std::string folder = LabTest::folder() / "server";
  ASSERT_TRUE(MakeDirectories(folder, 0700));
  auto port = FreePort();
  ASSERT_TRUE(port);
  Command server;
  server.argv = {Tool(),   "lab",  "run",      "apiserver",
                 "--data", folder, "--listen", "127.0.0.1:" + std::to_string(*port)};
  server.env = EnvironmentWith({});
  server.log = folder + "/log";
  auto pid = StartDaemon(server);
  ASSERT_TRUE(pid);
  std::string kubeconfig = folder + "/admin.kubeconfig";
  Await("the server", [&] { return access(kubeconfig.c_str(), R_OK) == 0; });
  Up(Deployment(2), {"--kubeconfig", kubeconfig, "--controllers"});
  EXPECT_EQ(Kube({"get", "deploy", "-n", "x", "web", "-o", "jsonpath={.status.readyReplicas}"}),
            "2");
  EXPECT_EQ(Run({"lab", "apiserver", "kill", "--name", name()}).exit_code, 2);
  EXPECT_EQ(Run({"lab", "down", "--name", name()}).exit_code, 0);
  EXPECT_TRUE(IsAlive(*pid)) << "it is not the lab's to end";
  EXPECT_TRUE(EndProcesses({*pid}, SIGKILL, std::chrono::seconds(10)));
}

TEST_F(Kubernetes, TwoLabsAreWiredToEachOther) {
  Up(StandIn("x", "a", "{containerPort: 80}"));
  Finished up = Run({"lab", "up", "--no-agent", "--no-dns", "--name", SecondName(), "-f",
                     File(StandIn("x", "b", "{containerPort: 80}")), "--peer", name(), "--pod-cidr",
                     "10.32.0.0/16", "--node-cidr", "10.33.0.0/24"});
  ASSERT_EQ(up.exit_code, 0);
  Inventory here = Read();
  Inventory there = Read(SecondName());
  EXPECT_TRUE(IsOpen(here.pods.at(0).netns_path, there.pods.at(0).addresses.at(0)));
  EXPECT_TRUE(IsOpen(there.pods.at(0).netns_path, here.pods.at(0).addresses.at(0)));
}

}  // namespace
}  // namespace sallyport::lab
