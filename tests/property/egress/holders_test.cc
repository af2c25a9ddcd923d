// SPDX-License-Identifier: Apache-2.0
// Gateways under random trouble: links cut one way or both, messages lost, the API server out of
// reach, agents and nodes killed, drained, cordoned. Once nothing has changed for a while an
// address has a holder if there is a gateway that can know that it should be; once all is well
// again it has one, and Lease and routes say the same.
#include "egress/holders.h"

#include <gtest/gtest.h>

#include "support/random.h"
#include "support/world.h"
#include "unit/egress/gateway_lab.h"

namespace sallyport::egress {
namespace {

using test::Random;

const std::vector<std::string> kGateways = {"g1", "g2", "g3"};
const std::vector<std::string> kAll = {"g1", "g2", "g3", "s1"};

void Trouble(GatewayLab& lab, Random& random) {
  const std::string name = random.Pick(kGateways);
  GatewayLab::Sim& sim = lab.nodes.at(name);
  switch (random.Between(0, 9)) {
    case 0:
      lab.Cut(name, random.Pick(kAll));
      break;
    case 1:
      lab.cut.insert({name, random.Pick(kAll)});
      break;
    case 2:
      lab.Heal();
      break;
    case 3:
      lab.nodes.at(random.Pick(kAll)).api = random.Chance(50);
      lab.Tell();
      break;
    case 4:
      lab.Kill(name);
      break;
    case 5:
      lab.StopAgent(name);
      break;
    case 6:
      sim.leaving = random.Chance(50);
      break;
    case 7:
      lab.Change(name, [&](model::Node& node) { node.unschedulable = random.Chance(50); });
      break;
    case 8:
      lab.Change(name, [&](model::Node& node) { node.ready = random.Chance(50); });
      break;
    default:
      break;
  }
  if (random.Chance(50)) {
    const std::string other = random.Pick(kAll);
    if (!lab.nodes.at(other).agent) lab.Start(other);
  }
}

void AllIsWell(GatewayLab& lab) {
  lab.Heal();
  lab.lost = [] { return false; };
  for (auto& [name, sim] : lab.nodes) {
    sim.api = true;
    sim.leaving = false;
    if (!sim.agent) lab.Start(name);
    lab.Change(name, [](model::Node& node) {
      node.ready = true;
      node.unschedulable = false;
    });
  }
}

// There is a gateway with the server, all of whose claims others hear, or have the server too.
bool SomebodyShouldHold(const GatewayLab& lab) {
  for (const std::string& name : kGateways) {
    const GatewayLab::Sim& sim = lab.nodes.at(name);
    if (sim.agent && sim.api && !sim.leaving) return true;
  }
  return false;
}

std::string Log(const GatewayLab& lab) {
  std::string out;
  for (const std::string& line : lab.log) out += line + "\n";
  return out;
}

TEST(HoldersProperty, TroubleEndsWithOneHolder) {
  for (uint64_t seed : test::Seeds(8)) {
    Random random(seed);
    GatewayLab lab(3, 2);
    int loss = random.Pick(std::vector<int>{0, 0, 5, 20});
    lab.lost = [&] { return random.Chance(loss); };
    lab.watch_delay = random.Pick(std::vector<Millis>{10, 100, 1000});
    lab.StartAll();
    for (int step = 0; step < 20; ++step) {
      for (int i = random.Between(1, 3); i > 0; --i) Trouble(lab, random);
      lab.Run(random.Pick(std::vector<Millis>{100, 500, 2000, 5000, 20000}));
      if (!random.Chance(20) || !SomebodyShouldHold(lab)) continue;
      lab.Run(40 * kSecond);
      for (int i = 1; i <= 2; ++i) {
        ASSERT_NE(lab.Holder(i), "") << "seed " << seed << ", step " << step << "\n" << Log(lab);
      }
    }
    AllIsWell(lab);
    lab.Run(60 * kSecond);
    for (int i = 1; i <= 2; ++i) {
      ASSERT_EQ(lab.HoldersOf(lab.Ip(i)).size(), 1u)
          << "seed " << seed << ": " << lab.Holder(i) << "\n"
          << Log(lab);
      ASSERT_EQ(lab.leases.at(lab.Ip(i)).holder, lab.Holder(i)) << "seed " << seed;
      for (const std::string& node : kAll) {
        ASSERT_EQ(lab.Route(node, i), lab.Holder(i)) << "seed " << seed << "\n" << Log(lab);
      }
    }
    size_t before = lab.log.size();
    lab.Run(30 * kSecond);
    ASSERT_EQ(lab.log.size(), before) << "seed " << seed << "\n" << Log(lab);
  }
}

// With what is lost on the way of a good network, and nobody dead, nothing moves.
TEST(HoldersProperty, LostHeartbeatsMoveNothing) {
  for (uint64_t seed : test::Seeds(2)) {
    Random random(seed);
    GatewayLab lab(3, 2);
    lab.lost = [&] { return random.Chance(2); };
    lab.StartAll();
    lab.Run(5 * kSecond);
    lab.log.clear();
    lab.Run(120 * kSecond);
    ASSERT_EQ(Log(lab), "") << "seed " << seed;
  }
}

// The death of any holder, at any moment of its beat, is over within half a second.
TEST(HoldersProperty, ADeathIsOverWithinHalfASecond) {
  for (uint64_t seed : test::Seeds(8)) {
    Random random(seed);
    GatewayLab lab(3, 1);
    lab.StartAll();
    lab.Run(5 * kSecond);
    for (int round = 0; round < 5; ++round) {
      lab.Run(random.Between(0, 600) * 10);
      std::string holder = lab.Holder(1);
      lab.Kill(holder);
      Millis took = lab.RunUntil([&] { return !lab.Holder(1).empty(); });
      ASSERT_LE(took, 500) << "seed " << seed << "\n" << Log(lab);
      lab.Run(kSecond);
      lab.Start(holder);
      lab.Run(5 * kSecond);
      ASSERT_EQ(lab.HoldersOf(lab.Ip(1)).size(), 1u) << "seed " << seed << "\n" << Log(lab);
    }
  }
}

}  // namespace
}  // namespace sallyport::egress
