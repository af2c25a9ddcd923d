// SPDX-License-Identifier: Apache-2.0
// `sallyport probe serve`
#pragma once

#include <string>

#include "cli/terminal.h"

namespace sallyport::cli {

struct ServeOptions {
  std::string ports;  // "80/TCP,81/UDP"
  std::string name;   // empty: the host's name
};

// Serves until SIGTERM or SIGINT, then returns kYes. Requires that no other thread runs: it blocks
// those signals.
int RunServe(const ServeOptions& options, const Terminal& terminal);

}  // namespace sallyport::cli
