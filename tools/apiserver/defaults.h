// SPDX-License-Identifier: Apache-2.0
// What the API server fills in where an object leaves it open. Pure; twice is as good as once.
// Source: Kubernetes, pkg/apis/*/v1/defaults.go.
#pragma once

#include "apiserver/kinds.h"

namespace sallyport::apiserver {

void ApplyDefaults(const Kind& kind, Value& object);

}  // namespace sallyport::apiserver
