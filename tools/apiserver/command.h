// SPDX-License-Identifier: Apache-2.0
// The API server of a lab as a command: started by the lab, not by people.
#pragma once

namespace CLI {
class App;
}

namespace sallyport::apiserver {

// Adds `apiserver` below `parent`; the exit code goes to `*exit_code`, which must outlive it.
void AddCommand(CLI::App& parent, int* exit_code);

}  // namespace sallyport::apiserver
