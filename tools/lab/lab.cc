// SPDX-License-Identifier: Apache-2.0
#include "lab/lab.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <set>
#include <utility>

#include "lab/apply.h"
#include "lab/cni.h"
#include "lab/daemons.h"
#include "lab/fabric.h"
#include "lab/files.h"
#include "lab/guard.h"
#include "lab/netns.h"
#include "lab/pod_place.h"
#include "lab/process.h"
#include "lab/sweep.h"
#include "lab/system_objects.h"

namespace sallyport::lab {
namespace {

Status MakeFolders(const LabState& state) {
  Layout layout(state.name);
  std::vector<std::string> folders = {layout.scratch(), layout.logs(),      layout.pods(),
                                      layout.bpf(),     layout.apiserver(), layout.processes()};
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

// The API server that the lab has, or joins, and how to reach it from here and from the nodes.
Status MakeServer(const LabState& state) {
  Layout layout(state.name);
  Status done = StartDaemonOf(state, state.joined.empty() ? kApiServer : kRelay);
  if (!done) return done;
  std::string access =
      state.joined.empty() ? layout.apiserver() + "/admin.kubeconfig" : state.joined;
  auto text = ReadFile(access);
  if (!text) return std::move(text).error();
  // Paths in a kubeconfig are relative to its folder: one that is joined is used where it is.
  if (state.joined.empty()) {
    done = WriteFile(layout.kubeconfig(), *text, 0600);
  } else if (symlink(access.c_str(), layout.kubeconfig().c_str()) != 0) {
    done = ErrnoError("link " + layout.kubeconfig());
  }
  return done ? WriteNodeKubeconfig(state, layout.kubeconfig()) : done;
}

Status TellNodes(Api& api, const Plan& plan) {
  for (const NodePlan& node : plan.nodes) {
    if (Status told = CreateIfAbsent(api, node.tree); !told) return told;
  }
  return Ok();
}

// What the cluster's own parts need: the agents' account, cluster DNS.
Status MakeSystem(const LabState& state, const UpOptions& options, Api& api) {
  auto documents = SystemObjects(state, options.hosts);
  if (!documents) return std::move(documents).error();
  for (const Value& object : *documents)
    if (Status made = CreateIfAbsent(api, object); !made) return made;
  if (state.agent.empty()) return Ok();
  auto token = api.Token(kAgentAccount, nullptr);
  if (!token) return std::move(token).error().Context("token of the agents");
  return WriteAgentKubeconfig(state, *token);
}

// Everything up to the user's objects.
Status BuildLab(const LabState& state, const UpOptions& options, const Plan& plan,
                const Console& console) {
  console.Progress("building " + std::to_string(state.nodes.size()) + " nodes");
  Status done = MakeFolders(state);
  if (done) done = SaveState(state);
  if (done) done = MountPins(state);
  if (done) done = BuildFabric(state);
  for (const std::string& name : state.peers) {
    if (!done) break;
    auto peer = LoadWholeState(name);
    done = peer ? WireLabs(state, *peer) : Status(std::move(peer).error());
  }
  if (done) done = MakeServer(state);
  if (!done) return done;
  auto api = OpenApi(Layout(state.name));
  if (!api) return std::move(api).error();
  done = TellNodes(**api, plan);
  if (done) done = MakeSystem(state, options, **api);
  for (const std::string& daemon : DaemonsOf(state))
    if (done) done = StartDaemonOf(state, daemon);
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
  state.peers = options.peers;
  state.controllers = options.kubeconfig.empty() || options.controllers;
  if (options.proxy != "none") state.proxy = options.proxy;
  state.dns =
      options.dns && options.kubeconfig.empty() && !FindProgram("knotd", kStandardPath).empty();
  if (options.kubeconfig.empty()) {
    auto port = FreePort();
    if (!port) return std::move(port).error();
    state.api_port = *port;
  } else {
    std::array<char, PATH_MAX> path;
    if (!realpath(options.kubeconfig.c_str(), path.data())) return ErrnoError(options.kubeconfig);
    state.joined = path.data();
  }
  if (!options.agents) return state;
  auto agent = FindAgent(options.agent, state.sallyport);
  if (!agent) return std::move(agent).error();
  state.agent = *std::move(agent);
  return state;
}

// The user's objects, with the namespaces and the nodes that only the plan has.
ObjectSet WithPlan(const ObjectSet& objects, const Plan& plan) {
  ObjectSet out = objects;
  for (const Value& ns : plan.namespaces)
    out.try_emplace({"Namespace", {"", NameOf(ns).name}}, Object{ns, ""});
  std::erase_if(out, [](const auto& entry) { return entry.first.kind == "Node"; });
  return out;
}

Result<Outcome> Make(const LabState& state, const UpOptions& options, const Plan& plan,
                     const ObjectSet& objects, const Console& console) {
  if (Status built = BuildLab(state, options, plan, console); !built)
    return std::move(built).error();
  auto api = OpenApi(Layout(state.name));
  if (!api) return std::move(api).error();
  if (Status told = ApplyObjects(**api, WithPlan(objects, plan), console); !told)
    return std::move(told).error();
  auto outcome = AwaitReady(state, **api, options.patience, console);
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
  auto outcome = Make(*state, options, plan, read->objects, console);
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

Result<std::unique_ptr<Api>> OpenApi(const Layout& layout) {
  return Api::Open(layout.kubeconfig());
}

Status CheckRecipes(const std::vector<PodPlan>& pods, const ObjectSet& objects,
                    const std::string& sallyport, std::vector<std::string>* notes) {
  std::set<std::string> told;
  for (const PodPlan& pod : pods) {
    auto recipe =
        MakeRecipe(pod.tree, MachineContext(objects, {pod.node, "", {}, "", ""}, sallyport));
    if (!recipe) return std::move(recipe).error().Context("Pod " + pod.name().ToString());
    // Pods of one workload have the same notes: they are its own.
    std::string who = pod.owner.empty() ? "Pod " + pod.name().ToString() : pod.owner;
    for (const std::string& note : recipe->notes)
      if (told.insert(who + note).second) notes->push_back(who + ", " + note);
  }
  return Ok();
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
