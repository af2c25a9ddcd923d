// SPDX-License-Identifier: Apache-2.0
// `sallyport explain`
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"
#include "cli/world.h"

namespace sallyport::cli {

struct ExplainOptions {
  std::vector<std::string> paths;  // manifests
  std::string from;                // one question: from and to
  std::string to;
  bool matrix = false;  // or all of them
  std::string ports;
  std::vector<std::string> outside;
  std::string expect;  // file
  Family family = Family::kBoth;
};

// One question: kYes when every row allows, else kNo. Matrix: kNo when it is not as expected.
int RunExplain(const ExplainOptions& options, const Terminal& terminal);

}  // namespace sallyport::cli
