// SPDX-License-Identifier: Apache-2.0
// A flow's decision is that of the endpoint that gave it: another one that is shown the same
// packets, by a multicast group or by a bridge, neither profits from it nor undoes it.
#include <algorithm>

#include "bpf/packets/world.h"

namespace sallyport::test {
namespace {

class BystanderTest : public FamilyTest {
 protected:
  static constexpr Host kGroup = {"239.1.1.1", "ff0e::1"};
};
BOTH_FAMILIES(BystanderTest);

TEST_P(BystanderTest, EachMemberOfAGroupIsAsked) {
  WebAndDb({.ingress = kOpen}, {.ingress = kNothing});
  for (int i = 0; i < 3; i++) {
    EXPECT_PASS(ToWeb(Udp(kFar, 1024, kGroup, 80)));
    EXPECT_DROP(ToDb(Udp(kFar, 1024, kGroup, 80)), "policy");
  }
  EXPECT_PASS(ToWeb(Udp(kFar, 1024, kGroup, 80)));
}

// A bridge that floods, or a neighbour that was told wrong. Not even from the node itself.
TEST_P(BystanderTest, WhatIsForAnotherIsNotDelivered) {
  WebAndDb({.ingress = kOpen}, {.ingress = kNothing});
  EXPECT_DROP(ToWeb(Tcp(kFar, 1024, kDb, 80)), "misdelivered");
  EXPECT_DROP(ToWeb(Udp(kFar, 1024, kStranger, 80)), "misdelivered");
  EXPECT_DROP(k.ToPod(web, Udp(kNode, 1024, kDb, 80), {.ingress_ifindex = 0}), "misdelivered");
  EXPECT_DROP(ToDb(Tcp(kFar, 1024, kDb, 80, kAck)), "policy");
  EXPECT_EQ(k.Flows().size(), 0u);
}

TEST_P(BystanderTest, WhatIsForAllIsDelivered) {
  WebAndDb({.ingress = kOpen}, {.ingress = kOpen});
  EXPECT_PASS(ToWeb(Udp(kFar, 1024, {"255.255.255.255", "ff02::1"}, 80)));
  Packet subnet = Udp(kFar, 1024, {"10.0.0.255", kDb.v6}, 80);
  EXPECT_DROP(ToWeb(subnet), "misdelivered");
  Bytes frame = subnet.bytes();
  std::fill_n(frame.begin(), 6, uint8_t{0xff});
  EXPECT_EQ(k.Run(SP_INGRESS, web, frame).action, Action::kPass);
}

TEST_P(BystanderTest, WhatIsDeniedHereIsNotCutForOthers) {
  WebAndDb({.ingress = kOpen}, {.ingress = kNothing});
  EXPECT_PASS(ToWeb(Tcp(kFar, 1024, kWeb, 80)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kFar, 1024, kSyn | kAck)));
  EXPECT_PASS(ToWeb(Udp(kFar, 1024, kWeb, 80)));
  k.NextGeneration();
  EXPECT_DROP(ToDb(Tcp(kFar, 1024, kWeb, 80, kAck)), "misdelivered");
  EXPECT_DROP(ToDb(Udp(kFar, 1024, kWeb, 80)), "misdelivered");
  EXPECT_PASS(ToWeb(Tcp(kFar, 1024, kWeb, 80, kAck)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kFar, 1024, kAck)));
  EXPECT_EQ(k.Flows().size(), 2u);
}

// Two processors may open one flow at once: both entries lead to the same answer.
TEST_P(BystanderTest, AnEntryThatIsNotTheFirstOneHidesNothing) {
  Web(kOpen, kNothing);
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  for (uint32_t i = 0; i < 64; i++) {
    sp_flow_bucket& bucket = k.flows()[i];
    for (uint32_t way = 0; way < SP_FLOW_WAYS; way++) {
      if (!bucket.tag[way]) continue;
      uint32_t other = way == 0 ? 1 : 0;  // before it, but not at home
      bucket.flow[other] = bucket.flow[way];
      bucket.flow[other].seen -= SP_LIFE_DATAGRAM + 2;
      bucket.tag[other] = bucket.tag[way];
      break;
    }
  }
  ASSERT_EQ(k.Flows().size(), 2u);
  EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1024)));
}

}  // namespace
}  // namespace sallyport::test
