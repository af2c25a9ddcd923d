// SPDX-License-Identifier: Apache-2.0
// What a pin means for a flow, for who asks whether it passes.
#pragma once

#include <optional>
#include <string>

#include "egress/pin_plan.h"
#include "model/snapshot.h"
#include "net/flow.h"

namespace sallyport::egress {

// As PinOf, of the flow's sender: nothing where that is no pod, or one that is its node.
std::optional<PinAnswer> PinOfFlow(const model::Snapshot& snapshot, const model::Pod* sender,
                                   const net::FlowTuple& flow);

// False: it is dropped, whatever policy says.
bool MayLeave(const std::optional<PinAnswer>& pin);

// "leaves as 203.0.113.10, by EgressGateway partner (198.51.100.0/24)"
// "dropped: pinned to nothing by EgressGateway partner (0.0.0.0/0): it has no IPv4 address"
std::string Explain(const PinAnswer& pin);

}  // namespace sallyport::egress
