// SPDX-License-Identifier: Apache-2.0
// The flows that the kernel remembers, as values. Pure: `buckets` may change while it is read.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "abi/egress.h"
#include "abi/tables.h"
#include "dataplane/dataplane.h"

namespace sallyport::dataplane {

// Ticks that a flow lives after its last packet: flow_life() of bpf/lib/flow.h.
uint32_t FlowLife(uint64_t state, uint8_t protocol);

// All that is alive, copies in which key and state belong together, also flows as the outside sees
// them, until `visit` says false.
void ForEachLiveFlow(std::span<const sp_flow_bucket> buckets, uint32_t now,
                     const std::function<bool(const sp_flow&)>& visit);
// Live ones, at most `limit`. `now` in ticks. `pins`: beside the flows, or empty.
std::vector<FlowEntry> LiveFlows(std::span<const sp_flow_bucket> buckets,
                                 std::span<const sp_pin_bucket> pins, uint32_t generation,
                                 uint32_t now, size_t limit);
// What later fragments may still be placed by: it stays in its table until others need the room.
bool FragmentIsLive(const sp_fragment& fragment, uint32_t now);
uint64_t CountLiveFlows(std::span<const sp_flow_bucket> buckets, uint32_t now);
uint64_t CountKeptFlows(std::span<const sp_flow_bucket> buckets, uint32_t generation, uint32_t now);

// The drop, which happened at `time`, as a value.
DropEvent ToDropEvent(const sp_event& event, WallTime time);
// The reason's name in logs and metrics.
std::string ReasonName(uint32_t reason);

}  // namespace sallyport::dataplane
