// SPDX-License-Identifier: Apache-2.0
// Containers as processes: what they get, what they may, how they end.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include "lab/files.h"
#include "lab/lab/lab_fixture.h"
#include "lab/layout.h"
#include "lab/netns.h"
#include "lab/tree.h"

namespace sallyport::lab {
namespace {

using testing::HasSubstr;

class Containers : public LabTest {
 protected:
  // A pod that stays, with these fields of its container and of its spec.
  std::string Staying(const std::string& name, const std::string& container,
                      const std::string& spec = "") {
    return "---\n{apiVersion: v1, kind: Pod, metadata: {name: " + name +
           ", namespace: x}, spec: {" + spec + (spec.empty() ? "" : ", ") +
           "containers: [{name: c, image: i, command: [sleep, infinity]" +
           (container.empty() ? "" : ", ") + container + "}]}}\n";
  }
};

TEST_F(Containers, EnvironmentVolumesAndUser) {
  Up(R"(
{apiVersion: v1, kind: ConfigMap, metadata: {name: conf, namespace: x}, data: {mode: fast}}
---
{apiVersion: v1, kind: Secret, metadata: {name: pass, namespace: x}, stringData: {word: hunter2}}
)" + Staying(
         "a",
         "workingDir: /srv/work, env: [{name: WORD, valueFrom: {secretKeyRef: {name: pass, key: "
         "word}}}, {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}], volumeMounts: "
         "[{name: v, mountPath: /etc/conf}, {name: e, mountPath: /var/run/data}, {name: v, "
         "mountPath: /etc/spt-mode, subPath: mode}]",
         "hostname: box, volumes: [{name: v, configMap: {name: conf}}, {name: e, emptyDir: "
         "{}}]"));
  EXPECT_EQ(Said("x/a", {"sh", "-c", "echo $WORD $IP"}),
            "hunter2 " + Pod("x", "a").addresses.at(0).ToString());
  EXPECT_EQ(Said("x/a", {"cat", "/etc/conf/mode"}), "fast");
  EXPECT_EQ(Said("x/a", {"cat", "/etc/spt-mode"}), "fast");
  EXPECT_EQ(Said("x/a", {"hostname"}), "box");
  EXPECT_EQ(Said("x/a", {"readlink", "/proc/1/cwd"}), "/srv/work");
  EXPECT_NE(Exec("x/a", {"sh", "-c", "echo no > /etc/conf/mode"}).exit_code, 0);
  EXPECT_EQ(Exec("x/a", {"sh", "-c", "echo yes > /run/data/file"}).exit_code, 0);
  std::string seen = Layout(name()).pod({"x", "a"}) + "/volumes/e/file";
  EXPECT_EQ(ReadFile(seen).value_or("not there"), "yes\n");
}

TEST_F(Containers, ChangeNothingOnTheMachine) {
  Up(Staying("a", ""));
  ASSERT_EQ(Exec("x/a", {"sh", "-c",
                         "echo x > /etc/spt-was-here && echo x > /tmp/spt-was-here && mkdir "
                         "/spt-was-here && echo x > /run/spt-was-here"})
                .exit_code,
            0);
  for (const char* path :
       {"/etc/spt-was-here", "/tmp/spt-was-here", "/spt-was-here", "/run/spt-was-here"})
    EXPECT_NE(access(path, F_OK), 0) << path;
  EXPECT_EQ(Said("x/a", {"cat", "/etc/spt-was-here"}), "x");
}

TEST_F(Containers, HaveTheirOwnProcessesAndNoPowers) {
  Up(Staying("a", ""));
  EXPECT_EQ(Said("x/a", {"cat", "/proc/1/comm"}), "sleep");
  EXPECT_NE(Exec("x/a", {"mount", "-t", "tmpfs", "none", "/mnt"}).exit_code, 0);
  EXPECT_NE(Exec("x/a", {"ip", "link", "set", "eth0", "down"}).exit_code, 0);
}

TEST_F(Containers, ACheckOfAStandInIsContained) {
  std::string file = "/etc/spt-was-here-" + name();
  Up("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}, spec: {containers: [{name: c, "
     "image: i, readinessProbe: {exec: {command: [sh, -c, 'touch " +
     file + " && ! mount -t tmpfs none /mnt']}}}]}}");
  EXPECT_NE(access(file.c_str(), F_OK), 0);
}

// Whatever runs in it: its command, a stand-in, or nothing just now.
TEST_F(Containers, ACommandInAPodIsContained) {
  std::string pods =
      StandIn("x", "b", "{containerPort: 80}", "hostname: box") +
      StandIn("x", "host", "", "hostNetwork: true") +
      "---\n{apiVersion: v1, kind: Pod, metadata: {name: ended, namespace: x}, spec: "
      "{containers: [{name: c, image: i, command: ['false']}]}}\n";
  // Whether the pod that ends again and again is ready at that moment does not matter.
  ASSERT_LT(Run({"lab", "up", "--no-agent", "--no-dns", "--timeout", "5", "--name", name(), "-f",
                 File(pods)})
                .exit_code,
            2);
  for (const char* pod : {"x/b", "x/host", "x/ended"}) {
    SCOPED_TRACE(pod);
    std::string file = "/etc/spt-was-here-" + name();
    EXPECT_EQ(Said(pod, {"sh", "-c", "echo x > " + file + " && cat " + file}), "x");
    EXPECT_NE(access(file.c_str(), F_OK), 0);
    EXPECT_NE(Exec(pod, {"mount", "-t", "tmpfs", "none", "/mnt"}).exit_code, 0);
    EXPECT_NE(Exec(pod, {"ip", "link", "set", "lo", "down"}).exit_code, 0);
    EXPECT_EQ(Said(pod, {"sh", "-c", "cat /proc/1/comm"}), "sallyport");
    EXPECT_EQ(Exec(pod, {"sh", "-c", "exit 8"}).exit_code, 8);
  }
  EXPECT_EQ(Said("x/b", {"hostname"}), "box");
}

TEST_F(Containers, ExecSaysWhyItCannot) {
  Up(Staying("a", "") + StandIn("x", "b", "{containerPort: 80}") +
     "---\n{apiVersion: v1, kind: Pod, metadata: {name: over, namespace: x}, spec: "
     "{restartPolicy: Never, containers: [{name: c, image: i, command: ['true']}]}}\n");
  Await("its end", [&] { return State("x", "over").status.IsOver(); });
  EXPECT_THAT(Exec("x/over", {"true"}).errors, HasSubstr("has ended (Succeeded)"));
  for (const char* pod : {"x/a", "x/b"}) {
    EXPECT_THAT(Exec(pod, {"/none"}).errors, HasSubstr("/none: no such file"));
    EXPECT_THAT(Exec(pod, {"/etc/passwd"}).errors, HasSubstr("not an executable file"));
    EXPECT_THAT(Exec(pod, {"no-such-program"}).errors, HasSubstr("looked in"));
    EXPECT_EQ(Exec(pod, {"no-such-program"}).exit_code, 2);
  }
}

TEST_F(Containers, ExecHasTheExitCodeAndNamesWhatIsMissing) {
  Up(Staying("a", "") + StandIn("x", "b", "{containerPort: 80}"));
  EXPECT_EQ(Exec("x/a", {"sh", "-c", "exit 7"}).exit_code, 7);
  EXPECT_EQ(Exec("x/b", {"sh", "-c", "exit 8"}).exit_code, 8);
  EXPECT_EQ(Exec("x/b", {"no-such-program"}).exit_code, 2);
  EXPECT_THAT(Exec("x/none", {"true"}).errors, HasSubstr("lab status"));
  EXPECT_EQ(Run({"lab", "exec", "--name", name(), "--node", "node1", "--", "sh", "-c", "exit 9"})
                .exit_code,
            9);
  EXPECT_THAT(Run({"lab", "exec", "--name", name(), "--node", "node9", "--", "true"}).errors,
              HasSubstr("node1"));
}

TEST_F(Containers, WhatEndsIsStartedAgainAndReported) {
  Up(Staying("a", "") +
     "---\n{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: x}, spec: {containers: "
     "[{name: c, image: i, command: [sh, -c, 'echo last words; sleep 0.2; exit 3']}]}}\n");
  Await("a restart", [&] { return State("x", "b").status.containers.at(0).restarts > 0; });
  EXPECT_EQ(State("x", "b").status.containers.at(0).exit_code, 3);
  EXPECT_THAT(Run({"lab", "status", "--name", name()}).output, HasSubstr("restarted"));
  EXPECT_THAT(ReadFile(Layout(name()).log("x_b_c")).value_or(""), HasSubstr("last words"));
}

TEST_F(Containers, AJobSucceedsAndGivesItsNetworkBack) {
  Up("{apiVersion: batch/v1, kind: Job, metadata: {name: once, namespace: x}, spec: {template: "
     "{spec: {restartPolicy: Never, containers: [{name: c, image: i, command: ['true']}]}}}}");
  Await("its end",
        [&] { return Read().snapshot.pods.begin()->second->phase == model::PodPhase::kSucceeded; });
  auto snapshot = Read().snapshot;
  ASSERT_EQ(snapshot.pods.size(), 1u);
  const auto& [pod, object] = *snapshot.pods.begin();
  EXPECT_EQ(object->addresses.size(), 2u) << "the API keeps the address of a pod that is over";
  std::string netns = NetnsPath(Layout(name()).pod_netns(pod));
  Await("the namespace to go", [&] { return access(netns.c_str(), F_OK) != 0; });
}

TEST_F(Containers, ReadinessProbesDecide) {
  std::string pods = StandIn("x", "web", "{containerPort: 80}") +
                     Staying("exec", "readinessProbe: {exec: {command: [test, -e, /ready]}}") +
                     "---\n{apiVersion: v1, kind: Pod, metadata: {name: http, namespace: x}, spec: "
                     "{containers: [{name: c, image: agnhost, ports: [{containerPort: 8080}], "
                     "readinessProbe: {httpGet: {path: /healthz, port: 8080}}}]}}\n" +
                     Staying("tcp", "readinessProbe: {tcpSocket: {port: 81}}");
  Finished up = Run({"lab", "up", "--no-agent", "--no-dns", "--timeout", "5", "--name", name(),
                     "-f", File(pods)});
  EXPECT_EQ(up.exit_code, 1);
  EXPECT_TRUE(State("x", "web").status.ready);
  EXPECT_TRUE(State("x", "http").status.ready);
  EXPECT_FALSE(State("x", "exec").status.ready);
  EXPECT_FALSE(State("x", "tcp").status.ready);
  ASSERT_EQ(Exec("x/exec", {"touch", "/ready"}).exit_code, 0);
  Await("readiness", [&] { return State("x", "exec").status.ready; });
}

TEST_F(Containers, InitContainersComeFirst) {
  Up("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}, spec: {volumes: [{name: e, "
     "emptyDir: {}}], initContainers: [{name: i, image: i, command: [sh, -c, 'sleep 0.3; echo "
     "prepared > /e/f'], volumeMounts: [{name: e, mountPath: /e}]}], containers: [{name: c, image: "
     "i, command: [sh, -c, 'cat /e/f; sleep infinity'], volumeMounts: [{name: e, mountPath: "
     "/e}]}]}}");
  Await("its output",
        [&] { return ReadFile(Layout(name()).log("x_a_c")).value_or("") == "prepared\n"; });
}

TEST_F(Containers, SidecarsComeFirstAndStay) {
  Up("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}, spec: {initContainers: "
     "[{name: proxy, image: i, restartPolicy: Always, command: [sleep, infinity]}, {name: serve, "
     "image: i, restartPolicy: Always, ports: [{containerPort: 81}]}, {name: last, image: i, "
     "command: ['true']}], containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}}\n" +
     Staying("b", ""));
  PodStatus status = State("x", "a").status;
  EXPECT_TRUE(status.ready);
  ASSERT_EQ(status.containers.size(), 3u) << "the container and its sidecars";
  EXPECT_EQ(status.containers[0].name, "c");
  for (const ContainerStatus& container : status.containers)
    EXPECT_EQ(container.state, "running") << container.name;
  for (const char* port : {"80", "81"})
    EXPECT_EQ(
        Run({"probe", "run", "--lab", name(), "--from", "x/b", "--to", std::string("x/a:") + port})
            .exit_code,
        0);
  pid_t sidecar = status.containers[1].pid;
  ASSERT_TRUE(EndProcesses({sidecar}, SIGKILL, std::chrono::seconds(10)));
  Await("its restart", [&] {
    ContainerStatus now = State("x", "a").status.containers.at(1);
    return now.restarts > 0 && now.state == "running";
  });
}

TEST_F(Containers, AJobIsOverThoughItsSidecarRuns) {
  Up("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}, spec: {restartPolicy: Never, "
     "initContainers: [{name: s, image: i, restartPolicy: Always, command: [sleep, infinity]}], "
     "containers: [{name: c, image: i, command: [sleep, '0.3']}]}}");
  Await("its end", [&] { return State("x", "a").status.phase == "Succeeded"; });
  std::string netns = NetnsPath(Layout(name()).pod_netns({"x", "a"}));
  Await("the namespace to go", [&] { return access(netns.c_str(), F_OK) != 0; });
  EXPECT_EQ(State("x", "a").status.containers.at(1).state, "ended");
}

}  // namespace
}  // namespace sallyport::lab
