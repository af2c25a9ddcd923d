// SPDX-License-Identifier: Apache-2.0
// Takes flows out that nobody here can go on with: every end that was noted is a pod's that has
// gone. They would make place when their bucket is nearly full, but be shown and counted until
// then, for hours. Pure: the programs use the table meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "abi/tables.h"

namespace sallyport::dataplane {

// `is_there`: is this ifindex that of a pod's interface? Returns how many flows were freed. What is
// freed fails closed: a packet of it is judged as a first one. Killed on the way, one place stays
// taken by nobody.
size_t SweepFlows(std::span<sp_flow_bucket> buckets, const std::function<bool(uint32_t)>& is_there);

}  // namespace sallyport::dataplane
