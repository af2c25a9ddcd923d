// SPDX-License-Identifier: Apache-2.0
#include "lab/node_pods.h"

#include <signal.h>

#include <utility>

#include "lab/files.h"
#include "lab/netns.h"
#include "lab/process.h"
#include "lab/sandbox.h"

namespace sallyport::lab {
namespace {

constexpr Duration kKillWithin = std::chrono::seconds(6);

Status TearDown(const LabState& state, const PodSpec& spec) {
  if (IsTrue(At(spec.tree, {"spec", "hostNetwork"}))) return Ok();
  std::string node = TextAt(spec.tree, {"spec", "nodeName"});
  for (const NodePlan& plan : state.nodes)
    if (plan.name() == node) return RemoveSandbox(state, plan, SandboxOf(Layout(state.name), spec));
  return Error{"pod " + NameOf(spec.tree).ToString() + " is on no node of the lab", 0};
}

// The processes of a pod beyond its keeper: what else is in its namespace, and its containers.
std::vector<pid_t> ProcessesOf(const Layout& layout, const PodSpec& spec) {
  model::ObjectName pod = NameOf(spec.tree);
  if (!IsTrue(At(spec.tree, {"spec", "hostNetwork"})))
    return FindProcesses({NetnsPath(layout.pod_netns(pod))}, "");
  std::vector<pid_t> pids;
  std::string node = NetnsPath(layout.node_netns(TextAt(spec.tree, {"spec", "nodeName"})));
  for (const ContainerStatus& container : LoadPodStatus(layout, pod).containers)
    if (IsInNetns(container.pid, node)) pids.push_back(container.pid);
  return pids;
}

}  // namespace

pid_t KeeperOf(const Layout& layout, const PodSpec& spec) {
  pid_t keeper = LoadPodStatus(layout, NameOf(spec.tree)).keeper;
  std::string node = NetnsPath(layout.node_netns(TextAt(spec.tree, {"spec", "nodeName"})));
  return IsInNetns(keeper, node) ? keeper : 0;
}

Result<pid_t> StartKeeper(const LabState& state, const model::ObjectName& pod) {
  Layout layout(state.name);
  Command command;
  command.argv = {state.sallyport, "lab", "keep", "--name", state.name, pod.ToString()};
  command.env = EnvironmentWith({layout.marker()});
  command.log = layout.log("keepers");
  return StartDaemon(command);
}

Status EndPod(const LabState& state, const PodSpec& spec, Duration grace) {
  Layout layout(state.name);
  model::ObjectName pod = NameOf(spec.tree);
  if (pid_t keeper = KeeperOf(layout, spec)) {
    if (!EndProcesses({keeper}, SIGTERM, grace)) EndProcesses({keeper}, SIGKILL, kKillWithin);
  }
  EndProcesses(ProcessesOf(layout, spec), SIGKILL, kKillWithin);
  Status gone = TearDown(state, spec);
  Status removed = RemoveTree(layout.pod(pod));
  return gone ? removed : gone;
}

}  // namespace sallyport::lab
