// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_use.h"

#include <arpa/inet.h>

#include <algorithm>

#include "dataplane/flows.h"
#include "dataplane/tables.h"

namespace sallyport::dataplane {

std::map<net::Address, PortUse> ReadPortUse(std::span<const sp_flow_bucket> buckets, uint32_t now) {
  std::map<net::Address, PortUse> out;
  ForEachLiveFlow(buckets, now, [&out](const sp_flow& flow) {
    if (flow.key.outside != 1) return true;
    bool high = (flow.state & SP_FLOW_FROM_HIGH) != 0;
    uint16_t port = ntohs(high ? flow.key.high_port : flow.key.low_port);
    const sp_address& egress_ip = high ? flow.key.high : flow.key.low;
    auto first = static_cast<uint16_t>(port / SP_PORT_GROUP * SP_PORT_GROUP);
    PortUse::Group& group = out[FromAbi(egress_ip)].groups[first];
    constexpr uint64_t kBoth = SP_FLOW_FIN_OPENER | SP_FLOW_FIN_OTHER;
    bool over = (flow.state & SP_FLOW_RESET) || (flow.state & kBoth) == kBoth;
    ++(over ? group.resting : group.live);
    group.last_seen = std::max(group.last_seen, flow.seen);
    return true;
  });
  return out;
}

}  // namespace sallyport::dataplane
