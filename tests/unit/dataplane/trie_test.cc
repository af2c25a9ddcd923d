// SPDX-License-Identifier: Apache-2.0
// Prefixes as a trie: the longest prefix wins, a change writes what is new, nothing is left over.
#include "dataplane/trie.h"

#include <gtest/gtest.h>

#include "support/table_twin.h"
#include "support/world.h"

namespace sallyport::dataplane {
namespace {

using test::Random;

class TrieTest : public ::testing::Test {
 protected:
  TrieTest() { trie_.Adopt(0); }

  void Set(const char* cidr, uint32_t identity) { prefixes_[*net::Cidr::Parse(cidr)] = identity; }
  // Into the half that is not in force, then settled.
  void Put(const std::set<net::Cidr>* dirty = nullptr) {
    half_ ^= 1;
    trie_.Prepare(prefixes_, dirty, half_);
    uses_.Commit();
    trie_.Settle();
  }
  uint32_t Identity(const char* address) {
    return test::TableTwin(tables_).PrefixIdentity(*net::Address::Parse(address), half_);
  }

  test::HeapTables memory_{{.prefixes = 4096}};
  Tables tables_ = memory_.tables();
  int stores_ = 0;
  Surroundings around_{.pen = Pen([this] { ++stores_; })};
  IdentityUses uses_;
  PrefixTrie trie_{tables_, around_, uses_};
  PrefixTrie::Prefixes prefixes_;
  uint32_t half_ = 0;
};

TEST_F(TrieTest, Empty) {
  Put();
  EXPECT_EQ(Identity("10.0.0.1"), 0u);
  EXPECT_EQ(Identity("fd00::1"), 0u);
}

TEST_F(TrieTest, ARootBeyondTheTableIsRefused) {
  for (uint32_t node : {4096u, 0x7fffffffu}) {
    tables_.control->trie[0][0] = SP_TRIE_NODE | node;
    PrefixTrie next(tables_, around_, uses_);
    EXPECT_DEATH(next.Adopt(0), "pinned prefixes refer to node " + std::to_string(node));
  }
}

TEST_F(TrieTest, LongestPrefixWins) {
  Set("0.0.0.0/0", 1);
  Set("10.0.0.0/8", 2);
  Set("10.16.0.0/13", 3);
  Set("10.17.0.0/16", 0);
  Set("10.17.5.5/32", 4);
  Put();
  EXPECT_EQ(Identity("9.255.255.255"), 1u);
  EXPECT_EQ(Identity("10.15.255.255"), 2u);
  EXPECT_EQ(Identity("10.16.0.0"), 3u);
  EXPECT_EQ(Identity("10.17.0.0"), 0u) << "a hole";
  EXPECT_EQ(Identity("10.17.5.5"), 4u);
  EXPECT_EQ(Identity("10.17.5.6"), 0u);
  EXPECT_EQ(Identity("10.23.255.255"), 3u);
  EXPECT_EQ(Identity("10.24.0.0"), 2u);
  EXPECT_EQ(Identity("11.0.0.0"), 1u);
  EXPECT_EQ(Identity("::1"), 0u) << "the other family";
}

// The words that the programs read have bits of their own above an identity.
TEST_F(TrieTest, NumbersThatDoNotFitAreRefused) {
  for (const char* cidr : {"0.0.0.0/0", "10.0.0.0/8", "10.17.0.0/19"}) {
    Set("10.1.0.0/16", 1);
    Set(cidr, SP_PEER_NONE - 1);
    Put();
    EXPECT_EQ(Identity("10.17.0.1"), SP_PEER_NONE - 1);
    Set(cidr, SP_PEER_NONE);
    EXPECT_DEATH(Put(), "identity numbers are used up") << cidr;
    std::set<net::Cidr> dirty = {*net::Cidr::Parse(cidr)};
    EXPECT_DEATH(Put(&dirty), "identity numbers are used up") << cidr;
    prefixes_.clear();
  }
}

TEST_F(TrieTest, FamiliesDoNotMix) {
  Set("::/0", 1);
  Set("::fffe:0:0/95", 2);
  Set("0.0.0.0/0", 3);
  Set("10.0.0.0/8", 4);
  Set("::1:0:0:0/80", 5);
  Put();
  EXPECT_EQ(Identity("fd00::1"), 1u);
  EXPECT_EQ(Identity("::fffe:1.2.3.4"), 2u);
  EXPECT_EQ(Identity("1.2.3.4"), 3u);
  EXPECT_EQ(Identity("10.2.3.4"), 4u);
  EXPECT_EQ(Identity("::1:0:0:7"), 5u);
}

TEST_F(TrieTest, EveryLength) {
  for (int length = 0; length <= 128; ++length)
    prefixes_[net::Cidr(*net::Address::Parse("aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa"), length)] =
        static_cast<uint32_t>(length + 1);
  Put();
  EXPECT_EQ(Identity("aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa"), 129u);
  EXPECT_EQ(Identity("aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaab"), 128u);
  EXPECT_EQ(Identity("aaaa:aaaa:aaaa:aaaa:2aaa::"), 65u);
  EXPECT_EQ(Identity("2aaa::"), 1u);
}

TEST_F(TrieTest, AChangeWritesOnlyItsPath) {
  for (int i = 0; i < 256; ++i)
    prefixes_[net::Cidr(net::Address::V4(0x0a000000u + static_cast<uint32_t>(i) * 0x10100), 24)] =
        static_cast<uint32_t>(i + 1);
  Put();
  std::set<net::Cidr> dirty = {*net::Cidr::Parse("10.5.5.0/24")};
  Set("10.5.5.0/24", 1000);
  stores_ = 0;
  Put(&dirty);
  EXPECT_LE(stores_, 16 * 6 + 2);
  EXPECT_EQ(Identity("10.5.5.9"), 1000u);
}

TEST_F(TrieTest, NothingIsLeft) {
  size_t empty = trie_.used();
  Set("10.0.0.0/9", 1);
  Set("10.3.0.0/16", 2);
  Put();
  EXPECT_GT(trie_.used(), empty);
  prefixes_.clear();
  Put();
  EXPECT_EQ(trie_.used(), empty);
  EXPECT_FALSE(uses_.InForce(1));
}

TEST_F(TrieTest, UndoReturns) {
  Set("10.0.0.0/9", 1);
  Put();
  size_t used = trie_.used();
  PrefixTrie::Prefixes kept = prefixes_;
  Set("10.3.0.0/16", 2);
  trie_.Prepare(prefixes_, nullptr, half_ ^ 1);
  EXPECT_TRUE(uses_.Next(2));
  EXPECT_FALSE(uses_.InForce(2));
  trie_.Undo();
  EXPECT_EQ(trie_.used(), used);
  EXPECT_FALSE(uses_.Next(2));
  EXPECT_EQ(tables_.control->trie[0][0], tables_.control->trie[1][0]);
}

// Of everything below a node without a place: what is outside a hole, and the hole.
TEST_F(TrieTest, AFullTrieKnowsNobodyThere) {
  const std::map<const char*, uint32_t> told = {
      {"10.1.2.3", 1}, {"10.1.255.1", 0},  {"10.2.7.9", 2},   {"172.16.0.1", 3},
      {"fd00::1", 4},  {"fd00::bad:1", 0}, {"192.0.2.99", 5}, {"8.8.8.8", 0}};
  for (uint32_t size = 1; size < 60; ++size) {
    SCOPED_TRACE(size);
    test::HeapTables memory({.prefixes = size});
    Tables tables = memory.tables();
    IdentityUses uses;
    PrefixTrie trie(tables, around_, uses);
    trie.Adopt(0);
    prefixes_.clear();
    Set("10.1.0.0/16", 1);
    Set("10.1.255.0/24", 0);
    Set("10.2.7.9/32", 2);
    Set("172.16.0.0/12", 3);
    Set("fd00::/16", 4);
    Set("fd00::bad:0/112", 0);
    Set("192.0.2.99/32", 5);
    size_t known = 0;
    for (uint32_t half : {1u, 0u, 1u}) {
      trie.Prepare(prefixes_, nullptr, half);
      uses.Commit();
      trie.Settle();
      for (const auto& [address, identity] : told) {
        uint32_t found =
            test::TableTwin(tables).PrefixIdentity(*net::Address::Parse(address), half);
        EXPECT_TRUE(found == 0 || found == identity) << address << " " << found;
        known += found != 0;
        if (trie.left_out() == 0) EXPECT_EQ(found, identity) << address;
      }
    }
    if (size < 20) EXPECT_GT(trie.left_out(), 0u);
    if (size > 20) EXPECT_GT(known, 0u) << "some have a place";
    if (size == 59) EXPECT_EQ(trie.left_out(), 0u);
  }
}

TEST_F(TrieTest, AnyChangesLeadToWhatBuildingAfreshDoes) {
  for (uint64_t seed : test::Seeds(20)) {
    SCOPED_TRACE(seed);
    Random random(seed);
    prefixes_.clear();
    Put();
    for (int step = 0; step < 60; ++step) {
      std::set<net::Cidr> dirty;
      for (int i = random.Between(1, 4); i > 0; --i) {
        bool v4 = random.Chance(60);
        net::Address::Bytes bytes{};
        for (size_t b = v4 ? 12 : 0; b < 16; ++b)
          bytes[b] = random.Chance(70) ? 0 : static_cast<uint8_t>(random.Below(256));
        if (v4) bytes[10] = bytes[11] = 0xff;
        if (!v4 && random.Chance(30)) bytes[10] = 0xff, bytes[11] = 0xfe;
        net::Address address(bytes);
        net::Cidr cidr(address, random.Between(0, address.IsV4() ? 32 : 128));
        if (random.Chance(40) && !prefixes_.empty())
          cidr = std::next(prefixes_.begin(), static_cast<long>(random.Below(prefixes_.size())))
                     ->first;
        dirty.insert(cidr);
        if (random.Chance(50)) {
          prefixes_.erase(cidr);
        } else {
          prefixes_[cidr] = static_cast<uint32_t>(random.Below(5));
        }
      }
      Put(&dirty);
      uint32_t roots[2] = {tables_.control->trie[half_][0], tables_.control->trie[half_][1]};
      size_t used = trie_.used();
      Put();
      ASSERT_EQ(tables_.control->trie[half_][0], roots[0]) << step;
      ASSERT_EQ(tables_.control->trie[half_][1], roots[1]) << step;
      ASSERT_EQ(trie_.used(), used);
    }
  }
}

}  // namespace
}  // namespace sallyport::dataplane
