// SPDX-License-Identifier: Apache-2.0
// What a node tells about egress IPs: as JSON, as metrics, and how long ports last.
#include "observe/egress_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "observe/exhaustion.h"
#include "observe/json.h"
#include "observe/measures.h"

namespace sallyport::observe {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

EgressView TwoAddresses() {
  EgressView view;
  view.node = "n1";
  view.tunnel = {"sallyport", 8473, 7, 1450};
  view.takeovers = 2;
  view.peers = {{"n2", *net::Address::Parse("192.168.0.2"), std::chrono::milliseconds(42)},
                {"n3", {}, {}}};
  EgressAddressView held;
  held.ip = *net::Address::Parse("203.0.113.10");
  held.gateway = "partner";
  held.holder = held.via = "n1";
  held.epoch = 3;
  held.since = WallTime() + std::chrono::milliseconds(1500);
  held.held_here = true;
  held.uplink = "eth1";
  held.blocks = {{1024, 2047, "n1", true, 10, 2}, {2048, 3071, "n2"}};
  held.ports = 1024;
  held.busiest = 12;
  held.headroom = 1012;
  held.live = 10;
  held.resting = 2;
  held.opened = 100;
  held.refused = 4;
  held.hurried = 5;
  held.seconds_to_exhaustion = 90.5;
  held.packets_out = 6;
  held.bytes_out = 600;
  held.packets_in = 7;
  held.bytes_in = 700;
  held.strangers = 8;
  held.foreign = 9;
  EgressAddressView nobodys;
  nobodys.ip = *net::Address::Parse("2001:db8:ffff::10");
  nobodys.why_nobody = "no candidate";
  nobodys.exhausted = "all are taken";
  view.addresses = {held, nobodys};
  return view;
}

TEST(EgressJsonTest, HasAllOfIt) {
  EXPECT_EQ(ToJson(TwoAddresses()),
            R"({"node":"n1","tunnel":{"device":"sallyport","port":8473,"vni":7,"mtu":1450},)"
            R"("takeovers":2,"addresses":[{"ip":"203.0.113.10","gateway":"partner","holder":"n1",)"
            R"("epoch":3,"since":"1970-01-01T00:00:01.500Z","held_here":true,"uplink":"eth1",)"
            R"("via":"n1","why_nobody":"","ports":1024,"busiest":12,"headroom":1012,"live":10,)"
            R"("resting":2,"opened":100,"refused":4,"hurried":5,"seconds_to_exhaustion":90.5,)"
            R"("exhausted":"","forwarded":{"out":{"packets":6,"bytes":600},)"
            R"("in":{"packets":7,"bytes":700}},"strangers":8,"foreign":9,)"
            R"("blocks":[{"first":1024,"last":2047,"node":"n1","use":true,"live":10,"resting":2},)"
            R"({"first":2048,"last":3071,"node":"n2","use":false,"live":0,"resting":0}]},)"
            R"({"ip":"2001:db8:ffff::10","gateway":"","holder":"","epoch":0,"since":null,)"
            R"("held_here":false,"uplink":"","via":"","why_nobody":"no candidate","ports":0,)"
            R"("busiest":0,"headroom":0,"live":0,"resting":0,"opened":0,"refused":0,"hurried":0,)"
            R"("seconds_to_exhaustion":null,"exhausted":"all are taken",)"
            R"("forwarded":{"out":{"packets":0,"bytes":0},"in":{"packets":0,"bytes":0}},)"
            R"("strangers":0,"foreign":0,"blocks":[]}],)"
            R"("peers":[{"node":"n2","address":"192.168.0.2","heard_ms_ago":42},)"
            R"({"node":"n3","address":null,"heard_ms_ago":null}]})");
  EXPECT_THAT(ToJson(EgressView()), HasSubstr(R"("addresses":[],"peers":[])"));
}

TEST(EgressMetricsTest, SamplesOfEachAddress) {
  MetricsView view;
  view.egress = TwoAddresses();
  const std::string held = "{address=\"203.0.113.10\"}",
                    nobodys = "{address=\"2001:db8:ffff::10\"}";
  std::string text = MetricsText(&view, true, {});
  for (const char* sample :
       {"ports{A} 1024", "ports_in_use{A} 12", "flows{A} 10", "flows_opened_total{A} 100",
        "flows_refused_total{A} 4", "ports_hurried_total{A} 5", "seconds_to_exhaustion{A} 90.5",
        "held{A} 1", "held{B} 0", "gateway_known{A} 1", "gateway_known{B} 0",
        "strangers_total{A} 8", "foreign_total{A} 9", "takeovers_total 2"}) {
    std::string expected = std::string("\nsallyport_egress_") + sample + "\n";
    if (size_t at = expected.find("{A}"); at != std::string::npos) expected.replace(at, 3, held);
    if (size_t at = expected.find("{B}"); at != std::string::npos) expected.replace(at, 3, nobodys);
    EXPECT_THAT(text, HasSubstr(expected));
  }
  EXPECT_THAT(text, AllOf(HasSubstr("forwarded_packets_total{address=\"203.0.113.10\","
                                    "direction=\"out\"} 6\n"),
                          HasSubstr("forwarded_packets_total{address=\"203.0.113.10\","
                                    "direction=\"in\"} 7\n"),
                          HasSubstr("forwarded_bytes_total{address=\"203.0.113.10\","
                                    "direction=\"out\"} 600\n"),
                          HasSubstr("forwarded_bytes_total{address=\"203.0.113.10\","
                                    "direction=\"in\"} 700\n")));
  EXPECT_THAT(text, Not(HasSubstr("seconds_to_exhaustion" + nobodys)));
}

class ExhaustionTest : public testing::Test {
 protected:
  void Take(int second, uint64_t used) { foresight_.Take(MonotonicTime() + seconds(second), used); }
  Exhaustion foresight_;
};

TEST_F(ExhaustionTest, GoesOnAsItDid) {
  EXPECT_EQ(foresight_.Foresee(100), std::nullopt);
  Take(0, 10);
  EXPECT_EQ(foresight_.Foresee(100), std::nullopt);
  Take(29, 39);
  EXPECT_EQ(foresight_.Foresee(100), std::nullopt) << "too little is known";
  Take(40, 50);
  EXPECT_DOUBLE_EQ(foresight_.Foresee(100).value(), 50) << "one a second";
  EXPECT_EQ(foresight_.Foresee(50), 0) << "they are all in use";
}

TEST_F(ExhaustionTest, WhatDoesNotRiseLasts) {
  Take(0, 50);
  Take(60, 50);
  EXPECT_EQ(foresight_.Foresee(100), std::nullopt);
  Take(61, 20);
  EXPECT_EQ(foresight_.Foresee(100), std::nullopt);
  EXPECT_EQ(foresight_.Foresee(0), std::nullopt) << "there are no ports, and nobody wants any";
}

TEST_F(ExhaustionTest, ForgetsWhatIsOld) {
  for (int second = 0; second <= 300; ++second) Take(second, 0);
  for (int second = 1; second <= 300; ++second) Take(300 + second, second);
  EXPECT_DOUBLE_EQ(foresight_.Foresee(600).value(), 300);
  Take(10000, 300);
  EXPECT_EQ(foresight_.Foresee(600), std::nullopt);
}

// Told more often than once a second, it still looks back as far.
TEST_F(ExhaustionTest, ManySamplesAreFew) {
  for (int i = 0; i <= 60000; ++i) {
    foresight_.Take(MonotonicTime() + std::chrono::milliseconds(i),
                    static_cast<uint64_t>(i) / 1000);
  }
  EXPECT_NEAR(foresight_.Foresee(120).value(), 60, 1);
}

}  // namespace
}  // namespace sallyport::observe
