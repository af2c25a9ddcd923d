// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_use.h"

#include <arpa/inet.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "dataplane/flows.h"
#include "dataplane/tables.h"

namespace sallyport::dataplane {
namespace {

// Who is at the other end. A port serves each of them once.
using Remote = std::tuple<net::Address, uint16_t, uint8_t>;

struct Seen {
  Remote remote;
  uint16_t group;
  bool over;
};

}  // namespace

std::map<net::Address, PortUse> ReadPortUse(std::span<const sp_flow_bucket> buckets, uint32_t now) {
  std::map<net::Address, std::vector<Seen>> seen;
  ForEachLiveFlow(buckets, now, [&seen](const sp_flow& flow) {
    if (flow.key.outside != 1) return true;
    bool high = (flow.state & SP_FLOW_FROM_HIGH) != 0;
    const sp_flow_key& key = flow.key;
    uint16_t port = ntohs(high ? key.high_port : key.low_port);
    constexpr uint64_t kBoth = SP_FLOW_FIN_OPENER | SP_FLOW_FIN_OTHER;
    bool echo = key.protocol == 1 || key.protocol == 58;  // both ports are the identifier
    seen[FromAbi(high ? key.high : key.low)].push_back(
        {{FromAbi(high ? key.low : key.high),
          echo ? uint16_t{0} : ntohs(high ? key.low_port : key.high_port), key.protocol},
         static_cast<uint16_t>(port / SP_PORT_GROUP * SP_PORT_GROUP),
         (flow.state & SP_FLOW_RESET) || (flow.state & kBoth) == kBoth});
    return true;
  });
  std::map<net::Address, PortUse> out;
  for (const auto& [address, flows] : seen) {
    std::map<Remote, uint32_t> remotes;
    for (const Seen& flow : flows) ++remotes[flow.remote];
    auto busiest =
        std::max_element(remotes.begin(), remotes.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    PortUse& use = out[address];
    for (const Seen& flow : flows) {
      PortUse::Group& group = use.groups[flow.group];
      ++(flow.over ? group.resting : group.live);
      if (flow.remote == busiest->first) ++group.busiest;
    }
  }
  return out;
}

}  // namespace sallyport::dataplane
