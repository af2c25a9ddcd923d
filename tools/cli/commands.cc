// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <vector>

#include "base/version.h"
#include "cli/agent_command.h"
#include "cli/check.h"
#include "cli/explain_command.h"
#include "cli/help.h"
#include "cli/lab_world.h"
#include "cli/probe_command.h"
#include "cli/probe_egress.h"
#include "cli/serve_command.h"
#include "lab/commands.h"
#include "lab/state.h"

namespace sallyport::cli {
namespace {

// What the commands share while the command line is parsed.
struct Shell {
  Terminal terminal;
  int exit_code = kYes;
};

CLI::App* AddCommand(CLI::App& parent, const char* name, const char* about, const char* footer) {
  CLI::App* command = parent.add_subcommand(name, about);
  command->footer(footer);
  return command;
}

// An option that takes one of some words, and says which where it gets another.
template <typename T>
void AddChoice(CLI::App& command, const std::string& names, T& value,
               const std::vector<std::pair<std::string, T>>& choices, const std::string& about) {
  std::string words;
  for (const auto& [word, choice] : choices) words += (words.empty() ? "" : ", ") + word;
  auto choose = [=, &value](const std::string& given) {
    auto is_given = [&](const auto& choice) { return choice.first == given; };
    auto found = std::find_if(choices.begin(), choices.end(), is_given);
    if (found != choices.end()) {
      value = found->second;
      return;
    }
    throw CLI::ValidationError(names.substr(0, names.find(',')),
                               "\"" + given + "\" is not one of " + words);
  };
  command.add_option_function<std::string>(names, choose, about)->type_name("{" + words + "}");
}

void AddFormat(CLI::App& command, Shell& shell) {
  AddChoice<Format>(command, "-o,--output", shell.terminal.format,
                    {{"table", Format::kTable}, {"json", Format::kJson}},
                    "table (default), or json: one row an answer");
}

void AddFamily(CLI::App& command, Family& family) {
  AddChoice<Family>(command, "--family", family,
                    {{"4", Family::kV4}, {"6", Family::kV6}, {"both", Family::kBoth}},
                    "Ask about IPv4, IPv6, or both (default)");
}

// Where an empty text would be taken for an option that was not given.
CLI::Option* NotEmpty(CLI::Option* option) {
  return option->check(
      [](const std::string& text) { return std::string(text.empty() ? "must not be empty" : ""); });
}

std::string CheckLimit(const std::string& text) {
  bool digits = text.find_first_not_of("0123456789") == std::string::npos;
  bool positive = text.find_first_not_of('0') != std::string::npos;
  return digits && positive ? "" : "\"" + text + "\" is not a whole number above 0";
}

void AddLab(CLI::App& command, std::string& lab) {
  command.add_option("--lab", lab, "The lab (default: the only one that is up)");
}

// Which agent: by its socket, or as a node of a lab.
struct AgentChoice {
  AgentOptions options;
  std::string socket = kDefaultSocket;
  std::string lab;
  std::string node;
};

Result<std::vector<AgentPlace>> AgentsOf(const AgentChoice& choice) {
  if (!choice.lab.empty() || !choice.node.empty()) return cli::AgentsOf(choice.lab, choice.node);
  return std::vector<AgentPlace>{{"", choice.socket}};
}

void AddAgentChoice(CLI::App& command, AgentChoice& choice) {
  CLI::Option* socket = command.add_option("--socket", choice.socket, "The agent's Unix socket");
  socket->capture_default_str();
  AddLab(command, choice.lab);
  command.get_option("--lab")->excludes(socket);
  command.add_option("--node", choice.node, "A node of that lab (default: all)")->excludes(socket);
}

void AddCheck(CLI::App& app, Shell& shell) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* command = AddCommand(app, "check", "Validate manifests", help::kCheck);
  command->add_option("PATH", options->paths, "Files, directories, or - for standard input")
      ->required();
  command->add_flag("--strict", options->strict, "Warnings are errors");
  AddFormat(*command, shell);
  command->callback([=, &shell] { shell.exit_code = RunCheck(*options, shell.terminal); });
}

int ExplainLive(const ExplainOptions& options, const AgentChoice& choice,
                const Terminal& terminal) {
  auto agents = AgentsOf(choice);
  if (!agents) return terminal.Fail(agents.error().message);
  return RunExplainLive(options, *agents, terminal);
}

void AddExplain(CLI::App& app, Shell& shell) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* command = AddCommand(
      app, "explain", "May they talk, and why: by manifests, or by the agent", help::kExplain);
  auto choice = std::make_shared<AgentChoice>();
  command->add_option("-f,--filename", options->paths, "Manifests: files, directories, or -")
      ->type_name("PATH...");
  command->add_option("--from", options->from, "Who connects: a pod or an address")
      ->type_name("[NS/]POD|ADDR");
  command->add_option("--to", options->to, "Whom, on which port")
      ->type_name("[NS/]POD:PORT[/PROTO]|ADDR:PORT[/PROTO]|svc/[NS/]NAME:PORT[/PROTO]");
  command->add_flag("--matrix", options->matrix, "Every pod to every pod");
  NotEmpty(command->add_option("--ports", options->ports,
                               "With --matrix: 80/TCP,81/UDP,... "
                               "(default: the ports that pods declare)"));
  command->add_option("--outside", options->outside, "With --matrix: addresses outside, as well")
      ->type_name("ADDR...");
  NotEmpty(
      command->add_option("--expect", options->expect, "With --matrix: compare with this file"))
      ->type_name("FILE");
  AddFamily(*command, options->family);
  AddFormat(*command, shell);
  CLI::Option* live =
      command->add_flag("--live", options->live, "Ask the agent of this node, or a lab's");
  AddAgentChoice(*command, *choice);
  for (const char* name : {"--socket", "--lab", "--node"}) command->get_option(name)->needs(live);
  command->callback([=, &shell] {
    shell.exit_code = options->live ? ExplainLive(*options, *choice, shell.terminal)
                                    : RunExplain(*options, shell.terminal);
  });
}

void AddProbeOptions(CLI::App& command, ProbeOptions& options, Shell& shell) {
  AddLab(command, options.lab);
  AddFamily(command, options.family);
  command.add_option("--timeout", options.timeout_seconds,
                     "Seconds of silence that count as blocked (default 2)");
  AddFormat(command, shell);
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
  AddProbeOptions(*command, *options, shell);
  command->callback([=, &shell] { shell.exit_code = RunProbe(*options, shell.terminal); });
}

void AddProbeMatrix(CLI::App& probe, Shell& shell) {
  auto options = std::make_shared<ProbeMatrixOptions>();
  CLI::App* command =
      AddCommand(probe, "matrix", "Every pod to every pod, at once", help::kProbeMatrix);
  NotEmpty(command->add_option("--ports", options->ports,
                               "80/TCP,81/UDP,... (default: the ports that pods declare)"));
  command->add_flag("--outside", options->outside, "The lab's outside as well, both ways");
  NotEmpty(command->add_option("--expect", options->expect, "Compare with this file"))
      ->type_name("FILE");
  command->add_flag("--compare", options->compare, "Compare with what the manifests say");
  AddProbeOptions(*command, *options, shell);
  command->callback([=, &shell] { shell.exit_code = RunProbeMatrix(*options, shell.terminal); });
}

// In a lab if one is named or up, else on this node.
void AddProbeEgress(CLI::App& probe, Shell& shell) {
  auto options = std::make_shared<ProbeEgressOptions>();
  CLI::App* command =
      AddCommand(probe, "egress", "Which source address does the outside see", help::kProbeEgress);
  command->add_option("--from", options->from, "Who connects: a pod")
      ->type_name("[NS/]POD")
      ->required();
  command->add_option("--to", options->to, "A `probe serve` outside, on which port")
      ->type_name("ADDR:PORT[/PROTO]")
      ->required();
  NotEmpty(command->add_option("--expect", options->expect, "The address that should be seen"))
      ->type_name("IP");
  AddProbeOptions(*command, *options, shell);
  NotEmpty(command->add_option("--socket", options->socket, "Of this node's agent: not in a lab"))
      ->excludes(command->get_option("--lab"));
  command->callback([=, &shell] {
    bool node = options->socket.empty() && options->lab.empty() && lab::ListWholeLabs().empty();
    if (node) options->socket = kDefaultSocket;
    shell.exit_code = RunProbeEgress(*options, shell.terminal);
  });
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
  AddProbeEgress(*probe, shell);
  AddProbeServe(*probe, shell);
}

int AskAgent(AgentQuestion question, const AgentChoice& choice, const Terminal& terminal) {
  auto agents = AgentsOf(choice);
  if (!agents) return terminal.Fail(agents.error().message);
  return RunAgent(question, *agents, choice.options, terminal);
}

std::shared_ptr<AgentChoice> AddAgentCommand(CLI::App& app, Shell& shell, AgentQuestion question,
                                             const char* name, const char* about,
                                             const char* footer, CLI::App** command) {
  auto choice = std::make_shared<AgentChoice>();
  *command = AddCommand(app, name, about, footer);
  AddAgentChoice(**command, *choice);
  AddFormat(**command, shell);
  (*command)->callback(
      [=, &shell] { shell.exit_code = AskAgent(question, *choice, shell.terminal); });
  return choice;
}

void AddAgentCommands(CLI::App& app, Shell& shell) {
  CLI::App* command = nullptr;
  auto status = AddAgentCommand(app, shell, AgentQuestion::kStatus, "status",
                                "Is this node's agent ready, and how full are its tables",
                                help::kStatus, &command);
  command->add_flag("--alive", status->options.alive, "Exit code 0 if it answers, ready or not");
  AddAgentCommand(app, shell, AgentQuestion::kEndpoints, "endpoints",
                  "The pods of this node, as its agent guards them", help::kEndpoints, &command);
  AddAgentCommand(app, shell, AgentQuestion::kPolicies, "policies",
                  "The policies that select pods of this node", help::kPolicies, &command);
  auto flows = AddAgentCommand(app, shell, AgentQuestion::kFlows, "flows",
                               "The connections that this node knows", help::kFlows, &command);
  NotEmpty(command->add_option("--endpoint", flows->options.endpoint, "Only of this pod"))
      ->type_name("NS/POD");
  command->add_option("--limit", flows->options.limit, "At most so many")
      ->capture_default_str()
      ->check(CheckLimit);
  AddAgentCommand(app, shell, AgentQuestion::kEgress, "egress",
                  "Egress IPs: who holds them, and how long their ports last", help::kEgress,
                  &command);
  auto events = AddAgentCommand(app, shell, AgentQuestion::kEvents, "events",
                                "What this node dropped, and why", help::kEvents, &command);
  command->add_flag("-f,--follow", events->options.follow, "Go on as it happens");
}

// The command that the words have named so far.
const CLI::App& Deepest(const CLI::App& app) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  return *command;
}

std::string FullName(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return (parent == nullptr ? "" : FullName(*parent) + " ") + command.get_name();
}

// What a command line says that no command understands; empty where that is not what is wrong.
std::string Unknown(const CLI::ParseError& e, const CLI::App& app) {
  std::vector<std::string> words = app.remaining(true);
  bool of_words = e.get_name() == "RequiredError" || e.get_name() == "ExtrasError";
  if (!of_words || words.empty()) return "";
  const std::string& word = words.front();
  const CLI::App& command = Deepest(app);
  bool has_commands = !command.get_subcommands([](const CLI::App*) { return true; }).empty();
  const char* what = word.starts_with("-") ? "unknown option"
                     : has_commands        ? "unknown command"
                                           : "unexpected word";
  return std::string(what) + " \"" + word + "\"";
}

// What is wrong may stand before the format, and end the reading of the command line.
bool AsksForJson(const CLI::App& command) {
  const CLI::Option* output = command.get_option_no_throw("--output");
  return output != nullptr && output->results() == std::vector<std::string>{"json"};
}

int WrongUsage(const CLI::ParseError& e, const CLI::App& app, Terminal terminal) {
  if (AsksForJson(Deepest(app))) terminal.format = Format::kJson;
  std::string unknown = Unknown(e, app);
  int code = terminal.Fail(unknown.empty() ? e.what() : unknown);
  terminal.err << "Run `" << FullName(Deepest(app)) << " --help` for more.\n";
  return code;
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
  lab::AddCommands(app, &shell.exit_code, [&shell](const lab::MatrixRequest& request) {
    ProbeMatrixOptions options;
    options.lab = request.lab;
    shell.terminal.format = request.json ? Format::kJson : Format::kTable;
    options.outside = request.outside;
    options.expect = request.expect;
    options.compare = true;
    return RunProbeMatrix(options, shell.terminal);
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    bool help = e.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
    if (!help) return WrongUsage(e, app, shell.terminal);
    app.exit(e, terminal.out, terminal.err);
    return kYes;
  }
  return shell.exit_code;
}

}  // namespace sallyport::cli
