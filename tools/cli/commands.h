// SPDX-License-Identifier: Apache-2.0
// The command line: which commands there are and how they are written.
#pragma once

#include "cli/terminal.h"

namespace sallyport::cli {

// Parses the command line and runs the command that it names; returns the exit code.
int Main(int argc, const char* const* argv, const Terminal& terminal);

}  // namespace sallyport::cli
