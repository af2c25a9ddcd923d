// SPDX-License-Identifier: Apache-2.0
// The controllers of a cluster as one pure function: what there is, to what has to change. Entry
// point: Reconcile. What it returns is carried out in any order and may fail in any part: the next
// call, on what there is then, does the rest.
//
//   namespaces   ServiceAccount default, ConfigMap kube-root-ca.crt          controllers.cc
//   scheduler    a Binding, or PodScheduled=False with the reason            controllers.cc
//   endpoints    EndpointSlices and Endpoints (endpoint_slices.h)            controllers.cc
//   workloads    Deployment ─► ReplicaSet ─► Pod, StatefulSet, DaemonSet,    workload_controllers.h
//                ReplicationController, Job                                  rollout.h
//
// Owner references are the API server's to follow: what lost its owner, it deletes. CronJobs are
// kept and not run.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "lab/cluster.h"

namespace sallyport::lab {

struct ControllerInputs {
  WallTime now{};
  std::string ca_pem;  // for kube-root-ca.crt; "" no such ConfigMaps are made
};

// The kinds that Reconcile looks at.
std::vector<std::string> ControllerKinds();

std::vector<Change> Reconcile(const Cluster& cluster, const ControllerInputs& inputs);

}  // namespace sallyport::lab
