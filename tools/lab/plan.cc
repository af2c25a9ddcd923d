// SPDX-License-Identifier: Apache-2.0
#include "lab/plan.h"

#include <algorithm>
#include <set>
#include <utility>

#include "lab/schedule.h"
#include "lab/selector.h"
#include "lab/workloads.h"
#include "model/manifest.h"

namespace sallyport::lab {
namespace {

constexpr int kFewestInvented = 2;
constexpr int kMostInvented = 16;

Value MakeObject(const std::string& kind, const std::string& name) {
  return Mapping({{"apiVersion", String("v1")},
                  {"kind", String(kind)},
                  {"metadata", Mapping({{"name", String(name)}})}});
}

void DefaultLabel(Value& tree, const std::string& key, const std::string& value) {
  Value& labels = Child(Child(tree, "metadata"), "labels");
  if (!labels.Find(key)) Set(labels, key, String(value));
}

Value InventNode(const std::string& name, size_t index) {
  Value node = MakeObject("Node", name);
  DefaultLabel(node, "topology.kubernetes.io/region", "lab");
  DefaultLabel(node, "topology.kubernetes.io/zone",
               std::string("zone-") + static_cast<char>('a' + static_cast<int>(index) % 26));
  return node;
}

// Pods of one workload share their template: a complaint about it is told once.
void Decode(const std::map<std::string, std::vector<model::Document>>& by_file,
            model::Diagnostics* diagnostics) {
  std::set<std::string> told;
  for (const auto& [file, documents] : by_file) {
    model::Manifest decoded = model::DecodeDocuments(documents, file);
    for (model::Diagnostic& diagnostic : decoded.diagnostics) {
      std::string once = diagnostic.place.ToString() + diagnostic.field + diagnostic.message;
      if (diagnostic.place.line == 0 || told.insert(once).second)
        diagnostics->push_back(std::move(diagnostic));
    }
  }
}

class Planner {
 public:
  Planner(const ObjectSet& objects, const PlanOptions& options)
      : objects_(objects), options_(options) {}

  Plan Run() {
    NoteNotRun();
    plan_.namespaces = NamespacesOf(objects_);
    for (const Value& ns : plan_.namespaces) namespace_labels_[NameOf(ns).name] = LabelsOf(ns);
    std::vector<Value> nodes = PlaceOnNodes();
    if (model::HasErrors(plan_.diagnostics)) return std::move(plan_);
    AssignAddresses(std::move(nodes));
    Validate();
    return std::move(plan_);
  }

 private:
  void Complain(const Value& tree, const std::string& file, const std::string& field,
                std::string message) {
    plan_.diagnostics.push_back({model::Severity::kError,
                                 {file, tree.line},
                                 KindOf(tree) + " " + NameOf(tree).ToString(),
                                 field,
                                 std::move(message)});
  }

  void NoteNotRun() {
    for (const auto& [key, object] : objects_)
      if (key.kind == "CronJob")
        plan_.notes.push_back(key.ToString() + ": is kept, and never run in the lab");
  }

  // Sets the pods, each with its node, and returns the nodes.
  std::vector<Value> PlaceOnNodes() {
    std::vector<Value> nodes = DeclaredNodes();
    if (!nodes.empty()) {
      TryNodes(nodes, true);
      return nodes;
    }
    std::set<std::string> named = NodesNamedByPods();
    int fewest = options_.nodes.value_or(std::max<int>(kFewestInvented, NamedCount(named)));
    int most = options_.nodes ? fewest : std::max(fewest, kMostInvented);
    for (int count = fewest; count <= most; ++count) {
      nodes = InventNodes(named, count);
      if (TryNodes(nodes, count == most) || model::HasErrors(plan_.diagnostics)) break;
    }
    return nodes;
  }

  static int NamedCount(const std::set<std::string>& named) {
    return static_cast<int>(named.size());
  }

  std::vector<Value> DeclaredNodes() const {
    std::vector<Value> nodes;
    for (const auto& [key, object] : objects_)
      if (key.kind == "Node") nodes.push_back(object.tree);
    for (Value& node : nodes) DefaultLabel(node, "kubernetes.io/hostname", NameOf(node).name);
    return nodes;
  }

  std::set<std::string> NodesNamedByPods() const {
    std::set<std::string> names;
    for (const auto& [key, object] : objects_) {
      std::string name = key.kind == "Pod" ? TextAt(object.tree, {"spec", "nodeName"})
                         : IsWorkload(key.kind)
                             ? TextAt(object.tree, {"spec", "template", "spec", "nodeName"})
                             : "";
      if (!name.empty()) names.insert(name);
    }
    return names;
  }

  static std::vector<Value> InventNodes(const std::set<std::string>& named, int count) {
    std::set<std::string> names = named;
    for (int i = 1; static_cast<int>(names.size()) < count; ++i)
      names.insert("node" + std::to_string(i));
    std::vector<Value> nodes;
    for (const std::string& name : names) {
      nodes.push_back(InventNode(name, nodes.size()));
      DefaultLabel(nodes.back(), "kubernetes.io/hostname", name);
      DefaultLabel(nodes.back(), "kubernetes.io/os", "linux");
    }
    return nodes;
  }

  // Expands and schedules onto these nodes. Pods without a place are an error only if `last`.
  bool TryNodes(const std::vector<Value>& nodes, bool last) {
    std::vector<SchedulingNode> places;
    for (const Value& node : nodes) places.push_back(NodeForScheduling(node));
    std::vector<ExpandedPod> pods = ExpandAll(places);
    if (model::HasErrors(plan_.diagnostics)) return false;
    std::vector<SchedulingPod> scheduling;
    for (const ExpandedPod& pod : pods) scheduling.push_back({&pod.tree, pod.owner, ""});
    Placement placement = Schedule(scheduling, places, namespace_labels_);
    if (!placement.why.empty() && !last) return false;
    for (const auto& [index, why] : placement.why)
      Complain(pods[index].tree, pods[index].file, "spec", "no node can take it: " + why);
    plan_.pods.clear();
    for (size_t i = 0; i < pods.size(); ++i) {
      Set(Child(pods[i].tree, "spec"), "nodeName", String(placement.nodes[i]));
      files_[NameOf(pods[i].tree)] = pods[i].file;
      bool host_network = IsTrue(At(pods[i].tree, {"spec", "hostNetwork"}));
      plan_.pods.push_back(
          {std::move(pods[i].tree), pods[i].owner, placement.nodes[i], host_network});
    }
    return placement.why.empty();
  }

  std::vector<ExpandedPod> ExpandAll(const std::vector<SchedulingNode>& nodes) {
    std::vector<ExpandedPod> pods;
    std::map<model::ObjectName, std::string> seen;
    for (const auto& [key, object] : objects_) {
      std::vector<ExpandedPod> more;
      if (key.kind == "Pod") {
        more.push_back({object.tree, object.file, ""});
      } else if (IsWorkload(key.kind)) {
        more = ExpandWorkload(key, object, NodesFor(key, object, nodes), &plan_.diagnostics);
      }
      for (ExpandedPod& pod : more) {
        if (!seen.try_emplace(NameOf(pod.tree), pod.owner).second)
          Complain(pod.tree, pod.file, "metadata.name",
                   "a pod of this name is there twice: a workload's and another");
        pods.push_back(std::move(pod));
      }
    }
    return pods;
  }

  static std::vector<std::string> NodesFor(const ObjectKey& key, const Object& object,
                                           const std::vector<SchedulingNode>& nodes) {
    std::vector<std::string> names;
    const Value* pod = At(object.tree, {"spec", "template"});
    for (const SchedulingNode& node : nodes)
      if (key.kind == "DaemonSet" && pod && NodeFits(*pod, node) && Tolerates(*pod, node))
        names.push_back(node.name);
    return names;
  }

  void AssignAddresses(std::vector<Value> nodes) {
    std::vector<const Value*> pointers;
    for (const Value& node : nodes) pointers.push_back(&node);
    auto addresses = AssignNodeAddresses(pointers, options_.networks);
    if (!addresses) {
      plan_.diagnostics.push_back({model::Severity::kError, {}, "", "", addresses.error().message});
      return;
    }
    for (size_t i = 0; i < nodes.size(); ++i) {
      DescribeAddresses((*addresses)[i], &nodes[i]);
      plan_.nodes.push_back({std::move(nodes[i]), (*addresses)[i]});
    }
  }

  static void DescribeAddresses(const NodeAddresses& addresses, Value* node) {
    Value list = Sequence();
    auto add = [&](const char* type, const std::string& address) {
      list.items.push_back(Mapping({{"type", String(type)}, {"address", String(address)}}));
    };
    for (const InterfaceAddress& own : addresses.internal)
      add("InternalIP", own.address.ToString());
    for (const net::Address& own : addresses.external) add("ExternalIP", own.ToString());
    add("Hostname", NameOf(*node).name);
    Set(Child(*node, "status"), "addresses", std::move(list));
    Value cidrs = Sequence();
    for (const net::Cidr& cidr : addresses.pod_cidrs)
      cidrs.items.push_back(String(cidr.ToString()));
    Set(Child(*node, "spec"), "podCIDR", cidrs.items.front());
    Set(Child(*node, "spec"), "podCIDRs", std::move(cidrs));
  }

  // Pods, nodes and namespaces as they will be; the rest as it was written.
  void Validate() {
    std::map<std::string, std::vector<model::Document>> by_file;
    for (const Value& tree : plan_.namespaces) by_file[FileOf("Namespace", tree)].push_back(tree);
    for (const NodePlan& node : plan_.nodes)
      by_file[FileOf("Node", node.tree)].push_back(node.tree);
    for (const PodPlan& pod : plan_.pods) by_file[files_[pod.name()]].push_back(pod.tree);
    for (const auto& [key, object] : objects_)
      if (key.kind == "NetworkPolicy" || key.kind == "Service")
        by_file[object.file].push_back(object.tree);
    Decode(by_file, &plan_.diagnostics);
  }

  std::string FileOf(const std::string& kind, const Value& tree) const {
    auto object = objects_.find({kind, {"", NameOf(tree).name}});
    return object == objects_.end() ? "" : object->second.file;
  }

  const ObjectSet& objects_;
  const PlanOptions& options_;
  Plan plan_;
  std::map<std::string, model::Labels> namespace_labels_;
  std::map<model::ObjectName, std::string> files_;
};

}  // namespace

Plan MakePlan(const ObjectSet& objects, const PlanOptions& options) {
  return Planner(objects, options).Run();
}

std::vector<Value> NamespacesOf(const ObjectSet& objects) {
  std::vector<Value> namespaces;
  std::set<std::string> referenced;
  for (const auto& [key, object] : objects) {
    if (key.kind == "Namespace")
      namespaces.push_back(object.tree);
    else if (!IsClusterScoped(key.kind))
      referenced.insert(key.name.ns);
  }
  for (const std::string& name : referenced)
    if (!objects.contains({"Namespace", {"", name}}))
      namespaces.push_back(MakeObject("Namespace", name));
  for (Value& ns : namespaces) {
    std::string name = NameOf(ns).name;
    Set(Child(Child(ns, "metadata"), "labels"), model::kNamespaceNameLabel, String(name));
  }
  return namespaces;
}

model::Diagnostics CheckObjects(const ObjectSet& objects) {
  model::Diagnostics diagnostics;
  std::map<std::string, std::vector<model::Document>> by_file;
  for (const auto& [key, object] : objects) {
    if (IsWorkload(key.kind)) {
      for (ExpandedPod& pod : ExpandWorkload(key, object, {"node"}, &diagnostics))
        by_file[object.file].push_back(std::move(pod.tree));
    } else {
      by_file[object.file].push_back(object.tree);
    }
  }
  Decode(by_file, &diagnostics);
  return diagnostics;
}

}  // namespace sallyport::lab
