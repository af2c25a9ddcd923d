// SPDX-License-Identifier: Apache-2.0
// Workloads to pods, as the controllers of Kubernetes keep them: one function a kind, each adds its
// changes. Pure and deterministic; pod names come from the workload's name and the names taken.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "lab/cluster.h"
#include "lab/schedule.h"

namespace sallyport::lab {

// What the workloads of one cluster are looked at with.
struct WorkloadView {
  explicit WorkloadView(const Cluster& cluster, WallTime now);

  const Cluster& cluster;
  WallTime now;
  std::map<std::string, std::vector<const Value*>> owned_pods;  // by uid of the controller
  std::map<std::string, std::vector<const Value*>> owned_sets;  // ReplicaSets, likewise
  std::map<std::string, std::vector<const Value*>> orphans;  // pods of no controller, by namespace
  std::map<std::string, std::set<std::string>> pod_names;    // by namespace
};

// The uid of the owner that controls it; "".
std::string ControllerOf(const Value& object);
// metadata.ownerReferences of what `owner` controls.
Value OwnedBy(const Value& owner, const std::string& kind);
// A Pod from a workload's template.
Value PodFromTemplate(const Value& owner, const std::string& kind, const std::string& name,
                      const std::vector<std::pair<std::string, std::string>>& labels);
// A hash of a template, as a label's value.
std::string TemplateHash(const Value& pod_template);

// Also for ReplicationControllers. Pods that the selector does not match any more are let go,
// orphans that it matches are taken in.
void ReconcileReplicaSet(const Value& set, const std::string& kind, const WorkloadView& view,
                         std::vector<Change>* changes);
void ReconcileStatefulSet(const Value& set, const WorkloadView& view, std::vector<Change>* changes);
void ReconcileDaemonSet(const Value& set, const std::vector<SchedulingNode>& nodes,
                        const WorkloadView& view, std::vector<Change>* changes);
void ReconcileJob(const Value& job, const WorkloadView& view, std::vector<Change>* changes);
// rollout.cc
void ReconcileDeployment(const Value& deployment, const WorkloadView& view,
                         std::vector<Change>* changes);

// A status patch of `object`, where its status does not say so already; with observedGeneration.
void PatchStatus(const Value& object, const std::string& kind, Value status,
                 std::vector<Change>* changes);
Change PatchOf(const Value& object, const std::string& kind, Value patch);
Change DeletionOf(const Value& object, const std::string& kind);

}  // namespace sallyport::lab
