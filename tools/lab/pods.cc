// SPDX-License-Identifier: Apache-2.0
#include "lab/pods.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <set>
#include <utility>

#include "base/unique_fd.h"
#include "lab/files.h"
#include "lab/netns.h"
#include "lab/pod_place.h"
#include "lab/process.h"
#include "lab/sandbox.h"

namespace sallyport::lab {
namespace {

constexpr size_t kNetworksAtOnce = 8;  // pods whose plugins run at the same time
constexpr Duration kGrace = std::chrono::seconds(6);

// ConfigMaps and Secrets of one namespace.
ObjectSet ConfigsOf(const ObjectSet& objects, const std::string& ns) {
  ObjectSet out;
  for (const auto& [key, object] : objects)
    if (key.name.ns == ns && (key.kind == "ConfigMap" || key.kind == "Secret"))
      out.emplace(key, object);
  return out;
}

// A pod that is being started, and its keeper's doorbell.
struct Starting {
  model::ObjectName pod;
  UniqueFd doorbell;
  bool has_network = false;
  bool settled = false;  // ready, over, or its keeper is gone
  std::string told;      // the last reason that was shown
};

class Starter {
 public:
  Starter(const LabState& state, Duration patience, const Console& console)
      : layout_(state.name), state_(state), patience_(patience), console_(console) {}

  Result<Outcome> Run(const std::vector<PodPlan>& pods) {
    for (const PodPlan& pod : pods) waiting_.push_back(pod.name());
    Outcome outcome;
    outcome.pods = static_cast<int>(pods.size());
    MonotonicTime deadline = SystemClock().Now() + patience_;
    for (;;) {
      if (Status more = StartMore(); !more) return std::move(more).error();
      Show();
      if (AllSettled() || !WaitForBells(deadline)) break;
    }
    console_.Progress("");
    for (const Starting& pod : starting_) {
      PodStatus status = LoadPodStatus(layout_, pod.pod);
      if (!status.ready && status.phase != "Succeeded") outcome.unready.push_back(pod.pod);
    }
    return outcome;
  }

 private:
  Status StartMore() {
    while (!waiting_.empty()) {
      auto busy = std::count_if(starting_.begin(), starting_.end(), [](const Starting& pod) {
        return !pod.has_network && !pod.settled;
      });
      if (static_cast<size_t>(busy) >= kNetworksAtOnce) return Ok();
      if (Status started = Start(waiting_.front()); !started) return started;
      waiting_.pop_front();
    }
    return Ok();
  }

  Status Start(const model::ObjectName& pod) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError("make a pipe");
    Starting starting{pod, UniqueFd(ends[0]), false, false, ""};
    UniqueFd write_end(ends[1]);
    fcntl(write_end.get(), F_SETFL, O_NONBLOCK);
    Command command;
    command.argv = {state_.sallyport, "lab", "keep", "--name", state_.name, pod.ToString()};
    command.env = EnvironmentWith({std::string(kMarker) + "=" + state_.name});
    command.log = layout_.log("keepers");
    command.inherit = write_end.get();
    auto pid = StartDaemon(command);
    if (!pid) return std::move(pid).error();
    starting_.push_back(std::move(starting));
    return Ok();
  }

  bool AllSettled() const {
    return waiting_.empty() && std::all_of(starting_.begin(), starting_.end(),
                                           [](const Starting& pod) { return pod.settled; });
  }

  // Until a keeper rings, at most until the deadline; false then.
  bool WaitForBells(MonotonicTime deadline) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SystemClock().Now());
    if (left.count() <= 0) return false;
    std::vector<pollfd> waits;
    std::vector<Starting*> who;
    for (Starting& pod : starting_) {
      if (pod.settled) continue;
      waits.push_back({pod.doorbell.get(), POLLIN, 0});
      who.push_back(&pod);
    }
    int count = poll(waits.data(), waits.size(), static_cast<int>(left.count()));
    if (count < 0 && errno != EINTR) return false;
    for (size_t i = 0; i < waits.size(); ++i)
      if (waits[i].revents) Answer(who[i]);
    return true;
  }

  void Answer(Starting* pod) {
    std::array<char, 64> rings;
    ssize_t count = read(pod->doorbell.get(), rings.data(), rings.size());
    PodStatus status = LoadPodStatus(layout_, pod->pod);
    pod->has_network = !status.addresses.empty();
    pod->settled = count == 0 || status.ready || status.IsOver();
    if (!status.reason.empty() && status.reason != pod->told)
      console_.Note(pod->pod.ToString() + ": " + status.reason);
    pod->told = status.reason;
  }

  void Show() const {
    auto settled = std::count_if(starting_.begin(), starting_.end(),
                                 [](const Starting& pod) { return pod.settled; });
    console_.Progress("pods ready: " + std::to_string(settled) + " of " +
                      std::to_string(starting_.size() + waiting_.size()));
  }

  Layout layout_;
  const LabState& state_;
  Duration patience_;
  const Console& console_;
  std::deque<model::ObjectName> waiting_;
  std::vector<Starting> starting_;
};

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

// The keeper's process; 0 where it is gone.
pid_t KeeperOf(const Layout& layout, const model::ObjectName& pod) {
  auto spec = LoadPodSpec(layout, pod);
  pid_t keeper = LoadPodStatus(layout, pod).keeper;
  if (!spec) return 0;
  std::string node = NetnsPath(layout.node_netns(TextAt(spec->tree, {"spec", "nodeName"})));
  return IsInNetns(keeper, node) ? keeper : 0;
}

}  // namespace

Status CheckRecipes(const std::vector<PodPlan>& pods, const ObjectSet& objects,
                    const std::string& sallyport, std::vector<std::string>* notes) {
  std::set<std::string> told;
  for (const PodPlan& pod : pods) {
    auto recipe = MakeRecipe(pod.tree, MachineContext(objects, {pod.node, "", {}, ""}, sallyport));
    if (!recipe) return std::move(recipe).error().Context("Pod " + pod.name().ToString());
    // Pods of one workload have the same notes: they are its own.
    std::string who = pod.owner.empty() ? "Pod " + pod.name().ToString() : pod.owner;
    for (const std::string& note : recipe->notes)
      if (told.insert(who + note).second) notes->push_back(who + ", " + note);
  }
  return Ok();
}

Result<Outcome> StartPods(const LabState& state, const std::vector<PodPlan>& pods,
                          const ObjectSet& objects, Duration patience, ClusterFeed& feed,
                          const Console& console) {
  Layout layout(state.name);
  for (const PodPlan& pod : pods) {
    PodSpec spec{pod.tree, pod.owner, NewContainerId(), ConfigsOf(objects, pod.name().ns)};
    Set(Child(spec.tree, "metadata"), "uid", String(NewUid()));
    Set(spec.tree, "status", Mapping({{"phase", String("Pending")}}));
    Status saved = SavePodSpec(layout, spec);
    if (saved) saved = feed.Set(spec.tree);
    if (!saved) return std::move(saved).error();
  }
  return Starter(state, patience, console).Run(pods);
}

Status EndPods(const LabState& state, const std::vector<model::ObjectName>& pods,
               ClusterFeed& feed) {
  Layout layout(state.name);
  std::vector<pid_t> keepers;
  for (const model::ObjectName& pod : pods) {
    if (pid_t keeper = KeeperOf(layout, pod)) keepers.push_back(keeper);
  }
  if (!EndProcesses(keepers, SIGTERM, kGrace)) EndProcesses(keepers, SIGKILL, kGrace);
  Status status = Ok();
  auto keep_first = [&status](Status next) {
    if (status) status = std::move(next);
  };
  for (const model::ObjectName& pod : pods) {
    auto spec = LoadPodSpec(layout, pod);
    if (spec) {
      EndProcesses(ProcessesOf(layout, *spec), SIGKILL, kGrace);
      keep_first(TearDown(state, *spec));
    }
    keep_first(feed.Remove({"Pod", pod}));
    keep_first(RemoveTree(layout.pod(pod)));
  }
  return status;
}

}  // namespace sallyport::lab
