// SPDX-License-Identifier: Apache-2.0
// CustomResourceDefinitions and the objects of the kinds that they define: structural schemas
// (pruning, defaults, validation), scale. Pure. Rules in CEL (x-kubernetes-validations) are kept
// with the definition but not evaluated.
#pragma once

#include <string>
#include <vector>

#include "apiserver/kinds.h"
#include "apiserver/schema.h"

namespace sallyport::apiserver {

// Prunes what the schema does not know.
Decoded DecodeCustom(const Kind& kind, Value& object);
std::vector<Cause> FillAndValidateCustom(const Kind& kind, Value& object, const Value* old);

// status of a definition that is served from now on.
void EstablishDefinition(Value& definition, const std::string& now);
std::vector<Cause> ValidateDefinition(const Value& definition, const Value* old);

void SetReplicas(const Kind& kind, Value& object, int64_t replicas);

}  // namespace sallyport::apiserver
