// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow_sweeper.h"

#include <atomic>

namespace sallyport::dataplane {
namespace {

constexpr uint64_t kBusy = 0x8000;  // FLOW_BUSY of bpf/lib/flow.h
constexpr uint64_t kOver = SP_FLOW_FIN_OPENER | SP_FLOW_FIN_OTHER;
constexpr uint64_t kTag = uint64_t{0xffff} << 16;

template <typename Word>
Word Load(Word& word) {
  return std::atomic_ref<Word>(word).load();
}

// 0: nobody is noted there. Without any, nothing is known about whose it is.
bool IsAbandoned(sp_flow& flow, const std::function<bool(uint32_t)>& is_there) {
  bool noted = false;
  if (flow.key.outside == 1) return !is_there(Load(flow.owner));
  for (__u32* end : {&flow.ifindex[0], &flow.ifindex[1], &flow.owner}) {
    uint32_t ifindex = Load(*end);
    if (ifindex != 0 && is_there(ifindex)) return false;
    noted |= ifindex != 0;
  }
  return noted;
}

// As free_place() of bpf/lib/flow.h. While it is claimed, nobody else writes its state: so whoever
// was noted before, is seen, and the flow is what it was.
bool Free(sp_flow_bucket& bucket, int way, const std::function<bool(uint32_t)>& is_there) {
  sp_flow& flow = bucket.flow[way];
  std::atomic_ref<__u64> word(flow.state);
  __u64 state = word.load();
  if ((state & kTag) == 0 || (state & kBusy) != 0 || !IsAbandoned(flow, is_there)) return false;
  if (flow.key.outside == 1) {  // its port rests: whoever it spoke to has not heard that it ended
    word.compare_exchange_strong(state, state | kOver);
    return false;
  }
  __u64 before = state;
  if (!word.compare_exchange_strong(before, (state & kTag) | kBusy)) return false;
  if (!IsAbandoned(flow, is_there)) {
    word.store(state);
    return false;
  }
  word.store(kBusy);
  std::atomic_ref<__u16>(bucket.tag[way]).store(0);
  word.store(0);
  return true;
}

}  // namespace

size_t SweepFlows(std::span<sp_flow_bucket> buckets,
                  const std::function<bool(uint32_t)>& is_there) {
  size_t freed = 0;
  for (sp_flow_bucket& bucket : buckets)
    for (int way = 0; way < SP_FLOW_WAYS; ++way) freed += Free(bucket, way, is_there) ? 1 : 0;
  return freed;
}

}  // namespace sallyport::dataplane
