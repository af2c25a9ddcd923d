// SPDX-License-Identifier: Apache-2.0
// Processes: run one and wait, start one that stays, find those of a lab, end them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sallyport::lab {

struct Command {
  std::vector<std::string> argv;  // argv[0] is a path
  std::vector<std::string> env;   // "NAME=value"
  std::string netns;              // path of the network namespace to run in; "" the caller's
  std::string input;              // RunCommand: standard input
  std::string log;                // StartDaemon: where its output is appended
  int inherit = -1;               // StartDaemon: a file descriptor that it gets as number 3
};

struct Finished {
  int exit_code = 0;  // 128 + n where signal n ended it
  std::string output;
  std::string errors;
};

// Waits until it ends. Fails where it could not be started.
Result<Finished> RunCommand(const Command& command);
// In a session of its own; lives on when the caller ends.
Result<pid_t> StartDaemon(const Command& command);

// A process that has not ended (a zombie has).
bool IsAlive(pid_t pid);
// Alive, and in the network namespace that `path` names: a number that was kept in a file may be
// another process's by now.
bool IsInNetns(pid_t pid, const std::string& path);
// With the marker NAME=value in its environment.
bool HasMarker(pid_t pid, const std::string& marker);
// Every process in one of the network namespaces (paths), or with the marker NAME=value in its
// environment (none where the marker is empty; servers that set their title lose it); never the
// caller or what it descends from.
std::vector<pid_t> FindProcesses(const std::vector<std::string>& netns_paths,
                                 const std::string& marker);
// Sends the signal and waits until all have ended; false where some had not after `patience`.
bool EndProcesses(const std::vector<pid_t>& pids, int signal, Duration patience);

// The caller's environment with some variables set anew.
std::vector<std::string> EnvironmentWith(const std::vector<std::string>& settings);

// The path of a program as a shell would find it; "" where there is none.
std::string FindProgram(const std::string& name, const std::string& path);
inline constexpr const char* kStandardPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

}  // namespace sallyport::lab
