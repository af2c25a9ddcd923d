// SPDX-License-Identifier: Apache-2.0
#include "support/places.h"

namespace sallyport::test {

std::string InSources(const std::string& path) { return SALLYPORT_SOURCE_DIR "/" + path; }
std::string InBuild(const std::string& path) { return SALLYPORT_BINARY_DIR "/" + path; }

}  // namespace sallyport::test
