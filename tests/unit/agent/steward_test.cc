// SPDX-License-Identifier: Apache-2.0
// What a node is to do about egress IPs: the kernel's tables, from Leases, heartbeats and counts.
#include "control/steward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/agent/egress_world.h"

namespace sallyport::control {
namespace {

using egress::kSecond;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

class StewardTest : public testing::Test {
 protected:
  void Start(const std::string& node) {
    steward_ = std::make_unique<Steward>(node, "boot-" + node, 1, std::set<net::Address>{}, now_);
    steward_->SetNews(ThreeNodes());
  }
  egress::BlockLease Block(const net::Address& address, int first, const std::string& holder) {
    egress::BlockLease out;
    out.id = {address, static_cast<uint16_t>(first)};
    out.size = 1024;
    out.holder = holder;
    out.boot_id = "boot-" + holder;
    out.renew_time = "2026-01-01T00:00:00.000000Z";
    out.duration = 900 * kSecond;
    out.meta = {"uid-" + std::to_string(first), ++version_, "2026-01-01T00:00:00Z"};
    return out;
  }
  egress::AddressLease Holds(const net::Address& address, const std::string& holder) {
    egress::AddressLease out;
    out.address = address;
    out.holder = holder;
    out.epoch = 1;
    out.renew_time = "2026-01-01T00:00:00.000000Z";
    out.duration = 15 * kSecond;
    out.meta = {"uid-" + address.ToString(), ++version_, "2026-01-01T00:00:00Z"};
    return out;
  }
  Intent Decide() {
    Moment moment;
    moment.now = now_;
    moment.tick = 5000;
    moment.wall = "2026-01-01T00:00:10.000000Z";
    moment.api_reachable = true;
    moment.leases_listed = listed_;
    moment.tunnel = {9, 7, 1450, 4790, 4791};
    moment.uplinks = uplinks_;
    return steward_->Decide(moment);
  }
  void List() {
    steward_->blocks().Listed();
    listed_ = true;
  }

  egress::Millis now_ = 100 * kSecond;
  uint64_t version_ = 0;
  bool listed_ = false;
  std::map<net::Address, uint32_t> uplinks_ = {{kFirstIp, 2}, {kSecondIp, 2}};
  std::unique_ptr<Steward> steward_;
};

TEST_F(StewardTest, BeforeLeasesAreKnownWhatTheKernelHasStays) {
  Start("n1");
  Intent intent = Decide();
  EXPECT_FALSE(intent.state.ports_known);
  EXPECT_FALSE(intent.state.ips.at(kFirstIp).gateway_known);
  EXPECT_THAT(intent.block_actions, IsEmpty());
  EXPECT_THAT(intent.state.nodes, SizeIs(3));
  EXPECT_EQ(intent.state.tunnel.mtu, 1450u);
}

TEST_F(StewardTest, OwnPortsAreGivenAndTheOthersAreKnown) {
  Start("n1");
  steward_->blocks().Set(Block(kFirstIp, 2048, "n1"), now_);
  steward_->blocks().Set(Block(kFirstIp, 4096, "gw2"), now_);
  steward_->holders().SetLease(Holds(kFirstIp, "gw1"), now_);
  List();
  Intent intent = Decide();
  const dataplane::EgressState::Ip& ip = intent.state.ips.at(kFirstIp);
  EXPECT_TRUE(intent.state.ports_known);
  EXPECT_EQ(ip.gateway, "gw1");
  EXPECT_TRUE(ip.gateway_known);
  EXPECT_THAT(ip.blocks, ElementsAre(2048));
  EXPECT_EQ(ip.block_ports, 1024);
  EXPECT_THAT(ip.owners, ElementsAre(Pair(net::PortRange{2048, 3071}, "n1"),
                                     Pair(net::PortRange{4096, 5119}, "gw2")));
  EXPECT_GT(static_cast<int32_t>(ip.keep_until - ip.use_until), 0);
  EXPECT_GT(static_cast<int32_t>(ip.use_until - 5000), 0);
}

// Blocks of several sizes are told in pieces of the least.
TEST_F(StewardTest, PiecesOfOneSize) {
  Start("n1");
  egress::BlockLease small = Block(kFirstIp, 1024, "n1");
  small.size = 256;
  steward_->blocks().Set(small, now_);
  egress::BlockLease large = Block(kFirstIp, 2048, "n1");
  large.size = 512;
  steward_->blocks().Set(large, now_);
  List();
  const dataplane::EgressState::Ip ip = Decide().state.ips.at(kFirstIp);
  EXPECT_EQ(ip.block_ports, 256);
  EXPECT_THAT(ip.blocks, ElementsAre(1024, 2048, 2304));
}

// The ports of a flow that lives keep their block, however long nothing is opened.
TEST_F(StewardTest, WhatIsUsedIsNotReturned) {
  Start("n1");
  for (int first : {2048, 3072, 4096}) steward_->blocks().Set(Block(kFirstIp, first, "n1"), now_);
  List();
  std::map<net::Address, dataplane::EgressUse> use;
  use[kFirstIp].live = {{3072 + 64, 1}};
  use[kFirstIp].busiest = {{3072 + 64, 1}};
  for (int minute = 0; minute < 20; ++minute) {
    now_ += egress::kMinute;
    steward_->SetUse(use, now_);
    Intent intent = Decide();
    for (const egress::BlockAction& action : intent.block_actions) {
      if (action.kind == egress::BlockAction::Kind::kDelete) EXPECT_NE(action.lease.id.first, 3072);
      steward_->blocks().Done(action, egress::Outcome::kFailed, std::nullopt, now_);
    }
    EXPECT_TRUE(intent.state.ips.at(kFirstIp).owners.contains({3072, 4095}));
  }
}

// Until somebody looks again, what was refused counts, not only for the first decision.
TEST_F(StewardTest, RefusedFlowsAskForPorts) {
  Start("n1");
  for (int first : {2048, 3072}) steward_->blocks().Set(Block(kFirstIp, first, "n1"), now_);
  List();
  std::map<net::Address, dataplane::EgressUse> use;
  for (uint16_t group = 2048; group < 4096; group += 64)
    use[kFirstIp].live[group] = use[kFirstIp].busiest[group] = 64;
  use[kFirstIp].refused = 5;  // in an earlier agent's time
  Decide();
  steward_->SetUse(use, now_);
  EXPECT_THAT(Decide().block_actions, SizeIs(testing::Ge(1u)));
  use[kFirstIp].refused = 6;
  steward_->SetUse(use, now_);
  EXPECT_THAT(Decide().block_actions, SizeIs(1)) << "two are on their way then";
}

TEST_F(StewardTest, AGatewayWithoutAnUplinkTakesNothing) {
  uplinks_.clear();
  Start("gw1");
  List();
  for (int i = 0; i < 100; ++i) {
    now_ += 100;
    EXPECT_THAT(Decide().hold, IsEmpty());
  }
  uplinks_ = {{kFirstIp, 2}, {kSecondIp, 2}};
  Intent intent;
  for (int i = 0; i < 100 && intent.hold.empty(); ++i) {
    now_ += 100;
    intent = Decide();
  }
  EXPECT_FALSE(intent.hold.empty());
  EXPECT_EQ(intent.state.ips.at(intent.hold.begin()->first).gateway, "gw1");
}

// Nothing is forwarded for an address that no object names.
TEST_F(StewardTest, LeasesOfForgottenAddressesMeanNothing) {
  Start("n1");
  steward_->blocks().Set(Block(At("203.0.113.77"), 2048, "n1"), now_);
  List();
  EXPECT_FALSE(Decide().state.ips.contains(At("203.0.113.77")));
}

}  // namespace
}  // namespace sallyport::control
