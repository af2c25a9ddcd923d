// SPDX-License-Identifier: Apache-2.0
// What an EgressGateway's status says, and who says it.
#include "control/egress_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/agent/egress_world.h"

namespace sallyport::control {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class EgressStatusTest : public testing::Test {
 protected:
  EgressStatusTest() {
    report_.news = ThreeNodes();
    report_.intent.state.self = "gw1";
    Hold(kFirstIp, "gw1");
    Hold(kSecondIp, "gw2");
  }
  void Hold(const net::Address& address, const std::string& node) {
    report_.intent.state.ips[address].gateway = node;
  }
  gateway::GatewayStatus Status(const std::string& node = "gw1") {
    auto all = StatusesOf(report_, node);
    EXPECT_THAT(all, SizeIs(1));
    return all.empty() ? gateway::GatewayStatus{} : all[0];
  }
  gateway::GatewayCondition Ready() { return Status().conditions.at(0); }
  gateway::GatewayCondition Degraded() { return Status().conditions.at(1); }

  EgressReport report_;
};

TEST_F(EgressStatusTest, WhoHoldsTheFirstWrites) {
  EXPECT_THAT(StatusesOf(report_, "gw2"), IsEmpty());
  EXPECT_THAT(StatusesOf(report_, "n1"), IsEmpty());
  gateway::GatewayStatus status = Status();
  EXPECT_EQ(status.name, "partner");
  EXPECT_EQ(status.generation, 3);
  ASSERT_THAT(status.addresses, SizeIs(2));
  EXPECT_EQ(status.addresses[1].node, "gw2");
  EXPECT_EQ(Ready().status, "True");
  EXPECT_EQ(Degraded().status, "False");
  Hold(kFirstIp, "");
  EXPECT_THAT(StatusesOf(report_, "gw1"), IsEmpty());
  EXPECT_EQ(Status("gw2").conditions.at(0).status, "True");
}

TEST_F(EgressStatusTest, NobodyHoldsAnything) {
  Hold(kFirstIp, "");
  Hold(kSecondIp, "");
  report_.intent.nobody[kFirstIp] = "no node matches egress=true";
  EXPECT_EQ(Ready().status, "False");
  EXPECT_EQ(Ready().reason, "NoGateway");
  EXPECT_THAT(Ready().message, HasSubstr("203.0.113.10: no node matches egress=true"));
  EXPECT_EQ(Degraded().status, "True");
}

TEST_F(EgressStatusTest, OneOfTwoIsDegraded) {
  Hold(kSecondIp, "");
  EXPECT_EQ(Ready().status, "True");
  EXPECT_EQ(Degraded().reason, "AddressNotHeld");
  EXPECT_THAT(Degraded().message, HasSubstr("nobody holds 203.0.113.11"));
}

TEST_F(EgressStatusTest, PortsThatRunOut) {
  egress::BlockLease lease;
  lease.id = {kFirstIp, 2048};
  lease.size = 1024;
  lease.holder = "n1";
  lease.exhausted_since = "2026-01-01T00:00:00Z";
  lease.meta = {"u", 1, ""};
  report_.leases.Set(lease, true, 0);
  EXPECT_EQ(Degraded().reason, "PortsExhausted");
  EXPECT_THAT(Degraded().message, HasSubstr("n1 (since 2026-01-01T00:00:00Z)"));
  EXPECT_THAT(Degraded().message, HasSubstr("add an egress IP"));
  EXPECT_EQ(Ready().status, "True");
}

TEST_F(EgressStatusTest, WhatIsWrongWithTheObject) {
  report_.news.findings["partner"] = {"198.51.100.0/24 leaves by EgressGateway other"};
  EXPECT_EQ(Degraded().reason, "Conflict");
  EXPECT_THAT(Degraded().message, HasSubstr("leaves by EgressGateway other"));
  report_.failed[kFirstIp] = "holding it failed";
  EXPECT_EQ(Degraded().reason, "AddressNotHeld");
}

TEST_F(EgressStatusTest, TakeOversAreTold) {
  report_.intent.taken = {{kFirstIp, "", 1, "nobody held it"},
                          {kSecondIp, "gw2", 4, "gateway gw2 is not heard any more"},
                          {At("192.0.2.1"), "gw2", 4, "of no object"}};
  auto events = EventsOf(report_);
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_FALSE(events[0].warning);
  EXPECT_TRUE(events[1].warning);
  EXPECT_EQ(events[1].reason, "TakenOver");
  EXPECT_EQ(events[1].message,
            "203.0.113.11 went from gw2 to gw1: gateway gw2 is not heard any more");
  EXPECT_EQ(events[1].uid, "u1");
}

// A node that has just not heard of the holder must not write over what the holder wrote.
TEST(CertainOf, SaysAfterAWhileThatNobodyHoldsAnAddress) {
  gateway::GatewayStatus held, nobody;
  held.name = "held";
  held.addresses = {{"203.0.113.10", "g1"}, {"203.0.113.11", ""}};
  nobody.name = "nobody";
  nobody.addresses = {{"203.0.113.12", ""}};
  std::map<std::string, egress::Millis> since;
  auto names = [&](std::vector<gateway::GatewayStatus> statuses, egress::Millis now) {
    std::string out;
    for (const auto& one : CertainOf(std::move(statuses), now, &since)) out += one.name + " ";
    return out;
  };
  EXPECT_EQ(names({held, nobody}, 1000), "held ");
  EXPECT_EQ(names({held, nobody}, 5999), "held ");
  EXPECT_EQ(names({held, nobody}, 6000), "held nobody ");
  // Held meanwhile, or another node's to say: from the beginning.
  EXPECT_EQ(names({held}, 7000), "held ");
  EXPECT_EQ(names({held, nobody}, 8000), "held ");
  EXPECT_EQ(names({held, nobody}, 13000), "held nobody ");
}

}  // namespace
}  // namespace sallyport::control
