// SPDX-License-Identifier: Apache-2.0
#include "endpoint/tracker.h"

#include <algorithm>
#include <functional>
#include <random>

#include "unit/agent/tracker_fixture.h"

namespace sallyport::endpoint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(TrackerTest, NewInterfaceIsGuardedBeforeAnythingClaimsIt) {
  Set(Veth(3, "veth3"));
  EXPECT_THAT(tracker_.Decide().guarded, ElementsAre(3));
  EXPECT_EQ(Placed(), "");
  EXPECT_EQ(WhyClosed(3), "no CNI result claims it");
}

TEST_F(TrackerTest, ClaimAndPodTogetherPlace) {
  Set(Veth(3, "veth3"));
  Set(ClaimOf{"web", {"veth3"}});
  EXPECT_THAT(WhyClosed(3), HasSubstr("not known yet on node n1"));
  Set(PodOf{"web"});
  EXPECT_EQ(Placed(), "web@3");
  EXPECT_EQ(tracker_.Decide().placements.at({"shop", "web"}).addresses,
            std::vector{Ip("10.0.0.1")});
}

TEST_F(TrackerTest, PodAloneOpensNothing) {
  Set(Veth(3, "veth3"));
  Set(PodOf{"web", {"10.0.0.1"}});
  EXPECT_EQ(Placed(), "");
}

TEST_F(TrackerTest, PodThatIsGoneClosesItsInterface) {
  Set(Veth(3, "veth3"));
  Set(ClaimOf{"web", {"veth3"}});
  Set(PodOf{"web"});
  tracker_.RemovePod({"shop", "web"});
  EXPECT_EQ(Placed(), "");
  EXPECT_THAT(tracker_.Decide().guarded, ElementsAre(3));
}

TEST_F(TrackerTest, PodsThatCannotHaveAnInterfaceHere) {
  Set(Veth(3, "veth3"));
  Set(ClaimOf{"web", {"veth3"}});
  Set(PodOf{.name = "web", .node = "n2"});
  EXPECT_EQ(Placed(), "");
  Set(PodOf{.name = "web", .node = ""});
  EXPECT_EQ(Placed(), "");
  Set(PodOf{.name = "web", .host_network = true});
  EXPECT_EQ(Placed(), "");
  EXPECT_THAT(WhyClosed(3), HasSubstr("node's network"));
  for (auto phase : {model::PodPhase::kSucceeded, model::PodPhase::kFailed}) {
    Set(PodOf{.name = "web", .phase = phase});
    EXPECT_EQ(Placed(), "");
  }
  Set(PodOf{.name = "web", .phase = model::PodPhase::kPending});
  EXPECT_EQ(Placed(), "web@3");
}

TEST_F(TrackerTest, UidsMustAgreeWhereBothAreKnown) {
  Set(Veth(3, "veth3"));
  Set(ClaimOf{.pod = "web", .host_interfaces = {"veth3"}, .uid = "u1"});
  Set(PodOf{.name = "web", .uid = "u2"});
  EXPECT_EQ(Placed(), "");
  EXPECT_THAT(WhyClosed(3), HasSubstr("another pod of that name (UID u1, now u2)"));
  Set(PodOf{.name = "web", .uid = "u1"});
  EXPECT_EQ(Placed(), "web@3");
  Set(PodOf{.name = "web"});
  EXPECT_EQ(Placed(), "web@3");
}

TEST_F(TrackerTest, AddressesMustAgree) {
  Set(Veth(3, "veth3"));
  Set(ClaimOf{"web", {"veth3"}, {"10.0.0.1", "fd00::1"}});
  Set(PodOf{"web", {"10.0.0.2"}});
  EXPECT_EQ(Placed(), "");
  EXPECT_THAT(WhyClosed(3), HasSubstr("(10.0.0.1, fd00::1) are not the pod's (10.0.0.2)"));
  Set(PodOf{"web", {"10.0.0.1", "fd00::2"}});
  EXPECT_EQ(Placed(), "");
  Set(PodOf{"web", {"10.0.0.1"}});
  EXPECT_THAT(tracker_.Decide().placements.at({"shop", "web"}).addresses,
              ElementsAre(Ip("10.0.0.1"), Ip("fd00::1")));
}

TEST_F(TrackerTest, ClaimWithoutAddressesNeedsTheUid) {
  Set(Veth(3, "veth3"));
  Set(ClaimOf{.pod = "web", .host_interfaces = {"veth3"}, .addresses = {}});
  Set(PodOf{.name = "web", .addresses = {"10.0.0.1"}, .uid = "u1"});
  EXPECT_EQ(Placed(), "");
  Set(ClaimOf{.pod = "web", .host_interfaces = {"veth3"}, .addresses = {}, .uid = "u1"});
  EXPECT_EQ(Placed(), "web@3");
}

TEST_F(TrackerTest, OfABridgeAndItsPortThePortIsThePods) {
  Link bridge;
  bridge.ifindex = 2;
  bridge.name = "cni0";
  bridge.kind = "bridge";
  bridge.uplink = true;
  Set(bridge);
  Set(Veth(3, "veth3"));
  Set(ClaimOf{"web", {"cni0", "veth3"}});
  Set(PodOf{"web"});
  EXPECT_EQ(Placed(), "web@3");
  EXPECT_THAT(tracker_.Decide().unguarded, ElementsAre(2));
}

TEST_F(TrackerTest, UplinksAreNeverGuardedNotEvenWhenClaimed) {
  Set(Veth(3, "veth3"));
  Set(ClaimOf{"web", {"veth3"}});
  Set(PodOf{"web"});
  Link uplink = Veth(3, "veth3");
  uplink.uplink = true;
  Set(uplink);
  EXPECT_EQ(Placed(), "");
  EXPECT_THAT(tracker_.Decide().guarded, IsEmpty());
  EXPECT_THAT(tracker_.Decide().unguarded, ElementsAre(3));
}

TEST_F(TrackerTest, GuardedAndClaimedStaysAPodsWhateverItsAddresses) {
  Link uplink = Veth(3, "veth3");
  uplink.uplink = true;
  Set(uplink);
  EXPECT_THAT(tracker_.Decide({3}).unguarded, ElementsAre(3)) << "nobody claims it";
  Set(ClaimOf{"web", {"veth3"}});
  EXPECT_THAT(tracker_.Decide({3}).guarded, ElementsAre(3));
  Set(PodOf{"web"});
  EXPECT_TRUE(tracker_.Decide({3}).placements.contains({"shop", "web"}));
  EXPECT_THAT(tracker_.Decide({}).unguarded, ElementsAre(3));
}

TEST_F(TrackerTest, GuardedAndFoundByTheRouteStaysAPodsWhateverItsAddresses) {
  Link uplink = Veth(3, "veth3");
  uplink.uplink = true;
  Set(uplink);
  Set(ClaimOf{"web", {}});
  resolver_.routes[Ip("10.0.0.1")] = 3;
  EXPECT_THAT(tracker_.Decide({3}).guarded, ElementsAre(3));
}

TEST_F(TrackerTest, PairWithBothEndsHereIsNoPods) {
  Set(Veth(3, "veth3", kPeerHere));
  Set(ClaimOf{"web", {"veth3"}});
  Set(PodOf{"web"});
  EXPECT_THAT(tracker_.Decide().guarded, IsEmpty());
  EXPECT_EQ(Placed(), "");
}

TEST_F(TrackerTest, ExcludedNamesAreNotTouched) {
  Tracker tracker("n1", DeviceFilter::Parse("!lan*").value(), resolver_);
  tracker.Update({.set = {Veth(3, "lan0"), Veth(4, "veth4")}, .gone = {}, .addresses = {}});
  EXPECT_THAT(tracker.Decide().guarded, ElementsAre(4));
}

TEST_F(TrackerTest, NetkitIsAPairToo) {
  Link link = Veth(3, "nk3");
  link.kind = "netkit";
  Set(link);
  EXPECT_THAT(tracker_.Decide().guarded, ElementsAre(3));
}

TEST_F(TrackerTest, ShapedInterfaceIsNotDirect) {
  Link link = Veth(3, "veth3");
  Set(link);
  Set(ClaimOf{"web", {"veth3"}});
  Set(PodOf{"web"});
  EXPECT_TRUE(tracker_.Decide().placements.at({"shop", "web"}).direct);
  link.shaped = true;
  Set(link);
  EXPECT_FALSE(tracker_.Decide().placements.at({"shop", "web"}).direct);
}

// Results that name only what is inside the pod.

TEST_F(TrackerTest, UnnamedInterfaceIsFoundThroughTheSandbox) {
  Set(Veth(3, "veth3", 7));
  Set(Veth(4, "veth4", 8));
  Set(ClaimOf{.pod = "web", .host_interfaces = {}, .netns = "/run/netns/web"});
  Set(PodOf{"web"});
  EXPECT_EQ(Placed(), "");
  resolver_.sandboxes[{"/run/netns/web", "eth0"}] = {8, 2};
  Set(Veth(5, "veth5", 9));
  EXPECT_EQ(Placed(), "web@4");
}

TEST_F(TrackerTest, AnotherInterfaceWithTheIndexIsLookedForAgain) {
  Set(Veth(3, "veth3", 8));
  Set(ClaimOf{.pod = "web", .host_interfaces = {}, .netns = "/run/netns/web"});
  Set(PodOf{"web"});
  resolver_.sandboxes[{"/run/netns/web", "eth0"}] = {8, 2};
  EXPECT_EQ(Placed(), "web@3");
  resolver_.sandboxes[{"/run/netns/web", "eth0"}] = {9, 2};
  tracker_.Update({.set = {Veth(3, "veth3", 8)}, .gone = {3}, .addresses = {}});
  EXPECT_EQ(Placed(), "");
}

TEST_F(TrackerTest, UnnamedInterfaceIsFoundByTheRoute) {
  Set(Veth(3, "veth3"));
  Set(ClaimOf{"web", {}});
  Set(PodOf{"web"});
  EXPECT_EQ(Placed(), "");
  resolver_.routes[Ip("10.0.0.1")] = 3;
  RoutesChanged();
  EXPECT_EQ(Placed(), "web@3");
  resolver_.routes.clear();
  RoutesChanged();
  EXPECT_EQ(Placed(), "");
}

TEST_F(TrackerTest, RouteOverAnUplinkIsNoPodsInterface) {
  Link uplink = Veth(3, "eth0");
  uplink.uplink = true;
  Set(uplink);
  resolver_.routes[Ip("10.0.0.1")] = 3;
  Set(ClaimOf{"web", {}});
  Set(PodOf{"web"});
  EXPECT_EQ(Placed(), "");
}

TEST_F(TrackerTest, SandboxThatIsSeenButLeadsNowhereForbidsTheRoute) {
  Set(Veth(3, "veth3", 7));
  resolver_.routes[Ip("10.0.0.1")] = 3;
  resolver_.sandboxes[{"/run/netns/web", "eth0"}] = {9, 2};
  Set(ClaimOf{.pod = "web", .host_interfaces = {}, .netns = "/run/netns/web"});
  Set(PodOf{"web"});
  EXPECT_EQ(Placed(), "");
}

// Stale files.

TEST_F(TrackerTest, NamedInterfaceThatIsNotHereIsNotLookedForElsewhere) {
  Set(Veth(3, "veth3"));
  resolver_.routes[Ip("10.0.0.1")] = 3;
  Set(ClaimOf{"web", {"veth9"}});
  Set(PodOf{"web"});
  EXPECT_EQ(Placed(), "");
}

TEST_F(TrackerTest, InterfaceNameUsedAgainBelongsToTheNewerFile) {
  Set(Veth(3, "veth3"));
  Set(ClaimOf{.pod = "old", .host_interfaces = {"veth3"}, .age_order = 1});
  Set(ClaimOf{
      .pod = "new", .host_interfaces = {"veth3"}, .addresses = {"10.0.0.2"}, .age_order = 2});
  Set(PodOf{"old"});
  EXPECT_EQ(Placed(), "") << "the newer file speaks, though its pod is not known yet";
  Set(PodOf{"new"});
  EXPECT_EQ(Placed(), "new@3");
}

TEST_F(TrackerTest, SandboxDecidesAgainstTheNewerFile) {
  Set(Veth(3, "veth3", 7));
  resolver_.sandboxes[{"/run/netns/a", "eth0"}] = {7, 2};
  Set(ClaimOf{.pod = "a", .host_interfaces = {"veth3"}, .age_order = 1, .netns = "/run/netns/a"});
  Set(ClaimOf{.pod = "b", .host_interfaces = {"veth3"}, .addresses = {"10.0.0.2"}, .age_order = 2});
  Set(PodOf{"a"});
  Set(PodOf{"b"});
  EXPECT_EQ(Placed(), "a@3");
}

TEST_F(TrackerTest, FileWhoseSandboxIsBehindAnotherInterfaceIsStale) {
  Set(Veth(3, "veth3", 7));
  resolver_.sandboxes[{"/run/netns/web", "eth0"}] = {-1, 0};
  Set(ClaimOf{.pod = "web", .host_interfaces = {"veth3"}, .netns = "/run/netns/web"});
  Set(PodOf{"web"});
  EXPECT_EQ(Placed(), "");
}

TEST_F(TrackerTest, RestartedSandboxReplacesTheFormerOne) {
  Set(Veth(3, "veth3"));
  Set(Veth(4, "veth4"));
  Set(PodOf{"web"});
  Set(ClaimOf{.pod = "web", .host_interfaces = {"veth3"}, .age_order = 1, .file = "net-c1-eth0"});
  EXPECT_EQ(Placed(), "web@3");
  Set(ClaimOf{.pod = "web",
              .host_interfaces = {"veth4"},
              .addresses = {"10.0.0.2"},
              .age_order = 2,
              .file = "net-c2-eth0",
              .container = "c2"});
  EXPECT_EQ(Placed(), "web@4");
  EXPECT_EQ(WhyClosed(3), "no CNI result claims it");
}

TEST_F(TrackerTest, AddressOfAPodThatHasItByNowOpensNothing) {
  Set(Veth(3, "veth3"));
  Set(ClaimOf{"web", {"veth3"}});
  Set(PodOf{"db", {"10.0.0.1"}});
  Set(PodOf{"web"});
  EXPECT_EQ(Placed(), "");
  EXPECT_THAT(WhyClosed(3), HasSubstr("shop/db's by now"));
  Set(PodOf{.name = "db", .addresses = {"10.0.0.1"}, .phase = model::PodPhase::kFailed});
  EXPECT_EQ(Placed(), "web@3");
}

TEST_F(TrackerTest, TwoPodsWithOneAddressTheNewerFileHasIt) {
  Set(Veth(3, "veth3"));
  Set(Veth(4, "veth4"));
  Set(ClaimOf{.pod = "a", .host_interfaces = {"veth3"}, .age_order = 2});
  Set(ClaimOf{.pod = "b", .host_interfaces = {"veth4"}, .age_order = 1});
  Set(PodOf{"a"});
  Set(PodOf{"b"});
  EXPECT_EQ(Placed(), "a@3");
  EXPECT_EQ(WhyClosed(4), "its address 10.0.0.1 is shop/a's by now");
}

TEST_F(TrackerTest, SecondNetworkOfAPodStaysClosed) {
  Set(Veth(3, "veth3"));
  Set(Veth(4, "veth4"));
  Set(ClaimOf{.pod = "web", .host_interfaces = {"veth3"}, .age_order = 1});
  Set(ClaimOf{.pod = "web",
              .host_interfaces = {"veth4"},
              .addresses = {"192.168.0.1"},
              .age_order = 2,
              .interface = "net1"});
  Set(PodOf{"web", {"10.0.0.1"}});
  EXPECT_EQ(Placed(), "web@3");
  Set(PodOf{"web"});
  EXPECT_EQ(Placed(), "web@3") << "the first network is the pod's own";
}

TEST_F(TrackerTest, NumberUsedAgainIsAnotherInterface) {
  Set(Veth(3, "veth3", 7));
  Set(ClaimOf{.pod = "web", .host_interfaces = {}, .netns = "/run/netns/web"});
  Set(PodOf{"web"});
  resolver_.sandboxes[{"/run/netns/web", "eth0"}] = {7, 2};
  EXPECT_EQ(Placed(), "web@3");
  Gone(3);
  resolver_.sandboxes.clear();
  Set(Veth(3, "vethX", 8));
  EXPECT_EQ(Placed(), "");
}

TEST_F(TrackerTest, RenamedInterfaceIsNotTheNamedOneAnyMore) {
  Set(Veth(3, "veth3"));
  Set(ClaimOf{"web", {"veth3"}});
  Set(PodOf{"web"});
  EXPECT_EQ(Placed(), "web@3");
  Set(Veth(3, "other"));
  EXPECT_EQ(Placed(), "");
}

// Pods without an interface say why.

TEST_F(TrackerTest, MissingPods) {
  auto why = [this] { return tracker_.Decide().missing[{"shop", "web"}]; };
  Set(PodOf{"web"});
  EXPECT_EQ(why(), "no CNI result names it");
  Set(ClaimOf{"web", {"veth3"}});
  EXPECT_EQ(why(), "CNI result net-web-eth0 names veth3, which is not here");
  Link tap;
  tap.ifindex = 3;
  tap.name = "veth3";
  tap.kind = "tun";
  Set(tap);
  EXPECT_THAT(why(), HasSubstr("of kind tun: only veth and netkit"));
  Set(ClaimOf{.pod = "web", .host_interfaces = {}, .netns = "/run/netns/web"});
  EXPECT_THAT(why(), HasSubstr("(/run/netns/web) nor a route"));
  Set(PodOf{.name = "web", .host_network = true});
  EXPECT_THAT(tracker_.Decide().missing, IsEmpty());
}

// Interfaces from before the first start.

TEST_F(TrackerTest, LeftAloneUntilPlaced) {
  Set(Veth(3, "veth3"));
  Set(Veth(4, "veth4"));
  tracker_.SetLeftAlone({3});
  EXPECT_THAT(tracker_.Decide().guarded, ElementsAre(4));
  Set(ClaimOf{"web", {"veth3"}});
  EXPECT_THAT(tracker_.Decide().guarded_once_open, IsEmpty());
  Set(PodOf{"web"});
  EXPECT_THAT(tracker_.Decide().guarded_once_open, ElementsAre(3));
  tracker_.Adopt(3);
  tracker_.RemovePod({"shop", "web"});
  EXPECT_THAT(tracker_.Decide().guarded, ElementsAre(3, 4));
}

TEST_F(TrackerTest, LeftAloneEndsWithTheInterface) {
  Set(Veth(3, "veth3"));
  tracker_.SetLeftAlone({3});
  Gone(3);
  Set(Veth(3, "veth3"));
  EXPECT_THAT(tracker_.Decide().guarded, ElementsAre(3));
}

// Any order of the same events ends in the same decision.
TEST(TrackerOrderTest, OrderDoesNotMatter) {
  Link uplink = Veth(9, "up");
  uplink.uplink = true;
  std::vector<std::function<void(Tracker&)>> events;
  auto link = [&](Link l) {
    events.push_back([l](Tracker& t) { t.Update({.set = {l}, .gone = {}, .addresses = {}}); });
  };
  auto claim = [&](const ClaimOf& c) {
    events.push_back([c](Tracker& t) { t.SetClaim(c.Make()); });
  };
  auto pod = [&](const PodOf& p) { events.push_back([p](Tracker& t) { t.SetPod(p.Make()); }); };
  link(Veth(3, "veth3", 7));
  link(Veth(4, "veth4", 8));
  link(Veth(5, "veth5", 9));
  link(Veth(6, "veth6", 10));
  link(uplink);
  claim({.pod = "a", .host_interfaces = {"veth3"}, .age_order = 1});
  claim({.pod = "b", .host_interfaces = {"veth3"}, .addresses = {"10.0.0.2"}, .age_order = 5});
  claim({.pod = "c", .host_interfaces = {}, .addresses = {"10.0.0.3"}, .netns = "/run/netns/c"});
  claim({.pod = "d", .host_interfaces = {}, .addresses = {"10.0.0.4"}});
  claim({.pod = "e", .host_interfaces = {"veth6"}, .addresses = {"10.0.0.3"}, .age_order = 2});
  for (const char* name : {"a", "b", "c", "d", "e"}) pod(PodOf{name});

  FakeResolver resolver;
  resolver.sandboxes[{"/run/netns/c", "eth0"}] = {8, 2};
  resolver.routes[Ip("10.0.0.4")] = 5;
  std::optional<Decision> expected;
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    Tracker tracker("n1", DeviceFilter(), resolver);
    for (const auto& event : events) {
      event(tracker);
      if (round % 2 == 1) (void)tracker.Decide();
    }
    Decision decision = tracker.Decide();
    if (!expected) {
      expected = decision;
      EXPECT_EQ(decision.placements.size(), 3u);  // b, d, e
    }
    EXPECT_TRUE(decision == *expected) << "round " << round;
    std::shuffle(events.begin(), events.end(), random);
  }
}

}  // namespace
}  // namespace sallyport::endpoint
