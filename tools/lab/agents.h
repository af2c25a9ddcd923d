// SPDX-License-Identifier: Apache-2.0
// One sallyportd a node, in the node's network namespace.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "lab/state.h"

namespace sallyport::lab {

// The agent's binary: as given; else $SALLYPORTD; else beside the tool, where a build puts it, or
// on the PATH. Fails with where it looked.
Result<std::string> FindAgent(const std::string& given, const std::string& sallyport);

// Already running: Ok.
Status StartAgent(const LabState& state, const std::string& node);
// Sends the signal and waits until the agent has ended. Not running: Ok.
Status StopAgent(const LabState& state, const std::string& node, int signal);
// 0 where none runs.
pid_t AgentPid(const Layout& layout, const std::string& node);

}  // namespace sallyport::lab
