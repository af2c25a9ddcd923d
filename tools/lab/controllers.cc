// SPDX-License-Identifier: Apache-2.0
#include "lab/controllers.h"

#include <algorithm>
#include <utility>

#include "lab/endpoint_slices.h"
#include "lab/schedule.h"
#include "lab/selector.h"
#include "lab/workload_controllers.h"

namespace sallyport::lab {
namespace {

constexpr const char* kRootCa = "kube-root-ca.crt";

// Where a pod may still be started: the not-ready are kept away by a taint, as the node controller
// would put it there.
std::vector<SchedulingNode> NodesOf(const Cluster& cluster) {
  std::vector<SchedulingNode> nodes;
  for (const auto& [name, tree] : cluster.Of("Node")) {
    if (IsTerminating(*tree)) continue;
    nodes.push_back(NodeForScheduling(*tree));
    if (!ConditionIsTrue(*tree, "Ready"))
      nodes.back().taints.push_back({kNotReadyTaint, "", "NoSchedule"});
  }
  return nodes;
}

void ReconcileNamespaces(const Cluster& cluster, const ControllerInputs& inputs,
                         std::vector<Change>* changes) {
  for (const auto& [key, ns] : cluster.Of("Namespace")) {
    if (IsTerminating(*ns)) continue;
    const std::string& within = key.name;
    auto create = [&](const std::string& kind, const std::string& name, Value::Member content) {
      model::ObjectName object{within, name};
      if (cluster.Find(kind, object)) return;
      Value metadata = Mapping({{"name", String(name)}, {"namespace", String(within)}});
      Value tree = Mapping({{"apiVersion", String("v1")},
                            {"kind", String(kind)},
                            {"metadata", std::move(metadata)}});
      if (!content.first.empty()) tree.members.push_back(std::move(content));
      changes->push_back({Change::Verb::kCreate, kind, object, std::move(tree), ""});
    };
    create("ServiceAccount", "default", {"", Value()});
    if (!inputs.ca_pem.empty())
      create("ConfigMap", kRootCa, {"data", Mapping({{"ca.crt", String(inputs.ca_pem)}})});
  }
}

void Bind(const Value& pod, const std::string& node, std::vector<Change>* changes) {
  Value metadata =
      Mapping({{"name", String(NameOf(pod).name)}, {"namespace", String(NameOf(pod).ns)}});
  Value target =
      Mapping({{"apiVersion", String("v1")}, {"kind", String("Node")}, {"name", String(node)}});
  Value binding = Mapping({{"apiVersion", String("v1")},
                           {"kind", String("Binding")},
                           {"metadata", std::move(metadata)},
                           {"target", std::move(target)}});
  changes->push_back({Change::Verb::kBind, "Pod", NameOf(pod), std::move(binding), UidOf(pod)});
}

void SayUnschedulable(const Value& pod, const std::string& why, WallTime now,
                      std::vector<Change>* changes) {
  Value conditions = WithCondition(At(pod, {"status", "conditions"}), "PodScheduled", false,
                                   "Unschedulable", why, now);
  Value status = Mapping({{"conditions", std::move(conditions)}});
  if (Covers(pod.Find("status"), status)) return;
  Change change = PatchOf(pod, "Pod", Mapping({{"status", std::move(status)}}));
  change.verb = Change::Verb::kPatchStatus;
  changes->push_back(std::move(change));
}

bool WaitsForNode(const Value& pod) {
  return TextAt(pod, {"spec", "nodeName"}).empty() && !IsTerminating(pod) && !IsOver(pod) &&
         Items(At(pod, {"spec", "schedulingGates"})).empty();
}

void ScheduleAll(const Cluster& cluster, const ControllerInputs& inputs,
                 std::vector<Change>* changes) {
  const Cluster::Objects& all = cluster.Of("Pod");
  if (std::none_of(all.begin(), all.end(), [](const auto& p) { return WaitsForNode(*p.second); }))
    return;
  std::map<std::string, model::Labels> namespaces;
  for (const auto& [name, tree] : cluster.Of("Namespace")) namespaces[name.name] = LabelsOf(*tree);
  std::vector<SchedulingPod> pods;
  for (const auto& [name, tree] : all) {
    std::string node = TextAt(*tree, {"spec", "nodeName"});
    if (WaitsForNode(*tree) || (!node.empty() && !IsOver(*tree)))
      pods.push_back({tree.get(), ControllerOf(*tree), node});
  }
  Placement placement = Schedule(pods, NodesOf(cluster), namespaces);
  for (size_t i = 0; i < pods.size(); ++i) {
    if (!pods[i].node.empty()) continue;
    if (auto why = placement.why.find(i); why != placement.why.end())
      SayUnschedulable(*pods[i].tree, why->second, inputs.now, changes);
    else
      Bind(*pods[i].tree, placement.nodes[i], changes);
  }
}

// Nobody is left on a node that is gone to say that its pods have ended.
void CollectPods(const Cluster& cluster, std::vector<Change>* changes) {
  for (const auto& [name, pod] : cluster.Of("Pod")) {
    std::string node = TextAt(*pod, {"spec", "nodeName"});
    if (!IsTerminating(*pod) || node.empty() || cluster.Find("Node", {"", node})) continue;
    Change change = DeletionOf(*pod, "Pod");
    change.verb = Change::Verb::kForget;
    changes->push_back(std::move(change));
  }
}

void Put(const std::string& kind, Value object, const Value* old, std::vector<Change>* changes) {
  model::ObjectName name = NameOf(object);
  if (TextAt(object, {"metadata", "resourceVersion"}).empty()) {
    changes->push_back({Change::Verb::kCreate, kind, name, std::move(object), ""});
  } else if (!old || !Covers(old, object) || !Covers(&object, *old)) {
    changes->push_back({Change::Verb::kReplace, kind, name, std::move(object), ""});
  }
}

void ReconcileEndpoints(const Cluster& cluster, std::vector<Change>* changes) {
  std::map<std::string, std::vector<const Value*>> pods;
  std::map<std::string, std::vector<const Value*>> slices;
  std::map<std::string, const Value*> nodes;
  for (const auto& [name, pod] : cluster.Of("Pod")) pods[name.ns].push_back(pod.get());
  for (const auto& [name, slice] : cluster.Of("EndpointSlice"))
    slices[name.ns].push_back(slice.get());
  for (const auto& [name, node] : cluster.Of("Node")) nodes[name.name] = node.get();
  for (const auto& [name, service] : cluster.Of("Service")) {
    if (IsTerminating(*service)) continue;
    const Value* old = cluster.Find("Endpoints", name);
    EndpointObjects wanted =
        MakeEndpointSlices(*service, pods[name.ns], nodes, slices[name.ns], old);
    if (!wanted.managed) continue;
    for (Value& slice : wanted.slices) {
      const Value* known = cluster.Find("EndpointSlice", NameOf(slice));
      Put("EndpointSlice", std::move(slice), known, changes);
    }
    for (const std::string& stale : wanted.stale)
      if (const Value* slice = cluster.Find("EndpointSlice", {name.ns, stale}))
        changes->push_back(DeletionOf(*slice, "EndpointSlice"));
    if (wanted.endpoints) Put("Endpoints", *std::move(wanted.endpoints), old, changes);
  }
  for (const auto& [name, endpoints] : cluster.Of("Endpoints")) {
    bool ours = TextAt(*endpoints, {"metadata", "labels", "endpoints.kubernetes.io/managed-by"}) ==
                "endpoint-controller";
    if (ours && !cluster.Find("Service", name))
      changes->push_back(DeletionOf(*endpoints, "Endpoints"));
  }
}

}  // namespace

std::vector<std::string> ControllerKinds() {
  return {"Namespace",     "Node",
          "Pod",           "Service",
          "EndpointSlice", "Endpoints",
          "ConfigMap",     "ServiceAccount",
          "Deployment",    "ReplicaSet",
          "StatefulSet",   "DaemonSet",
          "Job",           "ReplicationController"};
}

std::vector<Change> Reconcile(const Cluster& cluster, const ControllerInputs& inputs) {
  std::vector<Change> changes;
  WorkloadView view(cluster, inputs.now);
  auto each = [&](const char* kind, auto reconcile) {
    for (const auto& [name, object] : cluster.Of(kind))
      if (At(*object, {"spec", "template"})) reconcile(*object);
  };
  ReconcileNamespaces(cluster, inputs, &changes);
  each("Deployment", [&](const Value& d) { ReconcileDeployment(d, view, &changes); });
  for (const char* kind : {"ReplicaSet", "ReplicationController"})
    each(kind, [&](const Value& set) { ReconcileReplicaSet(set, kind, view, &changes); });
  each("StatefulSet", [&](const Value& set) { ReconcileStatefulSet(set, view, &changes); });
  std::vector<SchedulingNode> nodes = NodesOf(cluster);
  each("DaemonSet", [&](const Value& set) { ReconcileDaemonSet(set, nodes, view, &changes); });
  each("Job", [&](const Value& job) { ReconcileJob(job, view, &changes); });
  ScheduleAll(cluster, inputs, &changes);
  CollectPods(cluster, &changes);
  ReconcileEndpoints(cluster, &changes);
  return changes;
}

}  // namespace sallyport::lab
