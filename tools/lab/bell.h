// SPDX-License-Identifier: Apache-2.0
// How a keeper tells its node that a pod's status file is another: a datagram with the pod's name
// on the node's Unix socket. One that nobody hears is no loss: a node that starts reads all files.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "model/objects.h"

namespace sallyport::lab {

// Takes the place of a socket that is there. Does not block.
Result<UniqueFd> OpenBell(const std::string& path);
void RingBell(const std::string& path, const model::ObjectName& pod);
// The next pod that rang; none waits: nothing.
std::optional<model::ObjectName> HearBell(const UniqueFd& bell);

}  // namespace sallyport::lab
