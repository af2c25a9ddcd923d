// SPDX-License-Identifier: Apache-2.0
// The data plane on the real kernel: what is enforced on real datagrams between two pods, with the
// programs attached in either way.
#include "dataplane/dataplane.h"

#include <linux/bpf.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "bpf/dataplane/two_pods.h"
#include "dataplane/bpf_calls.h"

namespace sallyport::dataplane {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class DataplaneTest : public EitherWay {
 protected:
  policy::PortSet Udp(uint16_t port) { return {.tcp = {}, .udp = {{port, port}}, .sctp = {}}; }
};

TEST_P(DataplaneTest, NothingIsAttachedWithoutAttach) {
  Open();
  Apply();
  EXPECT_TRUE(Reaches());
  EXPECT_THAT(dataplane_->Attached(), IsEmpty());
}

TEST_P(DataplaneTest, ClosedUntilApplied) {
  Open();
  AttachBoth();
  EXPECT_FALSE(Reaches());
  EXPECT_FALSE(Reaches(true));
  Apply();
  EXPECT_TRUE(Reaches());
  EXPECT_TRUE(Reaches(true));
}

TEST_P(DataplaneTest, EnforcesAnImage) {
  Open();
  AttachBoth();
  AllowIngress(Udp(kPort));
  Apply();
  EXPECT_TRUE(Reaches());
  AllowIngress(Udp(kPort + 1));
  Apply();
  EXPECT_FALSE(Reaches());
  EXPECT_FALSE(Reaches(true));
}

TEST_P(DataplaneTest, EnforcementOutlivesTheAgent) {
  Open();
  AttachBoth();
  AllowIngress(Udp(kPort + 1));
  Apply();
  End();
  EXPECT_FALSE(Reaches());
  Open();
  EXPECT_FALSE(Reaches());
  AllowIngress(Udp(kPort));
  Apply();
  End();
  EXPECT_TRUE(Reaches());
}

TEST_P(DataplaneTest, ARestartIsFeltByNoPacket) {
  Open();
  AttachBoth();
  AllowIngress(Udp(kPort));
  Apply();
  int from = Socket(a_, a_.v4(), 3000), to = Socket(b_, b_.v4(), kPort);
  std::atomic<bool> stop = false;
  int sent = 0, lost = 0;
  std::thread traffic([&] {
    while (!stop) {
      test::Send(from, b_.v4(), kPort, "x");
      lost += test::Arrived(to, b_.v4(), kPort).size() != 1;
      ++sent;
    }
  });
  for (int i = 0; i < 3; ++i) {
    Open();
    Apply();
    AttachBoth();
  }
  stop = true;
  traffic.join();
  EXPECT_GT(sent, 100);
  EXPECT_EQ(lost, 0);
}

TEST_P(DataplaneTest, LiveFlowsObey) {
  Open();
  AttachBoth();
  AllowIngress(Udp(kPort));
  Apply();
  int from = Socket(a_, a_.v4(), 3000), to = Socket(b_, b_.v4(), kPort);
  auto passes = [&] {
    test::Send(from, b_.v4(), kPort, "x");
    return !test::Arrived(to, b_.v4(), kPort).empty();
  };
  EXPECT_TRUE(passes());
  AllowIngress(Udp(kPort + 1));
  Apply();
  EXPECT_FALSE(passes());
  AllowIngress(Udp(kPort));
  Apply();
  EXPECT_TRUE(passes());
}

TEST_P(DataplaneTest, AnUnboundPodIsClosedAgain) {
  Open();
  AttachBoth();
  Apply();
  EXPECT_TRUE(Reaches());
  bindings_.erase(Name(b_));
  Apply();
  EXPECT_FALSE(Reaches());
}

TEST_P(DataplaneTest, TellsWhatHappened) {
  Open();
  AttachBoth();
  AllowIngress(Udp(kPort));
  Apply();
  ASSERT_TRUE(Reaches());
  auto flows = dataplane_->ReadFlows(100);
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].tuple.source, a_.v4());
  EXPECT_EQ(flows[0].tuple.destination_port, kPort);
  EXPECT_TRUE(flows[0].egress_allowed);
  EXPECT_TRUE(flows[0].ingress_allowed);
  EXPECT_EQ(flows[0].source_ifindex, a_.ifindex());
  auto counters = dataplane_->ReadCounters();
  EXPECT_GE(counters[a_.ifindex()].packets[0], 1u) << "and what IPv6 sends by itself";
  EXPECT_GE(counters[b_.ifindex()].packets[1], 1u);

  AllowIngress(Udp(kPort + 1));
  Apply();
  ASSERT_FALSE(Reaches());
  EXPECT_EQ(dataplane_->ReadCounters()[b_.ifindex()].dropped[1]["policy"], 1u);
  std::vector<DropEvent> events;
  auto keep = [&](const DropEvent& event) { events.push_back(event); };
  ASSERT_TRUE(dataplane_->PollEvents(std::chrono::seconds(5), keep).ok());
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].reason, "policy");
  EXPECT_EQ(events[0].endpoint, b_.ifindex());
  EXPECT_EQ(events[0].direction, policy::Direction::kIngress);
  EXPECT_EQ(events[0].tuple.destination, b_.v4());
  EXPECT_EQ(events[0].generation, dataplane_->generation());
  EXPECT_LT(SystemClock().WallNow() - events[0].time, std::chrono::hours(1));

  auto use = dataplane_->ReadUse();
  EXPECT_EQ(use[0].name, "endpoints");
  EXPECT_EQ(use[0].used, 2u);
  EXPECT_EQ(use.back().name, "flows");
  EXPECT_EQ(use.back().used, 1u);
}

TEST_P(DataplaneTest, CountersOfAPlaceStartAtZero) {
  Open();
  AttachBoth();
  Apply();
  ASSERT_TRUE(Reaches());
  Bindings bound = std::exchange(bindings_, {});
  Apply();
  bindings_ = bound;
  Apply();
  EXPECT_EQ(dataplane_->ReadCounters()[b_.ifindex()].packets[1], 0u);
}

TEST_P(DataplaneTest, WhatSomebodyTookOffIsNoticedAndPutBack) {
  Open();
  AttachBoth();
  EXPECT_THAT(dataplane_->Attached(), ElementsAre(a_.ifindex(), b_.ifindex()));
  TakeOff(b_);
  EXPECT_THAT(dataplane_->Attached(), ElementsAre(a_.ifindex()));
  AttachBoth();
  EXPECT_THAT(dataplane_->Attached(), ElementsAre(a_.ifindex(), b_.ifindex()));
  EXPECT_FALSE(Reaches()) << "closed";
}

TEST_P(DataplaneTest, DetachingOpens) {
  Open();
  AttachBoth();
  ASSERT_FALSE(Reaches());
  for (const test::Pod* pod : {&a_, &b_}) ASSERT_TRUE(dataplane_->Detach(pod->ifindex()).ok());
  EXPECT_TRUE(Reaches());
  EXPECT_THAT(dataplane_->Attached(), IsEmpty());
  EXPECT_TRUE(dataplane_->Detach(a_.ifindex()).ok()) << "again";
  EXPECT_TRUE(dataplane_->Detach(99999).ok()) << "never there";
}

TEST_P(DataplaneTest, AnInterfaceHasOneRole) {
  Open();
  AttachBoth();
  Apply();
  ASSERT_TRUE(dataplane_->AttachNode(a_.ifindex(), a_.device(), Role::kNode).ok());
  EXPECT_THAT(dataplane_->Attached(), ElementsAre(b_.ifindex()));
  EXPECT_THAT(dataplane_->AttachedToNode(), ElementsAre(a_.ifindex()));
  End();
  Open();  // keeps the roles
  EXPECT_THAT(dataplane_->Attached(), ElementsAre(b_.ifindex()));
  EXPECT_THAT(dataplane_->AttachedToNode(), ElementsAre(a_.ifindex()));
  ASSERT_TRUE(dataplane_->AttachNode(a_.ifindex(), a_.device(), Role::kTunnel).ok());
  EXPECT_THAT(dataplane_->AttachedToNode(), ElementsAre(a_.ifindex()));
  TakeOff(a_);
  EXPECT_THAT(dataplane_->AttachedToNode(), IsEmpty());
  ASSERT_TRUE(dataplane_->AttachNode(a_.ifindex(), a_.device(), Role::kNode).ok());
  EXPECT_THAT(dataplane_->AttachedToNode(), ElementsAre(a_.ifindex()));
  ASSERT_TRUE(dataplane_->Attach(a_.ifindex(), a_.device()).ok());
  EXPECT_THAT(dataplane_->AttachedToNode(), IsEmpty());
  EXPECT_THAT(dataplane_->Attached(), ElementsAre(a_.ifindex(), b_.ifindex()));
}

// B's address stands for a Service's that nobody translates: what A sends there is for A's own
// interface to judge until every way out of the node is watched.
TEST_P(DataplaneTest, AServiceIsDeferredOnceItIsSaidSo) {
  Open();
  ASSERT_TRUE(dataplane_->Attach(a_.ifindex(), a_.device()).ok());
  image_.service_addresses = {b_.v4(), b_.v6()};
  image_.sets[1] = {{}, policy::kNoPorts};
  image_.endpoints[Name(a_)].egress = 1;
  bindings_.erase(Name(b_));
  Apply();
  EXPECT_FALSE(Reaches());
  dataplane_->Defer(true);
  Apply();
  EXPECT_TRUE(Reaches());
  EXPECT_TRUE(Reaches(true));
  ASSERT_TRUE(dataplane_->AttachNode(b_.ifindex(), b_.device(), Role::kNode).ok());
  EXPECT_FALSE(Reaches());
  EXPECT_FALSE(Reaches(true));
  dataplane_->Defer(false);
  Apply();
  EXPECT_FALSE(Reaches());
}

TEST_P(DataplaneTest, AnInterfaceThatHasGone) {
  Open();
  uint32_t ifindex = 0;
  {
    test::Pod gone(3);
    ifindex = gone.ifindex();
    ASSERT_TRUE(dataplane_->Attach(ifindex, gone.device()).ok());
  }
  EXPECT_THAT(dataplane_->Attached(), IsEmpty());
  Status status = dataplane_->Attach(ifindex, "spth3");
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("spth3"), std::string::npos) << status.error().message;
  EXPECT_EQ(status.error().code, ENODEV) << status.error().message;
  EXPECT_TRUE(dataplane_->Detach(ifindex).ok());
  Open();
  EXPECT_TRUE(std::filesystem::is_empty(options_.pins + "/links"));
}

// The programs that somebody took off stand for an interface that has another owner: the index may
// be another interface's by now.
TEST_P(DataplaneTest, WhatDoesNotCarryOurProgramsIsClosedAtTheStart) {
  Open();
  AttachBoth();
  Apply();
  ASSERT_TRUE(Reaches());
  ASSERT_TRUE(dataplane_->Detach(b_.ifindex()).ok());
  Open();
  AttachBoth();
  EXPECT_FALSE(Reaches());
  Apply();
  EXPECT_TRUE(Reaches());
  Open();
  EXPECT_TRUE(Reaches()) << "what carries them stays as it was";
}

TEST_P(DataplaneTest, AForgottenIndexIsClosedUntilTheNextApply) {
  Open();
  AttachBoth();
  Apply();
  size_t open = dataplane_->ReadUse()[0].used;
  ASSERT_TRUE(Reaches());
  for (bool settled : {true, false}) {
    if (settled) ASSERT_TRUE(dataplane_->Settle().ok());
    dataplane_->Forget(b_.ifindex());
    EXPECT_FALSE(Reaches());
    ASSERT_TRUE(dataplane_->Settle().ok());
    EXPECT_FALSE(Reaches());
    Apply();
    EXPECT_TRUE(Reaches());
  }
  dataplane_->Forget(b_.ifindex());
  Binding kept = bindings_[Name(b_)];
  bindings_.erase(Name(b_));
  Apply();
  ASSERT_TRUE(dataplane_->Settle().ok());
  EXPECT_EQ(dataplane_->ReadUse()[0].used, open - 1) << "its place is free";
  EXPECT_FALSE(Reaches());
  bindings_[Name(b_)] = kept;
  Apply();
  EXPECT_TRUE(Reaches());
}

TEST_P(DataplaneTest, AnIndexThatIsSomebodyElsesByNow) {
  Open();
  ASSERT_TRUE(dataplane_->Attach(a_.ifindex(), a_.device()).ok());
  End();
  std::string index = std::to_string(a_.ifindex());
  test::Shell("ip link del " + a_.device() + " && ip link add " + a_.device() + " index " + index +
              " type veth peer name sptx");
  Open();
  EXPECT_THAT(dataplane_->Attached(), IsEmpty());
  ASSERT_TRUE(dataplane_->Attach(a_.ifindex(), a_.device()).ok());
  EXPECT_THAT(dataplane_->Attached(), ElementsAre(a_.ifindex()));
}

TEST_P(DataplaneTest, RemovingAllLeavesNothing) {
  Open();
  AttachBoth();
  ASSERT_FALSE(Reaches());
  Status refused = Dataplane::RemoveAll(options_.pins);
  ASSERT_FALSE(refused.ok()) << "an agent is there";
  End();
  RemoveAll();
  EXPECT_TRUE(Reaches());
  test::Shell("! tc qdisc show dev " + a_.device() + " | grep -q clsact");
  RemoveAll();
}

TEST_P(DataplaneTest, AStartInTheOtherWayMovesThePrograms) {
  Open();
  AttachBoth();
  AllowIngress(Udp(kPort + 1));
  Apply();
  bool tcx = GetParam() == AttachMode::kTcx;
  options_.attach = tcx ? AttachMode::kClsact : AttachMode::kTcx;
  Open();
  EXPECT_THAT(dataplane_->Attached(), ElementsAre(a_.ifindex(), b_.ifindex())) << "as they were";
  AttachBoth();
  EXPECT_THAT(dataplane_->Attached(), ElementsAre(a_.ifindex(), b_.ifindex()));
  EXPECT_FALSE(Reaches());
  EXPECT_EQ(std::filesystem::is_empty(options_.pins + "/links"), tcx);
  ASSERT_TRUE(dataplane_->Detach(b_.ifindex()).ok());
  ASSERT_TRUE(dataplane_->Detach(a_.ifindex()).ok());
  EXPECT_TRUE(Reaches());
}

INSTANTIATE_TEST_SUITE_P(Kinds, DataplaneTest,
                         testing::Values(AttachMode::kTcx, AttachMode::kClsact), NameOfWay);

}  // namespace
}  // namespace sallyport::dataplane
