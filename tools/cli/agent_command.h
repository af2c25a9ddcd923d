// SPDX-License-Identifier: Apache-2.0
// `sallyport status | endpoints | policies | flows | events`: what the agent of a node says.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/terminal.h"

namespace sallyport::cli {

inline constexpr const char* kDefaultSocket = "/run/sallyport/sallyportd.sock";

enum class AgentQuestion { kStatus, kEndpoints, kPolicies, kFlows, kEvents };

struct AgentOptions {
  std::string socket = kDefaultSocket;
  std::string endpoint;  // flows: "ns/pod"; empty: of all
  int limit = 1000;      // flows
  bool follow = false;   // events
  Format format = Format::kTable;
};

// kStatus: kNo when the agent is not ready. Without an agent: kCouldNotTell.
int RunAgent(AgentQuestion question, const AgentOptions& options, const Terminal& terminal);

// What to do about an agent that does not answer, behind the error.
Error WithAdvice(Error error, const std::string& socket);

}  // namespace sallyport::cli
