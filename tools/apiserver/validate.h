// SPDX-License-Identifier: Apache-2.0
// The API's validation of what users get wrong. Pure.
// Source: Kubernetes, pkg/apis/*/validation; names by model/validate_names.h.
#pragma once

#include <vector>

#include "apiserver/kinds.h"
#include "apiserver/status.h"

namespace sallyport::apiserver {

// The object has its defaults. `old` is what it replaces, or null: then immutable fields are
// checked, too.
std::vector<Cause> Validate(const Kind& kind, const Value& object, const Value* old);

// metadata alone, of any kind.
std::vector<Cause> ValidateMetadata(const Kind& kind, const Value& object, const Value* old);

}  // namespace sallyport::apiserver
