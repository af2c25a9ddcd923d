// SPDX-License-Identifier: Apache-2.0
// probe and its far end against real paths: two network namespaces, one link, and nftables where a
// path is to be silent.
#include "cli/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <thread>

#include "lab/probe/two_namespaces.h"

namespace sallyport::probe {
namespace {

using net::Protocol;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr Port kTcp{Protocol::kTcp, 80}, kUdp{Protocol::kUdp, 81};
constexpr Port kClosedTcp{Protocol::kTcp, 82}, kClosedUdp{Protocol::kUdp, 83};
constexpr Port kDroppedTcp{Protocol::kTcp, 84}, kDroppedUdp{Protocol::kUdp, 85};
constexpr Port kEcho{Protocol::kIcmp, 0}, kSctp{Protocol::kSctp, 86};

class ProbeTest : public TwoNamespaces {
 protected:
  void SetUp() override {
    TwoNamespaces::SetUp();
    server_ = std::make_unique<RunningServer>(Path(far_), std::vector<Port>{kTcp, kUdp});
    Must("ip netns exec " + far_ +
         " nft 'table inet spt { chain in { type filter hook input priority 0; "
         "tcp dport 84 drop; udp dport 85 drop; }; }'");
  }
  void TearDown() override {
    server_.reset();
    TwoNamespaces::TearDown();
  }

  Answer Try(const std::string& address, const Port& port, Options options = {}) {
    options.timeout = std::chrono::seconds(2);
    auto answers = Probe({{Path(near_), {{*net::Address::Parse(address), port}}}}, options);
    EXPECT_TRUE(answers) << answers.error().message;
    return answers->at(0).at(0);
  }

  std::unique_ptr<RunningServer> server_;
};

TEST_F(ProbeTest, TellsOpenFromRefusedFromBlockedInBothFamilies) {
  std::vector<Target> targets;
  std::vector<Outcome> expected;
  for (const char* address : {"10.77.0.2", "fd77::2"}) {
    net::Address to = *net::Address::Parse(address);
    for (auto [port, outcome] : {std::pair{kTcp, Outcome::kOpen},
                                 {kUdp, Outcome::kOpen},
                                 {kClosedTcp, Outcome::kRefused},
                                 {kClosedUdp, Outcome::kRefused},
                                 {kDroppedTcp, Outcome::kBlocked},
                                 {kDroppedUdp, Outcome::kBlocked},
                                 {kEcho, Outcome::kOpen}}) {
      targets.push_back({to, port});
      expected.push_back(outcome);
    }
  }
  auto answers = Probe({{Path(near_), targets}}, {});
  ASSERT_TRUE(answers) << answers.error().message;
  for (size_t i = 0; i < targets.size(); ++i) {
    const Answer& answer = answers->at(0).at(i);
    EXPECT_EQ(ToString(answer.outcome), ToString(expected[i]))
        << targets[i].address.ToString() << " " << targets[i].port.ToString() << " "
        << answer.detail;
    bool answered = answer.outcome != Outcome::kBlocked;
    EXPECT_EQ(answer.latency > Duration::zero(), answered);
  }
}

TEST_F(ProbeTest, NamesWhatCannotBeTried) {
  EXPECT_EQ(Try("192.0.2.1", kTcp).outcome, Outcome::kError) << "no route";
  EXPECT_THAT(Try("192.0.2.1", kTcp).detail, HasSubstr("unreachable"));
  EXPECT_THAT(Try("2001:db8::1", kUdp).detail, HasSubstr("unreachable"));
  Answer sctp = Try("10.77.0.2", kSctp);
  if (sctp.outcome == Outcome::kError) {
    EXPECT_EQ(sctp.detail, "this kernel has no SCTP sockets");
  } else {
    EXPECT_EQ(sctp.outcome, Outcome::kRefused);
  }
}

TEST_F(ProbeTest, ANamespaceThatIsGoneFailsItsOwnProbesOnly) {
  net::Address far = *net::Address::Parse("10.77.0.2");
  auto answers = Probe(
      {{"/run/netns/spt-nowhere", {{far, kTcp}, {far, kUdp}}}, {Path(near_), {{far, kTcp}}}}, {});
  ASSERT_TRUE(answers);
  EXPECT_EQ(answers->at(0).at(0).outcome, Outcome::kError);
  EXPECT_THAT(answers->at(0).at(1).detail, HasSubstr("spt-nowhere"));
  EXPECT_EQ(answers->at(1).at(0).outcome, Outcome::kOpen);
}

TEST_F(ProbeTest, TheFarEndSaysWhoItIsAndWhomItSees) {
  Options options;
  options.greeting = std::chrono::seconds(5);
  EXPECT_THAT(Try("10.77.0.2", kTcp, options).detail,
              StartsWith("I am spt/far at 10.77.0.2:80/TCP; I see 10.77.0.1:"));
  EXPECT_THAT(Try("fd77::2", kTcp, options).detail,
              StartsWith("I am spt/far at [fd77::2]:80/TCP; I see [fd77::1]:"));
  EXPECT_THAT(Try("10.77.0.2", kUdp).detail,
              StartsWith("I am spt/far at 10.77.0.2:81/UDP; I see 10.77.0.1:"));
  EXPECT_THAT(Try("fd77::2", kUdp).detail, StartsWith("I am spt/far at [fd77::2]:81/UDP"));
}

TEST_F(ProbeTest, SpeaksFromTheAddressThatIsNamed) {
  Must("ip -n " + near_ + " addr add 10.77.0.9/24 dev spt0");
  net::Address far = *net::Address::Parse("10.77.0.2");
  std::vector<Target> targets;
  for (const char* from : {"10.77.0.1", "10.77.0.9", "10.77.0.8"}) {
    targets.push_back({far, kUdp, *net::Address::Parse(from)});
  }
  auto answers = Probe({{Path(near_), targets}}, {});
  ASSERT_TRUE(answers);
  EXPECT_THAT(answers->at(0).at(0).detail, HasSubstr("; I see 10.77.0.1:"));
  EXPECT_THAT(answers->at(0).at(1).detail, HasSubstr("; I see 10.77.0.9:"));
  EXPECT_THAT(answers->at(0).at(2).detail, HasSubstr("connect from 10.77.0.8: "));
}

// Of a program that starts another meanwhile: what the child holds is open still, and has events.
TEST_F(ProbeTest, WhatAChildHoldsOpenAnswersForNobodyElse) {
  net::Address far = *net::Address::Parse("10.77.0.2");
  pid_t child = -1;
  Options options;
  options.sockets_at_once = 1;  // so the second attempt has the number of the first one's socket
  options.timeout = std::chrono::seconds(1);
  options.progress = [&](size_t done, size_t) {
    if (done != 1) return;
    child = fork();
    if (child != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // it does not outlive the test program, however that ends
    pause();
    _exit(0);
  };
  auto answers = Probe({{Path(near_), {{far, kTcp}, {far, kDroppedTcp}}}}, options);
  ASSERT_GT(child, 0);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  ASSERT_TRUE(answers);
  EXPECT_EQ(answers->at(0).at(0).outcome, Outcome::kOpen);
  EXPECT_EQ(ToString(answers->at(0).at(1).outcome), "blocked");
}

TEST_F(ProbeTest, ManyProbesShareFewSockets) {
  net::Address far = *net::Address::Parse("10.77.0.2");
  std::vector<Target> targets(600, {far, kTcp});
  targets[17].port = kClosedTcp;
  targets[599].port = kDroppedTcp;
  Options options;
  options.sockets_at_once = 7;
  size_t seen = 0;
  options.progress = [&](size_t done, size_t total) {
    EXPECT_EQ(done, ++seen);
    EXPECT_EQ(total, 1200u);
  };
  auto answers = Probe({{Path(near_), targets}, {Path(far_), targets}}, options);
  ASSERT_TRUE(answers);
  for (const auto& of_source : *answers) {
    for (size_t i = 0; i < targets.size(); ++i) {
      Outcome expected = i == 17    ? Outcome::kRefused
                         : i == 599 ? Outcome::kBlocked
                                    : Outcome::kOpen;
      ASSERT_EQ(of_source[i].outcome, expected) << i << " " << of_source[i].detail;
    }
  }
  EXPECT_EQ(seen, 1200u);
}

TEST_F(ProbeTest, LeavesTheCallersNamespaceAlone) {
  char before[64] = {}, after[64] = {};
  ASSERT_GT(readlink("/proc/self/ns/net", before, sizeof before - 1), 0);
  Try("10.77.0.2", kTcp);
  ASSERT_GT(readlink("/proc/self/ns/net", after, sizeof after - 1), 0);
  EXPECT_STREQ(before, after);
}

TEST_F(ProbeTest, APortCannotBeServedTwice) {
  std::string error;
  std::thread([&] {
    NetnsVisitor visitor;
    if (!visitor.Enter(Path(far_))) return;
    auto again = Server::Listen("spt/again", {kTcp});
    if (!again) error = again.error().message;
  }).join();
  EXPECT_THAT(error, StartsWith("listen on 80/TCP: "));
}

}  // namespace
}  // namespace sallyport::probe
