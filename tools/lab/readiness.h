// SPDX-License-Identifier: Apache-2.0
// Asking whether a container is ready, as the kubelet does it: from the node.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "lab/container.h"
#include "lab/recipe.h"

namespace sallyport::lab {

// Whether the process's network namespace has a listening (TCP) or bound (UDP) socket on each of
// the declared ports; for a known image's server also, whether it has one on `server_port`, or,
// where no port is declared, on any. SCTP ports count as there: not every kernel has them.
bool AllListening(pid_t pid, const std::vector<model::ContainerPort>& ports, uint16_t server_port);

// Makes the container's check, other than kListening, in a child of the caller that ends with 0
// (ready) or another code. `address` is the pod's, `pid` the container's process. A command is
// contained as the container is; beside a stand-in, in what the container would be.
Result<pid_t> StartCheck(const ContainerRecipe& container, const ContainerPlace& place,
                         const std::string& address, pid_t pid);

}  // namespace sallyport::lab
