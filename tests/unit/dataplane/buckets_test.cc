// SPDX-License-Identifier: Apache-2.0
// Two-choice buckets: how full they get, and that readers always find what is in force.
#include "dataplane/buckets.h"

#include <gtest/gtest.h>

#include <atomic>
#include <shared_mutex>
#include <thread>

#include "dataplane/peer_table.h"
#include "dataplane/set_table.h"

namespace sallyport::dataplane {
namespace {

constexpr uint32_t kSeed = 7;

sp_rule Rule(uint32_t n) {
  sp_rule out{};
  out.set = n;
  out.identity = n * 3;
  out.port_set = n + 5;
  return out;
}

std::vector<sp_rule> Rules(uint32_t from, uint32_t to) {
  std::vector<sp_rule> out;
  for (uint32_t n = from; n < to; ++n) out.push_back(Rule(n));
  return out;
}

// All of them have found a place.
template <typename Table>
bool Placed(Table& table, const std::vector<sp_rule>& rules) {
  auto without = table.Place(rules);
  return without && without->empty();
}

// As a program would; 0 if it is not there.
uint32_t Read(const std::vector<sp_rule_bucket>& buckets, const sp_rule& key) {
  uint32_t hash = RuleTraits::Hash(kSeed, key);
  auto mask = static_cast<uint32_t>(buckets.size() - 1);
  auto load = []<typename Word>(const Word& word) {
    return std::atomic_ref<Word>(const_cast<Word&>(word)).load();
  };
  for (uint32_t bucket : {sp_bucket(hash, mask), sp_other_bucket(hash, mask)})
    for (const sp_rule& place : buckets[bucket].rule)
      if (load(place.key) == key.key) return load(place.port_set);
  return 0;
}

TEST(Buckets, FillToNineTenths) {
  std::vector<sp_rule_bucket> memory(1024);
  int graces = 0;
  Surroundings around;
  around.grace_period = [&] {
    ++graces;
    return Ok();
  };
  BucketTable<RuleTraits> table(memory, kSeed, around);
  uint32_t count = 4096 * 9 / 10;
  ASSERT_TRUE(Placed(table, Rules(1, count)));
  EXPECT_EQ(graces, 0) << "what is not in force moves without waiting";
  table.Commit();
  for (uint32_t n = 1; n < count; ++n) ASSERT_EQ(Read(memory, Rule(n)), n + 5);
}

TEST(Buckets, OneAtATimeFillsAsWell) {
  std::vector<sp_rule_bucket> memory(64);
  Surroundings around;
  BucketTable<RuleTraits> table(memory, kSeed, around);
  uint32_t n = 1;
  for (; Placed(table, {Rule(n)}); ++n) {
    table.Commit();
    for (uint32_t i = 1; i <= n; ++i) ASSERT_EQ(Read(memory, Rule(i)), i + 5) << n;
  }
  table.Undo();
  EXPECT_GT(n, 230u) << "of 256";
  EXPECT_EQ(table.used(), n - 1);
  for (uint32_t i = 1; i < n; ++i) ASSERT_EQ(Read(memory, Rule(i)), i + 5);
}

TEST(Buckets, WhatFindsNoPlaceIsNamedAndTheRestUndone) {
  std::vector<sp_rule_bucket> memory(4);
  Surroundings around;
  BucketTable<RuleTraits> table(memory, kSeed, around);
  ASSERT_TRUE(Placed(table, Rules(1, 10)));
  table.Commit();
  auto without = table.Place(Rules(10, 30));
  ASSERT_TRUE(without);
  EXPECT_GE(without->size(), 13u) << "of 29 in 16 places";
  for (const sp_rule& rule : *without) EXPECT_EQ(Read(memory, rule), 0u);
  EXPECT_EQ(table.used(), 29 - without->size());
  table.Undo();
  EXPECT_EQ(table.used(), 9u);
  for (uint32_t n = 1; n < 30; ++n) EXPECT_EQ(Read(memory, Rule(n)), n < 10 ? n + 5 : 0);
}

TEST(Buckets, APlaceLeftIsNotUsedBeforeAGracePeriod) {
  std::vector<sp_rule_bucket> memory(2);
  int graces = 0;
  Surroundings around;
  around.grace_period = [&] {
    ++graces;
    return Ok();
  };
  BucketTable<RuleTraits> table(memory, kSeed, around);
  ASSERT_TRUE(Placed(table, Rules(1, 9)));
  table.Commit();
  table.Remove(table.Find(Rule(3)));
  ASSERT_TRUE(Placed(table, {Rule(20)}));
  EXPECT_EQ(graces, 1);
  EXPECT_EQ(Read(memory, Rule(20)), 25u);
}

TEST(Buckets, AFailedGracePeriodIsAFailureThatCanBeRetried) {
  std::vector<sp_rule_bucket> memory(2);
  bool works = false;
  Surroundings around;
  around.grace_period = [&] { return works ? Ok() : Status(Error{"no"}); };
  BucketTable<RuleTraits> table(memory, kSeed, around);
  ASSERT_TRUE(Placed(table, Rules(1, 9)));
  table.Commit();
  table.Remove(table.Find(Rule(3)));
  EXPECT_FALSE(Placed(table, {Rule(20)}));
  table.Undo();
  works = true;
  EXPECT_TRUE(Placed(table, {Rule(20)}));
}

// An entry that was copied to make room stands in both places until then.
TEST(Buckets, MovesThatFailedAreFinishedEvenWhenNothingIsAdded) {
  std::vector<sp_rule_bucket> memory(16);
  bool works = true;
  Surroundings around;
  around.grace_period = [&] { return works ? Ok() : Status(Error{"no"}); };
  BucketTable<RuleTraits> table(memory, kSeed, around);
  uint32_t n = 1;
  works = false;
  for (; Placed(table, {Rule(n)}); ++n) table.Commit();
  table.Undo();
  works = true;
  ASSERT_TRUE(Placed(table, {}));
  for (uint32_t i = 1; i < n; ++i) table.Remove(table.Find(Rule(i)));
  for (uint32_t i = 1; i < n; ++i) EXPECT_EQ(Read(memory, Rule(i)), 0u) << i;
}

// Entries in force move to make room, while readers look for them.
TEST(Buckets, ReadersAlwaysFindWhatIsInForce) {
  std::vector<sp_rule_bucket> memory(16);
  std::shared_mutex packets;
  int graces = 0;
  Surroundings around;
  around.grace_period = [&] {
    std::unique_lock all(packets);
    ++graces;
    return Ok();
  };
  BucketTable<RuleTraits> table(memory, kSeed, around);
  ASSERT_TRUE(Placed(table, Rules(1, 36)));
  table.Commit();
  std::atomic<bool> stop = false;
  std::atomic<int> missed = 0;
  std::thread reader([&] {
    for (uint32_t n = 1; !stop; n = n % 35 + 1) {
      std::shared_lock packet(packets);
      if (Read(memory, Rule(n)) != n + 5) ++missed;
    }
  });
  for (uint32_t n = 100; n < 3000; n += 20) {
    bool placed = Placed(table, Rules(n, n + 20));
    if (!placed) {
      table.Undo();
      continue;
    }
    table.Commit();
    for (uint32_t i = n; i < n + 20; ++i) table.Remove(table.Find(Rule(i)));
  }
  stop = true;
  reader.join();
  EXPECT_EQ(missed, 0);
  EXPECT_GT(graces, 0);
}

// What never was in force gives its place up at once: a reader that has seen half of the former key
// must not find the other half of the next.
TEST(Buckets, ARulesKeyIsOneWord) {
  std::vector<sp_rule_bucket> memory(4);
  std::set<uint64_t> keys = {0};
  for (uint32_t n = 1; n < 60; ++n) keys.insert(Rule(n).key);
  int stores = 0;
  Surroundings around;
  around.pen = Pen([&] {
    ++stores;
    for (const sp_rule_bucket& bucket : memory)
      for (const sp_rule& place : bucket.rule) ASSERT_TRUE(keys.contains(place.key));
  });
  BucketTable<RuleTraits> table(memory, kSeed, around);
  for (uint32_t from = 1; from < 50; from += 10) {
    EXPECT_TRUE(Placed(table, Rules(from, from + 10)));
    table.Undo();
  }
  EXPECT_GT(stores, 100);
}

// The address of a place is not one word: a place is given to an address in two stores.
TEST(Buckets, AHalfWrittenAddressHidesNobody) {
  std::vector<sp_peer_bucket> memory(1);
  Surroundings around;
  auto peer = [](uint64_t high, uint64_t low, uint32_t identity) {
    sp_peer out{};
    out.address.halves[0] = high;
    out.address.halves[1] = low;
    out.identity[0] = out.identity[1] = identity;
    return out;
  };
  // (1, 2) and (3, 4) were in one place one after the other; (3, 2) lives in the next.
  memory[0].peer[0] = peer(3, 2, 0);
  memory[0].peer[1] = peer(3, 2, 5);
  BucketTable<PeerTraits> table(memory, kSeed, around);
  table.Adopt([](const sp_peer& p) { return p.identity[0] != 0; });
  EXPECT_EQ(table.Find(peer(3, 2, 0)), 1u);
}

}  // namespace
}  // namespace sallyport::dataplane
