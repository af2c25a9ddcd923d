// SPDX-License-Identifier: Apache-2.0
// Taking a lab away, whatever state it is in: also one whose makers were killed half way.
#pragma once

#include <string>

#include "base/result.h"

namespace sallyport::lab {

// Ends every process of the lab (by its namespaces and by the marker in their environment), then
// removes its namespaces, mounts and files. Requires the lab's lock. Nothing there: Ok.
Status Sweep(const std::string& lab);

// Whether there is anything of the lab.
bool AnythingLeft(const std::string& lab);

}  // namespace sallyport::lab
