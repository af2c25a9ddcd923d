// SPDX-License-Identifier: Apache-2.0
// Flows: replies, who opens what, how connections end, and how long they live.
#include "bpf/packets/world.h"

namespace sallyport::test {
namespace {

class FlowTest : public FamilyTest {
 protected:
  // A connection from kWeb to port 80 of kFar, answered.
  void Connect(uint16_t sport = 1024) {
    EXPECT_PASS(FromWeb(Tcp(kWeb, sport, kFar, 80)));
    EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, sport, kSyn | kAck)));
    EXPECT_PASS(FromWeb(Tcp(kWeb, sport, kFar, 80, kAck)));
  }
  // kWeb may open TCP, UDP and SCTP to port 80 of kFar, and is opened nothing to.
  void ClientOnly() {
    k.SetRule(kSet, kFarIdentity, Ports().Tcp(80).Udp(80).Sctp(80));
    Web(kSet, kNothing);
  }
  void ServerOnly() {
    k.SetRule(kSet, kFarIdentity, Ports().Tcp(80).Udp(80).Sctp(80));
    Web(kNothing, kSet);
  }
  // kService is judged once it is translated; kWeb may be opened anything to.
  void AServiceThatIsDeferred() {
    k.SetPeer(Of(kService), SP_PEER_SERVICE);
    Web(kNothing, kOpen);
  }
  static constexpr Host kService = {"10.96.0.10", "fd00:96::10"};
};
BOTH_FAMILIES(FlowTest);

TEST_P(FlowTest, RepliesPassForTheClient) {
  ClientOnly();
  EXPECT_DROP(ToWeb(Tcp(kFar, 80, kWeb, 1024, kSyn | kAck)), "policy");
  Connect();
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1024)));
  EXPECT_PASS(FromWeb(Sctp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(ToWeb(Sctp(kFar, 80, kWeb, 1024, kSctpInitAck)));
}

TEST_P(FlowTest, RepliesPassForTheServer) {
  ServerOnly();
  EXPECT_DROP(FromWeb(Tcp(kWeb, 80, kFar, 1024, kSyn | kAck)), "policy");
  EXPECT_PASS(ToWeb(Tcp(kFar, 1024, kWeb, 80)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kFar, 1024, kSyn | kAck)));
  EXPECT_PASS(ToWeb(Udp(kFar, 1024, kWeb, 80)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 80, kFar, 1024)));
  EXPECT_PASS(ToWeb(Sctp(kFar, 1024, kWeb, 80)));
  EXPECT_PASS(FromWeb(Sctp(kWeb, 80, kFar, 1024, kSctpInitAck)));
}

TEST_P(FlowTest, RepliesComeFromWhoWasAsked) {
  ClientOnly();
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  EXPECT_DROP(ToWeb(Udp(kFar, 81, kWeb, 1024)), "policy");
  EXPECT_DROP(ToWeb(Udp(kFar, 80, kWeb, 1025)), "policy");
  EXPECT_DROP(ToWeb(Udp(kStranger, 80, kWeb, 1024)), "policy");
  EXPECT_DROP(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)), "policy");
  EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1024)));
}

TEST_P(FlowTest, OneConnectionIsOneEntry) {
  ClientOnly();
  Connect();
  ASSERT_EQ(k.Flows().size(), 1u);
  EXPECT_TRUE(k.Flows()[0]->state & SP_FLOW_ANSWERED);
  EXPECT_TRUE(k.Flows()[0]->state & SP_FLOW_EGRESS);
  EXPECT_FALSE(k.Flows()[0]->state & SP_FLOW_INGRESS);
  Connect(1025);
  EXPECT_EQ(k.Flows().size(), 2u);
}

TEST_P(FlowTest, ASynFromTheOtherSideIsANewConnection) {
  ClientOnly();
  Connect();
  EXPECT_DROP(ToWeb(Tcp(kFar, 80, kWeb, 1024)), "policy");
}

TEST_P(FlowTest, ADeniedSynDoesNotHurtTheOldConnection) {
  ClientOnly();
  Connect();
  EXPECT_DROP(ToWeb(Tcp(kFar, 80, kWeb, 1024)), "policy");
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80, kAck)));
}

TEST_P(FlowTest, ADeniedInitDoesNotHurtTheOldAssociation) {
  ClientOnly();
  EXPECT_PASS(FromWeb(Sctp(kWeb, 1024, kFar, 80)));
  EXPECT_DROP(ToWeb(Sctp(kFar, 80, kWeb, 1024)), "policy");
  EXPECT_PASS(ToWeb(Sctp(kFar, 80, kWeb, 1024, kSctpData)));
}

TEST_P(FlowTest, AnAllowedSynFromTheOtherSideTurnsTheFlowAround) {
  Web(kOpen, kOpen);
  Connect();
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024)));
  ASSERT_EQ(k.Flows().size(), 1u);
  EXPECT_EQ(k.Flows()[0]->state & (SP_FLOW_EGRESS | SP_FLOW_INGRESS | SP_FLOW_ANSWERED),
            SP_FLOW_INGRESS);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80, kSyn | kAck)));
}

TEST_P(FlowTest, ARepeatedSynIsTheSameConnection) {
  ClientOnly();
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
  EXPECT_EQ(k.Flows().size(), 1u);
}

TEST_P(FlowTest, BothFinsEndAConnection) {
  ClientOnly();
  Connect();
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80, kFin | kAck)));
  k.Age(SP_LIFE_HALF_CLOSED - 2);
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)));  // half closed lives on
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kFin | kAck)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80, kAck)));
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kFin | kAck)));
  k.Age(SP_LIFE_CLOSING + 2);
  EXPECT_DROP(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)), "policy");
}

TEST_P(FlowTest, APortIsReusedAfterBothFins) {
  ClientOnly();
  Connect();
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80, kFin | kAck)));
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kFin | kAck)));
  Connect();
  ASSERT_EQ(k.Flows().size(), 1u);
  EXPECT_FALSE(k.Flows()[0]->state & (SP_FLOW_FIN_OPENER | SP_FLOW_FIN_OTHER));
  k.Age(SP_LIFE_CLOSING + 2);
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)));
}

TEST_P(FlowTest, AResetShortensAConnection) {
  ClientOnly();
  Connect();
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kRst)));
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)));  // on the way already
  k.Age(SP_LIFE_RESET + 2);
  EXPECT_DROP(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)), "policy");
}

TEST_P(FlowTest, APortIsReusedAfterAReset) {
  ClientOnly();
  Connect();
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80, kRst | kAck)));
  Connect();
  k.Age(SP_LIFE_RESET + 2);
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)));
}

TEST_P(FlowTest, AbortAndShutdownCompleteEndAnAssociation) {
  ClientOnly();
  uint16_t sport = 1024;
  for (uint8_t last : {kSctpAbort, kSctpShutdownComplete}) {
    EXPECT_PASS(FromWeb(Sctp(kWeb, sport, kFar, 80)));
    EXPECT_PASS(ToWeb(Sctp(kFar, 80, kWeb, sport, kSctpInitAck)));
    EXPECT_PASS(ToWeb(Sctp(kFar, 80, kWeb, sport, last)));
    k.Age(SP_LIFE_RESET + 2);
    EXPECT_DROP(ToWeb(Sctp(kFar, 80, kWeb, sport, kSctpData)), "policy");
    sport++;
  }
}

TEST_P(FlowTest, AnUnansweredConnectionIsForgotten) {
  ClientOnly();
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(FromWeb(Sctp(kWeb, 1024, kFar, 80)));
  k.Age(SP_LIFE_SYN - 2);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));  // lives from its last packet on
  EXPECT_PASS(FromWeb(Sctp(kWeb, 1024, kFar, 80)));
  k.Age(SP_LIFE_SYN + 2);
  EXPECT_DROP(ToWeb(Tcp(kFar, 80, kWeb, 1024, kSyn | kAck)), "policy");
  EXPECT_DROP(ToWeb(Sctp(kFar, 80, kWeb, 1024, kSctpInitAck)), "policy");
}

TEST_P(FlowTest, AnAnsweredConnectionLivesForHours) {
  ClientOnly();
  Connect();
  k.Age(SP_LIFE_ESTABLISHED - 2);
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)));
  k.Age(SP_LIFE_ESTABLISHED + 2);
  EXPECT_DROP(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)), "policy");
}

// Whoever closed has gone, or the other side has: nobody is there to say so.
TEST_P(FlowTest, AHalfClosedConnectionIsForgottenInMinutes) {
  ClientOnly();
  Connect();
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kFin | kAck)));
  k.Age(SP_LIFE_HALF_CLOSED + 2);
  EXPECT_DROP(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)), "policy");
}

// A spoofed SYN is answered too: what lives for hours has both sides there.
TEST_P(FlowTest, AHalfOpenConnectionIsForgottenInAMinute) {
  ServerOnly();
  for (uint16_t sport = 1024; sport < 1026; sport++) {
    EXPECT_PASS(ToWeb(Tcp(kFar, sport, kWeb, 80)));
    EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kFar, sport, kSyn | kAck)));
    EXPECT_PASS(ToWeb(Tcp(kFar, sport, kWeb, 80)));
    EXPECT_PASS(ToWeb(Sctp(kFar, sport, kWeb, 80)));
    EXPECT_PASS(FromWeb(Sctp(kWeb, 80, kFar, sport, kSctpInitAck)));
  }
  EXPECT_PASS(ToWeb(Tcp(kFar, 1024, kWeb, 80, kAck)));
  EXPECT_PASS(ToWeb(Sctp(kFar, 1024, kWeb, 80, kSctpData)));
  k.Age(SP_LIFE_SYN + 2);
  EXPECT_DROP(FromWeb(Tcp(kWeb, 80, kFar, 1025, kSyn | kAck)), "policy");
  EXPECT_DROP(FromWeb(Sctp(kWeb, 80, kFar, 1025, kSctpInitAck)), "policy");
  k.Age(SP_LIFE_ESTABLISHED - SP_LIFE_SYN - 4);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kFar, 1024, kAck)));
  EXPECT_PASS(FromWeb(Sctp(kWeb, 80, kFar, 1024, kSctpData)));
}

// One that was there before the tables: whoever is seen first opens it, and an answer is enough.
TEST_P(FlowTest, AConnectionThatWasPickedUpLivesForHours) {
  ServerOnly();
  EXPECT_PASS(ToWeb(Tcp(kFar, 1024, kWeb, 80, kAck)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kFar, 1024, kAck)));
  k.Age(SP_LIFE_ESTABLISHED - 2);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kFar, 1024, kAck)));
}

TEST_P(FlowTest, DatagramsLiveForAMinuteAndConversationsForThree) {
  ClientOnly();
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  k.Age(SP_LIFE_DATAGRAM + 2);
  EXPECT_DROP(ToWeb(Udp(kFar, 80, kWeb, 1024)), "policy");
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1024)));
  k.Age(SP_LIFE_ANSWERED_ONCE - 2);
  EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1024)));
  k.Age(SP_LIFE_ANSWERED_ONCE + 2);
  EXPECT_DROP(ToWeb(Udp(kFar, 80, kWeb, 1024)), "policy");
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1024)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  k.Age(SP_LIFE_CONVERSATION - 2);
  EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1024)));
  k.Age(SP_LIFE_CONVERSATION + 2);
  EXPECT_DROP(ToWeb(Udp(kFar, 80, kWeb, 1024)), "policy");
}

// Somebody behind the node sent it, and conntrack forgets that after 30 seconds: what the pod sends
// after that is its own, and not known to be an answer.
TEST_P(FlowTest, DatagramsWithTheNodeAreForgottenBeforeConntrackDoes) {
  const uint64_t own = SP_FLOW_DEFERRED | SP_FLOW_CARRIED;
  Web(kNothing, kOpen);
  EXPECT_PASS(ToWeb(Udp(kNode, 30053, kWeb, 53)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 53, kNode, 30053)));
  ASSERT_EQ(k.Flows().size(), 1u);
  k.Age(SP_LIFE_BRIEF - 2);
  EXPECT_PASS(FromWeb(Udp(kWeb, 53, kNode, 30053)));
  EXPECT_EQ(k.Flows()[0]->state & own, 0u) << "an answer";
  k.Age(SP_LIFE_BRIEF + 2);
  EXPECT_PASS(FromWeb(Udp(kWeb, 53, kNode, 30053)));
  ASSERT_EQ(k.Flows().size(), 1u);
  EXPECT_EQ(k.Flows()[0]->state & own, own);
  k.Age(SP_LIFE_BRIEF + 2);
  Web(kNothing, kNothing);
  EXPECT_DROP(ToWeb(Udp(kNode, 30053, kWeb, 53)), "policy");
}

// The same behind another node; what the pod sends after that is judged as its own.
TEST_P(FlowTest, DatagramsWithAnotherNodeAreForgottenBeforeItsConntrackDoes) {
  Host node = {"192.0.2.2", "2001:db8::2"};
  k.SetPeer(Of(node), SP_PEER_OTHER_NODE);
  Web(kNothing, kOpen);
  for (int i = 0; i < 2; i++) {
    EXPECT_PASS(ToWeb(Udp(node, 30053, kWeb, 53)));
    k.Age(SP_LIFE_BRIEF - 2);
    EXPECT_PASS(FromWeb(Udp(kWeb, 53, node, 30053)));
    k.Age(SP_LIFE_BRIEF + 2);
    EXPECT_DROP(FromWeb(Udp(kWeb, 53, node, 30053)), "policy");
  }
  EXPECT_PASS(ToWeb(Tcp(node, 30053, kWeb, 53, kSyn)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 53, node, 30053, kSyn | kAck)));
  k.Age(SP_LIFE_BRIEF + 2);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 53, node, 30053, kAck)));
}

// What goes to another node may be translated there, or here by rules that nobody told.
TEST_P(FlowTest, AnotherNodeIsNoPod) {
  Host node = {"192.0.2.2", "2001:db8::2"};
  k.SetPeer(Of(node), SP_PEER_OTHER_NODE | kFarIdentity);
  ClientOnly();
  auto carried = [&] {
    std::vector<sp_flow*> flows = k.Flows();
    return std::count_if(flows.begin(), flows.end(),
                         [](const sp_flow* flow) { return flow->state & SP_FLOW_CARRIED; });
  };
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  EXPECT_EQ(carried(), 0) << "to a pod";
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, node, 80)));
  EXPECT_EQ(carried(), 1);
}

TEST_P(FlowTest, AServiceOpensNothing) {
  AServiceThatIsDeferred();
  for (int i = 0; i < 2; i++) {
    EXPECT_PASS(ToWeb(Udp(kService, 53, kWeb, 1024)));
    EXPECT_EQ(k.Flows().size(), 0u);
  }
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kService, 53)));
  ASSERT_EQ(k.Flows().size(), 1u);
  EXPECT_NE(k.Flows()[0]->state & SP_FLOW_DEFERRED, 0u) << "the pod's own";
  EXPECT_PASS(ToWeb(Udp(kService, 53, kWeb, 1024)));
  Web(kNothing, kNothing);
  EXPECT_DROP(ToWeb(Udp(kService, 53, kWeb, 1025)), "policy");
}

// One that is there already: it may have been translated before the address was a Service's.
TEST_P(FlowTest, AServiceContinuesAConnection) {
  AServiceThatIsDeferred();
  EXPECT_PASS(ToWeb(Tcp(kService, 80, kWeb, 1024, kAck)));
  ASSERT_EQ(k.Flows().size(), 1u);
  EXPECT_NE(k.Flows()[0]->state & SP_FLOW_INGRESS, 0u);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kService, 80, kAck)));
  EXPECT_EQ(k.Flows()[0]->state & SP_FLOW_DEFERRED, 0u) << "an answer";
}

TEST_P(FlowTest, ADeadFlowIsOpenedAgainInItsPlace) {
  ClientOnly();
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1024)));
  k.Age(SP_LIFE_CONVERSATION + 2);
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  ASSERT_EQ(k.Flows().size(), 1u);
  EXPECT_FALSE(k.Flows()[0]->state & SP_FLOW_ANSWERED);
}

// Another processor may have seen the flow in a tick that has not begun yet on this one.
TEST_P(FlowTest, AFlowLastSeenInTheNextTickIsAlive) {
  ClientOnly();
  Connect();
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  k.Age(static_cast<uint32_t>(-2));
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)));
  EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1024)));
}

// Connections that were there before the tables: the first packet that is seen opens the flow.
TEST_P(FlowTest, AConnectionIsPickedUpInTheMiddle) {
  ClientOnly();
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80, kAck)));
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)));
  EXPECT_PASS(FromWeb(Sctp(kWeb, 1024, kFar, 80, kSctpData)));
  EXPECT_PASS(ToWeb(Sctp(kFar, 80, kWeb, 1024, kSctpData)));
}

TEST_P(FlowTest, PingsAreAnsweredByTheirIdentifier) {
  k.SetRule(kSet, kFarIdentity, Ports::All());
  Web(kSet, kNothing);
  EXPECT_DROP(ToWeb(Pong(kFar, kWeb)), "policy");
  EXPECT_PASS(FromWeb(Ping(kWeb, kFar)));
  EXPECT_PASS(ToWeb(Pong(kFar, kWeb)));
  EXPECT_DROP(ToWeb(Pong(kFar, kWeb, 8)), "policy");
  EXPECT_DROP(ToWeb(Pong(kStranger, kWeb)), "policy");
}

TEST_P(FlowTest, APingFromTheOtherSideIsANewOne) {
  k.SetRule(kSet, kFarIdentity, Ports::All());
  Web(kSet, kNothing);
  EXPECT_PASS(FromWeb(Ping(kWeb, kFar)));
  EXPECT_DROP(ToWeb(Ping(kFar, kWeb)), "policy");
  EXPECT_PASS(ToWeb(Pong(kFar, kWeb)));
}

TEST_P(FlowTest, EveryPairOfPortsIsAFlowOfItsOwn) {
  ClientOnly();
  for (uint16_t port : std::initializer_list<uint16_t>{0, 79, 80, 81, 65535}) {
    EXPECT_PASS(FromWeb(Udp(kWeb, port, kFar, 80)));
    EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, port)));
  }
  EXPECT_EQ(k.Flows().size(), 5u);
}

// The ends' order must not matter: a peer below and one above the pod's address.
TEST_P(FlowTest, PeersOnEitherSideOfTheOrder) {
  const Host below = {"9.0.0.1", "fc00::1"}, above = {"11.0.0.1", "fe00::1"};
  k.SetRule(kSet, 0, Ports().Udp(80));
  Web(kSet, kNothing);
  for (const Host& peer : {below, above}) {
    EXPECT_DROP(ToWeb(Udp(peer, 80, kWeb, 1024)), "policy");
    EXPECT_PASS(FromWeb(Udp(kWeb, 1024, peer, 80)));
    EXPECT_PASS(ToWeb(Udp(peer, 80, kWeb, 1024)));
    EXPECT_DROP(ToWeb(Udp(peer, 1024, kWeb, 80)), "policy");
  }
}

}  // namespace
}  // namespace sallyport::test
