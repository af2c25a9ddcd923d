// SPDX-License-Identifier: Apache-2.0
// What a rule lacked to allow a flow, in words and as a distance. Part of Evaluate.
#pragma once

#include "policy/evaluate.h"
#include "policy/rule_match.h"

namespace sallyport::policy {

// Requires that the rule does not allow.
NearMiss Missed(const RuleMatcher& match, const model::NetworkPolicy& policy,
                const model::Rule& rule, const RuleRef& where);

}  // namespace sallyport::policy
