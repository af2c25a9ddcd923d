// SPDX-License-Identifier: Apache-2.0
#include "endpoint/link_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if_arp.h>

#include "unit/agent/tracker_world.h"

namespace sallyport::endpoint {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(LinkTableTest, SubnetMakesAnUplink) {
  struct Case {
    const char* address;
    int length;
    bool uplink;
  };
  for (const Case& c :
       {Case{"10.0.0.1", 24, true}, Case{"10.0.0.1", 32, false}, Case{"10.0.0.1", 31, true},
        Case{"169.254.1.1", 32, false}, Case{"fd00::1", 64, true}, Case{"fd00::1", 128, false},
        Case{"fe80::1", 64, false}, Case{"febf::1", 64, false}, Case{"fec0::1", 64, true},
        Case{"10.0.0.1", 0, true}}) {
    LinkTable table;
    table.SetLink(Veth(3, "veth3"));
    table.SetAddress(3, Ip(c.address), c.length, true);
    EXPECT_EQ(table.links().at(3).uplink, c.uplink) << c.address << "/" << c.length;
  }
}

// A pod can have the host give itself one, by a router's advertisement.
TEST(LinkTableTest, AddressThatIsNotPermanentMakesNoUplink) {
  LinkTable table;
  table.SetLink(Veth(3, "veth3"));
  table.SetAddress(3, Ip("2001:db8::1"), 64, false);
  EXPECT_FALSE(table.links().at(3).uplink);
  EXPECT_THAT(table.addresses(), ElementsAre(Ip("2001:db8::1"))) << "it is the node's all the same";
}

TEST(LinkTableTest, UplinkForAMomentIsAnUplinkForGood) {
  LinkTable table;
  table.SetLink(Veth(3, "veth3"));
  table.SetAddress(3, Ip("10.0.0.1"), 24, true);
  table.RemoveAddress(3, Ip("10.0.0.1"), 24);
  EXPECT_TRUE(table.links().at(3).uplink);

  LinkTable listed_again;
  listed_again.SetLink(Veth(3, "veth3"));
  listed_again.InheritUplinks(table);
  EXPECT_TRUE(listed_again.links().at(3).uplink);

  table.RemoveLink(3);
  table.SetLink(Veth(3, "veth3"));
  EXPECT_FALSE(table.links().at(3).uplink);
}

TEST(LinkTableTest, DefaultRouteMakesAnUplink) {
  LinkTable table;
  table.SetDefaultRoutes({3});
  table.SetLink(Veth(3, "veth3"));
  EXPECT_TRUE(table.links().at(3).uplink);
}

TEST(LinkTest, WaysOut) {
  for (const char* kind : {"veth", "vxlan", "tun", "", "bond", "vrf"}) {
    Link link = Veth(3, "x3");
    link.kind = kind;
    EXPECT_TRUE(IsWayOut(link)) << kind;
  }
  for (const char* kind : {"bridge", "ifb"}) {
    Link link = Veth(3, "x3");
    link.kind = kind;
    EXPECT_FALSE(IsWayOut(link)) << kind;
  }
  constexpr uint16_t kLoopback = 772, kNetlink = 824, kCan = 280;  // ARPHRD_...
  for (uint16_t hardware : {kLoopback, kNetlink, kCan}) {
    Link link = Veth(3, "x3");
    link.hardware = hardware;
    EXPECT_FALSE(IsWayOut(link)) << hardware;
  }
}

TEST(LinkTableTest, AddressBeforeItsLink) {
  LinkTable table;
  table.SetAddress(3, Ip("10.0.0.1"), 24, true);
  EXPECT_THAT(table.links(), IsEmpty());
  table.SetLink(Veth(3, "veth3"));
  EXPECT_TRUE(table.links().at(3).uplink);
}

TEST(LinkTableTest, LocalAddresses) {
  LinkTable table;
  Link services = Veth(5, "kube-ipvs0");
  table.SetLink(services);
  table.SetLink(Veth(3, "veth3"));
  table.SetAddress(1, Ip("127.0.0.1"), 8, true);
  table.SetAddress(1, Ip("::1"), 128, true);
  table.SetAddress(1, Ip("192.0.2.1"), 32, true);
  table.SetAddress(3, Ip("fe80::1"), 64, true);
  table.SetAddress(5, Ip("10.96.0.1"), 32, true);
  EXPECT_THAT(table.addresses(), ElementsAre(Ip("192.0.2.1"), Ip("fe80::1")));
  table.RemoveAddress(1, Ip("192.0.2.1"), 32);
  table.RemoveLink(3);
  EXPECT_THAT(table.addresses(), IsEmpty());
}

TEST(LinkTableTest, OneAddressOnTwoInterfacesStaysUntilBothAreGone) {
  LinkTable table;
  table.SetAddress(3, Ip("10.0.0.1"), 32, true);
  table.SetAddress(4, Ip("10.0.0.1"), 32, true);
  table.RemoveAddress(3, Ip("10.0.0.1"), 32);
  EXPECT_THAT(table.addresses(), ElementsAre(Ip("10.0.0.1")));
}

TEST(LinkTableTest, QdiscsThatWantPackets) {
  for (auto [kind, shaped] :
       {std::pair{"noqueue", false}, std::pair{"clsact", false}, std::pair{"tbf", true},
        std::pair{"ingress", true}, std::pair{"fq_codel", true}}) {
    LinkTable table;
    table.SetLink(Veth(3, "veth3"));
    table.SetQdisc(3, 0, "noqueue");
    table.SetQdisc(3, 0xffff0000, kind);
    EXPECT_EQ(table.links().at(3).shaped, shaped) << kind;
    table.RemoveQdisc(3, 0xffff0000);
    EXPECT_FALSE(table.links().at(3).shaped);
  }
}

TEST(LinkTableTest, PeersInThisNamespace) {
  LinkTable table;
  Link a = Veth(3, "a", kPeerHere), b = Veth(4, "b", 7);
  a.peer_ifindex = b.peer_ifindex = 9;
  table.SetLink(a);
  table.SetLink(b);
  EXPECT_THAT(table.PeersOf(9), ElementsAre(3));
}

TEST(LinkTableTest, Difference) {
  Links before{{3, Veth(3, "a")}, {4, Veth(4, "b")}, {5, Veth(5, "c")}};
  Links after{{3, Veth(3, "a")}, {4, Veth(4, "renamed")}, {6, Veth(6, "d")}};
  LinkUpdate update = Difference(before, after);
  EXPECT_THAT(update.set, ElementsAre(Veth(4, "renamed"), Veth(6, "d")));
  EXPECT_THAT(update.gone, ElementsAre(5));
  EXPECT_TRUE(Difference(after, after).empty());
}

TEST(LinkTableTest, ReusedIndexIsGoneAndSet) {
  LinkTable table;
  table.SetLink(Veth(3, "a"));
  table.SetLink(Veth(4, "b"));
  Links before = table.links();
  table.RemoveLink(3);
  table.SetLink(Veth(3, "a"));
  table.RemoveLink(9);
  LinkUpdate update = Difference(before, table.links(), table.TakeRemoved());
  EXPECT_THAT(update.gone, ElementsAre(3));
  EXPECT_THAT(update.set, ElementsAre(Veth(3, "a"))) << "the same to look at";
  EXPECT_TRUE(Difference(before, table.links(), table.TakeRemoved()).empty());
}

TEST(LinkTableTest, ReplacedBetweenTwoListings) {
  Link addressed = Veth(5, "c");
  addressed.uplink = addressed.shaped = true;
  Links before{{3, Veth(3, "a")}, {4, Veth(4, "b")}, {5, Veth(5, "c")}, {6, Veth(6, "d")}};
  Links after{{3, Veth(3, "z")}, {4, Veth(4, "b", 9)}, {5, addressed}, {7, Veth(7, "e")}};
  EXPECT_THAT(Replaced(before, after), ElementsAre(3, 4));
}

TEST(LinkTableTest, AnotherLinkWithTheIndexInheritsNoUplink) {
  LinkTable before, after;
  before.SetLink(Veth(3, "veth3", 7));
  before.SetAddress(3, Ip("10.0.0.1"), 24, true);
  after.SetLink(Veth(3, "veth3", 8));
  after.InheritUplinks(before);
  EXPECT_FALSE(after.links().at(3).uplink);
}

TEST(Entrances, AreAllButPairsThatMayBeAPodsAndBridgesOfThose) {
  Links links;
  auto add = [&](uint32_t ifindex, const std::string& kind, uint32_t master = 0) -> Link& {
    Link& link = links[ifindex];
    link.ifindex = ifindex;
    link.kind = kind;
    link.master = master;
    return link;
  };
  add(1, "").hardware = ARPHRD_LOOPBACK;
  add(2, "");
  add(3, "vxlan");
  add(4, "bridge");
  add(5, "veth", 4).peer_netns = 7;
  add(6, "bridge");
  add(7, "", 6);
  add(8, "veth", 6).peer_netns = 7;
  add(9, "veth").uplink = true;
  add(10, "bridge");  // before its first pod
  add(11, "veth");    // before its other end is moved
  add(12, "bond");
  add(13, "", 12);
  add(14, "netkit").peer_netns = 7;
  add(15, "vlan", 99);  // whose master nobody has told of yet
  EXPECT_THAT(Entrances(links), ElementsAre(1, 2, 3, 6, 7, 9, 12, 13, 15));
}

}  // namespace
}  // namespace sallyport::endpoint
