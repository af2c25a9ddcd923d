// SPDX-License-Identifier: Apache-2.0
// `sallyport explain`
#pragma once

#include <string>
#include <vector>

#include "cli/agent_command.h"
#include "cli/terminal.h"
#include "cli/world.h"

namespace sallyport::cli {

struct ExplainOptions {
  std::vector<std::string> paths;  // manifests
  std::string from;                // one question: from and to
  std::string to;
  bool matrix = false;  // or all of them
  std::string ports;
  std::vector<std::string> outside;
  std::string expect;  // file
  Family family = Family::kBoth;
  bool live = false;  // of the agents, not of manifests
};

// One question: kYes when every row allows, else kNo. Matrix: kNo when it is not as expected.
int RunExplain(const ExplainOptions& options, const Terminal& terminal);

// The same question, to running agents: by the objects that they know now, and whether the pods'
// interfaces are open. Agents that say the same are one answer. kNo when any agent denies;
// kCouldNotTell when one does not answer.
int RunExplainLive(const ExplainOptions& options, const std::vector<AgentPlace>& agents,
                   const Terminal& terminal);

}  // namespace sallyport::cli
