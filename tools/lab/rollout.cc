// SPDX-License-Identifier: Apache-2.0
// Deployments: a ReplicaSet for each template, and how pods move from the old ones to the new one.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "lab/selector.h"
#include "lab/workload_controllers.h"

namespace sallyport::lab {
namespace {

constexpr const char* kRevision = "deployment.kubernetes.io/revision";
constexpr const char* kHashLabel = "pod-template-hash";
constexpr int64_t kDefaultHistory = 10;

// A template as the user wrote it: a ReplicaSet's has the hash as a label besides.
Value WithoutHash(Value pod_template) {
  Value& metadata = Child(pod_template, "metadata");
  Value& labels = Child(metadata, "labels");
  Erase(labels, kHashLabel);
  if (labels.members.empty()) Erase(metadata, "labels");
  return pod_template;
}

bool SameTemplate(const Value& a, const Value& b) { return Covers(&a, b) && Covers(&b, a); }

int64_t RevisionOf(const Value& object) {
  return std::atoll(TextAt(object, {"metadata", "annotations", kRevision}).c_str());
}

// A number, or a percentage of the replicas.
int64_t Portion(const Value* value, int64_t replicas, bool up, int64_t otherwise) {
  if (!value || value->type == Value::Type::kNull) value = nullptr;
  if (value && value->type == Value::Type::kInteger) return value->integer;
  int64_t percent = value ? std::atoll(Text(value).c_str()) : otherwise;
  return (percent * replicas + (up ? 99 : 0)) / 100;
}

struct OwnSet {
  const Value* tree = nullptr;
  int64_t replicas = 0;   // asked for
  int64_t present = 0;    // pods that are not on their way out
  int64_t available = 0;  // ready pods
  int64_t wanted = 0;     // what will be asked for
};

class Rollout {
 public:
  Rollout(const Value& deployment, const WorkloadView& view, std::vector<Change>* changes)
      : deployment_(deployment), view_(view), changes_(changes) {
    replicas_ = IntegerAt(deployment, {"spec", "replicas"}).value_or(1);
    const Value* rolling = At(deployment, {"spec", "strategy", "rollingUpdate"});
    surge_ = Portion(rolling ? rolling->Find("maxSurge") : nullptr, replicas_, true, 25);
    unavailable_ =
        Portion(rolling ? rolling->Find("maxUnavailable") : nullptr, replicas_, false, 25);
    if (surge_ == 0 && unavailable_ == 0) unavailable_ = 1;
    Sort();
  }

  void Run() {
    if (!IsTerminating(deployment_)) {
      bool paused = IsTrue(At(deployment_, {"spec", "paused"}));
      if (!new_.tree && !paused) {
        CreateSet();
      } else {
        if (new_.tree && !paused) NumberSets();
        Scale(paused);
        Trim();
      }
    }
    TellStatus();
  }

 private:
  void Sort() {
    auto found = view_.owned_sets.find(UidOf(deployment_));
    if (found == view_.owned_sets.end()) return;
    Value wanted = WithoutHash(*At(deployment_, {"spec", "template"}));
    for (const Value* tree : found->second) {
      if (IsTerminating(*tree)) continue;
      OwnSet set{tree, IntegerAt(*tree, {"spec", "replicas"}).value_or(1), 0, 0, 0};
      set.wanted = set.replicas;
      if (auto pods = view_.owned_pods.find(UidOf(*tree)); pods != view_.owned_pods.end()) {
        for (const Value* pod : pods->second) {
          set.present += !IsTerminating(*pod) && !IsOver(*pod);
          set.available += IsReadyPod(*pod);
        }
      }
      const Value* own = At(*tree, {"spec", "template"});
      if (!new_.tree && own && SameTemplate(wanted, WithoutHash(*own)))
        new_ = set;
      else
        KeepOld(set);
    }
    std::sort(old_.begin(), old_.end(), [](const OwnSet& a, const OwnSet& b) {
      return RevisionOf(*a.tree) < RevisionOf(*b.tree);
    });
  }

  void KeepOld(const OwnSet& set) {
    old_.push_back(set);
    auto pods = view_.owned_pods.find(UidOf(*set.tree));
    lingering_ = lingering_ || (pods != view_.owned_pods.end() && !pods->second.empty());
  }

  int64_t LatestRevision() const {
    int64_t latest = 0;
    for (const OwnSet& set : old_) latest = std::max(latest, RevisionOf(*set.tree));
    return latest;
  }

  void CreateSet() {
    const Value& pod_template = *At(deployment_, {"spec", "template"});
    std::string hash = TemplateHash(WithoutHash(pod_template));
    std::string name = NameOf(deployment_).name + "-" + hash;
    Value labels = Mapping();
    if (const Value* given = At(pod_template, {"metadata", "labels"})) labels = *given;
    Set(labels, kHashLabel, String(hash));
    Value own_template = pod_template;
    Set(Child(own_template, "metadata"), "labels", labels);
    Value selector = Mapping();
    if (const Value* given = At(deployment_, {"spec", "selector"})) selector = *given;
    Set(Child(selector, "matchLabels"), kHashLabel, String(hash));
    Value revision = String(std::to_string(LatestRevision() + 1));
    new_.wanted = FirstReplicas();
    Value set =
        Mapping({{"apiVersion", String("apps/v1")},
                 {"kind", String("ReplicaSet")},
                 {"metadata", Mapping({{"name", String(name)},
                                       {"namespace", String(NameOf(deployment_).ns)},
                                       {"labels", labels},
                                       {"annotations", Mapping({{kRevision, revision}})},
                                       {"ownerReferences", OwnedBy(deployment_, "Deployment")}})},
                 {"spec", Mapping({{"replicas", Integer(new_.wanted)},
                                   {"selector", std::move(selector)},
                                   {"template", std::move(own_template)}})}});
    model::ObjectName key = NameOf(set);
    changes_->push_back({Change::Verb::kCreate, "ReplicaSet", key, std::move(set), ""});
  }

  int64_t Total() const {
    int64_t total = new_.wanted;
    for (const OwnSet& set : old_) total += set.wanted;
    return total;
  }

  // Of the new set, beside what the old ones still have.
  int64_t FirstReplicas() const {
    int64_t old_total = Total() - new_.wanted;
    if (IsRecreate()) return old_total > 0 || lingering_ ? 0 : replicas_;
    return std::clamp<int64_t>(replicas_ + (old_total > 0 ? surge_ : 0) - old_total, 0, replicas_);
  }

  bool IsRecreate() const {
    return TextAt(deployment_, {"spec", "strategy", "type"}) == "Recreate";
  }

  // The newest template has the highest revision, as after an undo.
  void NumberSets() {
    int64_t revision = RevisionOf(*new_.tree);
    if (revision <= LatestRevision()) revision = LatestRevision() + 1;
    auto annotate = [&](const Value& object, const char* kind) {
      if (RevisionOf(object) == revision) return;
      Value annotations = Mapping({{kRevision, String(std::to_string(revision))}});
      Value metadata = Mapping({{"annotations", std::move(annotations)}});
      changes_->push_back(PatchOf(object, kind, Mapping({{"metadata", std::move(metadata)}})));
    };
    annotate(*new_.tree, "ReplicaSet");
    annotate(deployment_, "Deployment");
  }

  void Scale(bool paused) {
    int64_t old_total = Total() - new_.wanted;
    if (paused || old_total == 0) {
      // Only one that has pods: it follows the Deployment.
      if (paused && !new_.tree && old_.size() == 1) old_.front().wanted = replicas_;
      if (new_.tree && old_total == 0) new_.wanted = FirstReplicas();
    } else if (IsRecreate()) {
      for (OwnSet& set : old_) set.wanted = 0;
    } else {
      Roll();
    }
    for (const OwnSet& set : old_) Ask(set);
    if (new_.tree) Ask(new_);
  }

  // As the Deployment controller does it: the new set up to the surge, the old ones down as far as
  // enough pods stay available; first those that do not work anyway.
  void Roll() {
    new_.wanted = std::min(new_.wanted, replicas_);
    int64_t room = replicas_ + surge_ - Total();
    if (room > 0) new_.wanted = std::min(replicas_, new_.wanted + room);
    int64_t fewest = replicas_ - unavailable_;
    int64_t available = new_.available;
    for (const OwnSet& set : old_) available += set.available;
    int64_t new_unavailable = std::max<int64_t>(0, new_.replicas - new_.available);
    int64_t may_go = Total() - (new_.wanted - new_.replicas) - fewest - new_unavailable;
    for (OwnSet& set : old_) {
      int64_t broken =
          std::clamp<int64_t>(set.wanted - set.available, 0, std::max<int64_t>(may_go, 0));
      set.wanted -= broken;
      may_go -= broken;
    }
    int64_t spare = std::min(may_go, available - fewest);
    for (OwnSet& set : old_) {
      int64_t down = std::clamp<int64_t>(spare, 0, set.wanted);
      set.wanted -= down;
      spare -= down;
    }
  }

  void Ask(const OwnSet& set) {
    if (set.wanted == set.replicas) return;
    Value spec = Mapping({{"replicas", Integer(set.wanted)}});
    changes_->push_back(PatchOf(*set.tree, "ReplicaSet", Mapping({{"spec", std::move(spec)}})));
  }

  // Old sets without pods, beyond those that are kept for `rollout undo`.
  void Trim() {
    int64_t limit =
        IntegerAt(deployment_, {"spec", "revisionHistoryLimit"}).value_or(kDefaultHistory);
    auto excess = static_cast<int64_t>(old_.size()) - limit;
    for (const OwnSet& set : old_) {
      if (excess <= 0) return;
      if (set.replicas != 0 || set.wanted != 0 || set.present != 0) continue;
      changes_->push_back(DeletionOf(*set.tree, "ReplicaSet"));
      --excess;
    }
  }

  void TellStatus() {
    int64_t present = new_.present;
    int64_t ready = new_.available;
    for (const OwnSet& set : old_) {
      present += set.present;
      ready += set.available;
    }
    bool complete = new_.tree && new_.present == replicas_ && present == replicas_ &&
                    new_.available == replicas_;
    const Value* conditions = At(deployment_, {"status", "conditions"});
    bool enough = ready >= replicas_ - unavailable_;
    Value told = WithCondition(conditions, "Available", enough,
                               enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
                               enough ? "Deployment has minimum availability."
                                      : "Deployment does not have minimum availability.",
                               view_.now);
    std::string set = new_.tree ? NameOf(*new_.tree).name : "";
    told = WithCondition(&told, "Progressing", true,
                         complete ? "NewReplicaSetAvailable" : "ReplicaSetUpdated",
                         complete ? "ReplicaSet \"" + set + "\" has successfully progressed."
                                  : "ReplicaSet \"" + set + "\" is progressing.",
                         view_.now);
    PatchStatus(deployment_, "Deployment",
                Mapping({{"replicas", Integer(present)},
                         {"updatedReplicas", Integer(new_.present)},
                         {"readyReplicas", Integer(ready)},
                         {"availableReplicas", Integer(ready)},
                         {"unavailableReplicas", Integer(std::max<int64_t>(0, replicas_ - ready))},
                         {"conditions", std::move(told)}}),
                changes_);
  }

  const Value& deployment_;
  const WorkloadView& view_;
  std::vector<Change>* changes_;
  int64_t replicas_ = 1;
  int64_t surge_ = 1;
  int64_t unavailable_ = 1;
  OwnSet new_;
  std::vector<OwnSet> old_;
  bool lingering_ = false;  // old sets have pods, on their way out or not
};

}  // namespace

void ReconcileDeployment(const Value& deployment, const WorkloadView& view,
                         std::vector<Change>* changes) {
  Rollout(deployment, view, changes).Run();
}

}  // namespace sallyport::lab
