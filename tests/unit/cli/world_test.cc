// SPDX-License-Identifier: Apache-2.0
#include "cli/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/cli/small_world.h"

namespace sallyport::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(World, ResolvesPodsAndAddresses) {
  World world(SmallSnapshot());
  Side web = SideOf(world, "shop/web");
  EXPECT_EQ(web.name, "shop/web");
  EXPECT_EQ(web.Group(), "shop");
  EXPECT_EQ(web.ShortName(), "web");
  EXPECT_FALSE(web.made_up);
  EXPECT_EQ(web.AddressOf(false), Ip("fd00::1"));
  Side outside = SideOf(world, "192.0.2.7");
  EXPECT_EQ(outside.Group(), "outside");
  EXPECT_FALSE(outside.AddressOf(false));
}

TEST(World, NamesAPodThatMayBeMeant) {
  World world(SmallSnapshot());
  auto side = world.Resolve(*ParseParty("shop/d"));
  ASSERT_FALSE(side);
  EXPECT_EQ(side.error().message, "there is no pod shop/d; there is shop/db-0");
  EXPECT_THAT(world.Resolve(*ParseParty("web")).error().message, HasSubstr("shop/web"));
}

TEST(World, AWorkloadsNameIsItsFirstPod) {
  model::Snapshot snapshot = SmallSnapshot();
  Add(snapshot, MakePod("shop", "db-1", {"10.0.0.21"}));
  EXPECT_EQ(SideOf(World(snapshot), "shop/db").name, "shop/db-0");
  Add(snapshot, MakePod("shop", "db", {"10.0.0.20"}));
  EXPECT_EQ(SideOf(World(snapshot), "shop/db").name, "shop/db");
}

TEST(World, LooksNamedPortsUpOnTheDestination) {
  World world(SmallSnapshot());
  Side db = SideOf(world, "shop/db-0");
  EXPECT_EQ(world.ResolvePort(db, *ParseDestination("shop/db-0:sql"))->number, 5432);
  EXPECT_EQ(world.ResolvePort(db, *ParseDestination("shop/db-0:sync/UDP"))->number, 5433);
  EXPECT_FALSE(world.ResolvePort(db, *ParseDestination("shop/db-0:sync")));
  EXPECT_FALSE(world.ResolvePort(SideOf(world, "192.0.2.7"), *ParseDestination("192.0.2.7:sql")));
}

TEST(World, APodThatHasEndedIsNobody) {
  model::Snapshot snapshot = SmallSnapshot();
  model::Pod done = MakePod("shop", "job", {"10.0.0.9"});
  done.phase = model::PodPhase::kSucceeded;
  Add(snapshot, done);
  World world(snapshot);
  EXPECT_THAT(world.Resolve(*ParseParty("shop/job")).error().message, HasSubstr("has ended"));
  for (const Side& side : world.LivePods()) EXPECT_THAT(side.name, Not(HasSubstr("job")));
}

TEST(World, AHostNetworkPodIsItsNode) {
  model::Snapshot snapshot = SmallSnapshot();
  model::Pod proxy = MakePod("kube-system", "proxy", {});
  proxy.host_network = true;
  Add(snapshot, proxy);
  EXPECT_THAT(World(snapshot).Resolve(*ParseParty("kube-system/proxy")).error().message,
              HasSubstr("node \"n1\" are not known"));
  model::Pod anywhere = proxy;
  anywhere.name.name = "anywhere";
  anywhere.node = "";
  Add(snapshot, anywhere);
  EXPECT_THAT(World(snapshot).Resolve(*ParseParty("kube-system/anywhere")).error().message,
              HasSubstr("give it spec.nodeName, and add that Node with status.addresses"));
  auto node = std::make_shared<model::Node>();
  node->name = "n1";
  node->addresses = {Ip("192.168.0.1")};
  snapshot.nodes["n1"] = node;
  World world(snapshot);
  EXPECT_EQ(SideOf(world, "kube-system/proxy").addresses.at(0), Ip("192.168.0.1"));
  EXPECT_EQ(world.LivePods().size(), 3u);
}

TEST(World, MakesUpDistinctAddressesInTheNodesPodRange) {
  model::Snapshot snapshot = SmallSnapshot();
  auto node = std::make_shared<model::Node>();
  node->name = "n1";
  node->pod_cidrs = {*net::Cidr::Parse("10.9.0.0/30")};
  snapshot.nodes["n1"] = node;
  Add(snapshot, MakePod("new", "a", {}));
  Add(snapshot, MakePod("new", "b", {"10.9.0.2"}));
  Add(snapshot, MakePod("new", "c", {}));
  Add(snapshot, MakePod("new", "d", {}));
  World world(snapshot);
  Side a = SideOf(world, "new/a"), c = SideOf(world, "new/c"), d = SideOf(world, "new/d");
  EXPECT_TRUE(a.made_up && c.made_up && d.made_up);
  EXPECT_EQ(a.AddressOf(true), Ip("10.9.0.1")) << "the next address down is b's";
  EXPECT_EQ(c.AddressOf(true), Ip("10.9.0.0"));
  EXPECT_EQ(d.AddressOf(true), Ip("255.255.255.254")) << "the range is used up";
  EXPECT_NE(a.AddressOf(false), c.AddressOf(false));
  EXPECT_FALSE(SideOf(world, "new/b").made_up);
}

}  // namespace
}  // namespace sallyport::cli
