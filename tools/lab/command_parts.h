// SPDX-License-Identifier: Apache-2.0
// What the files of the lab's commands share.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace sallyport::lab {

inline constexpr int kYes = 0;
inline constexpr int kNo = 1;
inline constexpr int kCouldNotTell = 2;

// Prints it; kCouldNotTell.
int FailWith(const Error& error);
// One whose exit code is what `run` returns.
CLI::App* AddCommand(CLI::App& lab, const char* name, const char* about, int* exit_code,
                     std::function<int()> run, const char* footer = "");
CLI::Option* AddName(CLI::App* command, std::string* name);

// For the processes that a lab consists of (daemons.h): to start and end them, and what they run.
void AddDaemonCommands(CLI::App& lab, int* exit_code);

}  // namespace sallyport::lab
