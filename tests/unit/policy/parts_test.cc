// SPDX-License-Identifier: Apache-2.0
// The compiler's parts, each by itself.
#include <gtest/gtest.h>

#include "net/prefix_search.h"
#include "policy/interner.h"
#include "policy/pod_index.h"
#include "policy/port_spec.h"
#include "policy/selector_index.h"
#include "support/random.h"
#include "support/world.h"

namespace sallyport::policy {
namespace {

using test::Random;

struct LengthHash {
  size_t operator()(const std::string& text) const { return text.size(); }
};

TEST(Interner, GivesEqualContentsOneNumber) {
  Interner<std::string, LengthHash, NoData> names(1);
  auto [a, a_fresh] = names.Acquire("aa");
  auto [b, b_fresh] = names.Acquire("bb");
  auto [again, again_fresh] = names.Acquire("aa");
  EXPECT_TRUE(a_fresh && b_fresh);
  EXPECT_FALSE(again_fresh);
  EXPECT_EQ(a, again);
  EXPECT_NE(a, b);
}

TEST(Interner, KeepsANumberThatIsTakenAgainBeforeTheSweep) {
  Interner<std::string, LengthHash, NoData> names(1);
  uint32_t a = names.Acquire("a").first;
  names.Release(a);
  EXPECT_EQ(names.Acquire("a").first, a);
  names.Sweep([](uint32_t, const std::string&, NoData&) { ADD_FAILURE(); });
  EXPECT_EQ(names.key(a), "a");
}

TEST(Interner, NeverGivesANumberTwice) {
  Interner<std::string, LengthHash, NoData> names(1);
  uint32_t a = names.Acquire("a").first;
  names.Release(a);
  int swept = 0;
  names.Sweep([&](uint32_t id, const std::string& name, NoData&) {
    EXPECT_EQ(id, a);
    EXPECT_EQ(name, "a");
    ++swept;
  });
  EXPECT_EQ(swept, 1);
  EXPECT_FALSE(names.Contains(a));
  EXPECT_NE(names.Acquire("a").first, a);
}

TEST(PortSpec, UnionJoinsRangesThatOverlapOrTouch) {
  PortSpec a, b;
  a.numbers.tcp = {{10, 20}, {30, 40}, {65535, 65535}};
  b.numbers.tcp = {{0, 0}, {21, 29}, {65000, 65534}};
  PortSpec both = Union({&a, &b});
  EXPECT_EQ(both.numbers.tcp, (std::vector<net::PortRange>{{0, 0}, {10, 40}, {65000, 65535}}));
}

TEST(PortSpec, EverythingAbsorbs) {
  PortSpec a, everything;
  a.numbers.udp = {{53, 53}};
  everything.everything = true;
  EXPECT_EQ(Union({&a, &everything}), everything);
  EXPECT_TRUE(Covers(everything, a));
  EXPECT_FALSE(Covers(a, everything));
}

TEST(PortSpec, CoversWhatLiesInside) {
  PortSpec outer, inner;
  outer.numbers.tcp = {{10, 20}, {30, 40}};
  outer.names = {1, 2};
  inner.numbers.tcp = {{12, 15}, {30, 40}};
  inner.names = {2};
  EXPECT_TRUE(Covers(outer, inner));
  inner.numbers.tcp = {{12, 31}};
  EXPECT_FALSE(Covers(outer, inner));
  inner = PortSpec{};
  inner.names = {3};
  EXPECT_FALSE(Covers(outer, inner));
}

TEST(LongestPrefix, IsWhatTryingEveryPrefixFinds) {
  for (uint64_t seed : test::Seeds(200)) {
    Random random(seed);
    model::Snapshot none;
    std::map<net::Cidr, int> map;
    std::vector<net::FlowTuple> flows = test::RandomFlows(random, none, 60);
    for (size_t i = 0; i < 30; ++i) {
      const net::Address& address = flows[i].source;
      map[net::Cidr(address, random.Between(0, address.IsV4() ? 32 : 128))] = 1;
    }
    for (const net::FlowTuple& flow : flows) {
      const net::Address& address = flow.destination;
      int longest = -1;
      for (const auto& [cidr, value] : map) {
        if (cidr.Contains(address)) longest = std::max(longest, cidr.length());
      }
      auto it = LongestPrefix(map, address);
      EXPECT_EQ(it == map.end() ? -1 : it->first.length(), longest)
          << "SALLYPORT_SEED=" << seed << " " << address.ToString();
    }
  }
}

// Selectors of random policies, and pods of random worlds.
struct Crowd {
  std::vector<model::Selector> selectors;
  std::vector<model::Pod> pods;

  explicit Crowd(uint64_t seed) {
    model::Snapshot snapshot = test::RandomWorld(seed, {40, 40, 0}).snapshot;
    for (const auto& [name, policy] : snapshot.policies) selectors.push_back(policy->pods);
    for (const auto& [name, pod] : snapshot.pods) pods.push_back(*pod);
  }
};

TEST(SelectorIndex, FindsWhatAskingEverySelectorFinds) {
  for (uint64_t seed : test::Seeds(100)) {
    Crowd crowd(seed);
    SelectorIndex index;
    std::set<uint32_t> present;
    for (uint32_t i = 0; i < crowd.selectors.size(); ++i) {
      index.Add(i, crowd.selectors[i]);
      present.insert(i);
      if (i % 3 == 2) {
        index.Remove(i - 1);
        present.erase(i - 1);
      }
      for (const model::Pod& pod : crowd.pods) {
        Numbers found, asked;
        index.Match(pod.labels, found);
        SortUnique(found);
        for (uint32_t id : present) {
          if (crowd.selectors[id].Matches(pod.labels)) asked.push_back(id);
        }
        ASSERT_EQ(found, asked) << "SALLYPORT_SEED=" << seed;
      }
    }
    for (uint32_t id : present) index.Remove(id);
    EXPECT_TRUE(index.empty());
  }
}

TEST(PodIndex, MissesNoPodThatMatches) {
  for (uint64_t seed : test::Seeds(100)) {
    Crowd crowd(seed);
    PodIndex index;
    for (const model::Pod& pod : crowd.pods) index.Add(pod);
    for (size_t i = 0; i < crowd.pods.size(); i += 2) index.Remove(crowd.pods[i]);
    for (const model::Selector& selector : crowd.selectors) {
      auto candidates = index.Candidates(selector);
      if (!candidates) continue;
      for (size_t i = 1; i < crowd.pods.size(); i += 2) {
        if (!selector.Matches(crowd.pods[i].labels)) continue;
        EXPECT_NE(std::find(candidates->begin(), candidates->end(), &crowd.pods[i]),
                  candidates->end())
            << "SALLYPORT_SEED=" << seed;
      }
    }
  }
}

TEST(PodIndex, GivesUpOnLabelsThatEveryoneHas) {
  PodIndex index;
  std::vector<model::Pod> pods(5000);
  for (size_t i = 0; i < pods.size(); ++i) {
    pods[i].labels = model::Labels({{"common", "yes"}, {"own", std::to_string(i)}});
    index.Add(pods[i]);
  }
  model::Selector common({{"common", model::Operator::kIn, {"yes"}}});
  model::Selector own(
      {{"common", model::Operator::kIn, {"yes"}}, {"own", model::Operator::kIn, {"4711"}}});
  EXPECT_FALSE(index.Candidates(common));
  ASSERT_TRUE(index.Candidates(own));
  EXPECT_EQ(*index.Candidates(own), std::vector<const model::Pod*>{&pods[4711]});
  for (size_t i = 0; i < 4990; ++i) index.Remove(pods[i]);
  EXPECT_FALSE(index.Candidates(common)) << "those that are left were not all seen";
  for (size_t i = 4990; i < pods.size(); ++i) index.Remove(pods[i]);
  EXPECT_TRUE(index.Candidates(common)->empty());
}

}  // namespace
}  // namespace sallyport::policy
