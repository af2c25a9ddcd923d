// SPDX-License-Identifier: Apache-2.0
// Counters and drop events.
#include <arpa/inet.h>

#include <cstring>

#include "bpf/packets/world.h"
#include "support/kernel_tables.h"

namespace sallyport::test {
namespace {

bool Same(const sp_address& a, const net::Address& b) {
  return std::memcmp(a.bytes, b.bytes().data(), sizeof(a.bytes)) == 0;
}

class ReportTest : public FamilyTest {
 protected:
  explicit ReportTest(const KernelOptions& options = {}) : FamilyTest(options) {}
};
BOTH_FAMILIES(ReportTest);

TEST_P(ReportTest, WhatPassesIsCountedForItsDirection) {
  Web(kOpen, kOpen);
  Packet out = Udp(kWeb, 1024, kFar, 80), in = Udp(kFar, 80, kWeb, 1024) / Payload(100);
  for (int i = 0; i < 3; i++) EXPECT_PASS(FromWeb(out));
  EXPECT_PASS(ToWeb(in));
  sp_counters c = k.Counters(web);
  EXPECT_EQ(c.packets[SP_EGRESS], 3u);
  EXPECT_EQ(c.bytes[SP_EGRESS], 3 * out.bytes().size());
  EXPECT_EQ(c.packets[SP_INGRESS], 1u);
  EXPECT_EQ(c.bytes[SP_INGRESS], in.bytes().size());
}

TEST_P(ReportTest, ThatNeedsNoVerdictIsCountedToo) {
  Web(kNothing, kNothing);
  EXPECT_PASS(FromWeb(Ethernet() / Arp{}));
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kNode, 53)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kWeb, 53)));
  EXPECT_EQ(k.Counters(web).packets[SP_EGRESS], 3u);
}

TEST_P(ReportTest, DropsAreCountedByReasonAndDirection) {
  Web(kNothing, kNothing);
  FromWeb(Udp(kWeb, 1024, kFar, 80));
  FromWeb(Udp(kWeb, 1024, kFar, 80));
  FromWeb(Udp(kDb, 1024, kFar, 80));
  ToWeb(Udp(kFar, 1024, kWeb, 80));
  ToWeb(Error(kFar, kWeb, Udp(kWeb, 1, kFar, 2)));
  sp_counters c = k.Counters(web);
  EXPECT_EQ(c.dropped[SP_EGRESS][SP_DROP_POLICY], 2u);
  EXPECT_EQ(c.dropped[SP_EGRESS][SP_DROP_SPOOFED], 1u);
  EXPECT_EQ(c.dropped[SP_INGRESS][SP_DROP_POLICY], 1u);
  EXPECT_EQ(c.dropped[SP_INGRESS][SP_DROP_ICMP_ERROR], 1u);
  EXPECT_EQ(c.packets[SP_EGRESS] + c.packets[SP_INGRESS], 0u);
}

TEST_P(ReportTest, InterfacesWithoutEntryShareCounters) {
  k.NextGeneration();
  Outcome out = FromDb(Udp(kDb, 1024, kFar, 80));
  EXPECT_DROP(out, "closed");
  EXPECT_DROP(ToDb(Udp(kFar, 1024, kDb, 80)), "closed");
  EXPECT_EQ(out.event->ifindex, db);
  EXPECT_EQ(k.Counters(0).dropped[SP_EGRESS][SP_DROP_CLOSED], 1u);
  EXPECT_EQ(k.Counters(0).dropped[SP_INGRESS][SP_DROP_CLOSED], 1u);
}

TEST_P(ReportTest, AnEventSaysEverything) {
  Web(kNothing, kSet);
  k.NextGeneration();
  Packet packet = Tcp(kFar, 1234, kWeb, 5432);
  Outcome out = ToWeb(packet);
  ASSERT_TRUE(out.event);
  const sp_event& e = *out.event;
  EXPECT_GT(e.time_ns, 0u);
  EXPECT_EQ(e.ifindex, web);
  EXPECT_EQ(e.endpoint, web);
  EXPECT_EQ(e.generation, 2u);
  EXPECT_EQ(e.length, packet.bytes().size());
  EXPECT_EQ(e.reason, SP_DROP_POLICY);
  EXPECT_EQ(e.direction, SP_INGRESS);
  EXPECT_TRUE(Same(e.source, Ip(Of(kFar))));
  EXPECT_TRUE(Same(e.destination, Ip(Of(kWeb))));
  EXPECT_EQ(ntohs(e.source_port), 1234);
  EXPECT_EQ(ntohs(e.destination_port), 5432);
  EXPECT_EQ(e.protocol, 6);
  EXPECT_EQ(e.icmp_type, 0);
  EXPECT_EQ(ntohs(e.ethertype), v6() ? 0x86dd : 0x0800);
  EXPECT_EQ(e.set, TableSet(kSet, 0));
  EXPECT_EQ(e.suppressed, 0u);
}

TEST_P(ReportTest, EventsOfIcmpSayItsType) {
  Web(kNothing, kNothing);
  Outcome out = FromWeb(Ping(kWeb, kFar, 77));
  ASSERT_TRUE(out.event);
  EXPECT_EQ(out.event->icmp_type, v6() ? kEchoRequest6 : kEchoRequest);
  EXPECT_EQ(ntohs(out.event->source_port), 77);
  EXPECT_EQ(ntohs(out.event->destination_port), 77);
}

TEST_P(ReportTest, OnlyPolicyNamesASet) {
  Web(kNothing, kNothing);
  EXPECT_EQ(FromWeb(Udp(kDb, 1, kFar, 2)).event->set, 0u);
  EXPECT_EQ(FromWeb(Ethernet() / Vlan{} / Arp{}).event->set, TableSet(kNothing, 1));
  EXPECT_EQ(FromWeb(Udp(kWeb, 1, kFar, 2)).event->set, TableSet(kNothing, 1));
}

TEST_P(ReportTest, WhatLeavesAPodIsMarked) {
  Web(kOpen, kOpen);
  EXPECT_EQ(FromWeb(Udp(kWeb, 1024, kFar, 80)).mark, 0x100u);
  EXPECT_EQ(FromWeb(Udp(kWeb, 1024, kFar, 80)).mark, 0x100u);  // of a known flow
  EXPECT_EQ(FromWeb(Ping(kWeb, kFar)).mark, 0x100u);
  EXPECT_EQ(k.FromPod(web, Udp(kWeb, 1024, kFar, 80), {.mark = 0x4001}).mark, 0x4101u);
  EXPECT_EQ(ToWeb(Udp(kFar, 80, kWeb, 1024)).mark, 0u);
}

class RateTest : public ReportTest {
 protected:
  RateTest() : ReportTest({.events_bytes = 4096, .events_per_tick = 4}) {}

  // Drops `count` packets within one tick; the events that came.
  std::vector<sp_event> Drop(int count) {
    for (;;) {
      k.EndTick();
      std::vector<sp_event> events;
      uint32_t tick = 0;
      for (int i = 0; i < count; i++) {
        Outcome out = FromWeb(Udp(kWeb, 1024, kFar, 80));
        EXPECT_EQ(out.action, Action::kDrop);
        if (out.event) events.push_back(*out.event);
        if (i == 0) tick = k.Counters(web).event_tick;
      }
      dropped_ += static_cast<uint64_t>(count);
      if (tick == k.Counters(web).event_tick) return events;
    }
  }

  uint64_t dropped_ = 0;
};
BOTH_FAMILIES(RateTest);

TEST_P(RateTest, EventsAreLimitedAndSayHowManyDidNotCome) {
  Web(kNothing, kNothing);
  EXPECT_EQ(Drop(10).size(), 4u);
  uint64_t suppressed = k.Counters(web).events_suppressed;
  EXPECT_GE(suppressed, 6u);
  std::vector<sp_event> next = Drop(4);
  ASSERT_EQ(next.size(), 4u);
  EXPECT_GE(next[0].suppressed, suppressed);
  EXPECT_EQ(k.Counters(web).dropped[SP_EGRESS][SP_DROP_POLICY], dropped_);
}

TEST_P(RateTest, TheLimitIsPerEndpoint) {
  k.SetEndpoint({db, kDb.v4, kDb.v6, kNothing, kNothing});
  Web(kNothing, kNothing);
  Drop(10);
  EXPECT_DROP(FromDb(Udp(kDb, 1024, kFar, 80)), "policy");
}

class FullRingTest : public ReportTest {
 protected:
  FullRingTest() : ReportTest({.events_bytes = 4096}) {}
};
BOTH_FAMILIES(FullRingTest);

TEST_P(FullRingTest, AFullRingSuppressesAndStillDrops) {
  Web(kNothing, kNothing);
  k.ReadEvents(false);
  for (int i = 0; i < 200; i++) EXPECT_EQ(FromWeb(Udp(kWeb, 1024, kFar, 80)).action, Action::kDrop);
  sp_counters c = k.Counters(web);
  EXPECT_EQ(c.dropped[SP_EGRESS][SP_DROP_POLICY], 200u);
  EXPECT_GE(c.events_suppressed, 200 - 4096 / sizeof(sp_event));
  EXPECT_LT(c.events_suppressed, 200u);
}

}  // namespace
}  // namespace sallyport::test
