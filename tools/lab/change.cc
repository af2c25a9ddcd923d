// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <utility>

#include "lab/diff_pods.h"
#include "lab/feed.h"
#include "lab/files.h"
#include "lab/guard.h"
#include "lab/lab.h"
#include "lab/pods.h"

namespace sallyport::lab {
namespace {

constexpr Duration kPatience = std::chrono::seconds(60);

// A running lab, opened for a change.
class Change {
 public:
  static Result<Change> Open(const std::string& name, const Console& console) {
    auto held = HoldLab(name, console);
    if (!held) return std::move(held).error();
    Change change(std::move(held->state), std::move(held->lock), console);
    auto text = ReadFile(change.layout_.objects());
    if (!text) return std::move(text).error();
    auto objects = ObjectsFromJson(*text, change.layout_.objects());
    if (!objects) return std::move(objects).error();
    change.objects_ = *std::move(objects);
    for (const model::ObjectName& pod : ListPods(change.layout_)) {
      auto spec = LoadPodSpec(change.layout_, pod);
      if (!spec) return std::move(spec).error();
      change.running_.push_back(*std::move(spec));
    }
    return change;
  }

  const ObjectSet& objects() const { return objects_; }
  const std::vector<PodSpec>& running() const { return running_; }

  // Carries out what turns the lab's objects into these.
  Result<Outcome> To(ObjectSet objects, const std::vector<model::ObjectName>& fresh) {
    UpdateNodes(objects);
    Plan before = MakePlan(objects_, Options());
    Plan plan = MakePlan(objects, Options());
    if (Status good = ShowDiagnostics(plan.diagnostics, console_); !good)
      return std::move(good).error();
    Status recipes = CheckRecipes(plan.pods, objects, state_.sallyport, &plan.notes);
    if (!recipes) return std::move(recipes).error();
    for (const std::string& note : plan.notes) console_.Note("note: " + note);
    feed_ = OpenFeed(layout_);
    Status done = ReplaceFile(layout_.objects(), ToJson(objects) + "\n", layout_.scratch());
    if (done) done = SaveState(state_);
    if (done) done = TellCluster(plan);
    if (!done) return std::move(done).error();
    auto outcome = ChangePods(DiffPods(running_, plan.pods, fresh), objects);
    if (!outcome) return outcome;
    if (Status gone = RemoveFromCluster(before, plan); !gone) return std::move(gone).error();
    return outcome;
  }

 private:
  Change(LabState state, FileLock lock, const Console& console)
      : layout_(state.name), state_(std::move(state)), lock_(std::move(lock)), console_(console) {}

  PlanOptions Options() const {
    PlanOptions options;
    options.networks = state_.networks;
    for (const NodePlan& node : state_.nodes) options.existing_nodes.push_back(node.tree);
    for (const PodSpec& pod : running_)
      options.existing_pods[NameOf(pod.tree)] = TextAt(pod.tree, {"spec", "nodeName"});
    return options;
  }

  // Nodes keep their wires and addresses; their labels may change.
  void UpdateNodes(const ObjectSet& objects) {
    for (NodePlan& node : state_.nodes) {
      auto object = objects.find({"Node", {"", node.name()}});
      if (object == objects.end()) continue;
      const Value* metadata = object->second.tree.Find("metadata");
      if (!metadata) continue;
      Set(node.tree, "metadata", *metadata);
      Value& labels = Child(Child(node.tree, "metadata"), "labels");
      if (!labels.Find("kubernetes.io/hostname"))
        Set(labels, "kubernetes.io/hostname", String(node.name()));
    }
    for (const auto& entry : objects) {
      const auto& key = entry.first;
      bool known = std::any_of(state_.nodes.begin(), state_.nodes.end(),
                               [&](const NodePlan& node) { return node.name() == key.name.name; });
      if (key.kind == "Node" && !known)
        console_.Note("note: " + key.ToString() +
                      ": a running lab gets no more nodes; `lab up` makes it with them");
    }
  }

  Status TellCluster(const Plan& plan) {
    for (const Value& ns : plan.namespaces)
      if (Status told = feed_->Set(ns); !told) return told;
    for (const NodePlan& node : state_.nodes)
      if (Status told = feed_->Set(node.tree); !told) return told;
    for (const Value& policy : plan.policies)
      if (Status told = feed_->Set(policy); !told) return told;
    return Ok();
  }

  Status RemoveFromCluster(const Plan& before, const Plan& after) {
    auto keys = [](const Plan& plan) {
      std::vector<ObjectKey> out;
      for (const Value& ns : plan.namespaces) out.push_back({"Namespace", {"", NameOf(ns).name}});
      for (const Value& policy : plan.policies) out.push_back({"NetworkPolicy", NameOf(policy)});
      std::sort(out.begin(), out.end());
      return out;
    };
    std::vector<ObjectKey> wanted = keys(after);
    for (const ObjectKey& key : keys(before)) {
      if (std::binary_search(wanted.begin(), wanted.end(), key)) continue;
      if (Status gone = feed_->Remove(key); !gone) return gone;
    }
    return Ok();
  }

  Result<Outcome> ChangePods(const PodChanges& changes, const ObjectSet& objects) {
    for (const PodPlan& pod : changes.relabel)
      if (Status done = Relabel(pod); !done) return std::move(done).error();
    std::vector<model::ObjectName> replaced;
    for (const PodPlan& pod : changes.replace) replaced.push_back(pod.name());
    if (Status ended = EndPods(state_, replaced, *feed_); !ended) return std::move(ended).error();
    std::vector<PodPlan> start = changes.start;
    start.insert(start.end(), changes.replace.begin(), changes.replace.end());
    auto outcome = StartPods(state_, start, objects, kPatience, *feed_, console_);
    if (!outcome) return outcome;
    if (Status ended = EndPods(state_, changes.end, *feed_); !ended)
      return std::move(ended).error();
    return outcome;
  }

  Status Relabel(const PodPlan& pod) {
    auto old = std::find_if(running_.begin(), running_.end(),
                            [&](const PodSpec& spec) { return NameOf(spec.tree) == pod.name(); });
    PodSpec spec = *old;
    std::string uid = TextAt(spec.tree, {"metadata", "uid"});
    Set(spec.tree, "metadata", *pod.tree.Find("metadata"));
    Set(Child(spec.tree, "metadata"), "uid", String(uid));
    Status done = SavePodSpec(layout_, spec);
    return done ? feed_->Set(spec.tree) : done;
  }

  Layout layout_;
  LabState state_;
  FileLock lock_;
  const Console& console_;
  ObjectSet objects_;
  std::vector<PodSpec> running_;
  std::unique_ptr<ClusterFeed> feed_;
};

}  // namespace

Result<Outcome> Apply(const std::string& name, const std::vector<std::string>& paths,
                      const Console& console) {
  auto read = ReadObjects(paths);
  if (!read) return std::move(read).error();
  if (Status good = ShowDiagnostics(read->diagnostics, console); !good)
    return std::move(good).error();
  auto change = Change::Open(name, console);
  if (!change) return std::move(change).error();
  ObjectSet objects = change->objects();
  for (auto& [key, object] : read->objects) objects.insert_or_assign(key, std::move(object));
  return change->To(std::move(objects), {});
}

Result<Outcome> Delete(const std::string& name, const std::vector<ObjectKey>& keys,
                       const Console& console) {
  auto change = Change::Open(name, console);
  if (!change) return std::move(change).error();
  ObjectSet objects = change->objects();
  std::vector<model::ObjectName> fresh;
  for (const ObjectKey& key : keys) {
    size_t count = objects.erase(key);
    if (key.kind == "Namespace")
      count += std::erase_if(objects, [&](const auto& entry) {
        return entry.first.name.ns == key.name.name && !IsClusterScoped(entry.first.kind);
      });
    bool runs = std::any_of(
        change->running().begin(), change->running().end(),
        [&](const PodSpec& pod) { return key.kind == "Pod" && NameOf(pod.tree) == key.name; });
    if (count == 0 && runs) fresh.push_back(key.name);  // a workload's: it comes back
    if (count == 0 && !runs)
      return Error{"there is no " + key.ToString() + " in lab " + name + ": nothing was changed",
                   0};
  }
  return change->To(std::move(objects), fresh);
}

}  // namespace sallyport::lab
