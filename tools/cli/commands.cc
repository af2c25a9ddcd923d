// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/serve_command.h"

namespace sallyport::cli {
namespace {

constexpr const char* kAbout =
    "Sallyport: which peers may a pod talk to, by the manifests and in the kernel.";
constexpr const char* kAboutFooter = R"(
Exit codes of every command: 0 done, or the answer is "yes"; 1 the answer is "no";
2 could not tell (wrong usage, something missing, something failed).
`sallyport COMMAND --help` explains each command, with examples.)";

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

void AddServe(CLI::App& probe, Shell& shell) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = AddCommand(
      probe, "serve", "The far end: answer on ports, saying who this is and whom it sees",
      R"(
On TCP it sends one line, then echoes; a client that starts with GET or HEAD gets the line as an
HTTP response (on any path). On UDP it answers each datagram with the line and the datagram. Both
address families. It names its ports on standard output, then "ready"; SIGTERM ends it.

Examples:
  sallyport probe serve --ports 80/TCP,81/UDP --name shop/web
  curl http://10.0.1.5/      I am shop/web at 10.0.1.5:80/TCP; I see 10.0.2.7:41234)");
  command->add_option("--ports", options->ports, "Ports, such as 80/TCP,53/UDP (TCP if not said)")
      ->required();
  command->add_option("--name", options->name, "Who this is (default: the host's name)");
  command->callback([=, &shell] { shell.exit_code = RunServe(*options, shell.terminal); });
}

void AddProbe(CLI::App& app, Shell& shell) {
  CLI::App* probe = AddCommand(app, "probe", "Really connect, from inside pods", "");
  probe->require_subcommand(1);
  AddServe(*probe, shell);
}

}  // namespace

int Main(int argc, const char* const* argv, const Terminal& terminal) {
  CLI::App app(kAbout, "sallyport");
  app.footer(kAboutFooter);
  app.require_subcommand(1);
  Shell shell{terminal};
  AddProbe(app, shell);
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
