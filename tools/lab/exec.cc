// SPDX-License-Identifier: Apache-2.0
#include "lab/exec.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "lab/container.h"
#include "lab/files.h"
#include "lab/guard.h"
#include "lab/netns.h"
#include "lab/pick_pod.h"
#include "lab/process.h"

namespace sallyport::lab {
namespace {

std::vector<std::string> EnvironmentOf(pid_t pid) {
  std::vector<std::string> out;
  auto text = ReadFile("/proc/" + std::to_string(pid) + "/environ");
  std::istringstream in(text ? *text : "");
  for (std::string setting; std::getline(in, setting, '\0');) out.push_back(setting);
  return out;
}

// A child, because a namespace of processes holds for children only. The terminal's signals are
// the child's business.
Result<int> RunChild(const std::vector<std::string>& command, const std::vector<std::string>& env) {
  pid_t pid = fork();
  if (pid < 0) return ErrnoError("fork");
  if (pid == 0) {
    Status failed = ExecuteHere(command, env);
    std::string text = "sallyport: " + failed.error().message + "\n";
    [[maybe_unused]] ssize_t ignored = write(STDERR_FILENO, text.data(), text.size());
    _exit(127);
  }
  signal(SIGINT, SIG_IGN);
  signal(SIGQUIT, SIG_IGN);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Result<int> InNamespace(const std::string& lab, const std::string& netns,
                        const std::vector<std::string>& command) {
  if (Status entered = EnterNetns(NetnsPath(netns)); !entered) return std::move(entered).error();
  Status failed = ExecuteHere(command, EnvironmentWith({std::string(kMarker) + "=" + lab}));
  return std::move(failed).error();
}

Result<int> InPod(const Layout& layout, const ExecTarget& target,
                  const std::vector<std::string>& command) {
  std::vector<PodState> pods = PodStates(layout);
  auto picked = PickPod(pods, target.pod);
  if (!picked) return std::move(picked).error();
  const PodState& pod =
      *std::find_if(pods.begin(), pods.end(), [&](const PodState& p) { return p.pod == *picked; });
  bool host_network = IsTrue(At(pod.tree, {"spec", "hostNetwork"}));
  std::string netns = host_network ? layout.node_netns(pod.node) : layout.pod_netns(*picked);
  const ContainerStatus* container = nullptr;
  for (const ContainerStatus& status : pod.status.containers)
    if (!container && (target.container.empty() || status.name == target.container))
      container = &status;
  if (!container && !target.container.empty())
    return Error{"pod " + picked->ToString() + " has no container " + target.container, 0};
  if (container && !container->stand_in && IsInNetns(container->pid, NetnsPath(netns))) {
    std::vector<std::string> env = EnvironmentOf(container->pid);
    if (const char* terminal = getenv("TERM")) env.push_back(std::string("TERM=") + terminal);
    if (Status entered = EnterContainer(container->pid); !entered)
      return std::move(entered).error();
    if (chdir("/") != 0) return ErrnoError("enter /");
    return RunChild(command, env);
  }
  return InNamespace(layout.lab(), netns, command);
}

}  // namespace

Result<int> Exec(const std::string& lab, const ExecTarget& target,
                 const std::vector<std::string>& command) {
  if (Status root = CheckRoot(); !root) return std::move(root).error();
  auto state = LoadState(lab);
  if (!state) return std::move(state).error();
  Layout layout(lab);
  if (target.outside) return InNamespace(lab, layout.outside_netns(), command);
  if (target.node.empty()) return InPod(layout, target, command);
  for (const NodePlan& node : state->nodes)
    if (node.name() == target.node)
      return InNamespace(lab, layout.node_netns(target.node), command);
  std::string names;
  for (const NodePlan& node : state->nodes) names += " " + node.name();
  return Error{"no node " + target.node + " in the lab; there is:" + names, 0};
}

}  // namespace sallyport::lab
