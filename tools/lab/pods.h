// SPDX-License-Identifier: Apache-2.0
// Starting and ending the pods of a lab: their objects, their keepers, their networks.
#pragma once

#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "lab/console.h"
#include "lab/feed.h"
#include "lab/lab.h"
#include "lab/plan.h"

namespace sallyport::lab {

// Makes the recipe of each pod once, to find out what is missing before anything is made. The notes
// say what will be done otherwise than the manifests say.
Status CheckRecipes(const std::vector<PodPlan>& pods, const ObjectSet& objects,
                    const std::string& sallyport, std::vector<std::string>* notes);

// Tells the cluster of the pods (Pending), starts their keepers and waits until all are ready or
// over. Fails only where that cannot be done at all.
Result<Outcome> StartPods(const LabState& state, const std::vector<PodPlan>& pods,
                          const ObjectSet& objects, Duration patience, ClusterFeed& feed,
                          const Console& console);

// Ends keepers and containers, gives the networks back, and tells the cluster. Goes through to the
// end; returns the first failure.
Status EndPods(const LabState& state, const std::vector<model::ObjectName>& pods,
               ClusterFeed& feed);

}  // namespace sallyport::lab
