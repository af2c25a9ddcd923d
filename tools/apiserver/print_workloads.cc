// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "apiserver/printer_parts.h"

namespace sallyport::apiserver {
namespace {

// ---- pods

struct ContainerState {
  std::string reason;
  bool ready = false;
  bool running = false;
};

std::string TerminatedReason(const Value& terminated) {
  std::string reason = TextAt(terminated, {"reason"});
  if (!reason.empty()) return reason;
  if (int64_t signal = IntegerAt(terminated, {"signal"}).value_or(0))
    return "Signal:" + std::to_string(signal);
  return "ExitCode:" + Number(terminated, {"exitCode"});
}

// The status of a pod that is still initializing: "Init:0/1"; "" when that is over.
std::string InitReason(const Value& pod) {
  const std::vector<Value>& statuses = Items(At(pod, {"status", "initContainerStatuses"}));
  const std::vector<Value>& containers = Items(At(pod, {"spec", "initContainers"}));
  for (size_t i = 0; i < statuses.size(); ++i) {
    const Value& status = statuses[i];
    const Value* terminated = At(status, {"state", "terminated"});
    if (terminated && IntegerAt(*terminated, {"exitCode"}).value_or(0) == 0) continue;
    bool sidecar = i < containers.size() && TextAt(containers[i], {"restartPolicy"}) == "Always";
    if (sidecar && IsTrue(status.Find("started"))) continue;
    if (terminated) return "Init:" + TerminatedReason(*terminated);
    std::string waiting = TextAt(status, {"state", "waiting", "reason"});
    if (!waiting.empty() && waiting != "PodInitializing") return "Init:" + waiting;
    return "Init:" + std::to_string(i) + "/" + std::to_string(containers.size());
  }
  return "";
}

Cells PodCells(const Value& pod, WallTime now) {
  std::string reason = TextAt(pod, {"status", "reason"});
  if (reason.empty()) reason = TextAt(pod, {"status", "phase"});
  size_t total = Items(At(pod, {"spec", "containers"})).size();
  size_t ready = 0;
  int64_t restarts = 0;
  bool has_running = false;
  std::string init = InitReason(pod);
  if (!init.empty()) {
    reason = init;
    for (const Value& status : Items(At(pod, {"status", "initContainerStatuses"})))
      restarts += IntegerAt(status, {"restartCount"}).value_or(0);
  } else {
    const std::vector<Value>& statuses = Items(At(pod, {"status", "containerStatuses"}));
    for (size_t i = statuses.size(); i-- > 0;) {
      const Value& status = statuses[i];
      restarts += IntegerAt(status, {"restartCount"}).value_or(0);
      const Value* terminated = At(status, {"state", "terminated"});
      if (std::string waiting = TextAt(status, {"state", "waiting", "reason"}); !waiting.empty()) {
        reason = waiting;
      } else if (terminated) {
        reason = TerminatedReason(*terminated);
      } else if (IsTrue(status.Find("ready")) && At(status, {"state", "running"})) {
        has_running = true;
        ++ready;
      }
    }
    if (reason == "Completed" && has_running)
      reason = ConditionStatus(pod, "Ready") == "True" ? "Running" : "NotReady";
  }
  if (!IsNull(At(pod, {"metadata", "deletionTimestamp"})))
    reason = TextAt(pod, {"status", "reason"}) == "NodeLost" ? "Unknown" : "Terminating";
  std::vector<std::string> gates;
  size_t true_gates = 0;
  for (const Value& gate : Items(At(pod, {"spec", "readinessGates"}))) {
    gates.push_back(TextAt(gate, {"conditionType"}));
    if (ConditionStatus(pod, gates.back()) == "True") ++true_gates;
  }
  std::string gate_text =
      gates.empty() ? "<none>" : std::to_string(true_gates) + "/" + std::to_string(gates.size());
  return {std::to_string(ready) + "/" + std::to_string(total),
          reason,
          std::to_string(restarts),
          Age(pod, now),
          OrNone(TextAt(pod, {"status", "podIP"})),
          OrNone(TextAt(pod, {"spec", "nodeName"})),
          OrNone(TextAt(pod, {"status", "nominatedNodeName"})),
          gate_text};
}

// ---- workloads

// A workload's own cells, then its age, what its pods run, and whose they are.
Cells WorkloadCells(Cells own, const Value& object, WallTime now, const std::string& selector) {
  auto [names, images] = ContainersOf(object);
  own.insert(own.end(), {Age(object, now), names, images, selector});
  return own;
}

Cells DeploymentCells(const Value& object, WallTime now) {
  return WorkloadCells(
      {Number(object, {"status", "readyReplicas"}) + "/" + Number(object, {"spec", "replicas"}),
       Number(object, {"status", "updatedReplicas"}),
       Number(object, {"status", "availableReplicas"})},
      object, now, SelectorText(At(object, {"spec", "selector"})));
}

Cells ReplicaSetCells(const Value& object, WallTime now) {
  const Value* selector = At(object, {"spec", "selector"});
  bool labels = selector && (selector->Find("matchLabels") || selector->Find("matchExpressions"));
  return WorkloadCells(
      {Number(object, {"spec", "replicas"}), Number(object, {"status", "replicas"}),
       Number(object, {"status", "readyReplicas"})},
      object, now, labels ? SelectorText(selector) : MapText(selector));
}

Cells StatefulSetCells(const Value& object, WallTime now) {
  auto [names, images] = ContainersOf(object);
  return {Number(object, {"status", "readyReplicas"}) + "/" + Number(object, {"spec", "replicas"}),
          Age(object, now), names, images};
}

Cells DaemonSetCells(const Value& object, WallTime now) {
  return WorkloadCells({Number(object, {"status", "desiredNumberScheduled"}),
                        Number(object, {"status", "currentNumberScheduled"}),
                        Number(object, {"status", "numberReady"}),
                        Number(object, {"status", "updatedNumberScheduled"}),
                        Number(object, {"status", "numberAvailable"}),
                        MapText(At(object, {"spec", "template", "spec", "nodeSelector"}))},
                       object, now, SelectorText(At(object, {"spec", "selector"})));
}

Cells JobCells(const Value& job, WallTime now) {
  std::string status = "Running";
  if (ConditionStatus(job, "Complete") == "True") status = "Complete";
  if (ConditionStatus(job, "Failed") == "True") status = "Failed";
  if (ConditionStatus(job, "Suspended") == "True") status = "Suspended";
  std::string completions =
      At(job, {"spec", "completions"}) ? Number(job, {"spec", "completions"}) : "1";
  std::string duration;
  auto start = ParseTime(TextAt(job, {"status", "startTime"}));
  auto end = ParseTime(TextAt(job, {"status", "completionTime"}));
  if (start)
    duration = HumanDuration(end.value_or(std::chrono::system_clock::to_time_t(now)) - *start);
  return WorkloadCells({status, Number(job, {"status", "succeeded"}) + "/" + completions, duration},
                       job, now, SelectorText(At(job, {"spec", "selector"})));
}

}  // namespace

void AddWorkloads(Printers* all) {
  (*all)["pods"] = {Columns({"Ready", "Status", "Restarts", "Age"},
                            {"IP", "Node", "Nominated Node", "Readiness Gates"}),
                    PodCells};
  (*all)["deployments.apps"] = {
      Columns({"Ready", "Up-to-date", "Available", "Age"}, {"Containers", "Images", "Selector"}),
      DeploymentCells};
  Printer replicas = {
      Columns({"Desired", "Current", "Ready", "Age"}, {"Containers", "Images", "Selector"}),
      ReplicaSetCells};
  (*all)["replicasets.apps"] = replicas;
  (*all)["replicationcontrollers"] = replicas;
  (*all)["statefulsets.apps"] = {Columns({"Ready", "Age"}, {"Containers", "Images"}),
                                 StatefulSetCells};
  (*all)["daemonsets.apps"] = {
      Columns({"Desired", "Current", "Ready", "Up-to-date", "Available", "Node Selector", "Age"},
              {"Containers", "Images", "Selector"}),
      DaemonSetCells};
  (*all)["jobs.batch"] = {
      Columns({"Status", "Completions", "Duration", "Age"}, {"Containers", "Images", "Selector"}),
      JobCells};
  (*all)["cronjobs.batch"] =
      Simple({"Schedule", "Timezone", "Suspend", "Active", "Last Schedule"}, [](const Value& job) {
        return Cells{TextAt(job, {"spec", "schedule"}), OrNone(TextAt(job, {"spec", "timeZone"})),
                     IsTrue(At(job, {"spec", "suspend"})) ? "True" : "False",
                     Count(At(job, {"status", "active"})), "<none>"};
      });
  (*all)["controllerrevisions.apps"] =
      Simple({"Controller", "Revision"}, [](const Value& revision) {
        std::string owner = "<none>";
        for (const Value& one : Items(At(revision, {"metadata", "ownerReferences"})))
          if (IsTrue(one.Find("controller")))
            owner = TextAt(one, {"kind"}) + "/" + TextAt(one, {"name"});
        return Cells{owner, Number(revision, {"revision"})};
      });
}

}  // namespace sallyport::apiserver
