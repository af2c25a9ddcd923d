// SPDX-License-Identifier: Apache-2.0
// Drops that no event is left to tell of are decided on a path of their own: the verdicts are the
// same, and so are the counters.
#include <gtest/gtest.h>

#include "bpf/packets/world.h"

namespace sallyport::test {
namespace {

class SpentTest : public FamilyTest {
 protected:
  SpentTest() : FamilyTest({.flow_buckets = 2, .events_per_tick = 0}) {
    k.SetRule(kSet, kFarIdentity, Ports().Tcp(80).Udp(53));
  }
  // The first drop of a tick still goes the long way.
  void Spend() {
    FromWeb(Udp(kWeb, 9, kStranger, 9));
    ToWeb(Udp(kStranger, 9, kWeb, 9));
  }
  sp_counters Counted() { return k.Counters(web); }

  // The reason that the drop of this packet was counted for; SP_PASS (0) if it passed.
  int From(const Packet& packet) { return Reason(SP_EGRESS, packet, {}); }
  int To(const Packet& packet, const Arrival& arrival = {}) {
    return Reason(SP_INGRESS, packet, arrival);
  }

 private:
  int Reason(sp_direction direction, const Packet& packet, const Arrival& arrival) {
    sp_counters before = Counted();
    Outcome outcome = k.Run(direction, web, packet.bytes(), arrival);
    sp_counters after = Counted();
    int reason = SP_PASS;
    for (int i = 0; i < SP_DROP_SLOTS; i++) {
      if (after.dropped[direction][i] == before.dropped[direction][i]) continue;
      EXPECT_EQ(after.dropped[direction][i], before.dropped[direction][i] + 1);
      EXPECT_EQ(reason, SP_PASS) << "two reasons";
      reason = i;
    }
    EXPECT_EQ(outcome.action == Action::kDrop, reason != SP_PASS);
    return reason;
  }
};
BOTH_FAMILIES(SpentTest);

TEST_P(SpentTest, DropsAreCountedAndHaveNoEvent) {
  Web(kSet, kSet);
  Spend();
  sp_counters before = Counted();
  for (uint8_t flags : {kSyn, kAck, kFin, kRst}) {
    EXPECT_EQ(From(Tcp(kWeb, 1024, kFar, 81, flags)), SP_DROP_POLICY);
    EXPECT_EQ(To(Tcp(kFar, 1024, kWeb, 81, flags)), SP_DROP_POLICY);
  }
  EXPECT_EQ(From(Udp(kWeb, 1024, kFar, 80)), SP_DROP_POLICY);
  EXPECT_EQ(To(Udp(kStranger, 1024, kWeb, 53)), SP_DROP_POLICY);
  sp_counters after = Counted();
  EXPECT_EQ(after.dropped[SP_EGRESS][SP_DROP_POLICY] - before.dropped[SP_EGRESS][SP_DROP_POLICY],
            5u);
  EXPECT_EQ(after.dropped[SP_INGRESS][SP_DROP_POLICY] - before.dropped[SP_INGRESS][SP_DROP_POLICY],
            5u);
  EXPECT_EQ(after.events_suppressed - before.events_suppressed, 10u);
  EXPECT_EQ(after.packets[SP_EGRESS] + after.packets[SP_INGRESS], 0u);
  EXPECT_EQ(k.TakeEvents().size(), 0u);
  EXPECT_EQ(k.Flows().size(), 0u);
}

TEST_P(SpentTest, WhatIsAllowedPassesBothWays) {
  Web(kSet, kNothing);
  Spend();
  EXPECT_EQ(From(Udp(kWeb, 1024, kFar, 53)), SP_PASS);
  EXPECT_EQ(To(Udp(kFar, 53, kWeb, 1024)), SP_PASS);
  EXPECT_EQ(To(Udp(kFar, 53, kWeb, 1025)), SP_DROP_POLICY);
  EXPECT_EQ(From(Tcp(kWeb, 1024, kFar, 80)), SP_PASS);
  EXPECT_EQ(To(Tcp(kFar, 80, kWeb, 1024, kSyn | kAck)), SP_PASS);
  EXPECT_EQ(From(Tcp(kWeb, 1024, kFar, 80, kAck)), SP_PASS);
  EXPECT_EQ(From(Tcp(kWeb, 1024, kFar, 80, kFin | kAck)), SP_PASS);
  EXPECT_EQ(To(Tcp(kFar, 80, kWeb, 1024, kRst)), SP_PASS);
  EXPECT_EQ(To(Tcp(kFar, 80, kWeb, 1024)), SP_DROP_POLICY);
}

// Also where its first bucket is nearly full and it stands in the second one.
TEST_P(SpentTest, AKnownFlowIsNeverTakenForNone) {
  Web(kSet, kNothing);
  uint16_t last = 1;
  while (From(Udp(kWeb, last, kFar, 53)) == SP_PASS) {
    To(Udp(kFar, 53, kWeb, last));
    From(Udp(kWeb, last, kFar, 53));  // a conversation: it makes no place for others
    last++;
  }
  ASSERT_GT(last, SP_FLOW_SHARE);
  Spend();
  for (uint16_t sport = 1; sport < last; sport++) {
    EXPECT_EQ(To(Udp(kFar, 53, kWeb, sport)), SP_PASS);
    EXPECT_EQ(To(Udp(kFar, 53, kWeb, sport)), SP_PASS);
  }
}

TEST_P(SpentTest, WhatIsNotForPolicyIsNotJudgedByIt) {
  Web(kNothing, kNothing);
  Spend();
  EXPECT_EQ(From(Tcp(kWeb, 1024, kNode, 53)), SP_PASS);
  EXPECT_EQ(From(Udp(kWeb, 1024, kNode, 53)), SP_PASS);
  EXPECT_EQ(From(Udp(kWeb, 1024, kWeb, 53)), SP_PASS);
  EXPECT_EQ(From(Udp(kDb, 1024, kFar, 53)), SP_DROP_SPOOFED);
  // Answers of the node that have no socket: from no interface, and without a pod's mark.
  Packet answer = Tcp(kNode, 53, kWeb, 1025, kAck);
  EXPECT_EQ(To(answer, {.ingress_ifindex = 0}), SP_PASS);
  EXPECT_EQ(To(answer, {.mark = 0x100, .ingress_ifindex = 0}), SP_DROP_SENDER);
  EXPECT_EQ(To(answer), SP_DROP_POLICY);
  Web(kOpen, kNothing);
  EXPECT_EQ(From(Udp(kWeb, 1024, kStranger, 80)), SP_PASS);
}

TEST_P(SpentTest, ConnectionThatPolicyCutStaysCut) {
  Web(kSet, kNothing);
  Spend();
  EXPECT_EQ(From(Tcp(kWeb, 1024, kFar, 80)), SP_PASS);
  k.RemoveRule(kSet, kFarIdentity);
  k.NextGeneration();
  Spend();
  EXPECT_EQ(From(Tcp(kWeb, 1024, kFar, 80, kAck)), SP_DROP_POLICY);
  EXPECT_EQ(From(Tcp(kWeb, 1024, kFar, 80, kAck)), SP_DROP_CUT);
  EXPECT_EQ(To(Tcp(kFar, 80, kWeb, 1024, kAck)), SP_DROP_CUT);
}

TEST_P(SpentTest, TheOtherEndsDropsAreTheOtherEnds) {
  WebAndDb({.egress = kOpen}, {.ingress = kNothing});
  for (int i = 0; i < 3; i++) EXPECT_EQ(FromWeb(Udp(kWeb, 1024, kDb, 80)).action, Action::kDrop);
  EXPECT_EQ(k.Counters(db).dropped[SP_INGRESS][SP_DROP_POLICY], 3u);
  EXPECT_EQ(k.Counters(web).dropped[SP_EGRESS][SP_DROP_POLICY], 0u);
}

}  // namespace
}  // namespace sallyport::test
