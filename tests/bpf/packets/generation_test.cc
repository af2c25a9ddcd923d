// SPDX-License-Identifier: Apache-2.0
// A change of policy reaches live flows at their next packet, from either side; and nothing that is
// not in force is ever looked at.
#include "bpf/packets/world.h"

namespace sallyport::test {
namespace {

class GenerationTest : public FamilyTest {
 protected:
  void Allow(uint32_t port) { k.SetRule(kSet, kFarIdentity, Ports().Tcp(port).Udp(port)); }
  void Connect() {
    EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
    EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kSyn | kAck)));
  }
  Packet Data() { return Tcp(kWeb, 1024, kFar, 80, kAck); }
  Packet Answer() { return Tcp(kFar, 80, kWeb, 1024, kAck); }
};
BOTH_FAMILIES(GenerationTest);

TEST_P(GenerationTest, WhatIsStillAllowedFeelsNothing) {
  Allow(80);
  Web(kSet, kNothing);
  Connect();
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  for (int i = 0; i < 3; i++) {
    k.NextGeneration();
    EXPECT_PASS(i % 2 ? ToWeb(Answer()) : FromWeb(Data()));
    EXPECT_PASS(i % 2 ? FromWeb(Data()) : ToWeb(Answer()));
    EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1024)));
  }
  EXPECT_EQ(k.Flows().size(), 2u);
}

TEST_P(GenerationTest, IsolationLetsOpenedConnectionsLive) {
  Web(kOpen, kOpen);
  Connect();
  Web(kOpen, kNothing);
  EXPECT_PASS(ToWeb(Answer()));
  EXPECT_PASS(FromWeb(Data()));
  EXPECT_DROP(ToWeb(Tcp(kFar, 1024, kWeb, 80)), "policy");
}

TEST_P(GenerationTest, AConnectionThatPolicyLeavesIsCutOnItsWayOut) {
  Allow(80);
  Web(kSet, kNothing);
  Connect();
  Allow(443);
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Data()), "policy");
  EXPECT_DROP(FromWeb(Data()), "cut");
  EXPECT_DROP(ToWeb(Answer()), "cut");
}

TEST_P(GenerationTest, AConnectionThatPolicyLeavesIsCutOnItsWayIn) {
  Allow(80);
  Web(kSet, kOpen);  // replies need the flow although ingress is open
  Connect();
  Allow(443);
  k.NextGeneration();
  EXPECT_DROP(ToWeb(Answer()), "policy");
  EXPECT_DROP(ToWeb(Answer()), "cut");
  EXPECT_DROP(FromWeb(Data()), "cut");
}

TEST_P(GenerationTest, AServersConnectionsAreCutToo) {
  Allow(80);
  Web(kOpen, kSet);
  EXPECT_PASS(ToWeb(Tcp(kFar, 1024, kWeb, 80)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kFar, 1024, kSyn | kAck)));
  Allow(443);
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Tcp(kWeb, 80, kFar, 1024, kAck)), "policy");
  EXPECT_DROP(FromWeb(Tcp(kWeb, 80, kFar, 1024, kAck)), "cut");
  EXPECT_DROP(ToWeb(Tcp(kFar, 1024, kWeb, 80, kAck)), "cut");
}

TEST_P(GenerationTest, ACutConnectionStaysCutWhileItsSidesTry) {
  Allow(80);
  Web(kSet, kOpen);
  Connect();
  Allow(443);
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Data()), "policy");
  for (int i = 0; i < 3; i++) {
    k.Age(SP_LIFE_CLOSING - 2);
    EXPECT_DROP(ToWeb(Answer()), "cut");
  }
}

TEST_P(GenerationTest, ACutConnectionMayBeOpenedAgain) {
  Allow(80);
  Web(kSet, kOpen);
  Connect();
  Allow(443);
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Data()), "policy");
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kFar, 80)), "policy");
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024)));  // opened by the other side, who may
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80, kSyn | kAck)));
}

TEST_P(GenerationTest, ACutConnectionLivesAgainWhenPolicyAllowsItAgain) {
  Allow(80);
  Web(kSet, kNothing);
  Connect();
  Allow(443);
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Data()), "policy");
  Allow(80);
  k.NextGeneration();
  EXPECT_PASS(FromWeb(Data()));
  EXPECT_PASS(ToWeb(Answer()));
}

// Datagrams have no opening: the next one from the other side may begin a conversation.
TEST_P(GenerationTest, ADatagramFromTheOtherSideIsANewFlow) {
  Allow(80);
  Web(kSet, kOpen);
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1024)));
  Allow(443);
  k.NextGeneration();
  EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1024)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));  // a reply now
  EXPECT_DROP(FromWeb(Udp(kWeb, 1025, kFar, 80)), "policy");
}

TEST_P(GenerationTest, DatagramsAreCutBothWays) {
  Allow(80);
  Web(kSet, kNothing);
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 1025, kFar, 80)));
  Allow(443);
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Udp(kWeb, 1024, kFar, 80)), "policy");
  EXPECT_DROP(ToWeb(Udp(kFar, 80, kWeb, 1024)), "policy");
  EXPECT_DROP(ToWeb(Udp(kFar, 80, kWeb, 1025)), "policy");
  EXPECT_DROP(FromWeb(Udp(kWeb, 1025, kFar, 80)), "policy");
  EXPECT_EQ(k.Flows().size(), 0u);
}

TEST_P(GenerationTest, AnIdentityThatMovesMovesItsFlows) {
  Allow(80);
  Web(kSet, kNothing);
  Connect();
  k.SetPeer(Of(kFar), kFarIdentity + 1);
  k.NextGeneration();
  EXPECT_DROP(ToWeb(Answer()), "policy");
  EXPECT_DROP(FromWeb(Data()), "cut");
}

TEST_P(GenerationTest, AFlowIsNotTakenForAnotherGenerationsOfTheSameHalf) {
  Allow(80);
  Web(kSet, kNothing);
  Connect();
  Allow(443);
  k.NextGeneration();
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Data()), "policy");
}

// X sends again and again, later each time, and opens nothing by that.
TEST_P(GenerationTest, ACutConnectionStaysCutWhenItsPeerSpeaksLate) {
  Allow(80);
  Web(kSet, kOpen);
  Connect();
  EXPECT_PASS(FromWeb(Data()));
  Allow(443);
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Data()), "policy");
  for (uint32_t silence : {SP_LIFE_CLOSING + 2, SP_LIFE_ESTABLISHED - 2}) {
    k.Age(silence);
    EXPECT_DROP(ToWeb(Answer()), "cut");
    EXPECT_DROP(FromWeb(Data()), "cut");
  }
}

// Somebody behind the node, with its address: what the pod answers is judged, not only what they
// ask.
TEST_P(GenerationTest, AnswersToAStrangerBehindTheNodeAreCut) {
  Web(kOpen, kOpen);
  EXPECT_PASS(ToWeb(Tcp(kNode, 1024, kWeb, 80)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kNode, 1024, kSyn | kAck)));
  EXPECT_PASS(ToWeb(Tcp(kNode, 1024, kWeb, 80, kAck)));
  EXPECT_PASS(ToWeb(Udp(kNode, 1024, kWeb, 53)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 53, kNode, 1024)));
  k.NextGeneration();
  EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kNode, 1024, kAck)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 53, kNode, 1024)));
  for (sp_flow* flow : k.Flows()) EXPECT_TRUE(flow->state & SP_FLOW_INGRESS) << "an answer still";
  Web(kOpen, kNothing);
  EXPECT_DROP(FromWeb(Tcp(kWeb, 80, kNode, 1024, kAck)), "policy");
  EXPECT_DROP(FromWeb(Tcp(kWeb, 80, kNode, 1024, kAck)), "cut");
  EXPECT_DROP(ToWeb(Tcp(kNode, 1024, kWeb, 80, kAck)), "cut");
  EXPECT_PASS(FromWeb(Udp(kWeb, 53, kNode, 1024)));  // to its node, as far as can be told
  for (sp_flow* flow : k.Flows()) {
    if (flow->key.protocol != 17) continue;
    EXPECT_TRUE(flow->state & SP_FLOW_DEFERRED) << "its own: judged where it leaves the node";
    EXPECT_FALSE(flow->state & SP_FLOW_INGRESS);
  }
}

// The node opens a connection from the port that it had given to a stranger: its SYN is never asked
// about, so what the pod answers must find its way.
TEST_P(GenerationTest, ANodesConnectionMeetsNoCutStrangers) {
  for (bool noticed : {true, false}) {
    SCOPED_TRACE(noticed);
    Web(kOpen, kOpen);
    EXPECT_PASS(ToWeb(Tcp(kNode, 1024, kWeb, 80)));
    EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kNode, 1024, kSyn | kAck)));
    EXPECT_PASS(ToWeb(Tcp(kNode, 1024, kWeb, 80, kAck)));
    EXPECT_PASS(ToWeb(Sctp(kNode, 1024, kWeb, 80)));
    EXPECT_PASS(FromWeb(Sctp(kWeb, 80, kNode, 1024, kSctpInitAck)));
    Web(kNothing, kNothing);
    if (noticed) {
      EXPECT_DROP(ToWeb(Tcp(kNode, 1024, kWeb, 80, kAck)), "policy");
      EXPECT_DROP(FromWeb(Tcp(kWeb, 80, kNode, 1024, kAck)), "cut");
      EXPECT_DROP(ToWeb(Sctp(kNode, 1024, kWeb, 80, kSctpData)), "policy");
    }
    EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kNode, 1024, kSyn | kAck)));
    EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kNode, 1024, kAck)));
    EXPECT_PASS(FromWeb(Sctp(kWeb, 80, kNode, 1024, kSctpInitAck)));
    EXPECT_PASS(FromWeb(Sctp(kWeb, 80, kNode, 1024, kSctpData)));
    EXPECT_DROP(ToWeb(Tcp(kNode, 1024, kWeb, 80, kAck)), "policy") << "a stranger's all the same";
  }
}

// A pod that has come by the address of one that went has opened nothing yet.
TEST_P(GenerationTest, AFlowIsNotTheNextPodsWithTheAddress) {
  Web(kOpen, kOpen);
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1024)));
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kSyn | kAck)));
  EXPECT_PASS(ToWeb(Udp(kFar, 1024, kWeb, 80)));
  k.RemoveEndpoint(web);
  k.SetEndpoint({db, kWeb.v4, kWeb.v6, kOpen, kNothing});
  k.NextGeneration();
  EXPECT_DROP(ToDb(Error(kFar, kWeb, Udp(kWeb, 1024, kFar, 80))), "icmp-error");
  EXPECT_DROP(ToDb(Udp(kFar, 80, kWeb, 1024)), "policy");
  EXPECT_DROP(ToDb(Tcp(kFar, 80, kWeb, 1024, kAck)), "policy");
  k.SetEndpoint({db, kWeb.v4, kWeb.v6, kNothing, kOpen});
  k.NextGeneration();
  EXPECT_DROP(FromDb(Udp(kWeb, 80, kFar, 1024)), "policy");
  k.SetEndpoint({db, kWeb.v4, kWeb.v6, kOpen, kOpen});
  k.NextGeneration();
  EXPECT_PASS(FromDb(Udp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(ToDb(Udp(kFar, 80, kWeb, 1024)));
}

TEST_P(GenerationTest, TheOtherHalfDoesNotMatter) {
  k.SetPrefix(v6() ? "2001:db8::/32" : "192.0.2.0/24", 7);
  k.SetRule(kSet, 7, Ports().Tcp(443));
  Allow(80);
  Web(kSet, kSet);
  for (int i = 0; i < 4; i++) {
    uint16_t sport = static_cast<uint16_t>(3000 + i);
    k.SpoilOtherHalf();
    EXPECT_PASS(FromWeb(Tcp(kWeb, sport, kFar, 80)));
    EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, sport, kSyn | kAck)));
    EXPECT_PASS(FromWeb(Tcp(kWeb, sport, kStranger, 443)));
    EXPECT_DROP(FromWeb(Tcp(kWeb, sport, kStranger, 80)), "policy");
    EXPECT_DROP(FromWeb(Tcp(kWeb, sport, kFar, 443)), "policy");
    EXPECT_DROP(FromWeb(Tcp(kWeb, sport, kDb, 80)), "policy");
    EXPECT_DROP(ToWeb(Tcp(kStranger, sport, kWeb, 80)), "policy");
    EXPECT_DROP(ToWeb(Tcp(kNode, sport, kWeb, 80)), "policy");
    EXPECT_DROP(FromDb(Tcp(kDb, sport, kFar, 80)), "closed");
    k.NextGeneration();
  }
}

}  // namespace
}  // namespace sallyport::test
