// SPDX-License-Identifier: Apache-2.0
// Asking whether a container is ready, as the kubelet does it: from the node.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "lab/recipe.h"

namespace sallyport::lab {

// Whether the process's network namespace has a listening (TCP) or bound (UDP) socket on each of
// these ports. Ports of protocols that the kernel has no sockets for count as there.
bool AllListening(pid_t pid, const std::vector<model::ContainerPort>& ports);

// Makes one check other than kListening, in a child of the caller that ends with 0 (ready) or
// another code. `address` is the pod's, `container` its process.
Result<pid_t> StartCheck(const ReadinessCheck& check, const std::string& address, pid_t container,
                         bool own_root);

}  // namespace sallyport::lab
