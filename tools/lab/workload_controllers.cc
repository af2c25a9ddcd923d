// SPDX-License-Identifier: Apache-2.0
#include "lab/workload_controllers.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "lab/selector.h"
#include "lab/workload_names.h"

namespace sallyport::lab {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;
using Pods = std::vector<const Value*>;

constexpr const char* kRevisionLabel = "controller-revision-hash";

bool IsActive(const Value& pod) { return !IsTerminating(pod) && !IsOver(pod); }

int64_t Count(const Pods& pods, bool (*what)(const Value&)) {
  return std::count_if(pods.begin(), pods.end(), [&](const Value* pod) { return what(*pod); });
}

const Pods& PodsOf(const Value& owner, const WorkloadView& view) {
  static const Pods kNone;
  auto found = view.owned_pods.find(UidOf(owner));
  return found == view.owned_pods.end() ? kNone : found->second;
}

int64_t Replicas(const Value& set) { return IntegerAt(set, {"spec", "replicas"}).value_or(1); }

Result<model::Selector> SelectorOf(const Value& set, const std::string& kind) {
  const Value* selector = At(set, {"spec", "selector"});
  if (kind != "ReplicationController") return ParseSelector(selector);
  if (!selector) selector = At(set, {"spec", "template", "metadata", "labels"});
  return SelectorOfMap(selector);
}

void Create(Value pod, std::vector<Change>* changes) {
  model::ObjectName name = NameOf(pod);
  changes->push_back({Change::Verb::kCreate, "Pod", name, std::move(pod), ""});
}

std::set<std::string> NamesIn(const WorkloadView& view, const std::string& ns) {
  auto found = view.pod_names.find(ns);
  return found == view.pod_names.end() ? std::set<std::string>() : found->second;
}

// `count` pods more, with generated names.
void CreateGenerated(const Value& owner, const std::string& kind, int64_t count,
                     const Labels& labels, const WorkloadView& view, std::vector<Change>* changes) {
  std::set<std::string> taken = NamesIn(view, NameOf(owner).ns);
  for (int64_t i = 0; i < count; ++i) {
    std::string name = GeneratedName(NameOf(owner).name + "-", std::to_string(i), &taken);
    Create(PodFromTemplate(owner, kind, name, labels), changes);
  }
}

// Whom to end first, as the ReplicaSet controller does: without a node, not running, not ready,
// cheap (the pod-deletion-cost annotation), young.
bool GoesBefore(const Value* a, const Value* b) {
  auto rank = [](const Value& pod) {
    int64_t cost = 0;
    if (const Value* text =
            At(pod, {"metadata", "annotations", "controller.kubernetes.io/pod-deletion-cost"}))
      cost = std::atoll(Text(text).c_str());
    return std::tuple(!TextAt(pod, {"spec", "nodeName"}).empty(),
                      TextAt(pod, {"status", "phase"}) == "Running", IsReadyPod(pod), cost);
  };
  auto left = rank(*a);
  auto right = rank(*b);
  if (left != right) return left < right;
  std::string born = TextAt(*a, {"metadata", "creationTimestamp"});
  std::string other = TextAt(*b, {"metadata", "creationTimestamp"});
  return std::tuple(other, NameOf(*a).name) < std::tuple(born, NameOf(*b).name);
}

// Lets go of pods that the selector does not match, takes in orphans; returns the pods it has then.
Pods Claim(const Value& set, const std::string& kind, const WorkloadView& view,
           std::vector<Change>* changes) {
  Pods mine;
  auto selector = SelectorOf(set, kind);
  if (!selector || IsTerminating(set)) return PodsOf(set, view);
  auto references = [](Value list) {
    return Mapping({{"metadata", Mapping({{"ownerReferences", std::move(list)}})}});
  };
  for (const Value* pod : PodsOf(set, view)) {
    if (IsTerminating(*pod) || selector->Matches(LabelsOf(*pod)))
      mine.push_back(pod);
    else
      changes->push_back(PatchOf(*pod, "Pod", references(Value())));
  }
  auto orphans = view.orphans.find(NameOf(set).ns);
  if (orphans == view.orphans.end()) return mine;
  for (const Value* pod : orphans->second) {
    if (!IsActive(*pod) || !selector->Matches(LabelsOf(*pod))) continue;
    changes->push_back(PatchOf(*pod, "Pod", references(OwnedBy(set, kind))));
    mine.push_back(pod);
  }
  return mine;
}

// What a workload calls the pods of its present template: their hash label.
bool IsUpdated(const Value& pod, const std::string& revision) {
  return TextAt(pod, {"metadata", "labels", kRevisionLabel}) == revision;
}

// A claim is storage of the pod's own, which the lab gives as an empty directory.
void AddClaims(const Value& set, const std::string& pod_name, Value* pod) {
  Value& spec = Child(*pod, "spec");
  Value volumes = Sequence(Items(spec.Find("volumes")));
  for (const Value& claim : Items(At(set, {"spec", "volumeClaimTemplates"}))) {
    std::string name = TextAt(claim, {"metadata", "name"});
    Value source = Mapping({{"claimName", String(name + "-" + pod_name)}});
    volumes.items.push_back(
        Mapping({{"name", String(name)}, {"persistentVolumeClaim", std::move(source)}}));
  }
  if (!volumes.items.empty()) Set(spec, "volumes", std::move(volumes));
}

Value StatefulPod(const Value& set, int64_t ordinal, const std::string& revision) {
  std::string name = NameOf(set).name + "-" + std::to_string(ordinal);
  Value pod = PodFromTemplate(set, "StatefulSet", name,
                              {{"apps.kubernetes.io/pod-index", std::to_string(ordinal)},
                               {"statefulset.kubernetes.io/pod-name", name},
                               {kRevisionLabel, revision}});
  Value& spec = Child(pod, "spec");
  Set(spec, "hostname", String(name));
  if (std::string service = TextAt(set, {"spec", "serviceName"}); !service.empty())
    Set(spec, "subdomain", String(service));
  AddClaims(set, name, &pod);
  return pod;
}

// One StatefulSet: which pods it has by ordinal, and what is next.
class StatefulReconciler {
 public:
  StatefulReconciler(const Value& set, const WorkloadView& view, std::vector<Change>* changes)
      : set_(set),
        changes_(changes),
        revision_(NameOf(set).name + "-" + TemplateHash(*At(set, {"spec", "template"}))) {
    first_ = IntegerAt(set, {"spec", "ordinals", "start"}).value_or(0);
    end_ = first_ + Replicas(set);
    ordered_ = TextAt(set, {"spec", "podManagementPolicy"}) != "Parallel";
    std::string prefix = NameOf(set).name + "-";
    for (const Value* pod : PodsOf(set, view)) {
      std::string name = NameOf(*pod).name;
      if (name.starts_with(prefix)) pods_[std::atoll(name.c_str() + prefix.size())] = pod;
    }
  }

  void Run() {
    if (!IsTerminating(set_) && Fill() && TakeAway()) Update();
    TellStatus();
  }

 private:
  // Where pods are missing; false while one must be waited for.
  bool Fill() {
    bool complete = true;
    for (int64_t i = first_; i < end_; ++i) {
      auto found = pods_.find(i);
      if (found == pods_.end()) {
        Create(StatefulPod(set_, i, revision_), changes_);
        complete = false;
      } else if (IsOver(*found->second) && !IsTerminating(*found->second)) {
        changes_->push_back(DeletionOf(*found->second, "Pod"));
        complete = false;
      } else if (!IsReadyPod(*found->second)) {
        complete = false;
      }
      if (!complete && ordered_) return false;
    }
    return complete || !ordered_;
  }

  // The highest ordinal first, one at a time; false while any is on its way out.
  bool TakeAway() {
    for (auto pod = pods_.rbegin(); pod != pods_.rend(); ++pod) {
      if (pod->first >= first_ && pod->first < end_) continue;
      if (!IsTerminating(*pod->second)) changes_->push_back(DeletionOf(*pod->second, "Pod"));
      if (ordered_) return false;
    }
    return true;
  }

  void Update() {
    if (TextAt(set_, {"spec", "updateStrategy", "type"}) == "OnDelete") return;
    int64_t from = std::max(
        first_,
        IntegerAt(set_, {"spec", "updateStrategy", "rollingUpdate", "partition"}).value_or(0));
    for (auto pod = pods_.rbegin(); pod != pods_.rend(); ++pod) {
      if (pod->first < from || pod->first >= end_) continue;
      if (!IsUpdated(*pod->second, revision_)) {
        if (!IsTerminating(*pod->second)) changes_->push_back(DeletionOf(*pod->second, "Pod"));
        return;
      }
      if (!IsReadyPod(*pod->second)) return;
    }
  }

  void TellStatus() {
    Pods pods;
    int64_t updated = 0;
    for (const auto& [ordinal, pod] : pods_) {
      if (IsTerminating(*pod)) continue;
      pods.push_back(pod);
      updated += IsUpdated(*pod, revision_);
    }
    auto total = static_cast<int64_t>(pods.size());
    int64_t ready = Count(pods, IsReadyPod);
    std::string current = TextAt(set_, {"status", "currentRevision"});
    if (current.empty() || (updated == total && total == Replicas(set_) && ready == total))
      current = revision_;
    int64_t as_current = std::count_if(pods.begin(), pods.end(),
                                       [&](const Value* pod) { return IsUpdated(*pod, current); });
    PatchStatus(set_, "StatefulSet",
                Mapping({{"replicas", Integer(total)},
                         {"readyReplicas", Integer(ready)},
                         {"availableReplicas", Integer(ready)},
                         {"currentReplicas", Integer(as_current)},
                         {"updatedReplicas", Integer(updated)},
                         {"currentRevision", String(current)},
                         {"updateRevision", String(revision_)}}),
                changes_);
  }

  const Value& set_;
  std::vector<Change>* changes_;
  std::string revision_;
  std::map<int64_t, const Value*> pods_;
  int64_t first_ = 0;
  int64_t end_ = 0;
  bool ordered_ = true;
};

// The nodes that a DaemonSet covers. Its pods go where others may not yet, or not any more.
std::set<std::string> Covered(const Value& set, const std::vector<SchedulingNode>& nodes) {
  std::set<std::string> out;
  for (const SchedulingNode& node : nodes) {
    SchedulingNode as_daemon = node;
    std::erase_if(as_daemon.taints, [](const Taint& taint) {
      return taint.key == kUnschedulableTaint || taint.key == kNotReadyTaint;
    });
    const Value& pod = *At(set, {"spec", "template"});
    std::string named = TextAt(pod, {"spec", "nodeName"});
    if ((named.empty() || named == node.name) && NodeFits(pod, as_daemon) &&
        Tolerates(pod, as_daemon))
      out.insert(node.name);
  }
  return out;
}

// A number, or a percentage of `of`; `otherwise` where it is neither.
int64_t NumberOrPercent(const Value* value, int64_t of, int64_t otherwise) {
  if (!value) return otherwise;
  if (value->type == Value::Type::kInteger) return value->integer;
  int64_t percent = std::atoll(Text(value).c_str());
  return (percent * of + 99) / 100;
}

}  // namespace

WorkloadView::WorkloadView(const Cluster& from, WallTime time) : cluster(from), now(time) {
  for (const auto& [name, pod] : cluster.Of("Pod")) {
    pod_names[name.ns].insert(name.name);
    std::string owner = ControllerOf(*pod);
    (owner.empty() ? orphans[name.ns] : owned_pods[owner]).push_back(pod.get());
  }
  for (const auto& [name, set] : cluster.Of("ReplicaSet"))
    if (std::string owner = ControllerOf(*set); !owner.empty())
      owned_sets[owner].push_back(set.get());
}

std::string ControllerOf(const Value& object) {
  for (const Value& owner : Items(At(object, {"metadata", "ownerReferences"})))
    if (IsTrue(owner.Find("controller"))) return TextAt(owner, {"uid"});
  return "";
}

Value OwnedBy(const Value& owner, const std::string& kind) {
  return Sequence({Mapping({{"apiVersion", String(FindKind(kind)->api_version)},
                            {"kind", String(kind)},
                            {"name", String(NameOf(owner).name)},
                            {"uid", String(UidOf(owner))},
                            {"controller", Boolean(true)},
                            {"blockOwnerDeletion", Boolean(true)}})});
}

Value PodFromTemplate(const Value& owner, const std::string& kind, const std::string& name,
                      const std::vector<std::pair<std::string, std::string>>& labels) {
  const Value& pod_template = *At(owner, {"spec", "template"});
  Value metadata = Mapping({{"name", String(name)}, {"namespace", String(NameOf(owner).ns)}});
  for (const char* map : {"labels", "annotations"})
    if (const Value* given = At(pod_template, {"metadata", map})) Set(metadata, map, *given);
  for (const auto& [label, value] : labels) Set(Child(metadata, "labels"), label, String(value));
  Set(metadata, "ownerReferences", OwnedBy(owner, kind));
  const Value* spec = pod_template.Find("spec");
  return Mapping({{"apiVersion", String("v1")},
                  {"kind", String("Pod")},
                  {"metadata", std::move(metadata)},
                  {"spec", spec ? *spec : Mapping()}});
}

std::string TemplateHash(const Value& pod_template) { return Letters(ToJson(pod_template), 10); }

void ReconcileReplicaSet(const Value& set, const std::string& kind, const WorkloadView& view,
                         std::vector<Change>* changes) {
  Pods mine = Claim(set, kind, view, changes);
  std::erase_if(mine, [](const Value* pod) { return !IsActive(*pod); });
  int64_t missing = Replicas(set) - static_cast<int64_t>(mine.size());
  if (missing > 0 && !IsTerminating(set)) CreateGenerated(set, kind, missing, {}, view, changes);
  if (missing < 0) {
    std::sort(mine.begin(), mine.end(), GoesBefore);
    for (int64_t i = 0; i < -missing; ++i)
      changes->push_back(DeletionOf(*mine[static_cast<size_t>(i)], "Pod"));
  }
  int64_t labeled = std::count_if(mine.begin(), mine.end(), [&](const Value* pod) {
    const Value* labels = At(set, {"spec", "template", "metadata", "labels"});
    return !labels || Covers(At(*pod, {"metadata", "labels"}), *labels);
  });
  int64_t ready = Count(mine, IsReadyPod);
  PatchStatus(set, kind,
              Mapping({{"replicas", Integer(static_cast<int64_t>(mine.size()))},
                       {"fullyLabeledReplicas", Integer(labeled)},
                       {"readyReplicas", Integer(ready)},
                       {"availableReplicas", Integer(ready)}}),
              changes);
}

void ReconcileStatefulSet(const Value& set, const WorkloadView& view,
                          std::vector<Change>* changes) {
  StatefulReconciler(set, view, changes).Run();
}

void ReconcileDaemonSet(const Value& set, const std::vector<SchedulingNode>& nodes,
                        const WorkloadView& view, std::vector<Change>* changes) {
  std::set<std::string> covered = Covered(set, nodes);
  std::string revision = TemplateHash(*At(set, {"spec", "template"}));
  std::map<std::string, const Value*> by_node;
  std::set<std::string> names = NamesIn(view, NameOf(set).ns);
  int64_t misplaced = 0;
  for (const Value* pod : PodsOf(set, view)) {
    std::string node = TextAt(*pod, {"spec", "nodeName"});
    bool keep = covered.contains(node) && !IsOver(*pod);
    misplaced += !covered.contains(node);
    if (IsTerminating(*pod)) {
      by_node.try_emplace(node, pod);
    } else if (!keep || (by_node.contains(node) && !IsTerminating(*by_node[node]))) {
      changes->push_back(DeletionOf(*pod, "Pod"));
    } else {
      by_node[node] = pod;
    }
  }
  int64_t current = 0;
  int64_t ready = 0;
  int64_t updated = 0;
  for (const std::string& node : covered) {
    auto found = by_node.find(node);
    if (found == by_node.end()) {
      if (IsTerminating(set)) continue;
      std::string name = GeneratedName(NameOf(set).name + "-", node, &names);
      Value pod = PodFromTemplate(set, "DaemonSet", name, {{kRevisionLabel, revision}});
      Set(Child(pod, "spec"), "nodeName", String(node));
      Create(std::move(pod), changes);
      continue;
    }
    if (IsTerminating(*found->second)) continue;
    ++current;
    ready += IsReadyPod(*found->second);
    updated += IsUpdated(*found->second, revision);
  }
  auto desired = static_cast<int64_t>(covered.size());
  // The API: of the pods of the old template, as many go at once as may be unavailable.
  int64_t may_go =
      std::max<int64_t>(
          1, NumberOrPercent(At(set, {"spec", "updateStrategy", "rollingUpdate", "maxUnavailable"}),
                             desired, 1)) -
      (desired - ready);
  bool rolling = TextAt(set, {"spec", "updateStrategy", "type"}) != "OnDelete";
  for (const auto& [node, pod] : by_node) {
    if (!rolling || IsTerminating(*pod) || IsUpdated(*pod, revision)) continue;
    if (IsReadyPod(*pod) && may_go-- <= 0) continue;
    changes->push_back(DeletionOf(*pod, "Pod"));
  }
  PatchStatus(set, "DaemonSet",
              Mapping({{"desiredNumberScheduled", Integer(desired)},
                       {"currentNumberScheduled", Integer(current)},
                       {"numberMisscheduled", Integer(misplaced)},
                       {"numberReady", Integer(ready)},
                       {"numberAvailable", Integer(ready)},
                       {"numberUnavailable", Integer(desired - ready)},
                       {"updatedNumberScheduled", Integer(updated)}}),
              changes);
}

void ReconcileJob(const Value& job, const WorkloadView& view, std::vector<Change>* changes) {
  Pods mine = PodsOf(job, view);
  auto phase = [](const char* word) {
    return [word](const Value* pod) { return TextAt(*pod, {"status", "phase"}) == word; };
  };
  int64_t succeeded = std::count_if(mine.begin(), mine.end(), phase("Succeeded"));
  int64_t failed = std::count_if(mine.begin(), mine.end(), phase("Failed"));
  int64_t active = Count(mine, IsActive);
  int64_t parallelism = IntegerAt(job, {"spec", "parallelism"}).value_or(1);
  auto completions = IntegerAt(job, {"spec", "completions"});
  bool complete = completions ? succeeded >= *completions : succeeded > 0 && active == 0;
  bool lost = failed > IntegerAt(job, {"spec", "backoffLimit"}).value_or(6);
  bool done = ConditionIsTrue(job, "Complete") || ConditionIsTrue(job, "Failed");
  if (done || IsTerminating(job)) return;
  bool suspended = IsTrue(At(job, {"spec", "suspend"}));
  int64_t wanted = complete || lost || suspended ? 0 : parallelism;
  if (completions) wanted = std::min(wanted, *completions - succeeded);
  // Without completions: once one pod has succeeded, no more are started.
  if (!completions && succeeded > 0) wanted = std::min(wanted, active);
  if (wanted > active)
    CreateGenerated(job, "Job", wanted - active,
                    {{"batch.kubernetes.io/job-name", NameOf(job).name},
                     {"job-name", NameOf(job).name},
                     {"batch.kubernetes.io/controller-uid", UidOf(job)},
                     {"controller-uid", UidOf(job)}},
                    view, changes);
  for (const Value* pod : mine) {
    if (active <= wanted) break;
    if (!IsActive(*pod)) continue;
    changes->push_back(DeletionOf(*pod, "Pod"));
    --active;
  }
  Value status = Mapping({{"active", Integer(std::max(wanted, active))},
                          {"succeeded", Integer(succeeded)},
                          {"failed", Integer(failed)}});
  std::string started = TextAt(job, {"status", "startTime"});
  std::string now = FormatTime(view.now);
  Set(status, "startTime", String(started.empty() ? now : started));
  const Value* conditions = At(job, {"status", "conditions"});
  if (complete) {
    Set(status, "conditions", WithCondition(conditions, "Complete", true, "", "", view.now));
    Set(status, "completionTime", String(now));
  } else if (lost) {
    Set(status, "conditions",
        WithCondition(conditions, "Failed", true, "BackoffLimitExceeded",
                      "Job has reached the specified backoff limit", view.now));
  }
  PatchStatus(job, "Job", std::move(status), changes);
}

void PatchStatus(const Value& object, const std::string& kind, Value status,
                 std::vector<Change>* changes) {
  if (kind != "Job")
    Set(status, "observedGeneration",
        Integer(IntegerAt(object, {"metadata", "generation"}).value_or(0)));
  if (Covers(object.Find("status"), status)) return;
  Change change = PatchOf(object, kind, Mapping({{"status", std::move(status)}}));
  change.verb = Change::Verb::kPatchStatus;
  changes->push_back(std::move(change));
}

Change PatchOf(const Value& object, const std::string& kind, Value patch) {
  return {Change::Verb::kPatch, kind, KeyOf(object, kind), std::move(patch), UidOf(object)};
}

Change DeletionOf(const Value& object, const std::string& kind) {
  return {Change::Verb::kDelete, kind, KeyOf(object, kind), Value(), UidOf(object)};
}

}  // namespace sallyport::lab
