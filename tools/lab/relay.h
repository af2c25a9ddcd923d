// SPDX-License-Identifier: Apache-2.0
// The way from the nodes to an API server that the lab joined: what connects to the fabric's
// address is connected on to the server, byte for byte, from the machine's own namespace. TLS is
// between the two ends.
#pragma once

#include <string>

#include "base/result.h"

namespace sallyport::lab {

// Runs until a failure of its own, or a signal.
Status RunRelay(const std::string& lab);

}  // namespace sallyport::lab
