// SPDX-License-Identifier: Apache-2.0
// The root file system of a container: see container.h.
#pragma once

#include "base/result.h"
#include "lab/container.h"

namespace sallyport::lab {

// Where every container with a root of its own finds this tool.
inline constexpr const char* kToolInContainer = "/run/sallyport";

// In a new mount namespace: makes the container's root, with its volumes, and enters it.
Status EnterOwnRoot(const ContainerRecipe& recipe, const ContainerPlace& place);

// The path with "." and ".." taken out, always absolute: it cannot leave a directory that it is
// put behind.
std::string CleanPath(const std::string& path);

}  // namespace sallyport::lab
