// SPDX-License-Identifier: Apache-2.0
// Direct hand-over: a packet between two endpoints of this node is judged for both at once and goes
// straight to the other interface.
#include <gmock/gmock.h>

#include "bpf/packets/world.h"

namespace sallyport::test {
namespace {

class DirectTest : public FamilyTest {
 protected:
  explicit DirectTest(const KernelOptions& options = {}) : FamilyTest(options) {
    k.SetRule(kSet, kDbIdentity, Ports().Tcp(80).Udp(80));        // what kWeb may open
    k.SetRule(kOtherSet, kWebIdentity, Ports().Tcp(80).Udp(80));  // what kDb may be opened
  }
  static constexpr uint32_t kBoth = SP_ENDPOINT_OPEN | SP_ENDPOINT_DIRECT;
};
BOTH_FAMILIES(DirectTest);

TEST_P(DirectTest, BothEndsAllow) {
  WebAndDb({.egress = kSet}, {.ingress = kOtherSet});
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kDb, 80)));
  EXPECT_DIRECT(FromDb(Tcp(kDb, 80, kWeb, 1024, kSyn | kAck)));
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kDb, 80, kAck)));
  EXPECT_DIRECT(FromWeb(Udp(kWeb, 1024, kDb, 80)));
  EXPECT_DIRECT(FromDb(Udp(kDb, 80, kWeb, 1024)));
  ASSERT_EQ(k.Flows().size(), 2u);
  for (const sp_flow* flow : k.Flows())
    EXPECT_THAT(std::vector<uint32_t>(flow->ifindex, flow->ifindex + 2),
                testing::UnorderedElementsAre(web, db));
}

TEST_P(DirectTest, NobodyIsIsolated) {
  WebAndDb({}, {});
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kDb, 80)));
  EXPECT_DIRECT(FromDb(Ping(kDb, kWeb)));
}

TEST_P(DirectTest, RepliesNeedNoRules) {
  WebAndDb({.egress = kSet, .ingress = kNothing}, {.egress = kNothing, .ingress = kOtherSet});
  EXPECT_DROP(FromDb(Tcp(kDb, 80, kWeb, 1024, kSyn | kAck)), "policy");
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kDb, 80)));
  EXPECT_DIRECT(FromDb(Tcp(kDb, 80, kWeb, 1024, kSyn | kAck)));
  EXPECT_DROP(FromDb(Tcp(kDb, 80, kWeb, 1024)), "policy");  // opens one of its own
  EXPECT_DIRECT(FromDb(Tcp(kDb, 80, kWeb, 1024, kAck)));
}

TEST_P(DirectTest, TheOwnEndDenies) {
  WebAndDb({.egress = kNothing}, {.ingress = kOtherSet});
  Outcome out = FromWeb(Tcp(kWeb, 1024, kDb, 80));
  EXPECT_DROP(out, "policy");
  EXPECT_EQ(out.event->endpoint, web);
  EXPECT_EQ(out.event->direction, SP_EGRESS);
}

TEST_P(DirectTest, TheOtherEndDenies) {
  WebAndDb({.egress = kSet}, {.ingress = kNothing});
  for (const Packet& packet : {Tcp(kWeb, 1024, kDb, 80), Udp(kWeb, 1024, kDb, 80)}) {
    Outcome out = FromWeb(packet);
    EXPECT_DROP(out, "policy");
    EXPECT_EQ(out.event->ifindex, web);
    EXPECT_EQ(out.event->endpoint, db);
    EXPECT_EQ(out.event->direction, SP_INGRESS);
    EXPECT_EQ(out.event->set / 2, kNothing);
  }
  EXPECT_EQ(k.Counters(db).dropped[SP_INGRESS][SP_DROP_POLICY], 2u);
  EXPECT_EQ(k.Counters(web).dropped[SP_EGRESS][SP_DROP_POLICY], 0u);
  EXPECT_EQ(k.Flows().size(), 0u);
}

TEST_P(DirectTest, PortsAreJudgedForBothEnds) {
  WebAndDb({.egress = kSet}, {.ingress = kOtherSet});
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kDb, 81)), "policy");
  EXPECT_DROP(FromWeb(Ping(kWeb, kDb)), "policy");
  k.SetRule(kSet, kDbIdentity, Ports::All());
  k.NextGeneration();
  EXPECT_EQ(FromWeb(Tcp(kWeb, 1024, kDb, 81)).event->endpoint, db);
  EXPECT_EQ(FromWeb(Ping(kWeb, kDb)).event->endpoint, db);
}

TEST_P(DirectTest, WithoutTheFlagItGoesTheLongWay) {
  for (auto [web_flags, db_flags] : {std::pair{kBoth, uint32_t{SP_ENDPOINT_OPEN}},
                                     std::pair{uint32_t{SP_ENDPOINT_OPEN}, kBoth}}) {
    WebAndDb({.egress = kSet, .flags = web_flags}, {.ingress = kOtherSet, .flags = db_flags});
    EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kDb, 80)));
    EXPECT_PASS(ToDb(Tcp(kWeb, 1024, kDb, 80)));
    EXPECT_PASS(FromDb(Tcp(kDb, 80, kWeb, 1024, kSyn | kAck)));
    EXPECT_PASS(ToWeb(Tcp(kDb, 80, kWeb, 1024, kSyn | kAck)));
    EXPECT_EQ(k.Flows().size(), 1u);
  }
}

TEST_P(DirectTest, AClosedEndpointGetsNothing) {
  WebAndDb({.egress = kSet}, {.ingress = kOtherSet, .flags = SP_ENDPOINT_DIRECT});
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kDb, 80)));
  EXPECT_DROP(ToDb(Tcp(kWeb, 1024, kDb, 80)), "closed");
}

TEST_P(DirectTest, ALongWayDenialAtTheOtherEndCutsTheConnection) {
  WebAndDb({.egress = kSet, .flags = SP_ENDPOINT_OPEN},
           {.ingress = kOtherSet, .flags = SP_ENDPOINT_OPEN});
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kDb, 80)));
  EXPECT_PASS(ToDb(Tcp(kWeb, 1024, kDb, 80)));
  k.SetRule(kOtherSet, kWebIdentity, Ports::None());
  k.NextGeneration();
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kDb, 80, kAck)));
  EXPECT_DROP(ToDb(Tcp(kWeb, 1024, kDb, 80, kAck)), "policy");
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kDb, 80, kAck)), "cut");
  EXPECT_DROP(FromDb(Tcp(kDb, 80, kWeb, 1024, kAck)), "cut");
}

TEST_P(DirectTest, TheHintIsCheckedAgainstTheEndpoint) {
  WebAndDb({.egress = kSet}, {.ingress = kNothing});
  k.SetPeer(Of(kDb), kDbIdentity, Interface(5));  // no endpoint
  k.NextGeneration();
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kDb, 80)));
  k.SetEndpoint({.ifindex = Interface(5), .v4 = "10.0.0.77", .v6 = "fd00::77"});  // another pod
  k.NextGeneration();
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1025, kDb, 80)));
  k.SetPeer(Of(kDb), kDbIdentity, web);  // itself
  k.NextGeneration();
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1026, kDb, 80)));
}

TEST_P(DirectTest, APolicyChangeReachesHandedOverFlows) {
  WebAndDb({.egress = kSet}, {.ingress = kOtherSet});
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kDb, 80)));
  EXPECT_DIRECT(FromDb(Tcp(kDb, 80, kWeb, 1024, kSyn | kAck)));
  k.NextGeneration();
  EXPECT_DIRECT(FromDb(Tcp(kDb, 80, kWeb, 1024, kAck)));
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kDb, 80, kAck)));
  k.SetRule(kOtherSet, kWebIdentity, Ports().Tcp(81));
  k.NextGeneration();
  EXPECT_DROP(FromDb(Tcp(kDb, 80, kWeb, 1024, kAck)), "policy");
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kDb, 80, kAck)), "cut");
}

TEST_P(DirectTest, LosingTheFlagEndsTheHandOver) {
  WebAndDb({.egress = kSet}, {.ingress = kOtherSet});
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kDb, 80)));
  WebAndDb({.egress = kSet}, {.ingress = kOtherSet, .flags = SP_ENDPOINT_OPEN});
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kDb, 80, kAck)));
  EXPECT_PASS(ToDb(Tcp(kWeb, 1024, kDb, 80, kAck)));
}

// Of a datagram that the other end's policy has left, the reply is a first packet of its own.
// The node translated the way there (a Service), so it must translate the way back.
TEST_P(DirectTest, RepliesWhoseWayThereWasTranslatedAreNotHandedOver) {
  WebAndDb({}, {});
  EXPECT_PASS(ToDb(Tcp(kWeb, 1024, kDb, 80)));  // kWeb's own interface saw another destination
  EXPECT_PASS(FromDb(Tcp(kDb, 80, kWeb, 1024, kSyn | kAck)));
  k.NextGeneration();
  EXPECT_PASS(FromDb(Tcp(kDb, 80, kWeb, 1024, kAck)));
  EXPECT_PASS(FromDb(Tcp(kDb, 80, kWeb, 1024, kAck)));
}

TEST_P(DirectTest, ConnectionsFromBeforeAreNotHandedOver) {
  WebAndDb({}, {});
  EXPECT_PASS(FromDb(Tcp(kDb, 80, kWeb, 1024, kAck)));
  k.NextGeneration();
  EXPECT_PASS(FromDb(Tcp(kDb, 80, kWeb, 1024, kAck)));
}

TEST_P(DirectTest, WhatBothEndsHaveSeenStaysHandedOver) {
  WebAndDb({}, {});
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kDb, 80)));
  k.NextGeneration();
  EXPECT_DIRECT(FromDb(Tcp(kDb, 80, kWeb, 1024, kSyn | kAck)));
}

TEST_P(DirectTest, ADatagramAfterTheOtherEndsDenialIsJudgedAndCountedForItsSender) {
  k.SetRule(kSet, kWebIdentity, Ports().Udp(1024));
  WebAndDb({.egress = kSet}, {.egress = kSet, .ingress = kOtherSet});
  EXPECT_DIRECT(FromWeb(Udp(kWeb, 1024, kDb, 80)));
  EXPECT_DIRECT(FromDb(Udp(kDb, 80, kWeb, 1024)));
  k.SetRule(kSet, kDbIdentity, Ports::None());  // kWeb may not any more; kDb's reply opens a flow
  k.NextGeneration();
  sp_counters before = k.Counters(db);
  EXPECT_DIRECT(FromDb(Udp(kDb, 80, kWeb, 1024)));
  EXPECT_EQ(k.Counters(db).packets[SP_EGRESS], before.packets[SP_EGRESS] + 1);
  ASSERT_EQ(k.Flows().size(), 1u);
  EXPECT_EQ(k.Flows()[0]->owner, db);
  EXPECT_DIRECT(FromWeb(Udp(kWeb, 1024, kDb, 80)));  // a reply now
}

TEST_P(DirectTest, ADeniedReplyIsReportedForItsSender) {
  WebAndDb({.egress = kSet}, {.egress = kNothing, .ingress = kOtherSet});
  EXPECT_DIRECT(FromWeb(Udp(kWeb, 1024, kDb, 80)));
  k.SetRule(kSet, kDbIdentity, Ports::None());
  k.NextGeneration();
  Outcome out = FromDb(Udp(kDb, 80, kWeb, 1024));
  EXPECT_DROP(out, "policy");
  EXPECT_EQ(out.event->endpoint, db);
  EXPECT_EQ(out.event->direction, SP_EGRESS);
}

TEST_P(DirectTest, FragmentsGoTheLongWay) {
  WebAndDb({.egress = kSet}, {.ingress = kOtherSet});
  auto fragment = [&](uint16_t offset, bool more) -> Packet {
    if (v6())
      return Ethernet() / IPv6{.src = kWeb.v6, .dst = kDb.v6} /
             Fragment{.offset = offset, .more = more} / UDP{} / Payload(24);
    return Ethernet() / IPv4{.src = kWeb.v4, .dst = kDb.v4, .more = more, .offset = offset} /
           UDP{} / Payload(24);
  };
  for (int i = 0; i < 2; i++) {
    EXPECT_PASS(FromWeb(fragment(0, true)));
    EXPECT_PASS(FromWeb(fragment(4, false)));
    EXPECT_PASS(ToDb(fragment(0, true)));
    EXPECT_PASS(ToDb(fragment(4, false)));
  }
}

TEST_P(DirectTest, WhatComesInFromElsewhereIsNotHandedOver) {
  WebAndDb({.egress = kSet}, {.ingress = kOtherSet});
  EXPECT_PASS(ToDb(Tcp(kWeb, 1024, kDb, 80)));
  EXPECT_PASS(FromDb(Tcp(kDb, 80, kFar, 1024)));
}

TEST_P(DirectTest, SomeoneElsesSourceIsNotHandedOver) {
  WebAndDb({}, {});
  EXPECT_DROP(FromWeb(Tcp(kFar, 1024, kDb, 80)), "spoofed-source");
}

class NoFastPathTest : public DirectTest {
 protected:
  NoFastPathTest() : DirectTest({.fast_path = false}) {}
};
BOTH_FAMILIES(NoFastPathTest);

TEST_P(NoFastPathTest, EachEndJudgesForItself) {
  WebAndDb({.egress = kSet, .ingress = kNothing}, {.egress = kNothing, .ingress = kOtherSet});
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kDb, 80)));
  ASSERT_EQ(k.Flows().size(), 1u);
  EXPECT_FALSE(k.Flows()[0]->state & SP_FLOW_INGRESS);
  EXPECT_PASS(ToDb(Tcp(kWeb, 1024, kDb, 80)));
  EXPECT_TRUE(k.Flows()[0]->state & SP_FLOW_INGRESS);
  EXPECT_TRUE(k.Flows()[0]->state & SP_FLOW_EGRESS);
  EXPECT_PASS(FromDb(Tcp(kDb, 80, kWeb, 1024, kSyn | kAck)));
  EXPECT_PASS(ToWeb(Tcp(kDb, 80, kWeb, 1024, kSyn | kAck)));
  EXPECT_EQ(k.Flows().size(), 1u);
}

TEST_P(NoFastPathTest, FlowsThatWereHandedOverBeforeAreNotAnyMore) {
  WebAndDb({}, {});
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kDb, 80)));
  for (sp_flow* flow : k.Flows()) {
    flow->state |= SP_FLOW_INGRESS | SP_FLOW_DIRECT;
    flow->ifindex[0] = flow->ifindex[0] ? flow->ifindex[0] : db;
    flow->ifindex[1] = flow->ifindex[1] ? flow->ifindex[1] : db;
  }
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kDb, 80)));
  k.NextGeneration();
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kDb, 80)));
}

TEST_P(NoFastPathTest, ADatagramThatTheOtherEndDeniesIsNotRemembered) {
  WebAndDb({.egress = kSet}, {.ingress = kNothing});
  for (int i = 0; i < 3; i++) {
    EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kDb, 80)));
    EXPECT_DROP(ToDb(Udp(kWeb, 1024, kDb, 80)), "policy");
    EXPECT_EQ(k.Flows().size(), 0u);
  }
}

}  // namespace
}  // namespace sallyport::test
