// SPDX-License-Identifier: Apache-2.0
// Flows of pods that have gone, while programs (threads here) go on with the same buckets.
#include "dataplane/flow_sweeper.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

namespace sallyport::dataplane {
namespace {

constexpr uint64_t kBusy = 0x8000;
constexpr uint32_t kGone = 99;

bool IsThere(uint32_t ifindex) { return ifindex < kGone; }

class FlowSweeperTest : public ::testing::Test {
 protected:
  // In the next place of the first bucket.
  size_t Add(uint32_t low, uint32_t high, uint32_t owner, uint64_t flags = SP_FLOW_EGRESS) {
    sp_flow& flow = buckets_[0].flow[used_];
    flow.state = uint64_t{5} << 32 | uint64_t{0x71} << 16 | flags;
    flow.ifindex[0] = low;
    flow.ifindex[1] = high;
    flow.owner = owner;
    buckets_[0].tag[used_] = 0x71;
    return used_++;
  }
  bool IsFree(size_t way) const {
    EXPECT_EQ(buckets_[0].flow[way].state == 0, buckets_[0].tag[way] == 0) << way;
    return buckets_[0].flow[way].state == 0;
  }

  std::vector<sp_flow_bucket> buckets_{2};
  size_t used_ = 0;
};

TEST_F(FlowSweeperTest, SweepsFlowsOfEndpointsThatHaveGone) {
  size_t both = Add(kGone, kGone + 1, kGone);
  size_t one = Add(kGone, 0, kGone, SP_FLOW_CUT | SP_FLOW_ANSWERED);
  size_t of_nobody = Add(0, 0, kGone);
  size_t there = Add(kGone, 3, kGone);
  size_t from_there = Add(3, 0, 3);
  size_t held = Add(kGone, 0, 3);
  size_t unknown = Add(0, 0, 0);
  EXPECT_EQ(SweepFlows(buckets_, IsThere), 3u);
  for (size_t way : {both, one, of_nobody}) EXPECT_TRUE(IsFree(way)) << way;
  for (size_t way : {there, from_there, held, unknown}) EXPECT_FALSE(IsFree(way)) << way;
  EXPECT_EQ(SweepFlows(buckets_, IsThere), 0u);
}

TEST_F(FlowSweeperTest, APlaceThatIsBeingFilledIsItsFillers) {
  size_t filled = Add(kGone, 0, kGone), renewed = Add(kGone, 0, kGone);
  buckets_[0].flow[filled].state = kBusy;
  buckets_[0].flow[renewed].state = uint64_t{0x71} << 16 | kBusy;
  EXPECT_EQ(SweepFlows(buckets_, IsThere), 0u);
  EXPECT_FALSE(IsFree(filled) || IsFree(renewed));
}

// Between the first look and the claim somebody whose interface is here opens the flow anew.
TEST_F(FlowSweeperTest, AFlowThatIsRenewedMeanwhileStaysAsItIs) {
  size_t way = Add(kGone, 0, kGone);
  uint64_t state = buckets_[0].flow[way].state;
  int asked = 0;
  EXPECT_EQ(SweepFlows(buckets_,
                       [&](uint32_t ifindex) {
                         if (++asked == 2) buckets_[0].flow[way].ifindex[1] = 3;
                         return IsThere(ifindex);
                       }),
            0u);
  EXPECT_EQ(asked, 4) << "again, once it was claimed";
  EXPECT_EQ(buckets_[0].flow[way].state, state);
  EXPECT_EQ(buckets_[0].tag[way], 0x71);
}

// A program that opens flows and ends them, as flow_insert.h does.
class Program {
 public:
  Program(std::vector<sp_flow_bucket>& buckets, uint32_t number)
      : buckets_(buckets), number_(number), random_(number) {}

  void Step() {
    size_t bucket = random_() % buckets_.size();
    int way = static_cast<int>(random_() % SP_FLOW_WAYS);
    auto tag = static_cast<__u16>(random_() | 1);
    if (random_() % 8 == 0 && !mine_.empty()) {
      End();
    } else {
      bool lives = random_() % 2 == 0;
      if (Fill(bucket, way, tag, lives ? number_ : kGone + number_) && lives)
        mine_.push_back({bucket, way, buckets_[bucket].flow[way].state});
    }
  }
  // Flows of an endpoint that is here, and that nobody else ends.
  size_t Lost() const {
    size_t lost = 0;
    for (const Flow& flow : mine_) {
      sp_flow_bucket& bucket = buckets_[flow.bucket];
      lost += std::atomic_ref(bucket.flow[flow.way].state).load() != flow.state ||
              bucket.tag[flow.way] != static_cast<__u16>(flow.state >> 16) ||
              bucket.flow[flow.way].owner != number_;
    }
    return lost;
  }

 private:
  struct Flow {
    size_t bucket;
    int way;
    uint64_t state;
  };
  bool Fill(size_t bucket, int way, __u16 tag, uint32_t owner) {
    sp_flow& flow = buckets_[bucket].flow[way];
    std::atomic_ref<__u64> word(flow.state);
    __u64 free = 0;
    if (!word.compare_exchange_strong(free, kBusy)) return false;
    std::atomic_ref<__u16>(buckets_[bucket].tag[way]).store(tag);
    std::atomic_ref<__u32>(flow.ifindex[0]).store(owner);
    std::atomic_ref<__u32>(flow.ifindex[1]).store(0);
    std::atomic_ref<__u32>(flow.owner).store(owner);
    word.store(uint64_t{5} << 32 | uint64_t{tag} << 16 | SP_FLOW_EGRESS);
    return true;
  }
  void End() {
    Flow flow = mine_.back();
    mine_.pop_back();
    std::atomic_ref<__u64> word(buckets_[flow.bucket].flow[flow.way].state);
    __u64 state = flow.state;
    if (!word.compare_exchange_strong(state, kBusy)) return;
    std::atomic_ref<__u16>(buckets_[flow.bucket].tag[flow.way]).store(0);
    word.store(0);
  }

  std::vector<sp_flow_bucket>& buckets_;
  const uint32_t number_;
  std::mt19937 random_;
  std::vector<Flow> mine_;
};

TEST(FlowSweeperThreadsTest, AgainstProgramsThatInsert) {
  std::vector<sp_flow_bucket> buckets(4);
  std::array programs{Program(buckets, 1), Program(buckets, 2), Program(buckets, 3)};
  std::atomic<int> running = static_cast<int>(programs.size());
  size_t freed = 0;
  {
    std::vector<std::jthread> threads;
    for (Program& program : programs) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50000; ++i) program.Step();
        --running;
      });
    }
    while (running > 0) freed += SweepFlows(buckets, IsThere);
  }
  freed += SweepFlows(buckets, IsThere);
  EXPECT_GT(freed, 0u);
  for (const Program& program : programs) EXPECT_EQ(program.Lost(), 0u);
  for (const sp_flow_bucket& bucket : buckets) {
    for (int way = 0; way < SP_FLOW_WAYS; ++way) {
      EXPECT_EQ(bucket.flow[way].state == 0, bucket.tag[way] == 0) << "what is free has no tag";
      if (bucket.flow[way].state) EXPECT_TRUE(IsThere(bucket.flow[way].owner));
    }
  }
}

}  // namespace
}  // namespace sallyport::dataplane
