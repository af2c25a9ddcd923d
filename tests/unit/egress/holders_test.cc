// SPDX-License-Identifier: Apache-2.0
#include "egress/holders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/egress/gateway_lab.h"

namespace sallyport::egress {
namespace {

using ::testing::AnyOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

std::string Join(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

// All started and settled.
class HoldersTest : public ::testing::Test {
 protected:
  explicit HoldersTest(int gateways = 3, int addresses = 1) : lab_(gateways, addresses) {
    lab_.StartAll();
    lab_.Run(5 * kSecond);
    lab_.log.clear();
  }
  std::string Other(const std::string& than) { return than == "g1" ? "g2" : "g1"; }
  GatewayLab lab_;
};

// Its objects were listed long after it was started: until then nobody could be heard.
TEST(HoldersAtTheStart, SilenceCountsFromWhenThereWasSomebodyToListen) {
  GatewayLab world(2, 1);
  Holders late("g1", 1, {}, 0);
  late.SetCluster(world.specs, world.objects);
  late.SetLease({GatewayLab::Ip(1), "g2", 3, "then", 15 * kSecond, {"u", 7, "then"}}, 0);
  HolderInput input;
  input.api_reachable = input.leases_listed = true;
  input.now = input.listening.emplace(10 * kSecond);
  EXPECT_THAT(late.Decide(input).taken, IsEmpty());
  input.now += HolderTimes().listen - 1;
  EXPECT_THAT(late.Decide(input).taken, IsEmpty());
  input.now += 1;
  EXPECT_THAT(late.Decide(input).taken, SizeIs(1));
}

TEST_F(HoldersTest, OneHoldsAndTheLeaseAndAllRoutesSayWho) {
  std::string holder = lab_.Holder(1);
  EXPECT_THAT(holder, AnyOf("g1", "g2", "g3"));
  EXPECT_EQ(lab_.leases.at(lab_.Ip(1)).holder, holder);
  EXPECT_EQ(lab_.leases.at(lab_.Ip(1)).epoch, 1u);
  for (const char* node : {"g1", "g2", "g3", "s1"}) EXPECT_EQ(lab_.Route(node, 1), holder) << node;
  EXPECT_THAT(lab_.nodes.at("s1").last.heartbeats, IsEmpty());
  EXPECT_THAT(lab_.nodes.at("g1").last.beat_to, ElementsAre("g2", "g3"));
}

TEST_F(HoldersTest, NothingMovesWithoutReason) {
  std::string holder = lab_.Holder(1);
  std::string acquired = lab_.leases.at(lab_.Ip(1)).meta.acquired;
  lab_.Run(60 * kSecond);
  EXPECT_EQ(lab_.Holder(1), holder);
  EXPECT_THAT(lab_.log, IsEmpty());
  EXPECT_EQ(lab_.leases.at(lab_.Ip(1)).epoch, 1u);
  EXPECT_GE(lab_.leases.at(lab_.Ip(1)).meta.version, 10u);  // renewed
  EXPECT_EQ(lab_.leases.at(lab_.Ip(1)).meta.acquired, acquired);
}

// Who hears something new thinks again at once; what it says to that is no news.
TEST_F(HoldersTest, EachSpeaksOnceABeat) {
  std::map<std::string, uint64_t> before;
  for (const char* node : {"g1", "g2", "g3"}) before[node] = lab_.nodes.at(node).beats;
  lab_.Run(10 * kSecond);
  for (const auto& [node, beats] : before) {
    EXPECT_GE(lab_.nodes.at(node).beats - beats, 198u) << node;
    EXPECT_LE(lab_.nodes.at(node).beats - beats, 202u) << node;
  }
  std::string holder = lab_.Holder(1);
  uint64_t said = lab_.nodes.at(Other(holder)).beats;
  lab_.Kill(holder);
  lab_.Run(kSecond);
  EXPECT_LE(lab_.nodes.at(Other(holder)).beats - said, 25u);
}

// Asked at any time: what a node tells at a beat, and that it takes or leaves something at once.
TEST(HoldersHeartbeats, NewsDoNotWait) {
  GatewayLab world(1, 1);
  Holders lone("g1", 1, {}, 0);
  lone.SetCluster(world.specs, world.objects);
  HolderInput input;
  input.now = 10 * kSecond;
  HolderDecision decision = lone.Decide(input);
  EXPECT_THAT(decision.heartbeats, SizeIs(1));
  EXPECT_EQ(decision.next_beat, input.now + HolderTimes().beat);
  input.now += 1;
  decision = lone.Decide(input);
  EXPECT_THAT(decision.heartbeats, IsEmpty());
  EXPECT_EQ(decision.next_beat, input.now - 1 + HolderTimes().beat);
  input.leaving = true;
  input.now += 1;
  EXPECT_THAT(lone.Decide(input).heartbeats, SizeIs(1));
  EXPECT_THAT(lone.Decide(input).heartbeats, IsEmpty());
}

TEST_F(HoldersTest, ADeathIsNoticedAtOnceAndWhoReturnsTakesNothingBack) {
  std::string holder = lab_.Holder(1);
  std::string acquired = lab_.leases.at(lab_.Ip(1)).meta.acquired;
  lab_.Kill(holder);
  Millis took = lab_.RunUntil([&] { return !lab_.Holder(1).empty(); });
  EXPECT_GE(took, 250);
  EXPECT_LE(took, 500);
  lab_.Run(kSecond);
  std::string next = lab_.Holder(1);
  EXPECT_THAT(lab_.log, ElementsAre(HasSubstr("gateway " + holder + " is not heard any more")));
  EXPECT_EQ(lab_.leases.at(lab_.Ip(1)).holder, next);
  EXPECT_EQ(lab_.leases.at(lab_.Ip(1)).epoch, 2u);
  EXPECT_NE(lab_.leases.at(lab_.Ip(1)).meta.acquired, acquired) << "another has it since then";
  EXPECT_EQ(lab_.Route("s1", 1), next);
  lab_.Start(holder);
  lab_.Run(20 * kSecond);
  EXPECT_EQ(lab_.Holder(1), next);
  EXPECT_THAT(lab_.log, SizeIs(1));
}

TEST_F(HoldersTest, WhatWasWrittenBeforeADeathAndIsToldAfterIsNoSignOfLife) {
  lab_.watch_delay = 300;
  std::string holder = lab_.Holder(1);
  uint64_t version = lab_.leases.at(lab_.Ip(1)).meta.version;
  lab_.RunUntil([&] { return lab_.leases.at(lab_.Ip(1)).meta.version > version; });
  lab_.Kill(holder);
  Millis took = lab_.RunUntil([&] { return !lab_.Holder(1).empty(); });
  EXPECT_LE(took, 500);
}

TEST_F(HoldersTest, TheNextInLineActsWhereTheFirstDoesNot) {
  std::string holder = lab_.Holder(1);
  // The successor is there but its uplink is not, which only it knows.
  GatewayLab twin = lab_;
  twin.Kill(holder);
  twin.Run(kSecond);
  std::string first = twin.Holder(1);
  lab_.nodes.at(first).unusable.insert(lab_.Ip(1));
  lab_.Kill(holder);
  Millis took = lab_.RunUntil([&] { return !lab_.Holder(1).empty(); });
  EXPECT_NE(lab_.Holder(1), first);
  EXPECT_LE(took, 900);
}

TEST_F(HoldersTest, WhoLeavesGivesUpOnlyWhenAnotherHasIt) {
  std::string holder = lab_.Holder(1);
  lab_.nodes.at(holder).leaving = true;
  bool none = false;
  lab_.RunUntil(
      [&] {
        none |= lab_.Holder(1).empty();
        return lab_.Holder(1) != holder && lab_.HoldersOf(lab_.Ip(1)).size() == 1;
      },
      2 * kSecond);
  EXPECT_FALSE(none);
  std::string next = lab_.Holder(1);
  EXPECT_NE(next, holder);
  EXPECT_THAT(lab_.log, ElementsAre(HasSubstr("gateway " + holder + " is leaving")));
  EXPECT_THAT(lab_.nodes.at(holder).last.forward, ElementsAre(lab_.Ip(1)));
  lab_.Run(5 * kSecond);
  EXPECT_EQ(lab_.Holder(1), next);
}

TEST_F(HoldersTest, ACordonedNodeHoldsOnlyIfThereIsNoOther) {
  std::string holder = lab_.Holder(1);
  lab_.Change(holder, [](model::Node& node) { node.unschedulable = true; });
  lab_.Run(2 * kSecond);
  std::string next = lab_.Holder(1);
  EXPECT_NE(next, holder);
  EXPECT_THAT(lab_.log, ElementsAre(HasSubstr("is cordoned")));
  for (const char* node : {"g1", "g2", "g3"}) {
    lab_.Change(node, [](model::Node& n) { n.unschedulable = true; });
  }
  lab_.Run(2 * kSecond);
  EXPECT_EQ(lab_.Holder(1), next);
  lab_.Kill(next);
  lab_.Run(2 * kSecond);
  EXPECT_NE(lab_.Holder(1), "");
}

TEST_F(HoldersTest, ANodeThatIsNotReadyIsLeft) {
  std::string holder = lab_.Holder(1);
  lab_.Change(holder, [](model::Node& node) { node.ready = false; });
  lab_.Run(2 * kSecond);
  EXPECT_NE(lab_.Holder(1), holder);
  EXPECT_THAT(lab_.log, ElementsAre(HasSubstr("is not ready")));
}

TEST_F(HoldersTest, ANodeThatLosesItsLabelGivesUp) {
  for (const char* node : {"g1", "g2", "g3"}) {
    lab_.Change(node, [](model::Node& n) { n.labels = {}; });
  }
  lab_.Run(10 * kSecond);
  EXPECT_EQ(lab_.Holder(1), "");
  EXPECT_THAT(lab_.nodes.at("s1").last.nobody,
              ElementsAre(Pair(lab_.Ip(1), HasSubstr("no node has the labels"))));
}

TEST_F(HoldersTest, AnAgentThatRestartsKeepsWhatItHasUnlessItWasTaken) {
  std::string holder = lab_.Holder(1);
  lab_.StopAgent(holder);
  lab_.Run(100);
  lab_.Start(holder);
  lab_.Run(5 * kSecond);
  EXPECT_EQ(lab_.Holder(1), holder);
  EXPECT_THAT(lab_.log, IsEmpty());
  lab_.StopAgent(holder);
  lab_.Run(2 * kSecond);
  lab_.Start(holder);
  lab_.Run(5 * kSecond);
  EXPECT_NE(lab_.Holder(1), holder);
  EXPECT_THAT(lab_.HoldersOf(lab_.Ip(1)), SizeIs(1));
}

TEST_F(HoldersTest, WithoutTheServerHeartbeatsDecideAndLeasesFollow) {
  for (auto& [name, sim] : lab_.nodes) sim.api = false;
  lab_.Run(60 * kSecond);
  std::string holder = lab_.Holder(1);
  EXPECT_THAT(lab_.log, IsEmpty());
  lab_.Kill(holder);
  Millis took = lab_.RunUntil([&] { return !lab_.Holder(1).empty(); });
  EXPECT_LE(took, 500);
  lab_.Run(60 * kSecond);
  std::string next = lab_.Holder(1);
  EXPECT_EQ(lab_.leases.at(lab_.Ip(1)).holder, holder);
  EXPECT_EQ(lab_.Route("s1", 1), next);
  for (auto& [name, sim] : lab_.nodes) sim.api = true;
  lab_.Run(5 * kSecond);
  EXPECT_EQ(lab_.leases.at(lab_.Ip(1)).holder, next);
  EXPECT_EQ(lab_.leases.at(lab_.Ip(1)).epoch, 2u);
  EXPECT_EQ(lab_.Holder(1), next);
}

TEST_F(HoldersTest, AllRestartedWithoutTheServerStillAgree) {
  for (auto& [name, sim] : lab_.nodes) sim.api = false;
  for (const char* node : {"g1", "g2", "g3", "s1"}) lab_.Kill(node);
  lab_.StartAll();
  for (auto& [name, sim] : lab_.nodes) sim.api = false;
  lab_.Run(10 * kSecond);
  EXPECT_THAT(lab_.HoldersOf(lab_.Ip(1)), SizeIs(1)) << Join(lab_.log);
  std::string holder = lab_.Holder(1);
  for (auto& [name, sim] : lab_.nodes) sim.api = true;
  lab_.Run(10 * kSecond);
  EXPECT_THAT(lab_.HoldersOf(lab_.Ip(1)), SizeIs(1)) << Join(lab_.log);
  EXPECT_EQ(lab_.leases.at(lab_.Ip(1)).holder, lab_.Holder(1));
}

TEST_F(HoldersTest, OneBrokenLinkMovesNothing) {
  std::string holder = lab_.Holder(1);
  lab_.Cut(holder, Other(holder));
  lab_.Run(30 * kSecond);
  EXPECT_EQ(lab_.Holder(1), holder);
  EXPECT_THAT(lab_.log, IsEmpty());
}

TEST_F(HoldersTest, WhoIsNotHeardLosesAndTakesNothing) {
  std::string holder = lab_.Holder(1);
  for (const char* node : {"g1", "g2", "g3", "s1"}) lab_.cut.insert({holder, node});
  lab_.Run(20 * kSecond);
  EXPECT_THAT(lab_.HoldersOf(lab_.Ip(1)), SizeIs(1));
  EXPECT_NE(lab_.Holder(1), holder);
  EXPECT_THAT(lab_.log, SizeIs(1)) << Join(lab_.log);
}

TEST_F(HoldersTest, AnAddressThatNoObjectNamesIsGivenUpAndItsLeaseDeleted) {
  lab_.specs.clear();
  lab_.Tell();
  lab_.Run(2 * kSecond);
  EXPECT_EQ(lab_.Holder(1), "");
  EXPECT_THAT(lab_.leases, IsEmpty());
}

TEST_F(HoldersTest, WhoHasNoWorkingUplinkHoldsNothing) {
  std::string holder = lab_.Holder(1);
  lab_.nodes.at(holder).unusable.insert(lab_.Ip(1));
  lab_.Run(2 * kSecond);
  EXPECT_NE(lab_.Holder(1), holder);
  EXPECT_THAT(lab_.HoldersOf(lab_.Ip(1)), SizeIs(1));
}

class TwoGateways : public HoldersTest {
 protected:
  TwoGateways() : HoldersTest(2) {}
};

TEST_F(TwoGateways, APartitionBetweenThemIsSettledByTheLease) {
  std::string holder = lab_.Holder(1);
  std::string other = Other(holder);
  lab_.Cut("g1", "g2");
  lab_.Run(5 * kSecond);
  EXPECT_EQ(lab_.Holder(1), other);
  EXPECT_THAT(lab_.log, SizeIs(1)) << Join(lab_.log);
  lab_.Run(60 * kSecond);
  EXPECT_EQ(lab_.Holder(1), other);
  EXPECT_THAT(lab_.log, SizeIs(1)) << Join(lab_.log);
  // Who dies behind a partition is found by its Lease.
  lab_.Kill(other);
  lab_.Run(25 * kSecond);
  EXPECT_EQ(lab_.Holder(1), holder);
}

TEST_F(TwoGateways, WhoIsCutOffFromAllGivesUp) {
  std::string holder = lab_.Holder(1);
  std::string other = Other(holder);
  lab_.Cut(holder, other);
  lab_.Cut(holder, "s1");
  lab_.nodes.at(holder).api = false;
  lab_.Run(kSecond);
  EXPECT_THAT(lab_.HoldersOf(lab_.Ip(1)), SizeIs(2));  // for a while
  lab_.Run(20 * kSecond);
  EXPECT_EQ(lab_.Holder(1), other);
  lab_.Heal();
  lab_.nodes.at(holder).api = true;
  lab_.Run(5 * kSecond);
  EXPECT_EQ(lab_.Holder(1), other);
}

TEST_F(TwoGateways, TheLastOneGoesOnWithoutTheServer) {
  lab_.Kill(Other(lab_.Holder(1)));
  std::string holder = lab_.Holder(1);
  for (auto& [name, sim] : lab_.nodes) sim.api = false;
  for (int i = 0; i < 60; ++i) {
    lab_.nodes.at(holder).last_word = lab_.now;  // packets come by the tunnel
    lab_.Run(kSecond);
  }
  EXPECT_EQ(lab_.Holder(1), holder);
}

class ManyAddresses : public HoldersTest {
 protected:
  ManyAddresses() : HoldersTest(3, 90) {}
};

TEST_F(ManyAddresses, AreSpreadEvenly) {
  EXPECT_THAT(lab_.Loads(), Each(Pair(::testing::_, 30)));
  lab_.Kill("g2");
  lab_.Run(3 * kSecond);
  EXPECT_THAT(lab_.Loads(), ElementsAre(Pair("g1", 45), Pair("g3", 45)));
  // More than one datagram holds: all are heard of.
  for (int i = 1; i <= 90; ++i) EXPECT_EQ(lab_.Route("s1", i), lab_.Holder(i));
}

TEST(HoldersStart, WhoStartsFirstDoesNotGetThemAll) {
  GatewayLab lab(3, 30);
  for (const char* node : {"g1", "s1"}) lab.Start(node);
  lab.Run(1500);
  for (const char* node : {"g2", "g3"}) lab.Start(node);
  lab.Run(5 * kSecond);
  EXPECT_THAT(lab.Loads(), Each(Pair(::testing::_, 10)));
  // Nobody waits for long for one that does not come.
  GatewayLab alone(3, 30);
  alone.Start("g1");
  alone.Run(5 * kSecond);
  EXPECT_THAT(alone.Loads(), ElementsAre(Pair("g1", 30)));
}

TEST(HoldersLease, HasItsName) {
  EXPECT_EQ(NameOf(GatewayLab::Ip(1)), "address-203.0.113.1");
  EXPECT_EQ(ParseAddressName("address-203.0.113.1"), GatewayLab::Ip(1));
  EXPECT_EQ(NameOf(*net::Address::Parse("2001:db8::10")),
            "address-2001-0db8-0000-0000-0000-0000-0000-0010");
  EXPECT_FALSE(ParseAddressName("address-203.0.113.01"));
  EXPECT_FALSE(ParseAddressName("ports-203.0.113.1"));
}

}  // namespace
}  // namespace sallyport::egress
