// SPDX-License-Identifier: Apache-2.0
// The three kinds of patches. Pure; each throws BadRequest for a patch that makes no sense.
#pragma once

#include "apiserver/schema.h"
#include "apiserver/tree.h"

namespace sallyport::apiserver {

// RFC 6902. A failed `test`, or a path that is not there, is a Failure with code 422.
void ApplyJsonPatch(Value& object, const Value& patch);

// RFC 7386.
void ApplyMergePatch(Value& object, const Value& patch);

// Strategic merge patch: lists are merged by the keys of the type's schema; $patch (replace,
// delete, merge), $retainKeys, $deleteFromPrimitiveList and $setElementOrder are obeyed.
// Source: apimachinery's strategicpatch, and its documentation
// (contributors/devel/sig-api-machinery/strategic-merge-patch.md).
void ApplyStrategicPatch(Value& object, const Value& patch, const Type* type);

}  // namespace sallyport::apiserver
