// SPDX-License-Identifier: Apache-2.0
// What the lab's commands print about labs, nodes and pods.
#pragma once

#include <string>

#include "base/result.h"
#include "lab/lab.h"

namespace sallyport::lab {

// "3 nodes, 18 pods, ready" and, of pods that are not, why, with the end of their logs.
void ReportOutcome(const std::string& lab, const Outcome& outcome, const Console& console);

// Nodes, pods, outside. False where something is not as it should be.
Result<bool> ReportStatus(const std::string& lab, bool json, const Console& console);

// One line a lab.
void ReportLabs(bool json, const Console& console);

}  // namespace sallyport::lab
