// SPDX-License-Identifier: Apache-2.0
// Manifests to a world that can be asked: what they say, and the pods that their workloads would
// have.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/world.h"
#include "watch/manifest_files.h"

namespace sallyport::cli {

// Manifests in error are no ground for an answer: the error lists them.
Result<World> ReadWorld(const std::vector<std::string>& paths);

// The same for texts that are read already. Pure.
//
// A Deployment, StatefulSet and so on gets its pods, named as the lab names them, unless the
// manifests hold pods of that workload already, or it belongs to another workload (a ReplicaSet of
// a Deployment).
Result<World> WorldOf(const std::vector<watch::TextFile>& files);

}  // namespace sallyport::cli
