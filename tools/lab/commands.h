// SPDX-License-Identifier: Apache-2.0
// The commands of `sallyport lab`.
#pragma once

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace sallyport::lab {

// What `lab test` asks of a lab that is up and has settled.
struct MatrixRequest {
  std::string lab;
  std::string expect;  // file; "" none
  bool outside = false;
  bool json = false;
};
// Probes every pod to every pod on every port, compares with the verdicts (and the expect file),
// prints, and returns the exit code.
using Matrix = std::function<int(const MatrixRequest&)>;

// Adds `lab` with all its subcommands; `lab test` only where there is a matrix. A command that runs
// leaves its exit code in `*exit_code` (0 yes, 1 no, 2 could not tell), which must outlive `app`.
void AddCommands(CLI::App& app, int* exit_code, Matrix matrix = nullptr);

}  // namespace sallyport::lab
