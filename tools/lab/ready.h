// SPDX-License-Identifier: Apache-2.0
// Waiting until what the API server was told is so: workloads have their pods, pods are ready,
// nothing is on its way out.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "lab/api.h"
#include "lab/cluster.h"
#include "lab/console.h"
#include "lab/state.h"

namespace sallyport::lab {

// How an operation ended, where it could be carried out.
struct Outcome {
  int pods = 0;
  std::vector<model::ObjectName> unready;  // not ready when patience was at its end
  std::string missing;                     // what else had not come then; "" nothing
  bool ok() const { return unready.empty() && missing.empty(); }
};

// What a pod is not ready for, in words of its status; "" where there is nothing.
std::string ReasonOf(const Value& pod);

// What is still to come, for a person; "" where all has come. `nodes` are the lab's: pods of others
// are not waited for. With `controllers` their work is asked itself (Reconcile), else the statuses
// of workloads. A pod that has ended for good is not waited for. Pure.
std::string StillToCome(const Cluster& cluster, const std::set<std::string>& nodes,
                        bool controllers);

// Tells what is in the way of pods as it changes. Fails only where that cannot be done at all.
Result<Outcome> AwaitReady(const LabState& state, Api& api, Duration patience,
                           const Console& console);

}  // namespace sallyport::lab
