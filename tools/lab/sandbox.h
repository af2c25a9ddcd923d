// SPDX-License-Identifier: Apache-2.0
// A pod's network namespace with its network: made by its keeper, taken away by whoever ends the
// pod.
#pragma once

#include <vector>

#include "base/result.h"
#include "lab/cni.h"
#include "lab/pod_files.h"
#include "lab/state.h"

namespace sallyport::lab {

Sandbox SandboxOf(const Layout& layout, const PodSpec& spec);

// Namespace, then CNI ADD; returns the addresses. On failure nothing is left.
Result<std::vector<net::Address>> MakeSandbox(const LabState& state, const NodePlan& node,
                                              const Sandbox& sandbox);
// CNI DEL, then the namespace. Goes through to the end; returns the first failure.
Status RemoveSandbox(const LabState& state, const NodePlan& node, const Sandbox& sandbox);

}  // namespace sallyport::lab
