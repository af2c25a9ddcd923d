// SPDX-License-Identifier: Apache-2.0
#include "lab/lab.h"

#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "lab/agents.h"
#include "lab/cni.h"
#include "lab/fabric.h"
#include "lab/feed.h"
#include "lab/files.h"
#include "lab/guard.h"
#include "lab/netns.h"
#include "lab/pods.h"
#include "lab/process.h"
#include "lab/sweep.h"

namespace sallyport::lab {
namespace {

Status MakeFolders(const LabState& state) {
  Layout layout(state.name);
  std::vector<std::string> folders = {layout.manifests(), layout.scratch(), layout.logs(),
                                      layout.pods(), layout.bpf()};
  for (const NodePlan& node : state.nodes) {
    folders.push_back(layout.cni_results(node.name()));
    folders.push_back(layout.cni_networks(node.name()));
  }
  for (const std::string& folder : folders)
    if (Status made = MakeDirectories(folder, 0755); !made) return made;
  return Ok();
}

Status MountPins(const LabState& state) {
  Layout layout(state.name);
  if (mount("bpffs", layout.bpf().c_str(), "bpf", 0, "mode=0700") != 0)
    return ErrnoError("mount a bpffs on " + layout.bpf());
  for (const NodePlan& node : state.nodes)
    if (Status made = MakeDirectories(layout.pins(node.name()), 0700); !made) return made;
  return Ok();
}

Status TellCluster(const Plan& plan, ClusterFeed& feed) {
  for (const Value& ns : plan.namespaces)
    if (Status told = feed.Set(ns); !told) return told;
  for (const NodePlan& node : plan.nodes)
    if (Status told = feed.Set(node.tree); !told) return told;
  for (const Value& policy : plan.policies)
    if (Status told = feed.Set(policy); !told) return told;
  return Ok();
}

// Everything up to the first pod.
Status BuildLab(const LabState& state, const Plan& plan, const ObjectSet& objects,
                ClusterFeed& feed, const Console& console) {
  Layout layout(state.name);
  console.Progress("building " + std::to_string(state.nodes.size()) + " nodes");
  Status done = MakeFolders(state);
  if (done) done = ReplaceFile(layout.objects(), ToJson(objects) + "\n", layout.scratch());
  if (done) done = SaveState(state);
  if (done) done = MountPins(state);
  if (done) done = BuildFabric(state);
  if (done) done = TellCluster(plan, feed);
  if (state.agent.empty()) return done;
  for (const NodePlan& node : state.nodes)
    if (done) done = StartAgent(state, node.name());
  return done;
}

Result<LabState> PlanState(const UpOptions& options, const Plan& plan) {
  LabState state;
  state.name = options.name;
  state.cni = options.cni;
  state.sallyport = options.sallyport.empty() ? OwnProgram() : options.sallyport;
  state.networks = options.networks;
  state.outside = AssignOutsideAddresses(options.networks);
  state.nodes = plan.nodes;
  if (!options.agents) return state;
  auto agent = FindAgent(options.agent, state.sallyport);
  if (!agent) return std::move(agent).error();
  state.agent = *std::move(agent);
  return state;
}

Result<Outcome> Make(const LabState& state, const Plan& plan, const ObjectSet& objects,
                     Duration patience, const Console& console) {
  auto feed = OpenFeed(Layout(state.name));
  if (Status built = BuildLab(state, plan, objects, *feed, console); !built)
    return std::move(built).error();
  auto outcome = StartPods(state, plan.pods, objects, patience, *feed, console);
  if (!outcome) return outcome;
  LabState complete = state;
  complete.complete = true;
  if (Status saved = SaveState(complete); !saved) return std::move(saved).error();
  return outcome;
}

}  // namespace

std::string OwnProgram() {
  std::array<char, 4096> path;
  ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
  return length > 0 ? std::string(path.data(), static_cast<size_t>(length)) : "sallyport";
}

Result<Outcome> Up(const UpOptions& options, const Console& console) {
  if (Status good = CheckLabName(options.name); !good) return std::move(good).error();
  auto read = ReadObjects(options.paths);
  if (!read) return std::move(read).error();
  PlanOptions plan_options;
  plan_options.networks = options.networks;
  plan_options.nodes = options.nodes;
  Plan plan = MakePlan(read->objects, plan_options);
  plan.diagnostics.insert(plan.diagnostics.begin(), read->diagnostics.begin(),
                          read->diagnostics.end());
  if (Status good = ShowDiagnostics(plan.diagnostics, console); !good)
    return std::move(good).error();
  if (Status root = CheckRoot(); !root) return std::move(root).error();
  if (Status plugins = CheckPlugins(options.cni); !plugins) return std::move(plugins).error();
  auto state = PlanState(options, plan);
  if (!state) return std::move(state).error();
  Status recipes = CheckRecipes(plan.pods, read->objects, state->sallyport, &plan.notes);
  if (!recipes) return std::move(recipes).error();
  for (const std::string& note : plan.notes) console.Note("note: " + note);

  auto lock = LockLab(options.name, console);
  if (!lock) return std::move(lock).error();
  if (AnythingLeft(options.name)) console.Note("note: sweeping away lab " + options.name);
  if (Status swept = Sweep(options.name); !swept) return std::move(swept).error();
  auto outcome = Make(*state, plan, read->objects, options.patience, console);
  if (outcome) return outcome;
  if (Status swept = Sweep(options.name); !swept) console.Fail(swept.error().message);
  lock->Remove();
  return outcome;
}

Status Down(const std::string& name, const Console& console) {
  if (Status good = CheckLabName(name); !good) return good;
  if (Status root = CheckRoot(); !root) return root;
  auto lock = LockLab(name, console);
  if (!lock) return std::move(lock).error();
  Status swept = Sweep(name);
  if (swept) lock->Remove();
  rmdir(kRunRoot);  // when it was the last
  return swept;
}

std::vector<PodState> PodStates(const Layout& layout) {
  std::vector<PodState> out;
  for (const model::ObjectName& pod : ListPods(layout)) {
    auto spec = LoadPodSpec(layout, pod);
    if (!spec) continue;
    PodState state{pod,
                   spec->owner,
                   TextAt(spec->tree, {"spec", "nodeName"}),
                   std::move(spec->tree),
                   LoadPodStatus(layout, pod),
                   false};
    state.keeper_alive = IsInNetns(state.status.keeper, NetnsPath(layout.node_netns(state.node)));
    out.push_back(std::move(state));
  }
  return out;
}

}  // namespace sallyport::lab
