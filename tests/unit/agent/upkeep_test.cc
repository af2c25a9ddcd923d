// SPDX-License-Identifier: Apache-2.0
// What the reconciler does about programs that somebody took off or displaced.
#include "control/upkeep.h"

#include "unit/agent/reconciler_world.h"

namespace sallyport::control {
namespace {

using endpoint::Link;
using endpoint::PodOf;
using endpoint::Veth;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class UpkeepTest : public ReconcilerTest {};

TEST_F(UpkeepTest, ProgramsForTheNodeThatSomebodyTookOffArePutBack) {
  StartListed();
  Links({Link{.ifindex = 2, .name = "eth0", .kind = ""}});
  kernel_.watched.clear();
  testing::internal::CaptureStderr();
  LookAfter(std::chrono::seconds(1));
  EXPECT_TRUE(kernel_.watched.contains(2));
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("somebody took the programs off eth0; they are put back"));
  EXPECT_EQ(reconciler_->upkeep().put_back().missing, 1u);
  EXPECT_TRUE(kernel_.deferring);

  kernel_.watched.clear();
  kernel_.Fail("node");
  LookAfter(std::chrono::minutes(1));
  EXPECT_FALSE(kernel_.deferring) << "what is sent to Services is judged at the pods meanwhile";
  EXPECT_THAT(reconciler_->Reasons(), ElementsAre(HasSubstr("off eth0; putting them back: ")));
  kernel_.Heal();
  LookAfter(std::chrono::minutes(1));
  EXPECT_TRUE(kernel_.deferring);
  EXPECT_THAT(reconciler_->Reasons(), IsEmpty());
}

TEST_F(UpkeepTest, NothingIsLookedAtBeforeInterfacesAreKnown) {
  kernel_.attached = {3};
  Start();
  clock_.Advance(std::chrono::seconds(10));
  EXPECT_FALSE(reconciler_->Look());
  EXPECT_GT(reconciler_->Patience(), Duration::zero()) << "and waits";
  Links({Veth(3, "veth3")});
  EXPECT_TRUE(reconciler_->Patience() <= Duration::zero());
}

TEST_F(UpkeepTest, ProgramsThatSomebodyTookOffArePutBack) {
  StartListed();
  Links({Veth(3, "veth3")});
  Log();
  kernel_.attached.clear();
  EXPECT_LE(reconciler_->Patience(), std::chrono::seconds(1));
  LookAfter(reconciler_->Patience());
  EXPECT_EQ(Log(), "attach 3");
  EXPECT_GT(reconciler_->Patience(), std::chrono::milliseconds(900));
  LookAfter(std::chrono::seconds(1));
  EXPECT_EQ(Log(), "");

  LookAfter(std::chrono::seconds(20));
  kernel_.attached.clear();
  endpoint::LinkUpdate update{.set = {}, .gone = {}, .addresses = {}, .filters_changed = {3}};
  reconciler_->Take(LinksChanged{update, {}});
  EXPECT_LE(reconciler_->Patience(), std::chrono::milliseconds(100)) << "heard of";
  LookAfter(reconciler_->Patience());
  EXPECT_EQ(Log(), "attach 3");
}

TEST_F(UpkeepTest, WhoComesBeforeOurProgramsIsLeftBehind) {
  StartListed();
  Links({Veth(3, "veth3"), Veth(4, "veth4")});
  Log();
  kernel_.behind = {3};
  LookAfter(std::chrono::seconds(1));
  EXPECT_EQ(Log(), "attach 3");
  EXPECT_EQ(reconciler_->upkeep().put_back().displaced, 1u);
  EXPECT_EQ(reconciler_->upkeep().disturbed(), 0u);
  EXPECT_THAT(reconciler_->Reasons(), IsEmpty());
}

TEST_F(UpkeepTest, TwoThatBothWantToBeFirst) {
  StartListed();
  Links({Veth(3, "veth3")});
  Log();
  kernel_.behind = {3};
  kernel_.stubborn = true;
  int tries = 0;
  for (int second = 0; second < 600; ++second) {
    LookAfter(std::chrono::seconds(1));
    tries += Log().starts_with("attach 3");
    ASSERT_THAT(reconciler_->Reasons(),
                ElementsAre(HasSubstr("veth3: program 9 comes before ours")));
    ASSERT_FALSE(kernel_.deferring);
  }
  EXPECT_GT(tries, 5);
  EXPECT_LT(tries, 20) << "with growing pauses";
  EXPECT_EQ(reconciler_->upkeep().disturbed(), 1u);
  kernel_.behind.clear();
  LookAfter(std::chrono::seconds(1));
  EXPECT_THAT(reconciler_->Reasons(), IsEmpty()) << "it went by itself";
  EXPECT_TRUE(kernel_.deferring);
  EXPECT_EQ(reconciler_->upkeep().put_back().displaced, 0u);
}

// The last one does not wait for the links of all the others.
TEST_F(UpkeepTest, ABurstIsClosedFirstAndLinkedLater) {
  StartListed();
  Links({Veth(3, "veth3"), Veth(4, "veth4"), Veth(5, "veth5")});
  EXPECT_EQ(Log(), "close 3 4 5; attach 3; attach 4; attach 5");
}

// Nor do those that come later, and an early one opens before the last has its links.
TEST_F(UpkeepTest, WhatComesMeanwhileIsClosedFirst) {
  StartListed();
  Claims({{"web", {"veth3"}}});
  Objects({Set(PodOf{"web"})});
  Log();
  Hear({Veth(3, "veth3"), Veth(4, "veth4")});
  EXPECT_TRUE(doorkeeper_->Work());
  TakeLinks();
  Hear({Veth(5, "veth5"), Veth(6, "veth6")});
  EXPECT_EQ(Log(), "close 3 4; attach 3; apply web@3; close 5 6");
  EXPECT_TRUE(doorkeeper_->Work());
  EXPECT_TRUE(doorkeeper_->Work());
  EXPECT_FALSE(doorkeeper_->Work());
  EXPECT_FALSE(doorkeeper_->Work());
  EXPECT_EQ(Log(), "attach 4; attach 5; attach 6");
}

TEST_F(UpkeepTest, WhatIsHeardOfOneThatWaits) {
  StartListed();
  Hear({Veth(3, "veth3"), Veth(4, "veth4"), Veth(5, "veth5")});
  Hear({Veth(4, "renamed")}, {3});
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_THAT(told_[0].update.gone, ElementsAre(3));
  EXPECT_THAT(told_[0].update.set, IsEmpty()) << "it is not told of before it has its programs";
  told_.clear();
  EXPECT_TRUE(doorkeeper_->Work());
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_EQ(told_[0].update.set.at(0).name, "renamed");
  EXPECT_THAT(told_[0].doors.closed, ElementsAre(4));
  Hear({Veth(5, "veth5")}, {5});
  EXPECT_EQ(told_.size(), 2u) << "another one's index: at once";
  EXPECT_FALSE(doorkeeper_->Work());
}

// It gets the node's address a moment after it has come.
TEST_F(UpkeepTest, WhatIsTheNodesAfterAllDoesNotStayClosed) {
  StartListed();
  Hear({Veth(3, "veth3"), Veth(4, "veth4")});
  endpoint::Link own = Veth(4, "veth4");
  own.uplink = true;
  Hear({own});
  EXPECT_EQ(Log(), "close 3 4; detach 4");
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_EQ(told_[0].update.set.at(0).ifindex, 4u);
  EXPECT_FALSE(doorkeeper_->Work());
  EXPECT_EQ(Log(), "attach 3");
}

}  // namespace
}  // namespace sallyport::control
