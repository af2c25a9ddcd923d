// SPDX-License-Identifier: Apache-2.0
#include "egress/port_blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sallyport::egress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

using Kind = BlockAction::Kind;

const net::Address kIp = *net::Address::Parse("203.0.113.10");

// One node, n1, and a server that does what it is asked when it is told to.
class PortBlocksTest : public ::testing::Test {
 protected:
  PortBlocksTest() {
    input_.needed[kIp] = 1024;
    input_.nodes_listed = true;
    input_.boot_ids = {{"n1", "boot1"}, {"n2", "boot2"}};
    blocks_->Listed();
  }

  PortBlocksDecision Decide() {
    input_.now = now_;
    input_.wall = "t" + std::to_string(now_);
    decision_ = blocks_->Decide(input_);
    return decision_;
  }
  // All that was asked for is done, and the watch tells of it.
  void DoAll(bool watched = true) {
    for (const BlockAction& action : decision_.actions) Do(action, watched);
  }
  void Do(const BlockAction& action, bool watched = true) {
    BlockLease lease = action.lease;
    if (action.kind == Kind::kDelete) {
      server_.erase(lease.id);
      blocks_->Done(action, Outcome::kDone, std::nullopt, now_);
      return;
    }
    lease.meta.version = ++version_;
    if (action.kind == Kind::kCreate) {
      lease.meta.uid = "u" + std::to_string(version_);
      lease.meta.created = std::to_string(1000 + version_);
    }
    server_[lease.id] = lease;
    blocks_->Done(action, Outcome::kDone, lease, now_);
    if (watched) blocks_->Set(lease, now_);
  }
  void FailAll() {
    for (const BlockAction& action : decision_.actions) {
      blocks_->Done(action, Outcome::kFailed, std::nullopt, now_);
    }
  }
  void Settle() {
    for (int i = 0; i < 5; ++i) {
      Decide();
      DoAll();
    }
  }
  // What another node has.
  BlockLease Theirs(int first, int size = 1024, const std::string& holder = "n2") {
    BlockLease lease;
    lease.id = {kIp, static_cast<uint16_t>(first)};
    lease.size = size;
    lease.holder = holder;
    lease.boot_id = "boot2";
    lease.renew_time = "once";
    lease.duration = 15 * kMinute;
    lease.meta = {"theirs" + std::to_string(first), ++version_, "0"};
    server_[lease.id] = lease;
    blocks_->Set(lease, now_);
    return lease;
  }
  void Use(int busy, int live, Millis quiet) {
    input_.use.clear();
    for (const auto& [id, block] : decision_.own) input_.use[id] = {busy, live, quiet};
  }
  std::vector<Kind> Kinds() const {
    std::vector<Kind> out;
    for (const BlockAction& action : decision_.actions) out.push_back(action.kind);
    return out;
  }

  Millis now_ = 100 * kMinute;
  std::optional<PortBlocks> blocks_{std::in_place, "n1", "boot1"};
  PortBlocksInput input_;
  PortBlocksDecision decision_;
  std::map<BlockId, BlockLease> server_;
  uint64_t version_ = 0;
};

TEST_F(PortBlocksTest, ABlockIsUsedOnceTheWatchHasToldOfIt) {
  Decide();
  ASSERT_THAT(Kinds(), ElementsAre(Kind::kCreate));
  EXPECT_EQ(decision_.actions[0].lease.holder, "n1");
  EXPECT_THAT(Decide().actions, IsEmpty());  // under way
  blocks_.emplace("n1", "boot1");
  blocks_->Listed();
  Decide();
  DoAll(/*watched=*/false);
  EXPECT_THAT(Decide().own, IsEmpty());
  blocks_->Set(server_.begin()->second, now_);
  Decide();
  ASSERT_THAT(decision_.own, SizeIs(1));
  EXPECT_TRUE(decision_.own.begin()->second.use);
  EXPECT_THAT(decision_.actions, IsEmpty());
  EXPECT_THAT(decision_.owners, ElementsAre(BlockOwner{server_.begin()->first, 1024, "n1"}));
}

TEST_F(PortBlocksTest, OfTwoThatOverlapTheSecondGivesBack) {
  Decide();
  int first = decision_.actions[0].lease.id.first;
  BlockAction create = decision_.actions[0];
  // Created before ours, in blocks of 64, and heard of only now.
  Theirs(first + 64, 64);
  Do(create);
  Decide();
  EXPECT_THAT(decision_.own, IsEmpty());
  EXPECT_THAT(Kinds(), ::testing::Contains(Kind::kDelete));
}

TEST_F(PortBlocksTest, OnesThatExistAreLeftAndTheNextIsTried) {
  Decide();
  BlockAction action = decision_.actions[0];
  BlockLease other = action.lease;
  other.holder = "n2";
  other.meta = {"x", ++version_, ""};
  blocks_->Done(action, Outcome::kConflict, other, now_);
  Decide();
  ASSERT_THAT(Kinds(), ElementsAre(Kind::kCreate));
  EXPECT_NE(decision_.actions[0].lease.id, action.lease.id);
}

TEST_F(PortBlocksTest, MoreAreClaimedAheadOfNeed) {
  Settle();
  ASSERT_THAT(decision_.own, SizeIs(1));
  Use(100, 100, 0);
  Settle();
  EXPECT_THAT(decision_.own, SizeIs(2));  // less than a block is free
  Use(1024, 3000, 0);
  Settle();
  EXPECT_THAT(decision_.own, SizeIs(3));
  Use(1024, 3000, 0);
  Settle();
  EXPECT_THAT(decision_.own, SizeIs(5));  // half of 3072, in blocks
}

TEST_F(PortBlocksTest, WhereSomeWereRefusedThereAreTwiceAsMany) {
  Settle();
  Use(100, 100, 0);
  Settle();
  ASSERT_THAT(decision_.own, SizeIs(2));
  for (size_t blocks : {4u, 8u, 16u}) {
    Use(1024, 1024, 0);
    input_.demand[kIp].refused = 3;
    Settle();
    EXPECT_GE(decision_.own.size(), blocks);
  }
}

TEST_F(PortBlocksTest, PortsThatAreUsedAgainTooSoonAskForMore) {
  Settle();
  Use(0, 0, 0);
  input_.demand[kIp].youngest = 30 * kSecond;
  Settle();
  EXPECT_THAT(decision_.own, SizeIs(2));
  Settle();
  EXPECT_THAT(decision_.own, SizeIs(2));  // not all at once
  now_ += 10 * kSecond;
  input_.demand[kIp] = {7, {}};
  Settle();
  EXPECT_THAT(decision_.own, SizeIs(3));
}

TEST_F(PortBlocksTest, IdleOnesAreReturnedAfterARest) {
  Settle();
  Use(600, 600, 0);
  Settle();
  ASSERT_THAT(decision_.own, SizeIs(2));
  now_ += 6 * kMinute;
  Use(0, 0, 4 * kMinute);
  Settle();
  EXPECT_THAT(decision_.own, SizeIs(2));
  Use(0, 0, 5 * kMinute);
  Decide();
  // Out of use first, and deleted when nothing has come to it since.
  EXPECT_EQ(std::count_if(decision_.own.begin(), decision_.own.end(),
                          [](const auto& b) { return b.second.use; }),
            1);
  for (const BlockAction& action : decision_.actions) EXPECT_NE(action.kind, Kind::kDelete);
  DoAll();
  Decide();
  EXPECT_THAT(Kinds(), ElementsAre(Kind::kDelete));
  DoAll();
  EXPECT_THAT(Decide().own, SizeIs(1));
  // The last one stays while the address is needed.
  Settle();
  EXPECT_THAT(decision_.own, SizeIs(1));
  input_.needed.clear();
  Settle();
  EXPECT_THAT(decision_.own, IsEmpty());
  EXPECT_THAT(server_, IsEmpty());
}

TEST_F(PortBlocksTest, WhatWasAskedToBeDeletedIsNotUsedOnOldNews) {
  Settle();
  BlockLease lease = server_.begin()->second;
  now_ += 10 * kMinute;
  Settle();  // renewed
  lease = server_.begin()->second;
  input_.needed.clear();
  Use(0, 0, 10 * kMinute);
  Decide();
  DoAll();
  Decide();
  ASSERT_THAT(Kinds(), ElementsAre(Kind::kDelete));
  blocks_->Done(decision_.actions[0], Outcome::kFailed, std::nullopt, now_);
  blocks_->Set(lease, now_);  // perhaps it is gone by now
  input_.needed[kIp] = 1024;
  Decide();
  EXPECT_THAT(decision_.own, IsEmpty());
}

TEST_F(PortBlocksTest, RenewsAfterAThirdAndNotBeingAbleToChangesNothingForHours) {
  Settle();
  Millis renewed = now_;
  now_ += 4 * kMinute;
  EXPECT_THAT(Decide().actions, IsEmpty());
  now_ += kMinute;
  Decide();
  ASSERT_THAT(Kinds(), ElementsAre(Kind::kUpdate));
  FailAll();
  EXPECT_THAT(Decide().actions, IsEmpty());  // not again at once
  PortBlockTimes times;
  const auto [id, told] = *decision_.own.begin();
  EXPECT_EQ(told.use_until, renewed + times.keep_after);
  EXPECT_EQ(told.keep_until, renewed + times.drop_after);
  now_ = told.use_until - 1;
  EXPECT_TRUE(Decide().own.at(id).use);
  FailAll();
  now_ = told.use_until;
  EXPECT_FALSE(Decide().own.at(id).use);
  FailAll();
  now_ = told.keep_until;
  EXPECT_THAT(Decide().own, IsEmpty());
  // Whoever takes it does so after.
  EXPECT_GT(times.duration + times.reclaim_after, times.drop_after + 10 * kMinute);
  FailAll();
  now_ += kMinute;
  Settle();
  EXPECT_TRUE(decision_.own.at(id).use);
}

TEST_F(PortBlocksTest, AnAgentThatRestartsHasItsBlocksAtOnce) {
  Settle();
  BlockLease lease = server_.begin()->second;
  PortBlocks again("n1", "boot1");
  again.Set(lease, now_);
  PortBlocksDecision decision = again.Decide(input_);
  EXPECT_FALSE(decision.complete);
  EXPECT_THAT(decision.own, IsEmpty());  // it has no translations: others may still be told of
  input_.use[lease.id] = {10, 10, 0};
  decision = again.Decide(input_);
  ASSERT_THAT(decision.own, SizeIs(1));
  EXPECT_TRUE(decision.own.begin()->second.use);
  EXPECT_EQ(decision.own.begin()->second.keep_until, lease.renewed + PortBlockTimes().drop_after);
}

TEST_F(PortBlocksTest, AfterABootBlocksAreWrittenAnewBeforeTheyAreUsed) {
  Settle();
  BlockLease lease = server_.begin()->second;
  blocks_.emplace("n1", "boot9");
  blocks_->Set(lease, now_);
  blocks_->Listed();
  Decide();
  EXPECT_THAT(decision_.own, IsEmpty());
  ASSERT_THAT(Kinds(), ElementsAre(Kind::kUpdate));
  EXPECT_EQ(decision_.actions[0].lease.boot_id, "boot9");
  DoAll();
  EXPECT_THAT(Decide().own, ElementsAre(Pair(lease.id, ::testing::Field(&OwnBlock::use, true))));
}

TEST_F(PortBlocksTest, OneThatAnotherHasIsNotOursAnyMore) {
  Settle();
  BlockLease lease = server_.begin()->second;
  Use(5, 5, 0);
  lease.holder = "n2";
  lease.meta.version = ++version_;
  blocks_->Set(lease, now_);
  Decide();
  EXPECT_FALSE(decision_.own.contains(lease.id));
}

TEST_F(PortBlocksTest, OneThatSomebodyDeletedIsCreatedAgain) {
  Settle();
  BlockLease lease = server_.begin()->second;
  Use(5, 5, 0);
  blocks_->Remove(lease.id, lease.meta.uid, now_);
  Decide();
  ASSERT_TRUE(decision_.own.contains(lease.id));
  EXPECT_FALSE(decision_.own.at(lease.id).use);
  auto again = std::find_if(decision_.actions.begin(), decision_.actions.end(),
                            [&](const BlockAction& a) { return a.lease.id == lease.id; });
  ASSERT_NE(again, decision_.actions.end());
  EXPECT_EQ(again->kind, Kind::kCreate);
  Do(*again);
  EXPECT_TRUE(Decide().own.at(lease.id).use);
  // Another was quicker.
  blocks_->Remove(lease.id, server_.at(lease.id).meta.uid, now_);
  Decide();
  again = std::find_if(decision_.actions.begin(), decision_.actions.end(),
                       [&](const BlockAction& a) { return a.lease.id == lease.id; });
  ASSERT_NE(again, decision_.actions.end());
  lease.holder = "n2";
  lease.meta = {"x", ++version_, ""};
  blocks_->Done(*again, Outcome::kConflict, lease, now_);
  EXPECT_FALSE(Decide().own.contains(lease.id));
}

// Whether n1 asks to delete the block of n2, when it needs it or just has waited.
class ReclaimTest : public PortBlocksTest {
 protected:
  ReclaimTest() {
    input_.needed.clear();
    lease_ = Theirs(1024);
    Decide();
  }
  bool DeletesAfter(Millis time) {
    now_ += time;
    for (const BlockAction& action : Decide().actions) {
      if (action.kind == Kind::kDelete && action.lease == lease_) return true;
    }
    return false;
  }
  BlockLease lease_;
};

TEST_F(ReclaimTest, OfANodeThatIsThereAfterAllItsFlowsAreDead) {
  EXPECT_FALSE(DeletesAfter(6 * 60 * kMinute));
  EXPECT_FALSE(DeletesAfter(30 * kMinute));
  EXPECT_TRUE(DeletesAfter(40 * kMinute));
}

TEST_F(ReclaimTest, OfANodeThatIsGoneFiveMinutesAfterItExpired) {
  input_.boot_ids.erase("n2");
  EXPECT_FALSE(DeletesAfter(0));
  EXPECT_FALSE(DeletesAfter(19 * kMinute));
  EXPECT_TRUE(DeletesAfter(18 * kMinute));
}

TEST_F(ReclaimTest, OfANodeThatBootedSince) {
  input_.boot_ids["n2"] = "boot3";
  EXPECT_FALSE(DeletesAfter(0));
  EXPECT_FALSE(DeletesAfter(14 * kMinute));
  EXPECT_TRUE(DeletesAfter(18 * kMinute));
}

TEST_F(ReclaimTest, NotWhereTheNodeObjectIsBehind) {
  // The Lease is of a boot that the Node object has not told of yet.
  lease_.boot_id = "boot3";
  lease_.meta.version = ++version_;
  blocks_->Set(lease_, now_);
  EXPECT_FALSE(DeletesAfter(0));
  EXPECT_FALSE(DeletesAfter(60 * kMinute));
}

TEST_F(ReclaimTest, ARenewalIsSeenByItsTextWhateverItSays) {
  EXPECT_FALSE(DeletesAfter(6 * 60 * kMinute));
  lease_.renew_time = "1970-01-01T00:00:00Z";
  lease_.meta.version = ++version_;
  blocks_->Set(lease_, now_);
  EXPECT_FALSE(DeletesAfter(60 * kMinute));
}

TEST_F(PortBlocksTest, BeyondItsPartANodeLeavesSomeToOthers) {
  input_.needed[kIp] = 16384;  // three blocks
  Theirs(1024, 16384);
  Settle();
  ASSERT_THAT(decision_.own, SizeIs(1));
  Use(16384, 20000, 0);
  Settle();
  EXPECT_THAT(decision_.own, SizeIs(1));
  EXPECT_THAT(decision_.exhausted, ElementsAre(Pair(kIp, HasSubstr("is left to others"))));
  EXPECT_NE(server_.at(decision_.own.begin()->first).exhausted_since, "");
  // Enough again: it is said no more.
  Use(0, 0, 0);
  Settle();
  EXPECT_THAT(decision_.exhausted, IsEmpty());
  EXPECT_EQ(server_.at(decision_.own.begin()->first).exhausted_since, "");
}

TEST_F(PortBlocksTest, BeyondItsPartANodeWaitsForThoseThatGrow) {
  input_.needed[kIp] = 4096;  // 15 blocks
  Theirs(1024, 4096);
  for (int i = 0; i < 10; ++i) {
    Settle();
    Use(4096, 4096, 0);
  }
  EXPECT_THAT(decision_.own, SizeIs(7)) << "half of the ports";
  EXPECT_THAT(decision_.exhausted, ElementsAre(Pair(kIp, HasSubstr("is left to others"))));
  now_ += kMinute;
  for (int i = 0; i < 10; ++i) {
    Settle();
    Use(4096, 4096, 0);
  }
  EXPECT_THAT(decision_.own, SizeIs(12)) << "an eighth stays";
}

TEST_F(PortBlocksTest, AllBlocksLeasedIsSaid) {
  input_.needed[kIp] = 16384;
  for (int k = 0; k < 3; ++k) Theirs(1024 + k * 16384, 16384);
  Decide();
  EXPECT_THAT(decision_.exhausted, ElementsAre(Pair(kIp, HasSubstr("no block of 16384 ports"))));
  EXPECT_THAT(decision_.actions, IsEmpty());
}

TEST_F(PortBlocksTest, NothingIsClaimedBeforeAllIsListed) {
  blocks_.emplace("n1", "boot1");
  EXPECT_THAT(Decide().actions, IsEmpty());
  EXPECT_FALSE(decision_.complete);
}

TEST(BlockNames, AreThoseOfLeases) {
  BlockId v4{kIp, 2048};
  EXPECT_EQ(NameOf(v4), "ports-203.0.113.10-2048");
  EXPECT_EQ(ParseBlockName("ports-203.0.113.10-2048"), v4);
  BlockId v6{*net::Address::Parse("2001:db8:ffff::10"), 1024};
  EXPECT_EQ(NameOf(v6), "ports-2001-0db8-ffff-0000-0000-0000-0000-0010-1024");
  EXPECT_EQ(ParseBlockName(NameOf(v6)), v6);
  for (const char* bad : {"ports-203.0.113.10", "ports-203.0.113.10-02048", "ports--1", "ports-1-1",
                          "ports-203.0.113.10-70000", "address-203.0.113.10-2048", "", "ports-"}) {
    EXPECT_FALSE(ParseBlockName(bad)) << bad;
  }
  EXPECT_EQ(BlocksOf(1024), 63);
  EXPECT_EQ(BlocksOf(16384), 3);
}

TEST(BlockLeasesTest, OfOverlappingOnesTheFirstOwnsThePorts) {
  BlockLeases leases;
  auto lease = [](int first, int size, const std::string& holder, const std::string& created) {
    BlockLease out;
    out.id = {kIp, static_cast<uint16_t>(first)};
    out.size = size;
    out.holder = holder;
    out.meta = {holder, 1, created};
    return out;
  };
  leases.Set(lease(1024, 2048, "n1", "2"), true, 0);
  leases.Set(lease(2048, 1024, "n2", "1"), true, 0);
  leases.Set(lease(4096, 1024, "n3", "3"), true, 0);
  EXPECT_THAT(leases.Owners(), ElementsAre(BlockOwner{{kIp, 2048}, 1024, "n2"},
                                           BlockOwner{{kIp, 4096}, 1024, "n3"}));
}

}  // namespace
}  // namespace sallyport::egress
