// SPDX-License-Identifier: Apache-2.0
// What the thread for egress IPs reports, as who asks sees it.
#include "control/egress_views.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/agent/egress_world.h"

namespace sallyport::control {
namespace {

using std::chrono::milliseconds;
using testing::SizeIs;

class EgressViewsTest : public testing::Test {
 protected:
  EgressViewsTest() {
    report_.news = ThreeNodes();
    report_.now = 10'000;
    report_.wall = WallTime() + std::chrono::hours(1);
    dataplane::EgressState& state = report_.intent.state;
    state.nodes = {{"gw1", At("172.30.0.1")}, {"gw2", At("172.30.0.2")}};
    state.tunnel = {7, 1, 1450, 8473};
    dataplane::EgressState::Ip& first = state.ips[kFirstIp];
    first.gateway = "gw1";
    first.block_ports = 1024;
    first.blocks = {2048, 3072};
    first.owners = {{{1024, 2047}, "n1"}, {{2048, 4095}, "gw1"}, {{4096, 5119}, "gw1"}};
    dataplane::EgressUse& use = report_.use[kFirstIp];
    use.live = {{2048, 3}, {3968, 4}, {4096, 5}};
    use.resting = {{2112, 2}, {1024, 9}};
    use.busiest = {{2048, 6}, {4096, 1}};
    use.refused = 8;
  }
  observe::EgressAddressView View(const net::Address& address) {
    for (const auto& view : EgressViewOf(report_, "gw1").addresses)
      if (view.ip == address) return view;
    ADD_FAILURE() << address.ToString();
    return {};
  }
  EgressReport report_;
};

TEST_F(EgressViewsTest, BlocksOfAllNodesAndTheUseOfOwnOnes) {
  observe::EgressAddressView view = View(kFirstIp);
  ASSERT_THAT(view.blocks, SizeIs(3));
  EXPECT_EQ(view.blocks[0].node, "n1");
  EXPECT_EQ(view.blocks[0].resting, 0u) << "another node's";
  EXPECT_EQ(view.blocks[1].first, 2048);
  EXPECT_EQ(view.blocks[1].last, 4095);
  EXPECT_TRUE(view.blocks[1].use) << "the kernel knows it as two";
  EXPECT_EQ(view.blocks[1].live, 7u);
  EXPECT_EQ(view.blocks[1].resting, 2u);
  EXPECT_FALSE(view.blocks[2].use);
  EXPECT_EQ(view.blocks[2].live, 5u);
  EXPECT_EQ(view.ports, 2048u);
  EXPECT_EQ(view.busiest, 7u);
  EXPECT_EQ(view.headroom, 2041u);
  EXPECT_EQ(view.live, 12u);
  EXPECT_EQ(view.refused, 8u);
  report_.intent.state.ips[kFirstIp].blocks.clear();
  EXPECT_EQ(View(kFirstIp).headroom, 0u) << "more are in use than may be given";
}

TEST_F(EgressViewsTest, WhoHoldsIt) {
  observe::EgressAddressView view = View(kFirstIp);
  EXPECT_EQ(view.gateway, "partner");
  EXPECT_EQ(view.holder, "gw1");
  EXPECT_EQ(view.via, "gw1");
  EXPECT_FALSE(view.held_here);
  EXPECT_FALSE(view.since);
  EXPECT_EQ(view.why_nobody, "");
  report_.intent.hold[kFirstIp] = 5;
  report_.held_since[kFirstIp] = 9'000;
  view = View(kFirstIp);
  EXPECT_TRUE(view.held_here);
  EXPECT_EQ(view.epoch, 5u);
  EXPECT_EQ(view.since, report_.wall - milliseconds(1'000));
  report_.failed[kFirstIp] = "eth1 is down";
  EXPECT_FALSE(View(kFirstIp).held_here) << "it could not be put there";
}

TEST_F(EgressViewsTest, WhyNobodyHoldsIt) {
  EXPECT_EQ(View(kSecondIp).holder, "");
  EXPECT_EQ(View(kSecondIp).why_nobody, "no gateway has taken it yet");
  report_.intent.nobody[kSecondIp] = "no node matches";
  EXPECT_EQ(View(kSecondIp).why_nobody, "no node matches");
  report_.failed[kSecondIp] = "eth1 is down";
  EXPECT_EQ(View(kSecondIp).why_nobody, "eth1 is down");
  report_.news.addresses.at(kSecondIp).unusable = "it is a pod's";
  EXPECT_EQ(View(kSecondIp).why_nobody, "it is a pod's");
}

TEST_F(EgressViewsTest, HowLongPortsLast) {
  EXPECT_FALSE(View(kFirstIp).seconds_to_exhaustion);
  report_.lasts[kFirstIp] = 30;
  report_.intent.exhausted[kFirstIp] = "all are leased";
  EXPECT_EQ(View(kFirstIp).seconds_to_exhaustion, 30);
  EXPECT_EQ(View(kFirstIp).exhausted, "all are leased");
}

TEST_F(EgressViewsTest, TheTunnelAndOtherGateways) {
  report_.heard["gw2"] = 9'958;
  report_.intent.beat_to = {"gw2", "gw3"};
  report_.takeovers = 4;
  observe::EgressView view = EgressViewOf(report_, "gw1");
  EXPECT_EQ(view.tunnel.device, "sallyport");
  EXPECT_EQ(view.tunnel.mtu, 1450u);
  EXPECT_EQ(view.takeovers, 4u);
  ASSERT_THAT(view.peers, SizeIs(2));
  EXPECT_EQ(view.peers[0].node, "gw2");
  EXPECT_EQ(view.peers[0].address, At("172.30.0.2"));
  EXPECT_EQ(view.peers[0].heard_ago, milliseconds(42));
  EXPECT_EQ(view.peers[1].node, "gw3");
  EXPECT_FALSE(view.peers[1].heard_ago);
  report_.intent.state.tunnel.ifindex = 0;
  EXPECT_EQ(EgressViewOf(report_, "gw1").tunnel.device, "");
}

}  // namespace
}  // namespace sallyport::control
