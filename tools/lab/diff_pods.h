// SPDX-License-Identifier: Apache-2.0
// What has to happen to a running lab's pods so that they are those of another plan. Pure.
#pragma once

#include <vector>

#include "lab/plan.h"
#include "lab/pod_files.h"

namespace sallyport::lab {

struct PodChanges {
  std::vector<PodPlan> start;
  std::vector<PodPlan> replace;  // ended and started again: the spec is another
  std::vector<PodPlan> relabel;  // only the metadata is another
  std::vector<model::ObjectName> end;
};

// `fresh` names pods that are to be made anew though nothing changed.
PodChanges DiffPods(const std::vector<PodSpec>& running, const std::vector<PodPlan>& wanted,
                    const std::vector<model::ObjectName>& fresh);

}  // namespace sallyport::lab
