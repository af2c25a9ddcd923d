// SPDX-License-Identifier: Apache-2.0
// The namespaces of nodes, outside and fabric, and the wires between them.
//
//                    ┌────────────── fabric ──────────────┐
//   node A eth0 ─────┤ bridge "nodes"                 out ├───── eth0 outside
//   node B eth0 ─────┤ gateway of each segment of nodes   │
//                    └────────────────────────────────────┘
//
// Routes: a node sends to another node's pods through that node, to all else through the fabric;
// the fabric sends pods' addresses to their node, and what is nowhere else to the outside.
// Forwarding is switched on inside nodes and fabric only.
#pragma once

#include "base/result.h"
#include "lab/state.h"

namespace sallyport::lab {

// Requires that none of the namespaces exists.
Status BuildFabric(const LabState& state);

// A cable between the fabrics of two labs, with routes to each other's nodes and pods; for the
// address families in which their networks do not overlap. Fails where that is none.
Status WireLabs(const LabState& state, const LabState& peer);

}  // namespace sallyport::lab
