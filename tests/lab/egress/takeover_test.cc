// SPDX-License-Identifier: Apache-2.0
// Gateways come and go under connections that never rest: none of them is lost, and none is seen
// with another address. $SALLYPORT_TAKEOVERS: how many times, in turn; else once of each kind.
#include <gmock/gmock.h>

#include <cstdlib>
#include <iostream>

#include "lab/egress/egress_fixture.h"

namespace sallyport::lab {
namespace {

using testing::IsSubsetOf;

constexpr size_t kEach = 50;  // of TCP and UDP, of IPv4 and IPv6

class TakeOver : public EgressTest {
 protected:
  // 200 connections of two pods on one node.
  void Fill(Crowd& crowd) {
    for (const char* partner : {kPartnerV4, kPartnerV6})
      for (bool tcp : {true, false})
        for (const char* pod : {"a", "b"})
          EXPECT_EQ(crowd.Open(PodNetns(pod), AddressOf(partner), tcp, kEach / 2), kEach / 2)
              << pod << " to " << partner;
    ASSERT_EQ(crowd.AwaitPasses(2), "");
    EXPECT_THAT(crowd.Sources(), testing::ElementsAre(AddressOf(kEgressV4), AddressOf(kEgressV6)));
    crowd.LongestSilence();
  }
  // The address goes to another gateway than the one that has it; what that one did then ends well.
  void Pass(const std::string& kind, Crowd& crowd) {
    std::string victim = AwaitOtherHolder(kEgressV4, "");
    if (kind == "killed") {
      Unplug(victim);
      Agent("kill", victim);
    } else if (kind == "cut off") {
      Unplug(victim);
    } else if (kind == "stopped") {
      Agent("stop", victim);
    } else if (kind == "cordoned") {
      Kube({"cordon", victim});
    } else {
      Agent("kill", victim);
      Agent("start", victim);
    }
    std::string next = AwaitOtherHolder(kEgressV4, kind == "restarted" ? "" : victim);
    EXPECT_EQ(crowd.AwaitPasses(3), "") << kind;
    std::cout << victim << " " << kind << ": " << crowd.LongestSilence().count()
              << " ms of silence at most" << std::endl;
    if (kind == "killed" || kind == "cut off") Plug(victim);
    if (kind == "killed" || kind == "stopped") Agent("start", victim);
    if (kind == "cordoned") Kube({"uncordon", victim});
    // It takes nothing back, and has nothing left of what it held.
    AwaitHolder(kEgressV4, next);
    EXPECT_EQ(crowd.AwaitPasses(3), "") << "after " << kind;
  }
};

TEST_F(TakeOver, LosesNoConnection) {
  UpEgress({"n1", "gw1", "gw2"}, Sleeper("a", "n1") + Sleeper("b", "n1") + Gateway());
  std::string first = AwaitOtherHolder(kEgressV4, "");
  EXPECT_NE(AwaitOtherHolder(kEgressV6, ""), first) << "two addresses, two gateways";
  Crowd crowd(OutsideNetns(), Partners(), kPort);
  ASSERT_NO_FATAL_FAILURE(Fill(crowd));
  const std::vector<std::string> kinds = {"killed", "cordoned", "stopped", "cut off", "restarted"};
  const char* given = std::getenv("SALLYPORT_TAKEOVERS");
  size_t rounds = given ? static_cast<size_t>(std::atoi(given)) : kinds.size();
  for (size_t i = 0; i < rounds && !HasFailure(); ++i) Pass(kinds[i % kinds.size()], crowd);
  EXPECT_EQ(crowd.Trouble(), "");
  EXPECT_EQ(crowd.size(), 4 * kEach);
}

// Of a pod and the holder of its address on one node there is no tunnel.
TEST_F(TakeOver, OfTheNodeThatThePodIsOn) {
  UpEgress({"gw1", "gw2"}, Sleeper("a", "gw1") + Sleeper("b", "gw2") + Gateway());
  AwaitOtherHolder(kEgressV4, "");
  AwaitOtherHolder(kEgressV6, "");
  Crowd crowd(OutsideNetns(), Partners(), kPort);
  ASSERT_NO_FATAL_FAILURE(Fill(crowd));
  for (const char* kind : {"cordoned", "stopped", "restarted", "cordoned"}) Pass(kind, crowd);
  EXPECT_EQ(crowd.Trouble(), "");
}

// Kernel and Leases go on: what is open stays, what is new gets a port, also after a death. Of a
// server that accepts and answers nothing as of one that is gone.
TEST_F(TakeOver, WithoutTheApiServer) {
  UpEgress({"n1", "gw1", "gw2"}, Sleeper("a", "n1") + Sleeper("b", "n1") + Gateway());
  std::string victim = AwaitOtherHolder(kEgressV4, "");
  AwaitOtherHolder(kEgressV6, "");
  Crowd crowd(OutsideNetns(), Partners(), kPort);
  ASSERT_NO_FATAL_FAILURE(Fill(crowd));
  auto server = [this](const char* verb) {
    ASSERT_EQ(Run({"lab", "apiserver", verb, "--name", name()}).exit_code, 0) << verb;
  };
  for (auto [ends, begins] : {std::pair("hang", "resume"), {"stop", "start"}}) {
    SCOPED_TRACE(ends);
    server(ends);
    EXPECT_EQ(crowd.AwaitPasses(3), "");
    Unplug(victim);
    Agent("kill", victim);
    std::string next = AwaitOtherHolder(kEgressV4, victim);
    EXPECT_EQ(crowd.AwaitPasses(3), "");
    for (const char* partner : {kPartnerV4, kPartnerV6})
      EXPECT_EQ(crowd.Open(PodNetns("a"), AddressOf(partner), true, 20), 20u) << partner;
    EXPECT_EQ(crowd.AwaitPasses(2), "");
    server(begins);
    Await("the Lease to say who holds it",
          [&] { return LeaseHolder(std::string("address-") + kEgressV4) == next; });
    Plug(victim);
    Agent("start", victim);
    AwaitHolder(kEgressV4, next);
    EXPECT_EQ(crowd.AwaitPasses(3), "");
    victim = next;
  }
}

// Killed at the source: its kernel goes on, with new connections, too.
TEST_F(TakeOver, ConnectionsOutliveTheAgentOfTheirNode) {
  UpEgress({"n1", "gw1"}, Sleeper("a", "n1") + Sleeper("b", "n1") + Gateway());
  AwaitOtherHolder(kEgressV4, "");
  AwaitOtherHolder(kEgressV6, "");
  Crowd crowd(OutsideNetns(), Partners(), kPort);
  ASSERT_NO_FATAL_FAILURE(Fill(crowd));
  Agent("kill", "n1");
  EXPECT_EQ(crowd.AwaitPasses(2), "");
  for (const char* partner : {kPartnerV4, kPartnerV6})
    for (bool tcp : {true, false})
      EXPECT_EQ(crowd.Open(PodNetns("a"), AddressOf(partner), tcp, 10), 10u) << partner;
  EXPECT_EQ(crowd.AwaitPasses(2), "");
  Agent("start", "n1");
  EXPECT_EQ(crowd.AwaitPasses(3), "");

  // A Lease that somebody deletes is written again, if its ports are in use; and nothing is lost.
  std::vector<std::string> before = Leases("ports-");
  ASSERT_FALSE(before.empty());
  for (const std::string& lease : before)
    Kube({"delete", "lease", "-n", "sallyport-system", lease});
  for (const char* prefix : {"ports-203", "ports-2001"})
    Await(std::string("Leases of ") + prefix, [&] { return !Leases(prefix).empty(); });
  EXPECT_EQ(crowd.AwaitPasses(10), "");
}

}  // namespace
}  // namespace sallyport::lab
