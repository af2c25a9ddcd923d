// SPDX-License-Identifier: Apache-2.0
// Which pod of a lab a word on the command line means. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "lab/lab.h"

namespace sallyport::lab {

// The pod that a word means: "ns/name"; or a name that only one namespace has; or, of a workload,
// its name ("ns/name" or alone): then its first pod.
Result<model::ObjectName> PickPod(const std::vector<PodState>& pods, const std::string& word);

}  // namespace sallyport::lab
