// SPDX-License-Identifier: Apache-2.0
#include "control/reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/agent/reconciler_world.h"

namespace sallyport::control {
namespace {

using endpoint::ClaimOf;
using endpoint::Ip;
using endpoint::Link;
using endpoint::PodOf;
using endpoint::Veth;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

model::Delta DenyAll(const std::string& name) {
  auto policy = std::make_shared<model::NetworkPolicy>();
  policy->name = {"shop", name};
  policy->isolates_ingress = true;
  return model::Delta::Set(model::NetworkPolicyPtr(policy));
}

TEST_F(ReconcilerTest, NewInterfaceIsClosedAtOnceAndOpenedWhenClaimed) {
  StartListed();
  Links({Veth(3, "veth3")});
  EXPECT_EQ(Log(), "attach 3");
  Claims({{"web", {"veth3"}}});
  EXPECT_EQ(Log(), "");
  Objects({Set(PodOf{"web"})});
  EXPECT_EQ(Log(), "apply web@3");
  EXPECT_THAT(kernel_.bindings.at({"shop", "web"}).addresses, ElementsAre(Ip("10.0.0.1")));
  EXPECT_THAT(reconciler_->Reasons(), IsEmpty());
}

TEST_F(ReconcilerTest, NewInterfaceIsClosedBeforeAnythingIsListed) {
  Start();
  Links({});
  Links({Veth(3, "veth3")});
  EXPECT_EQ(Log(), "attach 3");
  EXPECT_FALSE(reconciler_->Reasons().empty());
}

TEST_F(ReconcilerTest, NothingIsEnforcedBeforeEverythingIsListed) {
  kernel_.attached = {3};
  Start();
  Objects({Set(PodOf{"web"})}, false);
  Claims({{"web", {"veth3"}}});
  Links({Veth(3, "veth3")});
  Log();
  Objects({DenyAll("deny")}, false);
  EXPECT_EQ(Log(), "");
  Objects({}, true);
  EXPECT_EQ(Log(), "apply all web@3");
}

TEST_F(ReconcilerTest, RunningEndpointsWaitForTheDirectoryOfResults) {
  kernel_.attached = {3};
  Start();
  Links({Veth(3, "veth3")});
  Log();
  endpoint::CniUpdate missing;
  missing.error = "no such directory";
  reconciler_->Take(missing);
  Objects({Set(PodOf{"web"})});
  EXPECT_EQ(Log(), "");
  EXPECT_THAT(reconciler_->Reasons(), ElementsAre(HasSubstr("no such directory")));
  Claims({{"web", {"veth3"}}});
  EXPECT_EQ(Log(), "apply all web@3");
}

TEST_F(ReconcilerTest, WhereNothingRunsNoDirectoryOfResultsIsNeeded) {
  Start();
  Links({});
  endpoint::CniUpdate missing;
  missing.error = "no such directory";
  reconciler_->Take(missing);
  Objects({});
  EXPECT_EQ(Log(), "apply all");
  EXPECT_THAT(reconciler_->Reasons(), IsEmpty());
}

TEST_F(ReconcilerTest, InterfacesFromBeforeTheFirstStartAreAttachedAfterTheirPolicy) {
  Start();
  Links({Veth(3, "veth3"), Veth(4, "veth4")});
  EXPECT_EQ(Log(), "");
  Claims({{"web", {"veth3"}}});
  Objects({Set(PodOf{"web"})});
  EXPECT_EQ(Log(), "apply all web@3; attach 3");
}

// What a full table has no room for is denied, whoever was there first.
TEST_F(ReconcilerTest, NobodyFromBeforeTheFirstStartStaysOpenForWantOfRoom) {
  Start();
  Links({Veth(3, "veth3"), Veth(4, "veth4")});
  Claims({{"web", {"veth3"}}});
  kernel_.short_of = {{{"endpoints", 1, 1}, 1, {{"shop", "web"}}, false}};
  Objects({Set(PodOf{"web"})});
  EXPECT_EQ(Log(), "apply all web@3; attach 3");
  EXPECT_TRUE(reconciler_->in_force().empty());
}

TEST_F(ReconcilerTest, LeftAloneIsRememberedAcrossStarts) {
  Start();
  Links({Veth(3, "veth3"), Veth(4, "veth4")});
  Start();
  Links({Veth(3, "veth3"), Veth(4, "renamed"), Veth(5, "veth5")});
  EXPECT_EQ(Log(), "close 4 5; attach 4; attach 5") << "another name: another interface";
}

TEST_F(ReconcilerTest, UplinkThatLostItsAddressWhileNoAgentRanIsLeftAlone) {
  Start();
  Link uplink = Veth(3, "up0");
  uplink.uplink = true;
  Links({uplink});
  Start();
  Links({Veth(3, "up0")});
  EXPECT_EQ(Log(), "");
}

TEST_F(ReconcilerTest, AdoptedInterfaceIsNotLeftAloneLater) {
  Start();
  Links({Veth(3, "veth3")});
  Claims({{"web", {"veth3"}}});
  Objects({Set(PodOf{"web"})});
  EXPECT_THAT(kernel_.attached, ElementsAre(3));
  Start();
  Links({Veth(3, "veth3")});
  Log();
  kernel_.attached.clear();
  Start();
  Links({Veth(3, "veth3")});
  EXPECT_EQ(Log(), "attach 3") << "its programs were taken off: closed, not left alone";
}

TEST_F(ReconcilerTest, UplinkIsDetachedWhenItTurnsOutToBeOne) {
  StartListed();
  Links({Veth(3, "up0")});
  EXPECT_EQ(Log(), "attach 3");
  Link uplink = Veth(3, "up0");
  uplink.uplink = true;
  Links({uplink});
  EXPECT_EQ(kernel_.attached, std::set<uint32_t>{});
  EXPECT_EQ(kernel_.watched, (std::map<uint32_t, dataplane::Role>{{3, dataplane::Role::kNode}}));
  EXPECT_EQ(reconciler_->attached(), std::set<uint32_t>{});
  Links({uplink});
  EXPECT_EQ(Log(), "");
}

TEST_F(ReconcilerTest, EveryWayOutIsWatchedAtOnce) {
  using dataplane::Role;
  StartListed();
  EXPECT_TRUE(kernel_.deferring);
  Link lo{.ifindex = 1, .name = "lo", .kind = "", .hardware = 772};
  Link eth{.ifindex = 2, .name = "eth0", .kind = ""};
  Link bridge{.ifindex = 4, .name = "br0", .kind = "bridge"};
  Link tunnel{.ifindex = 5, .name = "wg0", .kind = "wireguard", .hardware = 0xfffe};
  Links({lo, eth, Veth(3, "veth3"), bridge, tunnel});
  EXPECT_EQ(kernel_.watched, (std::map<uint32_t, Role>{{2, Role::kNode}, {5, Role::kTunnel}}));
  EXPECT_EQ(kernel_.attached, std::set<uint32_t>{3});
  Links({}, {5});
  EXPECT_EQ(kernel_.watched, (std::map<uint32_t, Role>{{2, Role::kNode}}));
}

TEST_F(ReconcilerTest, NothingIsDeferredWhileAWayOutIsNotWatched) {
  StartListed();
  kernel_.Fail("node");
  Links({Link{.ifindex = 2, .name = "eth0", .kind = ""}});
  EXPECT_FALSE(kernel_.deferring);
  EXPECT_THAT(reconciler_->Reasons(), ElementsAre(HasSubstr("attaching to eth0")));
  kernel_.Heal();
  reconciler_->Reconcile();
  EXPECT_TRUE(kernel_.deferring);
  EXPECT_THAT(reconciler_->Reasons(), IsEmpty());
}

TEST_F(ReconcilerTest, NothingIsDeferredWhileADoorStandsOpen) {
  StartListed();
  kernel_.Fail("attach");
  Links({Veth(3, "veth3")});
  EXPECT_FALSE(kernel_.deferring);
  kernel_.Heal();
  reconciler_->Reconcile();
  EXPECT_TRUE(kernel_.deferring);
}

// A backend may stand behind it: what is sent to a Service is judged there.
TEST_F(ReconcilerTest, WhatIsLeftAloneIsWatchedAsTheNodes) {
  Start();
  Links({Veth(3, "veth3")});
  EXPECT_TRUE(kernel_.watched.contains(3));
  EXPECT_FALSE(kernel_.attached.contains(3));
}

TEST_F(ReconcilerTest, ClaimedInterfaceKeepsItsProgramsWhateverItsAddresses) {
  StartListed();
  Links({Veth(3, "veth3")});
  Claims({{"web", {"veth3"}}});
  Objects({Set(PodOf{"web"})});
  Log();
  Link uplink = Veth(3, "veth3");
  uplink.uplink = true;
  Links({uplink});
  EXPECT_EQ(Log(), "");

  kernel_.attached.clear();
  LookAfter(std::chrono::seconds(1));
  EXPECT_EQ(Log(), "attach 3") << "taken off by somebody: still a pod's";

  Start();  // again
  Links({uplink});
  EXPECT_EQ(Log(), "") << "what claims it is not read yet";
  Claims({{"web", {"veth3"}}});
  Objects({Set(PodOf{"web"})});
  EXPECT_EQ(Log(), "apply all web@3");
  EXPECT_THAT(kernel_.attached, ElementsAre(3));
}

TEST_F(ReconcilerTest, UplinkThatNothingClaimsIsDetachedOnceClaimsAreRead) {
  kernel_.attached = {3};
  Start();
  Link uplink = Veth(3, "up0");
  uplink.uplink = true;
  Links({uplink});
  EXPECT_EQ(Log(), "");
  EXPECT_EQ(kernel_.attached, std::set<uint32_t>{3});
  Claims({});
  EXPECT_EQ(kernel_.attached, std::set<uint32_t>{});
  EXPECT_TRUE(kernel_.watched.contains(3));
}

TEST_F(ReconcilerTest, InterfaceThatIsGoneLeavesNothing) {
  StartListed();
  Links({Veth(3, "veth3")});
  Claims({{"web", {"veth3"}}});
  Objects({Set(PodOf{"web"})});
  Log();
  Links({}, {3});
  EXPECT_EQ(Log(), "detach 3; apply");
}

TEST_F(ReconcilerTest, ReusedIndexIsAnotherInterface) {
  StartListed();
  Links({Veth(3, "veth3")});
  Log();
  kernel_.attached.clear();  // with the old one
  Links({Veth(3, "veth4")}, {3});
  EXPECT_EQ(Log(), "attach 3; forget 3; forget 3; attach 3");

  kernel_.attached.clear();
  kernel_.Fail("attach");
  Links({Veth(3, "veth5")}, {3});
  EXPECT_EQ(Log(), "attach 3 fails; detach 3; forget 3; forget 3; attach 3 fails; apply")
      << "nobody believes it is attached";
  kernel_.Heal();
  clock_.Advance(std::chrono::seconds(1));
  reconciler_->Reconcile();
  EXPECT_EQ(Log(), "attach 3; apply");
}

// The doorkeeper knows it as a pod's; the reconciler acts on what it heard before.
TEST_F(ReconcilerTest, OldNewsDoesNotTouchAReusedIndex) {
  StartListed();
  Links({Veth(3, "up0")});
  Link uplink = Veth(3, "up0");
  uplink.uplink = true;
  Hear({uplink});
  kernel_.attached.clear();  // with the old one
  Hear({Veth(3, "veth9")}, {3});
  ASSERT_EQ(told_.size(), 2u);
  LinksChanged second = std::exchange(told_.back(), told_.front());
  told_.pop_back();
  TakeLinks();
  EXPECT_TRUE(kernel_.watched.contains(3)) << "meant for the former one";
  told_ = {second};
  TakeLinks();
  EXPECT_THAT(kernel_.attached, ElementsAre(3));
  EXPECT_FALSE(kernel_.watched.contains(3));
}

// Nothing that it could be told by has changed, but for the interface.
TEST_F(ReconcilerTest, ReusedIndexOfTheSamePodIsOpenedAgain) {
  StartListed();
  resolver_.sandboxes[{"/run/netns/web", "eth0"}] = {7, 2};
  Links({Veth(3, "veth3", 7)});
  Claims({{.pod = "web", .host_interfaces = {"veth3"}, .netns = "/run/netns/web"}});
  Objects({Set(PodOf{"web"})});
  Log();
  Links({Veth(3, "veth3", 7)}, {3});
  EXPECT_THAT(Log(), HasSubstr("forget 3; attach 3; apply web@3"));
}

TEST_F(ReconcilerTest, ReusedIndexOfOneLeftAloneIsNotLeftAlone) {
  Start();
  Links({Veth(3, "veth3")});
  EXPECT_EQ(Log(), "");
  Links({Veth(3, "veth3")}, {3});
  EXPECT_EQ(Log(), "attach 3; forget 3; forget 3; attach 3");
}

TEST_F(ReconcilerTest, FailedApplyIsTriedAgainWithAllThatChanged) {
  StartListed();
  Links({Veth(3, "veth3")});
  Claims({{"web", {"veth3"}}});
  Log();
  kernel_.Fail("apply");
  Objects({Set(PodOf{"web"})});
  EXPECT_EQ(Log(), "apply web@3 fails");
  EXPECT_THAT(reconciler_->Reasons(), ElementsAre(HasSubstr("the test says no")));
  EXPECT_FALSE(reconciler_->IsDue());
  Objects({DenyAll("deny")});
  EXPECT_EQ(Log(), "apply web@3 fails");

  kernel_.Heal();
  clock_.Advance(std::chrono::minutes(1));
  ASSERT_TRUE(reconciler_->IsDue());
  reconciler_->Reconcile();
  EXPECT_EQ(Log(), "apply web@3");
  EXPECT_TRUE(kernel_.changes.endpoints.contains({"shop", "web"}));
  EXPECT_FALSE(kernel_.changes.sets.empty());
  EXPECT_THAT(reconciler_->Reasons(), IsEmpty());
  EXPECT_FALSE(reconciler_->IsDue());
}

// The kernel may be on the way from what was in force to what was tried.
TEST_F(ReconcilerTest, AfterAFailureTheSameBindingsAreAppliedAgain) {
  StartListed();
  Links({Veth(3, "veth3")});
  Claims({{"web", {"veth3"}}});
  Objects({Set(PodOf{"web"})});
  kernel_.Fail("apply");
  Claims({{"web", {"veth3"}, {"10.0.0.9"}}});
  EXPECT_THAT(reconciler_->Reasons(), ElementsAre(HasSubstr("the test says no")));
  Log();
  kernel_.Heal();
  Claims({{"web", {"veth3"}}});
  EXPECT_EQ(Log(), "apply web@3");
  EXPECT_THAT(reconciler_->Reasons(), IsEmpty());
}

TEST_F(ReconcilerTest, ShortfallsMakeItUnreadyAndAreTriedAgain) {
  StartListed();
  Links({Veth(3, "veth3")});
  Claims({{"web", {"veth3"}}});
  Log();
  kernel_.short_of = {{{"rules", 240, 256}, 12, {}, false}};
  Objects({Set(PodOf{"web"})});
  EXPECT_EQ(Log(), "apply web@3");
  EXPECT_THAT(reconciler_->Reasons(),
              ElementsAre(HasSubstr("table \"rules\" is full (240 of 256 used): 12 entries")));
  EXPECT_TRUE(reconciler_->in_force().contains({"shop", "web"}));
  EXPECT_FALSE(reconciler_->IsDue());
  for (int i = 0; i < 2; ++i) {
    clock_.Advance(std::chrono::minutes(1));
    ASSERT_TRUE(reconciler_->IsDue());
    reconciler_->Reconcile();
    EXPECT_EQ(Log(), "apply web@3");
    EXPECT_FALSE(reconciler_->Reasons().empty());
  }
  kernel_.short_of.clear();
  clock_.Advance(std::chrono::minutes(1));
  reconciler_->Reconcile();
  EXPECT_EQ(Log(), "apply web@3");
  EXPECT_THAT(reconciler_->Reasons(), IsEmpty());
  reconciler_->Reconcile();
  EXPECT_EQ(Log(), "");
}

TEST_F(ReconcilerTest, ARefusedPodSaysWhichTable) {
  StartListed();
  Links({Veth(3, "veth3"), Veth(4, "veth4")});
  Claims({{"web", {"veth3"}}, {"db", {"veth4"}, {"10.0.0.2"}}});
  Log();
  model::ObjectName web{"shop", "web"}, db{"shop", "db"};
  kernel_.short_of = {{{"endpoints", 1, 1}, 1, {db}, false}};
  Objects({Set(PodOf{"web"}), Set(PodOf{"db"})});
  EXPECT_TRUE(reconciler_->in_force().contains(web));
  EXPECT_FALSE(reconciler_->in_force().contains(db));
  EXPECT_EQ(reconciler_->NoRoomFor(db), "endpoints");
  EXPECT_EQ(reconciler_->NoRoomFor(web), "");
  EXPECT_THAT(reconciler_->Reasons(), ElementsAre(HasSubstr("shop/db among them")));
  kernel_.short_of.clear();
  Objects({Set(PodOf{"other"})});
  EXPECT_TRUE(reconciler_->in_force().contains(db));
  EXPECT_EQ(reconciler_->NoRoomFor(db), "");
}

TEST_F(ReconcilerTest, FailedAttachIsTriedAgain) {
  StartListed();
  kernel_.Fail("attach");
  Links({Veth(3, "veth3")});
  EXPECT_EQ(Log(), "attach 3 fails; attach 3 fails; apply");
  kernel_.Heal();
  clock_.Advance(std::chrono::minutes(1));
  ASSERT_TRUE(reconciler_->IsDue());
  reconciler_->Reconcile();
  EXPECT_EQ(Log(), "attach 3; apply");
}

TEST_F(ReconcilerTest, InterfaceThatVanishedWhileAttachingIsNoFailure) {
  StartListed();
  kernel_.Fail("attach", ENODEV);
  Links({Veth(3, "veth3")});
  EXPECT_THAT(reconciler_->Reasons(), IsEmpty());
}

TEST_F(ReconcilerTest, NothingNewIsNotAppliedAgain) {
  StartListed();
  Links({Veth(3, "veth3")});
  Claims({{"web", {"veth3"}}});
  Objects({Set(PodOf{"web"})});
  Log();
  Objects({Set(PodOf{"web"})});
  Claims({{"web", {"veth3"}}});
  Links({Veth(3, "veth3")});
  EXPECT_EQ(Log(), "");
}

TEST_F(ReconcilerTest, SettlesOnceAfterAChange) {
  StartListed();
  reconciler_->Settle();
  Log();
  Objects({DenyAll("deny"), Set(PodOf{"web"})});
  reconciler_->Settle();
  reconciler_->Settle();
  EXPECT_EQ(Log(), "apply; settle");
}

TEST_F(ReconcilerTest, PodThatEndsClosesItsInterface) {
  StartListed();
  Links({Veth(3, "veth3")});
  Claims({{"web", {"veth3"}}});
  Objects({Set(PodOf{"web"})});
  Log();
  Objects({Set(PodOf{.name = "web", .phase = model::PodPhase::kFailed})});
  EXPECT_EQ(Log(), "apply");
  EXPECT_THAT(kernel_.attached, ElementsAre(3));
}

}  // namespace
}  // namespace sallyport::control
