// SPDX-License-Identifier: Apache-2.0
// Workloads to pods, as the controllers of Kubernetes do it: names, labels, template. Entry point:
// ExpandWorkload. Pure and deterministic: the same manifest gives the same names.
//
//   Deployment              <name>-<hash of the template>-<5 characters>   pod-template-hash label
//   ReplicaSet, Job,
//   ReplicationController,
//   DaemonSet               <name>-<5 characters>
//   StatefulSet             <name>-0, -1, ...                              pod-name, pod-index
//   labels
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lab/objects.h"
#include "model/diagnostic.h"

namespace sallyport::lab {

struct ExpandedPod {
  Value tree;         // a Pod object, metadata.namespace and spec in place
  std::string file;   // where its owner (or itself) was written
  std::string owner;  // "Deployment shop/web"; "" for a pod that was written as such
};

bool IsWorkload(std::string_view kind);

// The pods of one workload. `nodes` are the names of the nodes that a DaemonSet covers. What is
// wrong with the workload goes to the diagnostics, and it gets no pods.
std::vector<ExpandedPod> ExpandWorkload(const ObjectKey& key, const Object& object,
                                        const std::vector<std::string>& nodes,
                                        model::Diagnostics* diagnostics);

}  // namespace sallyport::lab
