// SPDX-License-Identifier: Apache-2.0
// Labels and selectors out of trees, where the lab plays scheduler and controller. Pure.
#pragma once

#include "base/result.h"
#include "lab/tree.h"
#include "model/labels.h"

namespace sallyport::lab {

// metadata.labels of an object or a pod template.
model::Labels LabelsOf(const Value& object);
// A meta/v1 LabelSelector; none is an error, an empty one matches everything.
Result<model::Selector> ParseSelector(const Value* selector);
// A plain map of labels (nodeSelector, a ReplicationController's selector).
Result<model::Selector> SelectorOfMap(const Value* map);
// The matchExpressions of a LabelSelector or of a node selector term.
Result<std::vector<model::Requirement>> ParseRequirements(const Value* expressions);

}  // namespace sallyport::lab
