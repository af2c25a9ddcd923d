// SPDX-License-Identifier: Apache-2.0
// Running a command inside a lab: in a pod's container, on a node, or outside.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "lab/inventory.h"
#include "lab/lab.h"

namespace sallyport::lab {

struct ExecTarget {
  std::string pod;        // as PickPod takes it
  std::string container;  // "" the first
  std::string node;
  bool outside = false;
};

// Becomes the command, or waits for it; returns its exit code. Fails where it could not be started.
// In a pod it is contained as the container is; beside a stand-in, in a root of its own.
Result<int> Exec(const std::string& lab, const ExecTarget& target,
                 const std::vector<std::string>& command);

}  // namespace sallyport::lab
