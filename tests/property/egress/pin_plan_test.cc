// SPDX-License-Identifier: Apache-2.0
// Over random worlds: the sets of the plan say what PinOf says, address by address, and a change
// that "may not change" the plan does not.
#include "egress/pin_plan.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <utility>

#include "egress/diagnose.h"
#include "support/random.h"
#include "support/world.h"

namespace sallyport::egress {
namespace {

using test::Random;

const std::vector<std::string> kTexts = {"198.51.100.0",   "198.51.100.7", "198.51.100.128",
                                         "198.51.100.255", "198.51.101.0", "203.0.113.1",
                                         "203.0.113.2",    "10.0.0.1",     "10.0.0.3",
                                         "10.0.1.9",       "172.16.0.1",   "192.168.7.7",
                                         "11.0.0.1",       "0.0.0.0",      "255.255.255.255",
                                         "169.254.9.9",    "fd00::1",      "fd00:0:0:1::3",
                                         "fd00:aa::1",     "2001:db8::7",  "2001:db8::8",
                                         "fe80::1",        "::",           "2001:db8:1::1",
                                         "fd00::200"};

net::Address RandomAddress(Random& random) { return *net::Address::Parse(random.Pick(kTexts)); }

net::Cidr RandomCidr(Random& random) {
  net::Address address = RandomAddress(random);
  static const std::vector<int> kShorter = {0, 0, 1, 2, 4, 7, 8, 16, 32};
  int most = address.IsV4() ? 32 : 128;
  return net::Cidr(address, most - std::min(most, random.Pick(kShorter)));
}

std::vector<net::Cidr> RandomCidrs(Random& random, int most) {
  std::vector<net::Cidr> out;
  for (int i = random.Between(0, most); i > 0; --i) out.push_back(RandomCidr(random));
  return out;
}

model::Selector RandomSelector(Random& random, bool of_namespace) {
  std::vector<model::Requirement> out;
  for (int i = random.Between(0, 2); i > 0; --i) {
    model::Requirement one{random.Pick(std::vector<std::string>{"app", "tier", "env"}),
                           static_cast<model::Operator>(random.Between(0, 3)),
                           {}};
    std::vector<std::string> values = {"a", "b", "c"};
    if (of_namespace && random.Chance(40)) {
      one.key = model::kNamespaceNameLabel;
      values = {"shop", "bank", "farm"};
    }
    if (one.op == model::Operator::kIn || one.op == model::Operator::kNotIn) {
      one.values = {random.Pick(values)};
    }
    out.push_back(std::move(one));
  }
  return model::Selector(std::move(out));
}

model::Delta RandomGateway(Random& random) {
  static const std::vector<std::string> kIps = {"203.0.113.1", "203.0.113.2", "203.0.113.3",
                                                "2001:db8::8", "10.0.0.3"};
  model::EgressGateway gateway;
  gateway.name = random.Pick(std::vector<std::string>{"g1", "g2", "g3", "g4"});
  gateway.created = random.Pick(std::vector<std::string>{"", "2026-01-01", "2026-01-02"});
  for (const std::string& ip : kIps) {
    if (random.Chance(35)) gateway.egress_ips.push_back(*net::Address::Parse(ip));
  }
  if (random.Chance(50)) gateway.namespaces = RandomSelector(random, true);
  if (random.Chance(50)) gateway.pods = RandomSelector(random, false);
  gateway.destinations = RandomCidrs(random, 4);
  gateway.except = RandomCidrs(random, 3);
  gateway.interface = random.Chance(80) ? "" : "eth1";
  return model::Delta::Set(std::make_shared<const model::EgressGateway>(std::move(gateway)));
}

model::Delta RandomChange(Random& random, const model::Snapshot& snapshot) {
  return random.Chance(20) ? RandomGateway(random) : test::RandomDelta(random, snapshot);
}

test::World WorldWithGateways(uint64_t seed, Random& random) {
  test::World world = test::RandomWorld(seed, {.pods = 16, .policies = 0, .flows = 0});
  for (int i = random.Between(1, 5); i > 0; --i) world.snapshot.Apply(RandomGateway(random));
  return world;
}

TEST(PinPlanProperty, SetsSayWhatTheSentencesSay) {
  for (uint64_t seed : test::Seeds(400)) {
    Random random(seed);
    test::World world = WorldWithGateways(seed, random);
    PinPlan plan = MakePinPlan(world.snapshot, world.node);
    for (const auto& [name, pod] : world.snapshot.pods) {
      auto set = plan.pods.find(name);
      for (const std::string& text : kTexts) {
        net::Address to = *net::Address::Parse(text);
        auto answer = PinOf(world.snapshot, *pod, to);
        if (pod->node != world.node) {
          ASSERT_EQ(set, plan.pods.end());
          continue;
        }
        Target told = set == plan.pods.end() ? Target() : Find(*set->second, to);
        ASSERT_EQ(told.ToString(), (answer ? answer->target : Target()).ToString())
            << "seed " << seed << ": " << name.ToString() << " to " << text << "\n"
            << (set == plan.pods.end() ? "no set" : ToString(*set->second)) << world.ToString();
        ASSERT_EQ(answer && answer->target.kind == Target::Kind::kDrop,
                  answer && !answer->why.empty());
        if (told.kind == Target::Kind::kPinned) {
          ASSERT_TRUE(plan.block_sizes.contains(told.egress_ip));
        }
      }
    }
  }
}

std::set<model::ObjectName> PodsOf(const test::World& world) {
  std::set<model::ObjectName> out;
  for (const auto& [name, pod] : world.snapshot.pods) {
    if (pod->node == world.node) out.insert(name);
  }
  return out;
}

TEST(PinPlanProperty, ChangesThatMayNotChangeItDoNot) {
  int spared = 0, replanned = 0;
  for (uint64_t seed : test::Seeds(400)) {
    Random random(seed);
    test::World world = WorldWithGateways(seed, random);
    PinPlan plan = MakePinPlan(world.snapshot, world.node);
    for (int step = 0; step < 10; ++step) {
      model::Delta delta = RandomChange(random, world.snapshot);
      PinPlan::Effect effect = plan.EffectOf(delta, world.node);
      world.snapshot.Apply(delta);
      PinPlan next = MakePinPlan(world.snapshot, world.node);
      if (effect == PinPlan::Effect::kPlan) {
        ++replanned;
        plan = MakePinPlan(world.snapshot, std::move(plan.world), PodsOf(world));
      }
      if (effect != PinPlan::Effect::kWorld) {
        spared += effect == PinPlan::Effect::kNone;
        ASSERT_EQ(plan.world.cluster.ranges, next.world.cluster.ranges) << "seed " << seed;
        ASSERT_EQ(plan.world.cluster.strays, next.world.cluster.strays) << "seed " << seed;
        ASSERT_EQ(plan.world.addresses, next.world.addresses) << "seed " << seed;
        ASSERT_EQ(plan.block_sizes, next.block_sizes) << "seed " << seed;
        ASSERT_EQ(plan.pods.size(), next.pods.size()) << "seed " << seed;
        for (const auto& [name, set] : plan.pods) {
          ASSERT_EQ(*set, *next.pods.at(name)) << "seed " << seed << ": " << name.ToString();
        }
      } else {
        plan = std::move(next);
      }
      Diagnose(world.snapshot);
    }
  }
  if (!std::getenv("SALLYPORT_WORLDS")) {
    EXPECT_GT(spared, 100);
    EXPECT_GT(replanned, 100);
  }
}

}  // namespace
}  // namespace sallyport::egress
