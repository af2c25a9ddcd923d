// SPDX-License-Identifier: Apache-2.0
// What an object waits for before it goes.
#pragma once

#include <string_view>

#include "apiserver/tree.h"

namespace sallyport::apiserver {

// In metadata, or a namespace's in spec.
bool HasFinalizers(const Value& object);
// In metadata.
void AddFinalizer(Value& object, std::string_view name);
void RemoveFinalizer(Value& object, std::string_view name);

}  // namespace sallyport::apiserver
