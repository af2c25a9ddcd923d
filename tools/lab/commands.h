// SPDX-License-Identifier: Apache-2.0
// The commands of `sallyport lab`.
#pragma once

namespace CLI {
class App;
}

namespace sallyport::lab {

// Adds `lab` with all its subcommands. A command that runs leaves its exit code in `*exit_code`
// (0 yes, 1 no, 2 could not tell), which must outlive `app`.
void AddCommands(CLI::App& app, int* exit_code);

}  // namespace sallyport::lab
