// SPDX-License-Identifier: Apache-2.0
// The keeper of one pod: a process on the pod's node that plays container runtime for it, and
// outlives the node's own process. Entry point: RunKeeper.
//
//   network by CNI ─► init containers ─► containers
//        ▲                                  │ ended: restarted, as the pod's restartPolicy says,
//        └── failed: again, ever slower     │ ever slower
//                                           └ ready or not
//
// Whatever changes goes into the pod's status file (pod_files.h), and the node's bell rings.
//
// It ends when told to (SIGTERM), leaving the network for whoever told it; or when all containers
// have ended for good, and then gives the network back.
#pragma once

#include <string>

#include "model/objects.h"

namespace sallyport::lab {

// Runs until the end; returns the exit code.
int RunKeeper(const std::string& lab, const model::ObjectName& pod);

}  // namespace sallyport::lab
