// SPDX-License-Identifier: Apache-2.0
// What a pod's containers are made of, once the pod has its addresses: for its keeper, and for a
// command beside a container (`lab exec`).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "lab/container.h"
#include "lab/pod_files.h"
#include "lab/recipe.h"
#include "lab/state.h"

namespace sallyport::lab {

// For recipes whose programs are this machine's.
RecipeContext MachineContext(const ObjectSet& objects, PodFacts facts,
                             const std::string& sallyport);

// What a lab's pods are told of their cluster.
ClusterFacts FactsOf(const LabState& state);

// `addresses`: the pod's.
Result<PodRecipe> RecipeOf(const LabState& state, const NodePlan& node, const PodSpec& spec,
                           const std::vector<std::string>& addresses);

// The pod's own network namespace, or its node's.
std::string NetnsOf(const Layout& layout, const Value& pod);

// Where the containers of a pod run; without a log.
ContainerPlace PlaceOf(const Layout& layout, const Value& pod, const PodRecipe& recipe);

}  // namespace sallyport::lab
