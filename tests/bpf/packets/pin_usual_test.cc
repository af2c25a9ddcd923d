// SPDX-License-Identifier: Apache-2.0
// Pinned connections that just go on: their packets take the short way, to the same end as the long
// one, and only as long as nothing has changed.
#include "bpf/packets/pinned.h"

namespace sallyport::test {
namespace {

class PinUsualTest : public PinTest {
 protected:
  // Both sides have spoken.
  void Establish() {
    EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kPartner, 443)));
    EXPECT_DIRECT(FromPartner(Tcp(kPartner, 443, kEgress, Port(), kSyn | kAck)));
    EXPECT_DIRECT(FromWeb(data_));
    ExpectBecomes(FromPartner(answer_), Tcp(kPartner, 443, kWeb, 1024, kAck));
  }

  const Packet data_ = Tcp(kWeb, 1024, kPartner, 443, kAck);
  const Packet answer_ = Tcp(kPartner, 443, kEgress, kFirst, kAck);
};
BOTH_FAMILIES(PinUsualTest);

TEST_P(PinUsualTest, AnswersAloneKeepBothEntriesAlive) {
  Establish();
  for (int i = 0; i < 200; i++) {
    k.Age(SP_LIFE_ESTABLISHED / 100);
    ASSERT_EQ(FromPartner(answer_).action, Action::kDirect);
  }
  ExpectBecomes(FromWeb(data_), Tcp(kEgress, Port(), kPartner, 443, kAck));
}

// And every second, which is less than what the short way looks at.
TEST_P(PinUsualTest, EachAnswerCounts) {
  Establish();
  uint64_t before = k.Counters(web).packets[SP_INGRESS];
  for (int i = 0; i < 120; i++) {
    k.Age(1);
    EXPECT_DIRECT(FromPartner(answer_));
  }
  EXPECT_EQ(k.Counters(web).packets[SP_INGRESS], before + 120);
  for (const sp_flow* f : k.Flows()) EXPECT_EQ(f->seen, k.Flows().front()->seen);
}

TEST_P(PinUsualTest, AnswersStopWithPolicy) {
  for (const char* cidr : {"198.51.100.0/24", "2001:db8:100::/48"}) k.SetPrefix(cidr, 31);
  k.SetRule(kSet, 31, Ports().Tcp(443));
  Pinned(kPins, kSet);
  Establish();
  k.RemoveRule(kSet, 31);
  k.NextGeneration();
  EXPECT_DROP(FromPartner(answer_), "policy");
  EXPECT_DROP(FromPartner(answer_), "cut");
  EXPECT_DROP(FromWeb(data_), "cut");
}

TEST_P(PinUsualTest, AnswersGoOnWhilePolicyAllowsThem) {
  Establish();
  k.NextGeneration();
  for (int i = 0; i < 3; i++) EXPECT_DIRECT(FromPartner(answer_));
  for (int i = 0; i < 3; i++) EXPECT_DIRECT(FromWeb(data_));
}

TEST_P(PinUsualTest, NothingForAClosedPod) {
  Establish();
  for (uint32_t i = 0; i < KernelOptions().endpoints; i++) {
    sp_endpoint& e = k.endpoints()[i];
    if (e.ifindex != web) continue;
    for (uint32_t& flags : e.flags) flags &= ~uint32_t{SP_ENDPOINT_OPEN};
  }
  EXPECT_DROP(FromPartner(answer_), "closed");
}

TEST_P(PinUsualTest, NothingWhoseEntriesAreNoPairAnyMore) {
  Establish();
  for (sp_flow* f : k.Flows())
    if (f->key.outside) f->ifindex[0] = f->ifindex[1] = 9999;
  EXPECT_DROP(FromPartner(answer_), "stranger");
}

TEST_P(PinUsualTest, NothingAfterAReset) {
  Establish();
  EXPECT_DIRECT(FromPartner(Tcp(kPartner, 443, kEgress, Port(), kRst)));
  k.Age(SP_LIFE_RESET + 1);
  EXPECT_EQ(FromPartner(answer_).action, Action::kDrop);
}

// The last word of a connection is not usual: both entries know of it.
TEST_P(PinUsualTest, TheEndIsNoticed) {
  Establish();
  EXPECT_DIRECT(FromPartner(Tcp(kPartner, 443, kEgress, Port(), kFin | kAck)));
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kPartner, 443, kFin | kAck)));
  for (const sp_flow* f : k.Flows())
    EXPECT_EQ(f->state & (SP_FLOW_FIN_OPENER | SP_FLOW_FIN_OTHER),
              SP_FLOW_FIN_OPENER | SP_FLOW_FIN_OTHER);
}

// What other nodes wrap is the tunnel's, if it is sent to this node, and a stranger's at an egress
// IP.
TEST_P(PinUsualTest, TheTunnelsPort) {
  k.egress().tunnel->port = 4790;
  EXPECT_PASS(FromPartner(Udp(kFar, 5000, kNode, 4790)));
  EXPECT_DROP(FromPartner(Udp(kFar, 5000, kEgress, 4790)), "stranger");
}

}  // namespace
}  // namespace sallyport::test
