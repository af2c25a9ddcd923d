// SPDX-License-Identifier: Apache-2.0
#include "lab/exec.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "lab/container.h"
#include "lab/files.h"
#include "lab/guard.h"
#include "lab/netns.h"
#include "lab/pick_pod.h"
#include "lab/pod_place.h"
#include "lab/process.h"

namespace sallyport::lab {
namespace {

std::vector<std::string> EnvironmentOf(pid_t pid) {
  std::vector<std::string> out;
  auto text = ReadFile("/proc/" + std::to_string(pid) + "/environ");
  std::istringstream in(text ? *text : "");
  for (std::string setting; std::getline(in, setting, '\0');) out.push_back(setting);
  return out;
}

std::vector<std::string> Terminal() {
  const char* terminal = getenv("TERM");
  return terminal ? std::vector{std::string("TERM=") + terminal} : std::vector<std::string>{};
}

Result<int> InNamespace(const std::string& lab, const std::string& netns,
                        const std::vector<std::string>& command) {
  if (Status entered = EnterNetns(NetnsPath(netns)); !entered) return std::move(entered).error();
  Status failed = ExecuteHere(command, EnvironmentWith({std::string(kMarker) + "=" + lab}));
  return std::move(failed).error();
}

Status CheckRunning(const PodState& pod, const std::string& netns) {
  std::string name = "pod " + pod.pod.ToString();
  if (pod.status.IsOver()) return Error{name + " has ended (" + pod.status.phase + ")", 0};
  if (pod.status.addresses.empty() || access(netns.c_str(), F_OK) != 0)
    return Error{name + " is not running: " +
                     (pod.status.reason.empty() ? "it has no network" : pod.status.reason),
                 0};
  return Ok();
}

Result<int> InContainer(pid_t pid, const std::vector<std::string>& command) {
  std::vector<std::string> env = EnvironmentOf(pid);
  for (const std::string& setting : Terminal()) env.push_back(setting);
  if (Status entered = EnterContainer(pid); !entered) return std::move(entered).error();
  if (chdir("/") != 0) return ErrnoError("enter /");
  return RunHere(command, env);
}

// For a stand-in, which has no root that could be entered, and a container that does not run just
// now: what the container would be, with this command.
Result<int> BesideContainer(const LabState& state, const PodState& pod, const std::string& name,
                            const std::vector<std::string>& command) {
  Layout layout(state.name);
  auto spec = LoadPodSpec(layout, pod.pod);
  if (!spec) return std::move(spec).error();
  auto node = std::find_if(state.nodes.begin(), state.nodes.end(),
                           [&](const NodePlan& plan) { return plan.name() == pod.node; });
  if (node == state.nodes.end()) return Error{"there is no node " + pod.node, 0};
  auto recipe = RecipeOf(state, *node, *spec, pod.status.addresses);
  if (!recipe) return std::move(recipe).error();
  std::vector<ContainerRecipe> all = recipe->containers;
  all.insert(all.end(), recipe->init_containers.begin(), recipe->init_containers.end());
  for (ContainerRecipe& container : all) {
    if (!name.empty() && container.name != name) continue;
    container.stand_in = false;
    container.argv = command;
    ContainerPlace place = PlaceOf(layout, spec->tree, *recipe);
    for (const std::string& setting : Terminal()) place.env.push_back(setting);
    return RunAsContainer(container, place);
  }
  return Error{"pod " + pod.pod.ToString() + " has no container " + name, 0};
}

Result<int> InPod(const LabState& state, const ExecTarget& target,
                  const std::vector<std::string>& command) {
  Layout layout(state.name);
  std::vector<PodState> pods = PodStates(layout);
  auto picked = PickPod(pods, target.pod);
  if (!picked) return std::move(picked).error();
  const PodState& pod =
      *std::find_if(pods.begin(), pods.end(), [&](const PodState& p) { return p.pod == *picked; });
  std::string netns = NetnsOf(layout, pod.tree);
  if (Status running = CheckRunning(pod, netns); !running) return std::move(running).error();
  for (const ContainerStatus& container : pod.status.containers) {
    if (!target.container.empty() && container.name != target.container) continue;
    if (container.stand_in || !IsInNetns(container.pid, netns)) break;
    return InContainer(container.pid, command);
  }
  return BesideContainer(state, pod, target.container, command);
}

}  // namespace

Result<int> Exec(const std::string& lab, const ExecTarget& target,
                 const std::vector<std::string>& command) {
  if (Status root = CheckRoot(); !root) return std::move(root).error();
  auto state = LoadWholeState(lab);
  if (!state) return std::move(state).error();
  Layout layout(lab);
  if (target.outside) return InNamespace(lab, layout.outside_netns(), command);
  if (target.node.empty()) return InPod(*state, target, command);
  for (const NodePlan& node : state->nodes)
    if (node.name() == target.node)
      return InNamespace(lab, layout.node_netns(target.node), command);
  std::string names;
  for (const NodePlan& node : state->nodes) names += " " + node.name();
  return Error{"no node " + target.node + " in the lab; there is:" + names, 0};
}

}  // namespace sallyport::lab
