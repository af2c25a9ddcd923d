// SPDX-License-Identifier: Apache-2.0
// Which port a pinned flow gets, how long it keeps it, and what happens when there is none.
#include <arpa/inet.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "bpf/packets/pinned.h"

namespace sallyport::test {
namespace {

class PinPortsTest : public PinTest {
 protected:
  using PinTest::PinTest;
  // What the outside sees of a packet from the pod; 0: it was dropped.
  uint16_t PortOf(const Outcome& outcome) const {
    if (outcome.action != Action::kDirect) return 0;
    uint16_t port = 0;
    std::memcpy(&port, outcome.frame.data() + 14 + (v6() ? 40 : 20), sizeof port);
    return ntohs(port);
  }
  // A connection from the pod's port, as far as both sides have spoken.
  uint16_t Connect(uint16_t sport, const Host& to = kPartner) {
    uint16_t port = PortOf(FromWeb(Tcp(kWeb, sport, to, 443)));
    if (!port) return 0;
    EXPECT_DIRECT(FromPartner(Tcp(to, 443, kEgress, port, kSyn | kAck)));
    EXPECT_DIRECT(FromWeb(Tcp(kWeb, sport, to, 443, kAck)));
    return port;
  }
  void Close(uint16_t sport, uint16_t port, bool pod_first) {
    Packet pods = Tcp(kWeb, sport, kPartner, 443, kFin | kAck);
    Packet partners = Tcp(kPartner, 443, kEgress, port, kFin | kAck);
    if (pod_first) EXPECT_DIRECT(FromWeb(pods));
    EXPECT_DIRECT(FromPartner(partners));
    if (!pod_first) EXPECT_DIRECT(FromWeb(pods));
  }
  // One after the other.
  void HasBlocks(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
      k.egress().port_blocks[number()].first[i] = kFirst + i * kBlock;
      k.egress().port_owners[number()].node[kFirst / SP_PORT_GROUP + i] = SP_NODE_SELF;
    }
    ip().blocks = count;
  }
};
BOTH_FAMILIES(PinPortsTest);

TEST_P(PinPortsTest, EachFlowToARemoteHasItsOwn) {
  std::set<uint16_t> given;
  for (uint16_t i = 0; i < kBlock; i++) {
    uint16_t port = Connect(static_cast<uint16_t>(1024 + i));
    EXPECT_GE(port, kFirst);
    EXPECT_LT(port, kFirst + kBlock);
    EXPECT_TRUE(given.insert(port).second) << port;
  }
  EXPECT_DROP(FromWeb(Tcp(kWeb, 5000, kPartner, 443)), "no-port");
  EXPECT_EQ(ip().refused, 1u);
  const Host other = {"198.51.100.21", "2001:db8:100::21"};
  EXPECT_NE(Connect(5000, other), 0) << "another remote has all of them";
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 5000, kPartner, 444))) << "and so has another port";
  EXPECT_DIRECT(FromWeb(Udp(kWeb, 5000, kPartner, 443))) << "and another protocol";
  for (uint16_t i = 0; i < kBlock; i++)
    EXPECT_DIRECT(FromWeb(Tcp(kWeb, static_cast<uint16_t>(1024 + i), kPartner, 443, kAck)));
}

TEST_P(PinPortsTest, ThePodsOwnIfItIsAmongThem) {
  EXPECT_EQ(Connect(kFirst + 40), kFirst + 40);
  EXPECT_EQ(Connect(kFirst + 3), kFirst + 3);
  EXPECT_EQ(Connect(1024), Port(0)) << "else the next in turn";
  k.egress().port_owners[number()].node[0] = kOtherNode;
  EXPECT_EQ(Connect(50), Port(1)) << "not one of another node's";
}

// The same flow, opened again by the pod, is the same outside.
TEST_P(PinPortsTest, WhoOpensAgainHasTheSame) {
  uint16_t port = PortOf(FromWeb(Tcp(kWeb, 1024, kPartner, 443)));
  EXPECT_EQ(PortOf(FromWeb(Tcp(kWeb, 1024, kPartner, 443))), port);
}

TEST_P(PinPortsTest, TheOneThatWasGivenLongestAgo) {
  for (uint16_t i = 0; i < kBlock; i++) {
    uint16_t port = Connect(static_cast<uint16_t>(1024 + i));
    Close(static_cast<uint16_t>(1024 + i), port, i % 2 == 0);
  }
  EXPECT_EQ(ip().hurried, 0u);
  EXPECT_EQ(Connect(3000), Port(0)) << "rather one that a remote may remember than none";
  EXPECT_EQ(ip().hurried, 1u);
  k.Age(SP_LIFE_CLOSING + 1);
  EXPECT_EQ(Connect(3001), Port(1));
  EXPECT_EQ(ip().hurried, 1u) << "it has forgotten";
}

// The remote remembers the port's last connection: what it answers makes the pod reset it, and then
// the same SYN with the same port is well.
TEST_P(PinPortsTest, AfterAResetTheNextSynHasTheSame) {
  uint16_t port = PortOf(FromWeb(Tcp(kWeb, 1024, kPartner, 443)));
  FromPartner(Tcp(kPartner, 443, kEgress, port, kAck));
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kPartner, 443, kRst)));
  EXPECT_EQ(PortOf(FromWeb(Tcp(kWeb, 1024, kPartner, 443))), port);
  EXPECT_DIRECT(FromPartner(Tcp(kPartner, 443, kEgress, port, kSyn | kAck)));
}

// However few of them are over, the first try finds one.
TEST_P(PinPortsTest, AmongThoseThatLiveOneThatIsOver) {
  uint16_t over = 0;
  for (uint16_t i = 0; i < kBlock; i++) {
    uint16_t port = Connect(static_cast<uint16_t>(1024 + i));
    if (i == 50) over = port;
  }
  Close(1024 + 50, over, true);
  EXPECT_EQ(Connect(3000), over);
  EXPECT_EQ(ip().hurried, 1u);
  EXPECT_EQ(ip().refused, 0u);
}

class PinManyPortsTest : public PinPortsTest {
 protected:
  PinManyPortsTest() : PinPortsTest({.flow_buckets = 1024}) {}
};
BOTH_FAMILIES(PinManyPortsTest);

// Of many ports, also when all that live lie together: the first packet gets one.
TEST_P(PinManyPortsTest, WhatRestsIsFoundAmongWhatLives) {
  constexpr uint16_t kBlocks = 8, kAll = kBlocks * kBlock;
  HasBlocks(kBlocks);
  std::vector<std::pair<uint16_t, uint16_t>> given;  // port, the pod's
  for (uint16_t pods = 1024; pods < 1024 + kAll; pods++) given.emplace_back(Connect(pods), pods);
  std::ranges::sort(given);
  for (uint16_t i = kAll / 2; i < kAll; i++) Close(given[i].second, given[i].first, true);
  for (uint16_t i = 0; i < kAll / 4; i++) EXPECT_NE(Connect(static_cast<uint16_t>(5000 + i)), 0);
  EXPECT_EQ(ip().refused, 0u);
}

// A block that is new among full ones is found at once.
TEST_P(PinManyPortsTest, AmongFullBlocksOneThatIsNot) {
  constexpr uint32_t kBlocks = 7;
  HasBlocks(kBlocks);
  for (uint16_t i = 0; i < kBlocks * kBlock; i++)
    ASSERT_NE(Connect(static_cast<uint16_t>(1024 + i)), 0);
  EXPECT_EQ(Connect(3000), 0);
  HasBlocks(kBlocks + 1);
  EXPECT_GE(Connect(3000), kFirst + kBlocks * kBlock);
  EXPECT_GE(Connect(3001), kFirst + kBlocks * kBlock);
  EXPECT_EQ(ip().refused, 1u);
}

// The two entries of a flow compete for places like any two.
TEST_P(PinPortsTest, AFullTableGivesNoOthersPort) {
  HasBlocks(32);
  size_t refused = 0;
  for (uint16_t pods = 1024; pods < 3072; pods++) {
    uint16_t port = PortOf(FromWeb(Tcp(kWeb, pods, kPartner, 443)));
    if (port == 0) {
      refused++;
      continue;
    }
    EXPECT_GE(port, kFirst) << pods;
    EXPECT_LT(port, kFirst + 32 * kBlock) << pods;
  }
  EXPECT_GT(refused, 0u);
}

TEST_P(PinPortsTest, WhatLivesKeepsItsPort) {
  for (uint16_t i = 0; i < kBlock; i++) Connect(static_cast<uint16_t>(1024 + i));
  k.Age(SP_LIFE_ESTABLISHED - 10);
  EXPECT_DROP(FromWeb(Tcp(kWeb, 5000, kPartner, 443)), "no-port");
  k.Age(20);
  EXPECT_NE(Connect(5000), 0);
}

// A packet in either direction keeps both entries alive.
TEST_P(PinPortsTest, BothEntriesLiveAlike) {
  uint16_t port = Connect(1024);
  for (int i = 0; i < 3; i++) {
    k.Age(SP_LIFE_ESTABLISHED - 10);
    EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kPartner, 443, kAck)));
    k.Age(SP_LIFE_ESTABLISHED - 10);
    EXPECT_DIRECT(FromPartner(Tcp(kPartner, 443, kEgress, port, kAck)));
  }
  EXPECT_DIRECT(FromPartner(Tcp(kPartner, 443, kEgress, port, kRst)));
  k.Age(SP_LIFE_RESET + 1);
  EXPECT_EQ(FromPartner(Tcp(kPartner, 443, kEgress, port, kAck)).action, Action::kDrop);
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kPartner, 443, kAck)), "other-address");
}

TEST_P(PinPortsTest, TwoPodsWithTheSamePort) {
  k.SetEndpoint({.ifindex = db, .v4 = kDb.v4, .v6 = kDb.v6, .pins = kPins});
  k.NextGeneration();
  uint16_t webs = PortOf(FromWeb(Tcp(kWeb, 1024, kPartner, 443)));
  uint16_t dbs = PortOf(FromDb(Tcp(kDb, 1024, kPartner, 443)));
  EXPECT_NE(webs, dbs);
  ExpectBecomes(FromPartner(Tcp(kPartner, 443, kEgress, dbs, kSyn | kAck)),
                Tcp(kPartner, 443, kDb, 1024, kSyn | kAck));
  ExpectBecomes(FromPartner(Tcp(kPartner, 443, kEgress, webs, kSyn | kAck)),
                Tcp(kPartner, 443, kWeb, 1024, kSyn | kAck));
}

TEST_P(PinPortsTest, SeveralBlocks) {
  k.egress().port_blocks[number()].first[1] = 30016;
  k.egress().port_owners[number()].node[30016 / SP_PORT_GROUP] = SP_NODE_SELF;
  ip().blocks = 2;
  std::set<uint16_t> given;
  for (uint16_t i = 0; i < 2 * kBlock; i++) {
    uint16_t port = Connect(static_cast<uint16_t>(1024 + i));
    EXPECT_TRUE((port >= kFirst && port < kFirst + kBlock) || (port >= 30016 && port < 30080));
    given.insert(port);
  }
  EXPECT_EQ(given.size(), 2 * kBlock);
}

// A node that may have lost its Leases gives no ports any more, and later nothing leaves.
TEST_P(PinPortsTest, NotLongerThanTheLeases) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  auto tick = static_cast<uint32_t>(
      (static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec)) >>
      SP_TICK_SHIFT);
  Connect(1024);
  ip().use_until = tick + 100;
  ip().keep_until = tick + 100;
  EXPECT_NE(Connect(1025), 0);
  ip().use_until = tick - 2;
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1026, kPartner, 443)), "no-port");
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kPartner, 443, kAck)));
  ip().keep_until = tick - 2;
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kPartner, 443, kAck)), "no-port");
}

}  // namespace
}  // namespace sallyport::test
