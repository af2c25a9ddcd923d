// SPDX-License-Identifier: Apache-2.0
// Waiting until the nodes do what the API server says: the agents enforce it, by their local API,
// and the Service proxies translate it.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "lab/console.h"
#include "lab/state.h"

namespace sallyport::lab {

// What to make of an agent that does not run.
enum class DeadAgents { kFail, kLeaveOut };

// What a command waits for it at most.
inline constexpr Duration kSettleWithin = std::chrono::seconds(30);

// Until every agent knows the cluster as the API server has it, is ready, and has opened each pod
// of its node, and each egress IP that one of them may hold is held. Fails with what is missing
// when patience is at its end, and at once where an agent does not run (kFail); with kLeaveOut that
// is only noted.
Status WaitSettled(const LabState& state, Duration patience, DeadAgents dead,
                   const Console& console);

// The JSON that an agent answers GET `path` with.
Result<Value> AskAgent(const std::string& socket, const std::string& path);

}  // namespace sallyport::lab
