// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <CLI/CLI.hpp>
#include <map>
#include <memory>

#include "base/version.h"
#include "cli/agent_command.h"
#include "cli/check.h"
#include "cli/explain_command.h"
#include "cli/help.h"
#include "cli/lab_world.h"
#include "cli/probe_command.h"
#include "cli/serve_command.h"
#include "lab/commands.h"

namespace sallyport::cli {
namespace {

// What the commands share while the command line is parsed.
struct Shell {
  const Terminal& terminal;
  int exit_code = kYes;
};

CLI::App* AddCommand(CLI::App& parent, const char* name, const char* about, const char* footer) {
  CLI::App* command = parent.add_subcommand(name, about);
  command->footer(footer);
  return command;
}

void AddFormat(CLI::App& command, Format& format) {
  std::map<std::string, Format> formats{{"table", Format::kTable}, {"json", Format::kJson}};
  command.add_option("-o,--output", format, "table (default), or json: one row an answer")
      ->transform(CLI::CheckedTransformer(formats).description("{table,json}"));
}

void AddFamily(CLI::App& command, Family& family) {
  std::map<std::string, Family> families{
      {"4", Family::kV4}, {"6", Family::kV6}, {"both", Family::kBoth}};
  command.add_option("--family", family, "Ask about IPv4, IPv6, or both (default)")
      ->transform(CLI::CheckedTransformer(families).description("{4,6,both}"));
}

void AddLab(CLI::App& command, std::string& lab) {
  command.add_option("--lab", lab, "The lab (default: the only one that is up)");
}

void AddCheck(CLI::App& app, Shell& shell) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* command = AddCommand(app, "check", "Validate manifests", help::kCheck);
  command->add_option("PATH", options->paths, "Files, directories, or - for standard input")
      ->required();
  command->add_flag("--strict", options->strict, "Warnings are errors");
  AddFormat(*command, options->format);
  command->callback([=, &shell] { shell.exit_code = RunCheck(*options, shell.terminal); });
}

void AddExplain(CLI::App& app, Shell& shell) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* command =
      AddCommand(app, "explain", "May they talk, and why: by the manifests", help::kExplain);
  command->add_option("-f,--filename", options->paths, "Manifests: files, directories, or -")
      ->type_name("PATH...");
  command->add_option("--from", options->from, "Who connects: a pod or an address")
      ->type_name("[NS/]POD|ADDR");
  command->add_option("--to", options->to, "Whom, on which port")
      ->type_name("[NS/]POD:PORT[/PROTO]|ADDR:PORT[/PROTO]");
  command->add_flag("--matrix", options->matrix, "Every pod to every pod");
  command->add_option("--ports", options->ports,
                      "With --matrix: 80/TCP,81/UDP,... "
                      "(default: the ports that pods declare)");
  command->add_option("--outside", options->outside, "With --matrix: addresses outside, as well")
      ->type_name("ADDR...");
  command->add_option("--expect", options->expect, "With --matrix: compare with this file")
      ->type_name("FILE");
  AddFamily(*command, options->family);
  AddFormat(*command, options->format);
  command->callback([=, &shell] { shell.exit_code = RunExplain(*options, shell.terminal); });
}

void AddProbeOptions(CLI::App& command, ProbeOptions& options) {
  AddLab(command, options.lab);
  AddFamily(command, options.family);
  command.add_option("--timeout", options.timeout_seconds,
                     "Seconds of silence that count as blocked (default 2)");
  AddFormat(command, options.format);
}

void AddProbeRun(CLI::App& probe, Shell& shell) {
  auto options = std::make_shared<ProbeRunOptions>();
  CLI::App* command =
      AddCommand(probe, "run", "One connection, from inside a pod", help::kProbeRun);
  command->add_option("--from", options->from, "Who connects: a pod, or an outside address")
      ->type_name("[NS/]POD|ADDR")
      ->required();
  command->add_option("--to", options->to, "Whom, on which port")
      ->type_name("[NS/]POD:PORT[/PROTO]|ADDR:PORT[/PROTO]")
      ->required();
  AddProbeOptions(*command, *options);
  command->callback([=, &shell] { shell.exit_code = RunProbe(*options, shell.terminal); });
}

void AddProbeMatrix(CLI::App& probe, Shell& shell) {
  auto options = std::make_shared<ProbeMatrixOptions>();
  CLI::App* command =
      AddCommand(probe, "matrix", "Every pod to every pod, at once", help::kProbeMatrix);
  command->add_option("--ports", options->ports,
                      "80/TCP,81/UDP,... (default: the ports that pods declare)");
  command->add_flag("--outside", options->outside, "The lab's outside as well, both ways");
  command->add_option("--expect", options->expect, "Compare with this file")->type_name("FILE");
  command->add_flag("--compare", options->compare, "Compare with what the manifests say");
  AddProbeOptions(*command, *options);
  command->callback([=, &shell] { shell.exit_code = RunProbeMatrix(*options, shell.terminal); });
}

void AddProbeServe(CLI::App& probe, Shell& shell) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = AddCommand(probe, "serve", "The far end: answer on ports, saying who this is",
                                 help::kProbeServe);
  command->add_option("--ports", options->ports, "80/TCP,53/UDP,... (TCP if not said)")->required();
  command->add_option("--name", options->name, "Who this is (default: the host's name)");
  command->callback([=, &shell] { shell.exit_code = RunServe(*options, shell.terminal); });
}

void AddProbe(CLI::App& app, Shell& shell) {
  CLI::App* probe = AddCommand(app, "probe", "Really connect, from inside pods", help::kProbe);
  probe->require_subcommand(1);
  AddProbeRun(*probe, shell);
  AddProbeMatrix(*probe, shell);
  AddProbeServe(*probe, shell);
}

// Which agent: by its socket, or as a node of a lab.
struct AgentChoice {
  AgentOptions options;
  std::string socket = kDefaultSocket;
  std::string lab;
  std::string node;
};

int AskAgent(AgentQuestion question, const AgentChoice& choice, const Terminal& terminal) {
  std::vector<AgentPlace> agents{{"", choice.socket}};
  if (!choice.lab.empty() || !choice.node.empty()) {
    auto of_lab = AgentsOf(choice.lab, choice.node);
    if (!of_lab) return terminal.Fail(of_lab.error().message);
    agents = std::move(*of_lab);
  }
  return RunAgent(question, agents, choice.options, terminal);
}

std::shared_ptr<AgentChoice> AddAgentCommand(CLI::App& app, Shell& shell, AgentQuestion question,
                                             const char* name, const char* about,
                                             const char* footer, CLI::App** command) {
  auto choice = std::make_shared<AgentChoice>();
  *command = AddCommand(app, name, about, footer);
  CLI::Option* socket =
      (*command)->add_option("--socket", choice->socket, "The agent's Unix socket");
  socket->capture_default_str();
  AddLab(**command, choice->lab);
  (*command)->get_option("--lab")->excludes(socket);
  (*command)
      ->add_option("--node", choice->node, "A node of that lab (default: all)")
      ->excludes(socket);
  AddFormat(**command, choice->options.format);
  (*command)->callback(
      [=, &shell] { shell.exit_code = AskAgent(question, *choice, shell.terminal); });
  return choice;
}

void AddAgentCommands(CLI::App& app, Shell& shell) {
  CLI::App* command = nullptr;
  AddAgentCommand(app, shell, AgentQuestion::kStatus, "status",
                  "Is this node's agent ready, and how full are its tables", help::kStatus,
                  &command);
  AddAgentCommand(app, shell, AgentQuestion::kEndpoints, "endpoints",
                  "The pods of this node, as its agent guards them", help::kEndpoints, &command);
  AddAgentCommand(app, shell, AgentQuestion::kPolicies, "policies",
                  "The policies that select pods of this node", help::kPolicies, &command);
  auto flows = AddAgentCommand(app, shell, AgentQuestion::kFlows, "flows",
                               "The connections that this node knows", help::kFlows, &command);
  command->add_option("--endpoint", flows->options.endpoint, "Only of this pod")
      ->type_name("NS/POD");
  command->add_option("--limit", flows->options.limit, "At most so many")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  auto events = AddAgentCommand(app, shell, AgentQuestion::kEvents, "events",
                                "What this node dropped, and why", help::kEvents, &command);
  command->add_flag("-f,--follow", events->options.follow, "Go on as it happens");
}

}  // namespace

int Main(int argc, const char* const* argv, const Terminal& terminal) {
  CLI::App app(help::kAbout, "sallyport");
  app.footer(help::kExitCodes);
  app.set_version_flag("--version", std::string("sallyport ") + kVersion,
                       "Print the version, and end");
  app.require_subcommand(1);
  Shell shell{terminal};
  AddCheck(app, shell);
  AddExplain(app, shell);
  AddProbe(app, shell);
  AddAgentCommands(app, shell);
  lab::AddCommands(app, &shell.exit_code, [&terminal](const lab::MatrixRequest& request) {
    ProbeMatrixOptions options;
    options.lab = request.lab;
    options.format = request.json ? Format::kJson : Format::kTable;
    options.outside = request.outside;
    options.expect = request.expect;
    options.compare = true;
    return RunProbeMatrix(options, terminal);
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    bool help = e.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
    app.exit(e, terminal.out, terminal.err);
    return help ? kYes : kCouldNotTell;
  }
  return shell.exit_code;
}

}  // namespace sallyport::cli
