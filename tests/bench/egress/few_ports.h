// SPDX-License-Identifier: Apache-2.0
// As many connections to one port of the outside as a few thousand ports of the egress IP carry.
#pragma once

#include <cstdint>

#include "egress/traffic.h"

namespace sallyport::bench {

struct PortUse {
  double per_second = 0;  // in the second half, when ports come round
  double waited = 0;      // the share of those that took 0.9 s or more: a SYN was sent again
  uint64_t failed = 0;    // were refused, or not answered in 10 s
};

// Two pods of the source node, whose clocks of sequence numbers and timestamps are not the same, as
// those of any two.
PortUse Exhaust(Closer first, double seconds);

}  // namespace sallyport::bench
