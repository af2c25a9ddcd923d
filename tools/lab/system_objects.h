// SPDX-License-Identifier: Apache-2.0
// The objects that a lab's cluster has before the user's: for its agents, and for cluster DNS.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "lab/state.h"

namespace sallyport::lab {

// Whose token the agents have.
inline const model::ObjectName kAgentAccount{"sallyport-system", "sallyport"};

// In the order in which they are to be created. `hosts` are files like /etc/hosts.
Result<std::vector<Value>> SystemObjects(const LabState& state,
                                         const std::vector<std::string>& hosts);

}  // namespace sallyport::lab
