// SPDX-License-Identifier: Apache-2.0
// `sallyport check`
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"

namespace sallyport::cli {

struct CheckOptions {
  std::vector<std::string> paths;
  bool strict = false;  // warnings are errors
};

// kYes when the manifests are valid, kNo when they are not.
int RunCheck(const CheckOptions& options, const Terminal& terminal);

}  // namespace sallyport::cli
