// SPDX-License-Identifier: Apache-2.0
// How the ports of egress IPs are used, by the flows that the kernel remembers. Pure: `buckets` may
// change while it is read.
#pragma once

#include <cstdint>
#include <map>
#include <span>

#include "abi/egress.h"
#include "net/address.h"

namespace sallyport::dataplane {

// Flows of one egress IP, by the first port of each group of SP_PORT_GROUP ports. Groups without
// any are not there.
struct PortUse {
  struct Group {
    uint32_t live = 0;     // flows that go on
    uint32_t resting = 0;  // that are over, while a remote may still remember them
    uint32_t busiest = 0;  // of both, those to the remote that has most of the address's
  };
  std::map<uint16_t, Group> groups;
};
std::map<net::Address, PortUse> ReadPortUse(std::span<const sp_flow_bucket> buckets, uint32_t now);

}  // namespace sallyport::dataplane
