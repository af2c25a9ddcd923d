// SPDX-License-Identifier: Apache-2.0
#include "lab/ready.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

#include "lab/cluster_watch.h"
#include "lab/controllers.h"

namespace sallyport::lab {
namespace {

bool Concerns(const Value& pod, const std::set<std::string>& nodes) {
  std::string node = TextAt(pod, {"spec", "nodeName"});
  return node.empty() || nodes.contains(node);
}

bool IsWell(const Value& pod) {
  return IsReadyPod(pod) || TextAt(pod, {"status", "phase"}) == "Succeeded";
}

// By what it says of itself.
bool IsComplete(const Value& workload, const std::string& kind) {
  auto number = [&](const char* field) {
    return IntegerAt(workload, {"status", field}).value_or(0);
  };
  if (number("observedGeneration") < IntegerAt(workload, {"metadata", "generation"}).value_or(0))
    return false;
  if (kind == "DaemonSet")
    return number("numberReady") >= number("desiredNumberScheduled") &&
           number("updatedNumberScheduled") >= number("desiredNumberScheduled");
  int64_t wanted = IntegerAt(workload, {"spec", "replicas"}).value_or(1);
  bool updated = kind == "ReplicaSet" || number("updatedReplicas") >= wanted;
  return updated && number("replicas") == wanted && number("readyReplicas") >= wanted;
}

std::string IncompleteWorkload(const Cluster& cluster) {
  for (const char* kind : {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"})
    for (const auto& [name, workload] : cluster.Of(kind))
      if (!IsComplete(*workload, kind))
        return std::string(kind) + " " + name.ToString() + " is not complete";
  return "";
}

}  // namespace

std::string ReasonOf(const Value& pod) {
  for (const char* list : {"initContainerStatuses", "containerStatuses"})
    for (const Value& container : Items(At(pod, {"status", list})))
      if (std::string why = TextAt(container, {"state", "waiting", "message"}); !why.empty())
        return why;
  for (const Value& condition : Items(At(pod, {"status", "conditions"})))
    if (TextAt(condition, {"status"}) == "False")
      if (std::string why = TextAt(condition, {"message"}); !why.empty())
        return TextAt(condition, {"type"}) == "PodScheduled" ? "no node can take it: " + why : why;
  return "";
}

std::string StillToCome(const Cluster& cluster, const std::set<std::string>& nodes,
                        bool controllers) {
  size_t ready = 0;
  size_t all = 0;
  for (const auto& [name, pod] : cluster.Of("Pod")) {
    if (!Concerns(*pod, nodes)) continue;
    if (IsTerminating(*pod)) return "pod " + name.ToString() + " is on its way out";
    ++all;
    ready += IsWell(*pod) || IsOver(*pod);
  }
  if (ready < all) return "pods ready: " + std::to_string(ready) + " of " + std::to_string(all);
  if (!controllers) return IncompleteWorkload(cluster);
  std::vector<Change> changes = Reconcile(cluster, {});
  return changes.empty() ? "" : changes.front().ToString();
}

Result<Outcome> AwaitReady(const LabState& state, Api& api, Duration patience,
                           const Console& console) {
  std::set<std::string> nodes;
  for (const NodePlan& node : state.nodes) nodes.insert(node.name());
  std::mutex mutex;
  std::condition_variable bell;
  bool changed = false;
  std::vector<Followed> followed;
  for (const std::string& kind : ControllerKinds()) followed.push_back({kind, ""});
  ClusterWatch watch(api.client(), followed, [&] {
    std::lock_guard lock(mutex);
    changed = true;
    bell.notify_all();
  });
  MonotonicTime deadline = SystemClock().Now() + patience;
  std::map<model::ObjectName, std::string> told;
  for (bool in_time = true;;) {
    Cluster cluster = watch.Now();
    std::string missing = "reading the cluster";
    if (watch.synced()) missing = StillToCome(cluster, nodes, state.controllers);
    for (const auto& [name, pod] : cluster.Of("Pod")) {
      std::string why = IsWell(*pod) || !Concerns(*pod, nodes) ? "" : ReasonOf(*pod);
      if (!why.empty() && told[name] != why) console.Note(name.ToString() + ": " + why);
      told[name] = why;
    }
    console.Progress(missing);
    if (missing.empty() || !in_time) {
      console.Progress("");
      if (!watch.synced()) return Error{"the API server cannot be read: " + watch.Trouble(), 0};
      Outcome outcome;
      for (const auto& [name, pod] : cluster.Of("Pod")) {
        if (!Concerns(*pod, nodes)) continue;
        ++outcome.pods;
        if (!IsWell(*pod)) outcome.unready.push_back(name);
      }
      if (!missing.empty() && outcome.ok()) return Error{"not all has come to rest: " + missing, 0};
      return outcome;
    }
    std::unique_lock lock(mutex);
    in_time = bell.wait_until(lock, deadline, [&] { return changed; });
    changed = false;
  }
}

}  // namespace sallyport::lab
