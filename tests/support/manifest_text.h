// SPDX-License-Identifier: Apache-2.0
// Objects as YAML manifests: for messages, and to be read back.
#pragma once

#include <string>

#include "model/snapshot.h"

namespace sallyport::test {

// All objects, as documents of one file.
std::string ManifestText(const model::Snapshot& snapshot);

}  // namespace sallyport::test
