// SPDX-License-Identifier: Apache-2.0
// Where the sources are, and what was built from them. Only one file is compiled with these paths:
// what others are compiled to is the same in every clone.
#pragma once

#include <string>

namespace sallyport::test {

// InSources("daemonset/config.yaml"), InBuild("tools/cli/sallyport"): absolute paths.
std::string InSources(const std::string& path);
std::string InBuild(const std::string& path);

}  // namespace sallyport::test
