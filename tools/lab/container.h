// SPDX-License-Identifier: Apache-2.0
// A container as a process of this machine: in the pod's network namespace, and with namespaces of
// its own for mounts, processes, IPC and host name.
//
// Its root is this machine's, with whatever it writes kept in memory (an overlay on a tmpfs): a
// container changes nothing on the machine, and what it wrote is gone when it ends. /proc, /sys,
// /run, /tmp and /dev/shm are its own; the pod's volumes are mounted where it wants them. It has
// the capabilities of a container (Docker's default set). A stand-in needs none of this: it runs on
// the machine's own root.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "lab/recipe.h"

namespace sallyport::lab {

struct ContainerPlace {
  std::string netns_path;
  std::string hostname;
  std::string volumes;           // directory: one directory a volume
  std::string etc;               // directory: files that take the place of those in /etc
  std::string root;              // an empty directory, to mount its root on
  std::string log;               // its output is appended here
  std::vector<std::string> env;  // added to the recipe's, below it
};

// Starts it; a child of the caller. It is killed when the caller dies.
Result<pid_t> StartContainer(const ContainerRecipe& recipe, const ContainerPlace& place);

// Runs recipe.argv as a container of its own in the same place: at the caller's terminal, below a
// process that waits for it, so that signals end it as they would anywhere. Waits; returns its exit
// code. The log is not used.
Result<int> RunAsContainer(const ContainerRecipe& recipe, const ContainerPlace& place);

// Runs a command in a child of the caller, where the caller is, and waits; returns its exit code.
// Fails where it could not be started. The terminal's signals are the child's business.
Result<int> RunHere(const std::vector<std::string>& argv, const std::vector<std::string>& env);

// Moves the calling process into the namespaces of the container with this process, its root and
// its processes included (for children that are forked from here on); with its capabilities only.
Status EnterContainer(pid_t pid);

// Replaces the calling process. Only returns where that failed.
Status ExecuteHere(const std::vector<std::string>& argv, const std::vector<std::string>& env);

}  // namespace sallyport::lab
