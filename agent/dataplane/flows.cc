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

template <typename Visit>
void ForEachLive(std::span<const sp_flow_bucket> buckets, uint32_t now, const Visit& visit) {
  for (const sp_flow_bucket& bucket : buckets)
    for (const sp_flow& flow : bucket.flow)
      if (std::optional<sp_flow> live = Live(flow, now))
        if (!visit(*live)) return;
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
  out.direct = state & SP_FLOW_DIRECT;
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

std::vector<FlowEntry> LiveFlows(std::span<const sp_flow_bucket> buckets, uint32_t generation,
                                 uint32_t now, size_t limit) {
  std::vector<FlowEntry> out;
  ForEachLive(buckets, now, [&](const sp_flow& flow) {
    if (out.size() == limit) return false;
    out.push_back(ToEntry(flow, generation, now));
    return true;
  });
  return out;
}

uint64_t CountLiveFlows(std::span<const sp_flow_bucket> buckets, uint32_t now) {
  uint64_t count = 0;
  ForEachLive(buckets, now, [&](const sp_flow&) {
    ++count;
    return true;
  });
  return count;
}

uint64_t CountKeptFlows(std::span<const sp_flow_bucket> buckets, uint32_t generation,
                        uint32_t now) {
  uint64_t count = 0;
  ForEachLive(buckets, now, [&](const sp_flow& flow) {
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
