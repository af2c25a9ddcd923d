// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flows.h"

#include <arpa/inet.h>

#include <atomic>
#include <optional>

#include "dataplane/tables.h"

namespace sallyport::dataplane {
namespace {

constexpr uint8_t kTcp = 6, kSctp = 132;
constexpr int64_t kTickNs = int64_t{1} << SP_TICK_SHIFT;

template <typename Word>
Word Load(const Word& word) {
  return std::atomic_ref<Word>(const_cast<Word&>(word)).load(std::memory_order_acquire);
}

// Something may have been seen after `now`.
bool IsPast(uint32_t seen, uint32_t life, uint32_t now) {
  return static_cast<int32_t>(now - seen) > static_cast<int32_t>(life);
}

net::FlowTuple Tuple(const sp_address& source, const sp_address& destination, uint8_t protocol,
                     uint16_t source_port, uint16_t destination_port) {
  net::FlowTuple out;
  out.source = FromAbi(source);
  out.destination = FromAbi(destination);
  out.protocol = static_cast<net::Protocol>(protocol);
  if (net::HasPorts(out.protocol)) {
    out.source_port = ntohs(source_port);
    out.destination_port = ntohs(destination_port);
  }
  return out;
}

// A copy in which key and state belong together, if the flow is alive.
std::optional<sp_flow> Live(const sp_flow& flow, uint32_t now) {
  sp_flow copy = flow;
  copy.state = Load(flow.state);
  copy.seen = Load(flow.seen);
  bool filled = (copy.state >> 16 & 0xffff) != 0;  // no tag: free, or being filled
  if (!filled || IsPast(copy.seen, FlowLife(copy.state, copy.key.protocol), now))
    return std::nullopt;
  copy.key = flow.key;
  std::atomic_thread_fence(std::memory_order_acquire);
  if (Load(flow.state) >> 16 != copy.state >> 16) return std::nullopt;  // another flow by now
  return copy;
}

// With the place of each.
template <typename Visit>
void ForEachLive(std::span<const sp_flow_bucket> buckets, uint32_t now, const Visit& visit) {
  for (size_t i = 0; i < buckets.size(); ++i)
    for (size_t way = 0; way < SP_FLOW_WAYS; ++way)
      if (std::optional<sp_flow> live = Live(buckets[i].flow[way], now))
        if (!visit(*live, i << 4 | way)) return;
}

bool IsPinned(const sp_flow& flow) {
  bool from_high = (flow.state & SP_FLOW_FROM_HIGH) != 0;
  return (flow.state & SP_FLOW_PINNED) != 0 && flow.ifindex[from_high ? 0 : 1] == 0;
}

// What the outside sees of the pinned flow at this place, if it is known.
void AddOutside(std::span<const sp_flow_bucket> buckets, std::span<const sp_pin_bucket> pins,
                size_t place, uint32_t now, FlowEntry& out) {
  uint32_t partner = Load(pins[place >> 4].pin[place & 15].partner);
  if (partner >> 4 >= buckets.size() || (partner & 15) >= SP_FLOW_WAYS) return;
  std::optional<sp_flow> outside = Live(buckets[partner >> 4].flow[partner & 15], now);
  if (!outside || outside->key.outside != 1) return;
  bool high = (outside->state & SP_FLOW_FROM_HIGH) != 0;
  if (outside->ifindex[high ? 0 : 1] != place + 1) return;
  out.egress_ip = FromAbi(high ? outside->key.high : outside->key.low);
  out.egress_port = ntohs(high ? outside->key.high_port : outside->key.low_port);
}

// Another generation decides anew.
bool IsKept(uint64_t state, uint32_t generation) {
  return state >> 32 == generation && (state & SP_FLOW_KEPT);
}

FlowEntry ToEntry(const sp_flow& flow, uint32_t generation, uint32_t now) {
  const sp_flow_key& key = flow.key;
  uint64_t state = flow.state;
  bool from_high = (state & SP_FLOW_FROM_HIGH) != 0;
  bool current = state >> 32 == generation;
  FlowEntry out;
  out.tuple = from_high ? Tuple(key.high, key.low, key.protocol, key.high_port, key.low_port)
                        : Tuple(key.low, key.high, key.protocol, key.low_port, key.high_port);
  out.egress_allowed = current && (state & SP_FLOW_EGRESS);
  out.ingress_allowed = current && (state & SP_FLOW_INGRESS);
  out.answered = state & SP_FLOW_ANSWERED;
  out.closing =
      (state & SP_FLOW_RESET) || ((state & SP_FLOW_FIN_OPENER) && (state & SP_FLOW_FIN_OTHER));
  out.cut = state & SP_FLOW_CUT;
  out.kept = IsKept(state, generation);
  out.pinned = IsPinned(flow);
  out.direct = (state & SP_FLOW_DIRECT) && !out.pinned;
  out.source_ifindex = flow.ifindex[from_high ? 1 : 0];
  out.destination_ifindex = flow.ifindex[from_high ? 0 : 1];
  out.idle_seconds = static_cast<int>((now - flow.seen) * kTickNs / 1'000'000'000);
  return out;
}

struct Reason {
  const char* name;
  const char* description;
};

Reason ReasonOf(uint8_t number) {
  switch (number) {
#define SP_X(value, name, text, help) \
  case value:                         \
    return {text, help};
    SP_DROP_REASONS(SP_X)
#undef SP_X
    default:
      return {"unknown", "a reason that this agent does not know"};
  }
}

}  // namespace

uint32_t FlowLife(uint64_t state, uint8_t protocol) {
  constexpr uint64_t kConfirmed = SP_FLOW_ANSWERED | SP_FLOW_CONFIRMED;
  bool confirmed = (state & kConfirmed) == kConfirmed;
  if (state & SP_FLOW_RESET) return SP_LIFE_RESET;
  if (protocol != kTcp && protocol != kSctp)
    return state & SP_FLOW_BRIEF         ? SP_LIFE_BRIEF
           : !(state & SP_FLOW_ANSWERED) ? SP_LIFE_DATAGRAM
           : confirmed                   ? SP_LIFE_CONVERSATION
                                         : SP_LIFE_ANSWERED_ONCE;
  if (state & SP_FLOW_CUT) return state & SP_FLOW_ANSWERED ? SP_LIFE_ESTABLISHED : SP_LIFE_CLOSING;
  if ((state & SP_FLOW_FIN_OPENER) && (state & SP_FLOW_FIN_OTHER)) return SP_LIFE_CLOSING;
  if (!confirmed) return SP_LIFE_SYN;
  return state & (SP_FLOW_FIN_OPENER | SP_FLOW_FIN_OTHER) ? SP_LIFE_HALF_CLOSED
                                                          : SP_LIFE_ESTABLISHED;
}

void ForEachLiveFlow(std::span<const sp_flow_bucket> buckets, uint32_t now,
                     const std::function<bool(const sp_flow&)>& visit) {
  ForEachLive(buckets, now, [&](const sp_flow& flow, size_t) { return visit(flow); });
}

std::vector<FlowEntry> LiveFlows(std::span<const sp_flow_bucket> buckets,
                                 std::span<const sp_pin_bucket> pins, uint32_t generation,
                                 uint32_t now, size_t limit) {
  std::vector<FlowEntry> out;
  ForEachLive(buckets, now, [&](const sp_flow& flow, size_t place) {
    if (out.size() == limit) return false;
    if (flow.key.outside == 1) return true;
    out.push_back(ToEntry(flow, generation, now));
    if (out.back().pinned && !pins.empty()) AddOutside(buckets, pins, place, now, out.back());
    return true;
  });
  return out;
}

uint64_t CountLiveFlows(std::span<const sp_flow_bucket> buckets, uint32_t now) {
  uint64_t count = 0;
  ForEachLive(buckets, now, [&](const sp_flow&, size_t) {
    ++count;
    return true;
  });
  return count;
}

uint64_t CountKeptFlows(std::span<const sp_flow_bucket> buckets, uint32_t generation,
                        uint32_t now) {
  uint64_t count = 0;
  ForEachLive(buckets, now, [&](const sp_flow& flow, size_t) {
    count += IsKept(flow.state, generation) ? 1 : 0;
    return true;
  });
  return count;
}

bool FragmentIsLive(const sp_fragment& fragment, uint32_t now) {
  return !IsPast(fragment.seen, SP_LIFE_FRAGMENT, now);
}

DropEvent ToDropEvent(const sp_event& event, WallTime time) {
  DropEvent out;
  out.time = time;
  out.ifindex = event.ifindex;
  out.endpoint = event.endpoint;
  out.generation = event.generation;
  out.direction =
      event.direction == SP_EGRESS ? policy::Direction::kEgress : policy::Direction::kIngress;
  out.reason = ReasonOf(event.reason).name;
  out.description = ReasonOf(event.reason).description;
  out.tuple = Tuple(event.source, event.destination, event.protocol, event.source_port,
                    event.destination_port);
  out.icmp_type = event.icmp_type;
  out.ethertype = ntohs(event.ethertype);
  out.length = event.length;
  out.suppressed = event.suppressed;
  return out;
}

std::string ReasonName(uint32_t reason) { return ReasonOf(static_cast<uint8_t>(reason)).name; }

}  // namespace sallyport::dataplane
