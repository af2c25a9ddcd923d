// SPDX-License-Identifier: Apache-2.0
#include "lab/workloads.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "lab/selector.h"
#include "lab/workload_names.h"

namespace sallyport::lab {
namespace {

constexpr std::array<std::string_view, 6> kWorkloads = {
    "DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"};

constexpr int64_t kMostReplicas = 10'000;

class Expander {
 public:
  Expander(const ObjectKey& key, const Object& object, model::Diagnostics* diagnostics)
      : key_(key), object_(object), diagnostics_(diagnostics) {}

  std::vector<ExpandedPod> Expand(const std::vector<std::string>& nodes) {
    const Value* spec = object_.tree.Find("spec");
    template_ = spec ? spec->Find("template") : nullptr;
    if (!template_ || !At(*template_, {"spec"})) {
      Complain(spec ? spec->line : 0, "spec.template.spec", "missing");
      return {};
    }
    if (!CheckSelector(spec->Find("selector"))) return {};
    if (key_.kind == "DaemonSet") return OnNodes(nodes);
    auto replicas = Replicas(*spec);
    if (!replicas) return {};
    if (key_.kind == "StatefulSet") return Ordinals(*replicas, *spec);
    if (key_.kind == "Deployment") return OfDeployment(*replicas);
    return Generated(key_.name.name + "-", *replicas, {});
  }

 private:
  void Complain(int line, std::string field, std::string message) {
    diagnostics_->push_back({model::Severity::kError,
                             {object_.file, line ? line : object_.tree.line},
                             key_.ToString(),
                             std::move(field),
                             std::move(message)});
  }

  // The API: the selector must match the template's labels (a Job and a ReplicationController may
  // leave it out).
  bool CheckSelector(const Value* selector) {
    bool optional = key_.kind == "Job" || key_.kind == "ReplicationController";
    if (!selector || selector->type != Value::Type::kMapping) {
      if (optional) return true;
      Complain(0, "spec.selector", "missing");
      return false;
    }
    model::Labels labels = LabelsOf(*template_);
    bool plain_map = key_.kind == "ReplicationController";
    auto parsed = plain_map ? SelectorOfMap(selector) : ParseSelector(selector);
    if (!parsed) {
      Complain(selector->line, "spec.selector", parsed.error().message);
      return false;
    }
    if (parsed->Matches(labels)) return true;
    Complain(selector->line, "spec.selector",
             "does not match the labels of spec.template.metadata (" + labels.ToString() + ")");
    return false;
  }

  std::optional<int64_t> Replicas(const Value& spec) {
    const char* field = key_.kind == "Job" ? "parallelism" : "replicas";
    const Value* value = spec.Find(field);
    if (!value || value->type == Value::Type::kNull) return 1;
    if (value->type != Value::Type::kInteger || value->integer < 0 ||
        value->integer > kMostReplicas) {
      Complain(value->line, std::string("spec.") + field,
               "must be a number from 0 to " + std::to_string(kMostReplicas));
      return std::nullopt;
    }
    return value->integer;
  }

  ExpandedPod MakePod(const std::string& name,
                      const std::vector<std::pair<std::string, std::string>>& labels) {
    Value pod = Mapping();
    pod.line = template_->line;
    Set(pod, "apiVersion", String("v1"));
    Set(pod, "kind", String("Pod"));
    const Value* metadata = template_->Find("metadata");
    Set(pod, "metadata", metadata ? *metadata : Mapping());
    Value& own = Child(pod, "metadata");
    Set(own, "namespace", String(key_.name.ns));
    Set(own, "name", String(name));
    for (const auto& [label, value] : labels) Set(Child(own, "labels"), label, String(value));
    Set(pod, "spec", *template_->Find("spec"));
    return {std::move(pod), object_.file, key_.ToString()};
  }

  std::vector<ExpandedPod> Generated(const std::string& base, int64_t count,
                                     std::vector<std::pair<std::string, std::string>> labels) {
    if (key_.kind == "Job") labels.emplace_back("batch.kubernetes.io/job-name", key_.name.name);
    std::vector<ExpandedPod> pods;
    std::set<std::string> taken;
    for (int64_t i = 0; i < count; ++i)
      pods.push_back(MakePod(GeneratedName(base, std::to_string(i), &taken), labels));
    return pods;
  }

  std::vector<ExpandedPod> OfDeployment(int64_t count) {
    std::string hash = Letters(ToJson(*template_), 10);
    return Generated(key_.name.name + "-" + hash + "-", count, {{"pod-template-hash", hash}});
  }

  std::vector<ExpandedPod> Ordinals(int64_t count, const Value& spec) {
    std::vector<ExpandedPod> pods;
    int64_t start = IntegerAt(spec, {"ordinals", "start"}).value_or(0);
    for (int64_t i = start; i < start + count; ++i) {
      std::string name = key_.name.name + "-" + std::to_string(i);
      pods.push_back(MakePod(name, {{"apps.kubernetes.io/pod-index", std::to_string(i)},
                                    {"statefulset.kubernetes.io/pod-name", name}}));
      AddClaims(spec.Find("volumeClaimTemplates"), &pods.back());
    }
    return pods;
  }

  // A claim is storage of the pod's own: as a volume, an empty directory.
  static void AddClaims(const Value* claims, ExpandedPod* pod) {
    for (const Value& claim : Items(claims)) {
      Value& spec = Child(pod->tree, "spec");
      if (!spec.Find("volumes")) Set(spec, "volumes", Sequence());
      Value volume =
          Mapping({{"name", String(TextAt(claim, {"metadata", "name"}))}, {"emptyDir", Mapping()}});
      for (auto& [key, value] : spec.members)
        if (key == "volumes") value.items.push_back(volume);
    }
  }

  std::vector<ExpandedPod> OnNodes(const std::vector<std::string>& nodes) {
    std::vector<ExpandedPod> pods;
    std::set<std::string> taken;
    for (const std::string& node : nodes) {
      pods.push_back(MakePod(GeneratedName(key_.name.name + "-", node, &taken), {}));
      Set(Child(pods.back().tree, "spec"), "nodeName", String(node));
    }
    return pods;
  }

  const ObjectKey& key_;
  const Object& object_;
  model::Diagnostics* diagnostics_;
  const Value* template_ = nullptr;
};

}  // namespace

bool IsWorkload(std::string_view kind) {
  return std::find(kWorkloads.begin(), kWorkloads.end(), kind) != kWorkloads.end();
}

std::vector<ExpandedPod> ExpandWorkload(const ObjectKey& key, const Object& object,
                                        const std::vector<std::string>& nodes,
                                        model::Diagnostics* diagnostics) {
  return Expander(key, object, diagnostics).Expand(nodes);
}

}  // namespace sallyport::lab
