// SPDX-License-Identifier: Apache-2.0
// Established connections that an endpoint's policies ask to keep, and all that is not one.
#include "bpf/packets/world.h"

namespace sallyport::test {
namespace {

constexpr uint32_t kOpenDirect = SP_ENDPOINT_OPEN | SP_ENDPOINT_DIRECT;
constexpr uint32_t kKeepEgress = kOpenDirect | SP_ENDPOINT_KEEP << SP_EGRESS;
constexpr uint32_t kKeepIngress = kOpenDirect | SP_ENDPOINT_KEEP << SP_INGRESS;

class KeptTest : public FamilyTest {
 protected:
  void Allow(uint32_t port) { k.SetRule(kSet, kFarIdentity, Ports().Tcp(port).Udp(port)); }
  // Opened by kWeb, and by kFar; answered.
  void Connect() {
    EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
    EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kSyn | kAck)));
    EXPECT_PASS(FromWeb(Data()));
    EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
    EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1024)));
  }
  void BeConnected() {
    EXPECT_PASS(ToWeb(Tcp(kFar, 1024, kWeb, 80)));
    EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kFar, 1024, kSyn | kAck)));
    EXPECT_PASS(ToWeb(Tcp(kFar, 1024, kWeb, 80, kAck)));
    EXPECT_PASS(ToWeb(Udp(kFar, 1024, kWeb, 80)));
    EXPECT_PASS(FromWeb(Udp(kWeb, 80, kFar, 1024)));
  }
  Packet Data() { return Tcp(kWeb, 1024, kFar, 80, kAck); }
  Packet Answer() { return Tcp(kFar, 80, kWeb, 1024, kAck); }
  // What Connect() opened goes on, and nothing new begins.
  void ExpectKept() {
    for (int i = 0; i < 2; i++) {
      EXPECT_PASS(ToWeb(Answer()));
      EXPECT_PASS(FromWeb(Data()));
      EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1024)));
      EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
      EXPECT_DROP(FromWeb(Tcp(kWeb, 1025, kFar, 80)), "policy");
      EXPECT_DROP(FromWeb(Udp(kWeb, 1025, kFar, 80)), "policy");
    }
  }
};
BOTH_FAMILIES(KeptTest);

TEST_P(KeptTest, WhatWasAnsweredStays) {
  for (bool isolated : {true, false}) {
    SCOPED_TRACE(isolated);
    Allow(80);
    Web(isolated ? kSet : kOpen, kNothing);
    Connect();
    Allow(443);
    Web(kSet, kNothing, kKeepEgress);
    EXPECT_PASS(isolated ? FromWeb(Data()) : ToWeb(Answer()));
    ExpectKept();
    k.NextGeneration();
    ExpectKept();
  }
}

TEST_P(KeptTest, AServersConnectionsStay) {
  Web(kOpen, kOpen);
  BeConnected();
  Web(kOpen, kNothing, kKeepIngress);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kFar, 1024, kAck)));
  EXPECT_PASS(ToWeb(Tcp(kFar, 1024, kWeb, 80, kAck)));
  EXPECT_PASS(ToWeb(Udp(kFar, 1024, kWeb, 80)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 80, kFar, 1024)));
  EXPECT_DROP(ToWeb(Tcp(kFar, 1025, kWeb, 80)), "policy");
}

TEST_P(KeptTest, EachDirectionAsksForItself) {
  Web(kOpen, kOpen);
  Connect();
  Web(kNothing, kNothing, kKeepIngress);
  EXPECT_DROP(FromWeb(Data()), "policy");
  EXPECT_DROP(ToWeb(Udp(kFar, 80, kWeb, 1024)), "policy");
}

TEST_P(KeptTest, WhatWasNotAnsweredIsCut) {
  Web(kOpen, kNothing);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  Web(kNothing, kNothing, kKeepEgress);
  EXPECT_DROP(ToWeb(Tcp(kFar, 80, kWeb, 1024, kSyn | kAck)), "policy");
  EXPECT_DROP(FromWeb(Udp(kWeb, 1024, kFar, 80)), "policy");
}

TEST_P(KeptTest, PingsAreNotKept) {
  Web(kOpen, kNothing);
  EXPECT_PASS(FromWeb(Ping(kWeb, kFar)));
  EXPECT_PASS(ToWeb(Pong(kFar, kWeb)));
  Web(kNothing, kNothing, kKeepEgress);
  EXPECT_DROP(ToWeb(Pong(kFar, kWeb)), "policy");
  EXPECT_DROP(FromWeb(Ping(kWeb, kFar)), "policy");
}

// A new connection on the ports of a kept one is a new connection.
TEST_P(KeptTest, AnOpeningIsJudged) {
  Web(kOpen, kNothing);
  Connect();
  Web(kNothing, kNothing, kKeepEgress);
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kFar, 80)), "policy");  // of the former generation
  EXPECT_PASS(FromWeb(Data()));
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kFar, 80)), "policy");
  EXPECT_DROP(ToWeb(Tcp(kFar, 80, kWeb, 1024)), "policy");
  ExpectKept();
}

TEST_P(KeptTest, WhatWasCutStaysCut) {
  Web(kOpen, kNothing);
  Connect();
  Web(kNothing, kNothing);
  EXPECT_DROP(FromWeb(Data()), "policy");
  Web(kNothing, kNothing, kKeepEgress);
  EXPECT_DROP(FromWeb(Data()), "policy");
  EXPECT_DROP(ToWeb(Answer()), "cut");
}

TEST_P(KeptTest, WhoAsksNoLongerCuts) {
  Web(kOpen, kNothing);
  Connect();
  Web(kNothing, kNothing, kKeepEgress);
  ExpectKept();
  Web(kNothing, kNothing);
  EXPECT_DROP(ToWeb(Answer()), "policy");
  EXPECT_DROP(FromWeb(Data()), "cut");
  EXPECT_DROP(ToWeb(Udp(kFar, 80, kWeb, 1024)), "policy");
}

TEST_P(KeptTest, AFlowThatItHasNotJudgedIsNotKept) {
  Web(kOpen, kNothing);
  Connect();
  for (sp_flow* flow : k.Flows()) flow->ifindex[0] = flow->ifindex[1] = 0;
  Web(kNothing, kNothing, kKeepEgress);
  EXPECT_DROP(FromWeb(Data()), "policy");
}

TEST_P(KeptTest, ErrorsAboutAKeptFlowPass) {
  Web(kOpen, kNothing);
  Connect();
  Web(kNothing, kNothing, kKeepEgress);
  EXPECT_PASS(ToWeb(Error(kStranger, kWeb, Data())));
  EXPECT_PASS(FromWeb(Data()));
  EXPECT_PASS(ToWeb(Error(kStranger, kWeb, Data())));
  EXPECT_DROP(ToWeb(Error(kStranger, kWeb, Tcp(kWeb, 1025, kFar, 80))), "icmp-error");
}

// The other end, which allows it, speaks first.
TEST_P(KeptTest, TheOtherEndRevivesNothingThatWasCut) {
  const uint32_t open = SP_ENDPOINT_OPEN;
  auto data = [this] { return Tcp(kWeb, 1024, kDb, 80, kAck); };
  auto answer = [this](uint8_t flags) { return Tcp(kDb, 80, kWeb, 1024, flags); };
  WebAndDb({.flags = open}, {.flags = open});
  for (const Packet& packet : {Tcp(kWeb, 1024, kDb, 80), data()}) {
    EXPECT_PASS(FromWeb(packet));
    EXPECT_PASS(ToDb(packet));
    EXPECT_PASS(FromDb(answer(kSyn | kAck)));
    EXPECT_PASS(ToWeb(answer(kSyn | kAck)));
  }
  WebAndDb({.egress = kNothing, .flags = open}, {.flags = open});
  EXPECT_DROP(FromWeb(data()), "policy");
  WebAndDb({.egress = kNothing, .flags = open | SP_ENDPOINT_KEEP << SP_EGRESS}, {.flags = open});
  EXPECT_PASS(FromDb(answer(kAck)));
  EXPECT_DROP(ToWeb(answer(kAck)), "policy");
  EXPECT_DROP(FromWeb(data()), "cut");
  WebAndDb({.flags = open}, {.flags = open});
  EXPECT_PASS(FromWeb(data()));
  EXPECT_PASS(ToDb(data()));
}

// Both ends are here: each keeps for itself, whoever is asked.
TEST_P(KeptTest, NeitherEndKeepsForTheOther) {
  for (uint32_t direct : {SP_ENDPOINT_DIRECT, 0u}) {
    for (int keeping = 0; keeping < 4; keeping++) {
      for (bool opener_speaks : {true, false}) {
        SCOPED_TRACE(testing::Message() << direct << " " << keeping << " " << opener_speaks);
        const uint32_t open = SP_ENDPOINT_OPEN | direct;
        const auto port = static_cast<uint16_t>(2000 + keeping * 2 + opener_speaks);
        WebAndDb({.flags = open}, {.flags = open});
        auto pass = [&](bool from_web, uint8_t flags) {
          Packet packet =
              from_web ? Tcp(kWeb, port, kDb, 80, flags) : Tcp(kDb, 80, kWeb, port, flags);
          Outcome out = from_web ? FromWeb(packet) : FromDb(packet);
          if (out.action != Action::kPass) return out;
          return from_web ? ToDb(packet) : ToWeb(packet);
        };
        EXPECT_NE(pass(true, kSyn).action, Action::kDrop);
        EXPECT_NE(pass(false, kSyn | kAck).action, Action::kDrop);
        EXPECT_NE(pass(true, kAck).action, Action::kDrop);
        uint32_t web_keeps = keeping & 1 ? SP_ENDPOINT_KEEP << SP_EGRESS : 0;
        uint32_t db_keeps = keeping & 2 ? SP_ENDPOINT_KEEP << SP_INGRESS : 0;
        WebAndDb({.egress = kNothing, .flags = open | web_keeps},
                 {.ingress = kNothing, .flags = open | db_keeps});
        bool dropped = false;  // at the sender's interface, or at the other
        for (bool from_web : {opener_speaks, !opener_speaks})
          dropped |= pass(from_web, kAck).action == Action::kDrop;
        EXPECT_EQ(dropped, keeping != 3);
        EXPECT_EQ(pass(true, kAck).action == Action::kDrop, keeping != 3);
        EXPECT_EQ(pass(false, kAck).action == Action::kDrop, keeping != 3);
      }
    }
  }
}

}  // namespace
}  // namespace sallyport::test
