// SPDX-License-Identifier: Apache-2.0
// `sallyport status | endpoints | policies | flows | egress | events`: what the agent of a node
// says.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/terminal.h"
#include "model/document.h"

namespace sallyport::cli {

inline constexpr const char* kDefaultSocket = "/run/sallyport/sallyportd.sock";

enum class AgentQuestion { kStatus, kEndpoints, kPolicies, kFlows, kEgress, kEvents };

// One agent: that of this node, or of a lab's.
struct AgentPlace {
  std::string node;  // "": not said
  std::string socket;
};

struct AgentOptions {
  std::string endpoint;  // flows: "ns/pod"; empty: of all
  int limit = 1000;      // flows
  bool follow = false;   // events
  bool alive = false;    // status: only whether it answers; not being ready is no fault
};

// Asks each agent in turn; events that are followed come from all of them at once. With several,
// each node's answer stands under its name, and JSON rows carry it as "node". kStatus: kNo when an
// agent is not ready, unless that was not asked. kEgress: kNo when an egress IP has nobody, or no
// ports. When one does not answer, or flows are asked of an
// endpoint that none has: kCouldNotTell, after what the others said.
int RunAgent(AgentQuestion question, const std::vector<AgentPlace>& agents,
             const AgentOptions& options, const Terminal& terminal);

// An agent's error for a person: whose it is, and what to do about it.
std::string Message(Error error, const AgentPlace& agent);

// {"node": ..., and the members of `item`}, unless the node is not said.
model::Value WithNode(const model::Value& item, const std::string& node);

// "a; b"
std::string Joined(const std::vector<std::string>& texts);

// What to do about an agent that does not answer, behind the error.
Error WithAdvice(Error error, const std::string& socket);

}  // namespace sallyport::cli
