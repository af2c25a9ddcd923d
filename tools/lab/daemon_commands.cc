// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <utility>

#include "apiserver/command.h"
#include "lab/command_parts.h"
#include "lab/daemons.h"
#include "lab/dns_command.h"
#include "lab/guard.h"
#include "lab/inventory.h"
#include "lab/keeper.h"
#include "lab/node_process.h"
#include "lab/relay.h"
#include "lab/settle.h"

namespace sallyport::lab {
namespace {

Status ChangeDaemon(const LabState& state, const std::string& daemon, const std::string& verb) {
  if (verb == "hang" || verb == "resume") {
    pid_t pid = DaemonPid(Layout(state.name), daemon);
    if (!pid) return Error{daemon + " is not running", 0};
    if (kill(pid, verb == "hang" ? SIGSTOP : SIGCONT) != 0) return ErrnoError(verb + " " + daemon);
    return Ok();
  }
  if (verb != "start") {
    Status stopped = EndDaemon(state, daemon, verb == "kill" ? SIGKILL : SIGTERM);
    if (!stopped || verb != "restart") return stopped;
  }
  return StartDaemonOf(state, daemon);
}

// Returns the lab with those nodes only; of `names` empty, with all.
Result<LabState> ChangeAgents(const std::string& lab, const std::vector<std::string>& names,
                              const std::string& verb) {
  auto held = HoldLab(lab, ProcessConsole());
  if (!held) return std::move(held).error();
  LabState& state = held->state;
  for (const std::string& name : names)
    if (std::none_of(state.nodes.begin(), state.nodes.end(),
                     [&](const NodePlan& node) { return node.name() == name; }))
      return Error{"no node " + name + " in lab " + lab, 0};
  std::erase_if(state.nodes, [&](const NodePlan& node) {
    return !names.empty() && std::find(names.begin(), names.end(), node.name()) == names.end();
  });
  for (const NodePlan& node : state.nodes)
    if (Status done = ChangeDaemon(state, AgentDaemon(node.name()), verb); !done)
      return std::move(done).error();
  return std::move(state);
}

void AddAgent(CLI::App& lab, int* exit_code) {
  struct Words {
    std::string name = kDefaultLab;
    std::string verb;
    std::vector<std::string> nodes;
  };
  auto words = std::make_shared<Words>();
  auto run = [words] {
    auto changed = ChangeAgents(words->name, words->nodes, words->verb);
    if (!changed) return FailWith(changed.error());
    if (words->verb == "stop" || words->verb == "kill") return kYes;
    Status settled = WaitSettled(*changed, kSettleWithin, DeadAgents::kFail, ProcessConsole());
    return settled ? kYes : FailWith(settled.error());
  };
  CLI::App* command =
      AddCommand(lab, "agent", "Start or end the agents of a lab", exit_code, run, R"(
stop is SIGTERM, kill is SIGKILL: enforcement goes on after both.
start and restart wait until the agents enforce what the cluster says, as up and apply do.
Exit code: 0 done, 2 not.)");
  command->add_option("verb", words->verb, "start, stop, kill or restart")
      ->required()
      ->check(CLI::IsMember({"start", "stop", "kill", "restart"}));
  command->add_option("--node", words->nodes, "Of these nodes only");
  AddName(command, &words->name);
}

// The other processes of a lab, one command each. Where this kills or hangs the API server, the
// cluster goes on as it is.
void AddDaemon(CLI::App& lab, int* exit_code, const char* command_name, const char* about,
               bool of_nodes) {
  struct Words {
    std::string name = kDefaultLab;
    std::string verb;
    std::vector<std::string> nodes;
  };
  auto words = std::make_shared<Words>();
  std::string daemon = command_name;
  auto run = [words, daemon, of_nodes] {
    auto held = HoldLab(words->name, ProcessConsole());
    if (!held) return FailWith(held.error());
    std::vector<std::string> daemons;
    if (!of_nodes) daemons = {daemon};
    for (const NodePlan& node : held->state.nodes)
      if (of_nodes && (words->nodes.empty() || std::find(words->nodes.begin(), words->nodes.end(),
                                                         node.name()) != words->nodes.end()))
        daemons.push_back(NodeDaemon(node.name()));
    std::vector<std::string> known = DaemonsOf(held->state);
    for (const std::string& each : daemons) {
      if (std::find(known.begin(), known.end(), each) == known.end())
        return FailWith({"lab " + words->name + " has no " + each + " of its own", 0});
      if (Status done = ChangeDaemon(held->state, each, words->verb); !done)
        return FailWith(done.error());
    }
    if (daemons.empty()) return FailWith({"no such node in lab " + words->name, 0});
    return kYes;
  };
  CLI::App* command = AddCommand(lab, command_name, about, exit_code, run, R"(
stop is SIGTERM, kill is SIGKILL, hang and resume are SIGSTOP and SIGCONT.
Exit code: 0 done, 2 not.)");
  command->add_option("verb", words->verb, "start, stop, kill, restart, hang or resume")
      ->required()
      ->check(CLI::IsMember({"start", "stop", "kill", "restart", "hang", "resume"}));
  if (of_nodes) command->add_option("--node", words->nodes, "Of these nodes only");
  AddName(command, &words->name);
}

void AddKubeconfig(CLI::App& lab, int* exit_code) {
  auto name = std::make_shared<std::string>(kDefaultLab);
  CLI::App* command = AddCommand(lab, "kubeconfig", "Where the kubeconfig of a lab is, for kubectl",
                                 exit_code, [name] {
                                   if (auto state = LoadState(*name); !state)
                                     return FailWith(state.error());
                                   ProcessConsole().out << Layout(*name).kubeconfig() << std::endl;
                                   return kYes;
                                 });
  AddName(command, name.get());
}

// What the lab starts for itself; not for people.
void AddProcess(CLI::App& lab, int* exit_code, const char* command_name,
                std::function<Status(const std::string& lab, const std::string& node)> run) {
  struct Words {
    std::string name;
    std::string node;
  };
  auto words = std::make_shared<Words>();
  CLI::App* command =
      AddCommand(lab, command_name, "A process of a lab", exit_code, [words, run = std::move(run)] {
        Status done = run(words->name, words->node);
        return done ? kYes : FailWith(done.error());
      });
  command->group("");
  command->add_option("--name", words->name)->required();
  command->add_option("--node", words->node);
}

void AddProcesses(CLI::App& lab, int* exit_code) {
  CLI::App* processes = lab.add_subcommand("run", "The processes of a lab");
  processes->group("");
  processes->require_subcommand(1);
  apiserver::AddCommand(*processes, exit_code);
  AddProcess(*processes, exit_code, "node", RunNode);
  AddProcess(*processes, exit_code, kControllers,
             [](const std::string& name, const std::string&) { return RunControllers(name); });
  AddProcess(*processes, exit_code, kRelay,
             [](const std::string& name, const std::string&) { return RunRelay(name); });
}

// What a node starts for each pod; not for people.
void AddKeep(CLI::App& lab, int* exit_code) {
  struct Words {
    std::string name;
    std::string pod;
  };
  auto words = std::make_shared<Words>();
  CLI::App* command = AddCommand(lab, "keep", "Keep one pod of a lab running", exit_code, [words] {
    size_t slash = words->pod.find('/');
    if (slash == std::string::npos) return FailWith({"keep: NAMESPACE/NAME", 0});
    return RunKeeper(words->name, {words->pod.substr(0, slash), words->pod.substr(slash + 1)});
  });
  command->group("");
  command->add_option("--name", words->name)->required();
  command->add_option("pod", words->pod)->required();
}

// What the pods of cluster DNS run; not for people.
void AddDns(CLI::App& lab, int* exit_code) {
  auto words = std::make_shared<DnsProcess>();
  CLI::App* command = AddCommand(lab, "dns", "Answer for a cluster's names", exit_code,
                                 [words] { return FailWith(RunDns(*words).error()); });
  command->group("");
  command->add_option("--kubeconfig", words->kubeconfig, "Default: as a pod does");
  command->add_option("--domain", words->server.domain, "The cluster's");
  command->add_option("--hosts", words->hosts, "File like /etc/hosts: names outside the cluster");
  command->add_option("--listen", words->server.listen, "ADDRESS@PORT, several times");
  command->add_option("--directory", words->server.directory, "Where the server keeps its files");
}

}  // namespace

int FailWith(const Error& error) {
  ProcessConsole().Fail(error.message);
  return kCouldNotTell;
}

CLI::App* AddCommand(CLI::App& lab, const char* name, const char* about, int* exit_code,
                     std::function<int()> run, const char* footer) {
  CLI::App* command = lab.add_subcommand(name, about);
  command->footer(footer);
  command->callback([exit_code, run = std::move(run)] { *exit_code = run(); });
  return command;
}

CLI::Option* AddName(CLI::App* command, std::string* name) {
  return command->add_option("--name", *name, "Which lab (default: lab)");
}

void AddDaemonCommands(CLI::App& app, int* exit_code) {
  CLI::App* lab = &app;
  AddAgent(*lab, exit_code);
  AddKubeconfig(*lab, exit_code);
  AddDaemon(*lab, exit_code, "nodes", "Start or end the processes of nodes: kubelet and proxy",
            true);
  AddDaemon(*lab, exit_code, kControllers, "Start or end the controllers", false);
  AddDaemon(*lab, exit_code, kApiServer, "Start or end the API server, or let it hang", false);
  AddProcesses(*lab, exit_code);
  AddKeep(*lab, exit_code);
  AddDns(*lab, exit_code);
}

}  // namespace sallyport::lab
