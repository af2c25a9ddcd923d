// SPDX-License-Identifier: Apache-2.0
#include "lab/agents.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "lab/files.h"
#include "lab/netns.h"
#include "lab/process.h"

namespace sallyport::lab {
namespace {

constexpr Duration kPatience = std::chrono::seconds(10);

}  // namespace

Result<std::string> FindAgent(const std::string& given, const std::string& sallyport) {
  const char* variable = std::getenv("SALLYPORTD");
  std::string wanted = given.empty() && variable ? variable : given;
  if (!wanted.empty()) {
    std::string found = FindProgram(wanted, kStandardPath);
    if (found.empty()) return Error{"agent " + wanted + ": no such program", 0};
    return found;
  }
  std::string folder = sallyport.substr(0, sallyport.rfind('/'));
  for (const std::string& candidate :
       {folder + "/sallyportd", folder + "/../../agent/control/sallyportd"})
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  std::string found = FindProgram("sallyportd", kStandardPath);
  if (!found.empty()) return found;
  return Error{"no sallyportd beside " + sallyport +
                   " or on the PATH: name it with --agent PATH, or do without with --no-agent",
               0};
}

pid_t AgentPid(const Layout& layout, const std::string& node) {
  auto text = ReadFile(layout.agent_pid(node));
  pid_t pid = text ? static_cast<pid_t>(std::atoi(text->c_str())) : 0;
  return IsInNetns(pid, NetnsPath(layout.node_netns(node))) ? pid : 0;
}

Status StartAgent(const LabState& state, const std::string& node) {
  Layout layout(state.name);
  if (state.agent.empty())
    return Error{"lab " + state.name + " was made without agents (--no-agent)", 0};
  if (AgentPid(layout, node)) return Ok();
  Command command;
  command.argv = {state.agent,
                  "--node",
                  node,
                  "--manifests",
                  layout.manifests(),
                  "--cni-results",
                  layout.cni_results(node),
                  "--pins",
                  layout.pins(node),
                  "--socket",
                  layout.socket(node)};
  command.env = EnvironmentWith({std::string(kMarker) + "=" + state.name});
  command.netns = NetnsPath(layout.node_netns(node));
  command.log = layout.log("agent-" + node);
  auto pid = StartDaemon(command);
  if (!pid) return std::move(pid).error().Context("agent of " + node);
  return ReplaceFile(layout.agent_pid(node), std::to_string(*pid) + "\n", layout.scratch());
}

Status StopAgent(const LabState& state, const std::string& node, int signal) {
  pid_t pid = AgentPid(Layout(state.name), node);
  if (!pid || EndProcesses({pid}, signal, kPatience)) return Ok();
  return Error{"the agent of " + node + " (process " + std::to_string(pid) + ") does not end", 0};
}

}  // namespace sallyport::lab
