// SPDX-License-Identifier: Apache-2.0
// The keeper of one pod: a process on the pod's node that plays kubelet and container runtime for
// it. Entry point: RunKeeper.
//
//   network by CNI ─► tells the cluster the addresses ─► init containers ─► containers
//        ▲                                                   │ ended: restarted, as the pod's
//        └── failed: again, ever slower                      │ restartPolicy says, ever slower
//                                                            └ ready or not: tells the cluster
//
// It ends when told to (SIGTERM), leaving the network for whoever told it; or when all containers
// have ended for good, and then gives the network back.
#pragma once

#include <string>

#include "model/objects.h"

namespace sallyport::lab {

// Runs until the end; returns the exit code. `doorbell`, where >= 0, gets a byte at every change of
// the pod's status.
int RunKeeper(const std::string& lab, const model::ObjectName& pod, int doorbell);

}  // namespace sallyport::lab
