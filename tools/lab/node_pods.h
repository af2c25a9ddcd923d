// SPDX-License-Identifier: Apache-2.0
// Ending and starting pods of one node, beside the node's own work: what takes its time runs on
// threads of its own.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "lab/pod_files.h"
#include "lab/state.h"

namespace sallyport::lab {

// The keeper's process; 0 where it is gone.
pid_t KeeperOf(const Layout& layout, const PodSpec& spec);
Result<pid_t> StartKeeper(const LabState& state, const model::ObjectName& pod);

// Ends keeper and containers (killed after `grace`), gives the network back, removes the files.
// Goes through to the end; returns the first failure.
Status EndPod(const LabState& state, const PodSpec& spec, Duration grace);

}  // namespace sallyport::lab
