// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flows.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "dataplane/tables.h"

namespace sallyport::dataplane {
namespace {

constexpr uint8_t kTcp = 6, kUdp = 17, kIcmp = 1, kSctp = 132;
constexpr uint32_t kGeneration = 5;
constexpr uint32_t kNow = 100000;

class FlowsTest : public ::testing::Test {
 protected:
  sp_flow& Add(uint32_t flags, uint8_t protocol = kTcp) {
    sp_flow& flow = buckets_[0].flow[used_++];
    flow.key.low = ToAbi(*net::Address::Parse("10.0.0.1"));
    flow.key.high = ToAbi(*net::Address::Parse("10.0.0.2"));
    flow.key.low_port = htons(1000);
    flow.key.high_port = htons(80);
    flow.key.protocol = protocol;
    flow.state = uint64_t{kGeneration} << 32 | 0x77u << 16 | flags;
    flow.seen = kNow - 1;
    flow.ifindex[0] = 11;
    flow.ifindex[1] = 12;
    return flow;
  }
  std::vector<FlowEntry> Live(size_t limit = 100) {
    return LiveFlows(buckets_, {}, kGeneration, kNow, limit);
  }

  std::vector<sp_flow_bucket> buckets_{2};
  size_t used_ = 0;
};

TEST_F(FlowsTest, AsItWasOpened) {
  Add(SP_FLOW_EGRESS | SP_FLOW_INGRESS | SP_FLOW_ANSWERED);
  Add(SP_FLOW_FROM_HIGH | SP_FLOW_INGRESS | SP_FLOW_DIRECT);
  auto flows = Live();
  ASSERT_EQ(flows.size(), 2u);
  EXPECT_EQ(flows[0].tuple.ToString(), "10.0.0.1:1000 -> 10.0.0.2:80/TCP");
  EXPECT_TRUE(flows[0].egress_allowed && flows[0].ingress_allowed && flows[0].answered);
  EXPECT_EQ(flows[0].source_ifindex, 11u);
  EXPECT_EQ(flows[0].destination_ifindex, 12u);
  EXPECT_EQ(flows[0].idle_seconds, 1);
  EXPECT_EQ(flows[1].tuple.ToString(), "10.0.0.2:80 -> 10.0.0.1:1000/TCP");
  EXPECT_EQ(flows[1].source_ifindex, 12u);
  EXPECT_FALSE(flows[1].egress_allowed);
  EXPECT_TRUE(flows[1].direct);
}

TEST_F(FlowsTest, AnotherGenerationAllowsNothingNow) {
  Add(SP_FLOW_EGRESS).state += uint64_t{1} << 32;
  Add(SP_FLOW_EGRESS | SP_FLOW_KEPT).state += uint64_t{1} << 32;
  Add(SP_FLOW_EGRESS | SP_FLOW_KEPT);
  ASSERT_EQ(Live().size(), 3u);
  EXPECT_FALSE(Live()[0].egress_allowed);
  EXPECT_FALSE(Live()[1].kept);
  EXPECT_TRUE(Live()[2].kept && Live()[2].egress_allowed);
  EXPECT_EQ(CountKeptFlows(buckets_, kGeneration, kNow), 1u);
  EXPECT_EQ(CountKeptFlows(buckets_, kGeneration, kNow + SP_LIFE_SYN), 0u);
}

TEST_F(FlowsTest, FreeAndHalfFilledPlacesAreNoFlows) {
  Add(SP_FLOW_EGRESS).state = 0;
  Add(SP_FLOW_EGRESS).state = 0x8000;
  EXPECT_EQ(CountLiveFlows(buckets_, kNow), 0u);
}

TEST_F(FlowsTest, AFlowThatWasSeenAfterTheQuestionIsAlive) {
  Add(SP_FLOW_EGRESS).seen = kNow + 1;
  EXPECT_EQ(CountLiveFlows(buckets_, kNow), 1u);
}

TEST_F(FlowsTest, FragmentsLiveAsLongAsTheKernelWaitsForThem) {
  for (auto [seen, live] : {std::pair{kNow - SP_LIFE_FRAGMENT, true},
                            {kNow - SP_LIFE_FRAGMENT - 1, false},
                            {kNow + 1, true}}) {
    sp_fragment fragment{};
    fragment.seen = seen;
    EXPECT_EQ(FragmentIsLive(fragment, kNow), live) << seen;
  }
}

TEST_F(FlowsTest, EveryLifetime) {
  constexpr uint32_t kConfirmed = SP_FLOW_ANSWERED | SP_FLOW_CONFIRMED;
  struct Case {
    uint32_t flags;
    uint8_t protocol;
    uint32_t life;
  } cases[] = {
      {0, kTcp, SP_LIFE_SYN},
      {SP_FLOW_CONFIRMED, kTcp, SP_LIFE_SYN},
      {SP_FLOW_ANSWERED, kTcp, SP_LIFE_SYN},
      {kConfirmed, kTcp, SP_LIFE_ESTABLISHED},
      {kConfirmed, kSctp, SP_LIFE_ESTABLISHED},
      {kConfirmed | SP_FLOW_FIN_OPENER, kTcp, SP_LIFE_HALF_CLOSED},
      {kConfirmed | SP_FLOW_FIN_OTHER, kTcp, SP_LIFE_HALF_CLOSED},
      {kConfirmed | SP_FLOW_FIN_OPENER | SP_FLOW_FIN_OTHER, kTcp, SP_LIFE_CLOSING},
      {SP_FLOW_ANSWERED | SP_FLOW_RESET, kTcp, SP_LIFE_RESET},
      {SP_FLOW_CUT, kTcp, SP_LIFE_CLOSING},
      {SP_FLOW_ANSWERED | SP_FLOW_CUT, kTcp, SP_LIFE_ESTABLISHED},
      {0, kUdp, SP_LIFE_DATAGRAM},
      {SP_FLOW_BRIEF, kUdp, SP_LIFE_BRIEF},
      {SP_FLOW_BRIEF | SP_FLOW_ANSWERED, kUdp, SP_LIFE_BRIEF},
      {SP_FLOW_ANSWERED, kIcmp, SP_LIFE_ANSWERED_ONCE},
      {kConfirmed, kUdp, SP_LIFE_CONVERSATION},
      {kConfirmed | SP_FLOW_BRIEF, kUdp, SP_LIFE_BRIEF},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.flags);
    used_ = 0;
    sp_flow& flow = Add(c.flags, c.protocol);
    flow.seen = kNow - c.life;
    EXPECT_EQ(CountLiveFlows(buckets_, kNow), 1u);
    flow.seen = kNow - c.life - 1;
    EXPECT_EQ(CountLiveFlows(buckets_, kNow), 0u);
  }
}

TEST_F(FlowsTest, AtMostSoMany) {
  for (int i = 0; i < 5; ++i) Add(SP_FLOW_EGRESS);
  EXPECT_EQ(Live(3).size(), 3u);
}

TEST_F(FlowsTest, ProtocolsWithoutPortsHaveNone) {
  Add(SP_FLOW_EGRESS, kIcmp);
  EXPECT_EQ(Live()[0].tuple.ToString(), "10.0.0.1 -> 10.0.0.2/ICMP");
}

TEST(DropEvents, SayWhatHappened) {
  sp_event event{};
  event.reason = SP_DROP_POLICY;
  event.direction = SP_INGRESS;
  event.source = ToAbi(*net::Address::Parse("fd00::1"));
  event.destination = ToAbi(*net::Address::Parse("fd00::2"));
  event.source_port = htons(1000);
  event.destination_port = htons(80);
  event.protocol = kTcp;
  event.ethertype = htons(0x86dd);
  DropEvent drop = ToDropEvent(event, WallTime(std::chrono::seconds(7)));
  EXPECT_EQ(drop.reason, "policy");
  EXPECT_EQ(drop.direction, policy::Direction::kIngress);
  EXPECT_EQ(drop.tuple.ToString(), "[fd00::1]:1000 -> [fd00::2]:80/TCP");
  EXPECT_EQ(drop.ethertype, 0x86dd);
  event.reason = 99;
  EXPECT_EQ(ToDropEvent(event, {}).reason, "unknown");
}

}  // namespace
}  // namespace sallyport::dataplane
