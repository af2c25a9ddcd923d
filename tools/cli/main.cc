// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

int main(int argc, char** argv) {
  return sallyport::cli::Main(argc, argv, sallyport::cli::ProcessTerminal());
}
