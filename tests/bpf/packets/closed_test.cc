// SPDX-License-Identifier: Apache-2.0
// Closed endpoints, what the node sends and gets, and what never needs a policy.
#include "bpf/packets/world.h"

namespace sallyport::test {
namespace {

class ClosedTest : public FamilyTest {};
BOTH_FAMILIES(ClosedTest);

TEST_P(ClosedTest, AnInterfaceWithoutEntryIsClosed) {
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kFar, 80)), "closed");
  EXPECT_DROP(ToWeb(Tcp(kFar, 1024, kWeb, 80)), "closed");
}

// Interfaces of the node's, and one that no agent has heard of.
class UnseenTest : public ClosedTest {
 protected:
  UnseenTest() {
    k.control()->home[0] = 10u << 24;
    k.control()->home[1] = 0xfd00'0000;
    k.control()->home_length = 24 | 64 << 8;
    WebAndDb({.egress = kOpen}, {.ingress = kOpen});
  }
  Outcome Leaves(const Packet& packet, uint32_t from) {
    return k.FromNode(Interface(4), packet, {.ingress_ifindex = from});
  }
  const uint32_t bridge = Interface(6);
};
BOTH_FAMILIES(UnseenTest);

TEST_P(UnseenTest, AddressesOfPodsComeFromGuardedInterfacesOnly) {
  constexpr Host kUnseen = {"10.0.0.77", "fd00::77"};
  EXPECT_DROP(Leaves(Udp(kUnseen, 1024, kStranger, 53), bridge), "closed");
  EXPECT_DROP(Leaves(Tcp(kUnseen, 1024, kFar, 80), bridge), "closed");
  EXPECT_DROP(k.ToPod(db, Tcp(kUnseen, 1024, kDb, 80), {.ingress_ifindex = bridge}), "closed");
  EXPECT_EQ(k.Counters(0).dropped[SP_EGRESS][SP_DROP_CLOSED], 3u) << "nobody's, and no other pod's";
  // Nobody's of these, known ones, the node's own.
  EXPECT_PASS(Leaves(Udp({"10.0.1.77", "fd00:0:0:1::77"}, 1024, kStranger, 53), bridge));
  EXPECT_PASS(Leaves(Udp(kWeb, 1024, kStranger, 53), bridge));
  EXPECT_PASS(Leaves(Udp(kNode, 1024, kStranger, 53), bridge));
  EXPECT_PASS(Leaves(Udp(kUnseen, 1024, kStranger, 53), 0));
  EXPECT_PASS(k.ToPod(db, Tcp(kStranger, 1024, kDb, 80), {.ingress_ifindex = bridge}));
}

// Whatever its address, and if the node masquerades it, the node's.
TEST_P(UnseenTest, WhatNoPodSendsComesInThroughEntrancesOnly) {
  const uint32_t entrance = Interface(7);
  k.Admit(entrance);
  for (uint32_t home : {0u, k.control()->home_length}) {
    k.control()->home_length = home | SP_ENCLOSED;
    for (const Host& source : {kNode, kStranger}) {
      EXPECT_DROP(Leaves(Udp(source, 1024, kFar, 53), bridge), "closed");
      EXPECT_PASS(Leaves(Udp(source, 1024, kFar, 53), entrance));
      EXPECT_PASS(Leaves(Udp(source, 1024, kFar, 53), 0));
    }
    EXPECT_DROP(k.ToPod(db, Tcp(kNode, 1024, kDb, 80), {.ingress_ifindex = bridge}), "closed");
    EXPECT_PASS(k.ToPod(db, Tcp(kNode, 1024, kDb, 80), {.ingress_ifindex = entrance}));
    // Out of a tunnel that is new.
    EXPECT_PASS(k.ToPod(db, Tcp(kStranger, 1024, kDb, 80), {.ingress_ifindex = bridge}));
    EXPECT_PASS(Leaves(Udp(kWeb, 1024, kStranger, 53), bridge));
  }
  k.control()->home_length = 24 | 64 << 8;
  EXPECT_PASS(Leaves(Udp(kNode, 1024, kStranger, 53), bridge));
}

TEST_P(UnseenTest, AllLengthsAreTold) {
  // The first and the last address inside, and one beyond each.
  struct Case {
    uint32_t length;
    Host inside[2], outside[2];
  };
  constexpr Case kCases[] = {
      {1 | 1 << 8,
       {{"1.0.0.1", "::1:0:0:1"}, {"127.0.0.1", "7fff::1"}},
       {{"128.0.0.1", "8000::1"}, {"203.0.113.1", "ff00::1"}}},
      {24 | 64 << 8,
       {{"10.0.0.0", "fd00::"}, {"10.0.0.255", "fd00::ffff:ffff:ffff:ffff"}},
       {{"10.0.1.0", "fd00:0:0:1::"}, {"9.255.255.255", "fcff:ffff:ffff:ffff::1"}}},
      {31 | 65 << 8,
       {{"10.0.0.64", "fd00::"}, {"10.0.0.65", "fd00::7fff:ffff:ffff:ffff"}},
       {{"10.0.0.66", "fd00::8000:0:0:0"}, {"10.0.0.63", "fd00:0:0:1::"}}},
      {32 | 96 << 8,
       {{"10.0.0.64", "fd00::"}, {"10.0.0.64", "fd00::ffff:ffff"}},
       {{"10.0.0.65", "fd00::1:0:0"}, {"10.0.0.63", "fd00:0:0:1::"}}},
  };
  for (const Case& one : kCases) {
    bool all = (one.length & 0xff) == 1;
    k.control()->home[0] = all ? 0 : 10u << 24 | 64;
    k.control()->home[1] = all ? 0 : 0xfd00'0000;
    k.control()->home_length = one.length;
    SCOPED_TRACE(one.length & 0xff);
    for (const Host& host : one.inside)
      EXPECT_DROP(Leaves(Udp(host, 1024, kFar, 53), bridge), "closed");
    for (const Host& host : one.outside) EXPECT_PASS(Leaves(Udp(host, 1024, kFar, 53), bridge));
  }
  for (uint32_t length : {0u, 33u | 97u << 8, 255u | 255u << 8}) {
    k.control()->home_length = length;
    EXPECT_PASS(Leaves(Udp({"10.0.0.77", "fd00::77"}, 1024, kFar, 53), bridge)) << length;
  }
}

TEST_P(ClosedTest, TablesThatNoAgentHasFilledAreClosed) {
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kFar, 80)), "closed");
  EXPECT_DROP(ToWeb(Ping(kFar, kWeb)), "closed");
}

TEST_P(ClosedTest, AnEntryThatIsNotOpenIsClosed) {
  Web(kOpen, kOpen, 0);
  EXPECT_DROP(FromWeb(Udp(kWeb, 1024, kFar, 53)), "closed");
  EXPECT_DROP(ToWeb(Udp(kFar, 1024, kWeb, 53)), "closed");
  EXPECT_DROP(FromWeb(Ping(kWeb, kFar)), "closed");
  EXPECT_DROP(FromWeb(Udp(kWeb, 1024, kWeb, 53)), "closed");
}

TEST_P(ClosedTest, ClosingCutsLiveFlows) {
  Web(kOpen, kOpen);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kSyn | kAck)));
  Web(kOpen, kOpen, SP_ENDPOINT_DIRECT);
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kFar, 80, kAck)), "closed");
  EXPECT_DROP(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)), "closed");
}

TEST_P(ClosedTest, OpeningLetsTheSameFlowBegin) {
  Web(kOpen, kOpen, 0);
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kFar, 80)), "closed");
  Web(kOpen, kOpen);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
}

TEST_P(ClosedTest, ARemovedEndpointIsClosed) {
  Web(kOpen, kOpen);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
  k.RemoveEndpoint(web);
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kFar, 80, kAck)), "closed");
}

TEST_P(ClosedTest, AClosedPodReachesItsNode) {
  Web(kOpen, kOpen, 0);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kNode, 80)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kNode, 53)));
  EXPECT_PASS(FromWeb(Ping(kWeb, kNode)));
  EXPECT_PASS(FromWeb(Error(kWeb, kNode, Udp(kNode, 1024, kWeb, 53))));
}

TEST_P(ClosedTest, SomeoneElseWithTheNodesAddressIsAStranger) {
  Web(kOpen, kOpen, 0);
  EXPECT_DROP(ToWeb(Tcp(kNode, 1024, kWeb, 80)), "closed");
  Web(kOpen, kNothing);
  EXPECT_DROP(ToWeb(Tcp(kNode, 1025, kWeb, 80)), "policy");
}

TEST_P(ClosedTest, AnIsolatedPodReachesItsNode) {
  Web(kNothing, kNothing);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kNode, 80)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 10250, kNode, 1024, kSyn | kAck)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kNode, 53)));
  EXPECT_PASS(FromWeb(Ping(kWeb, kNode)));
  EXPECT_PASS(FromWeb(Pong(kWeb, kNode, 9)));
  EXPECT_PASS(FromWeb(Error(kWeb, kNode, Udp(kNode, 1024, kWeb, 53))));
  // What it opens is remembered: the node may translate it, and the answer, for a Service.
  EXPECT_EQ(k.Flows().size(), 3u);
  EXPECT_PASS(ToWeb(Tcp(kNode, 80, kWeb, 1024, kSyn | kAck)));
  EXPECT_PASS(ToWeb(Udp(kNode, 53, kWeb, 1024)));
  EXPECT_DROP(ToWeb(Udp(kNode, 54, kWeb, 1024)), "policy");
}

// A test run gives each packet a socket of its family. More of this in traffic_test.cc.
TEST_P(ClosedTest, WhatTheNodeSendsPasses) {
  for (uint32_t flags : {0u, SP_ENDPOINT_OPEN}) {
    Web(kNothing, kNothing, flags);
    EXPECT_PASS(k.ToPod(web, Tcp(kNode, 1024, kWeb, 80), {.ingress_ifindex = 0}));
    EXPECT_PASS(k.ToPod(web, Udp(kNode, 1024, kWeb, 80), {.ingress_ifindex = 0}));
    EXPECT_PASS(k.ToPod(web, Ping(kNode, kWeb), {.ingress_ifindex = 0}));
  }
}

TEST_P(ClosedTest, WhatCameInOrLeftAPodIsNotTheNodesOwn) {
  Web(kOpen, kNothing);
  EXPECT_DROP(k.ToPod(web, Tcp(kNode, 1024, kWeb, 80), {.ingress_ifindex = db}), "policy");
  EXPECT_DROP(k.ToPod(web, Tcp(kNode, 1024, kWeb, 80), {.mark = 0x100, .ingress_ifindex = 0}),
              "sender");
}

TEST_P(ClosedTest, APodReachesItself) {
  Web(kNothing, kNothing);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kWeb, 80)));
  EXPECT_PASS(k.ToPod(web, Tcp(kWeb, 1024, kWeb, 80), {.ingress_ifindex = web}));
  EXPECT_PASS(FromWeb(Ping(kWeb, kWeb)));
  EXPECT_PASS(k.ToPod(web, Pong(kWeb, kWeb), {.ingress_ifindex = web}));
}

constexpr uint16_t kTunnelPorts[] = {4789, 8472, 6081};
constexpr uint8_t kTunnelProtocols[] = {4, 41, 47};

// To a node, this one or another: what it would unwrap came from anybody.
TEST_P(ClosedTest, TunnelsEndAtNoNode) {
  const Host unlisted = {"10.0.2.254", "fd00:2::fe"}, service = {"10.96.0.1", "fd00:96::1"};
  k.SetPeer(Of(kStranger), SP_PEER_OTHER_NODE | 20);
  k.SetPeer(Of(service), SP_PEER_SERVICE);
  auto wrapped = [&](const Host& to, uint8_t protocol) -> Packet {
    if (v6())
      return Ethernet() / IPv6{.src = kWeb.v6, .dst = to.v6, .next = protocol} / Payload(40);
    return Ethernet() / IPv4{.src = kWeb.v4, .dst = to.v4, .protocol = protocol} / Payload(40);
  };
  for (uint32_t flags : {0u, SP_ENDPOINT_OPEN}) {
    Web(kOpen, kOpen, flags);
    for (const Host& to : {kNode, kStranger, service}) {
      for (uint16_t port : kTunnelPorts) EXPECT_DROP(FromWeb(Udp(kWeb, 5, to, port)), "tunnel");
      for (uint8_t protocol : kTunnelProtocols)
        EXPECT_DROP(FromWeb(wrapped(to, protocol)), "tunnel");
    }
  }
  for (const Host& to : {kFar, unlisted})
    for (uint8_t protocol : kTunnelProtocols) EXPECT_PASS(FromWeb(wrapped(to, protocol)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 5, kFar, 4789)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 4789, kStranger, 5)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 5, kStranger, 4789)));
}

class TunnelTest : public FamilyTest {
 protected:
  TunnelTest() : FamilyTest({.tunnels_from_pods = true}) {}
};
BOTH_FAMILIES(TunnelTest);

TEST_P(TunnelTest, TunnelsPassIfTheyMay) {
  Web(kOpen, kOpen);
  for (const Host& to : {kNode, kStranger}) EXPECT_PASS(FromWeb(Udp(kWeb, 5, to, 8472)));
}

// Not even then: what the node masquerades would be taken for its own.
TEST_P(TunnelTest, NobodySpeaksForTheAgents) {
  k.SetPeer(Of(kStranger), SP_PEER_OTHER_NODE | 20);
  Web(kOpen, kOpen);
  k.egress().tunnel->port = 4790;
  k.egress().tunnel->heartbeat_port = 4791;
  for (const Host& to : {kNode, kStranger})
    for (uint16_t port : {uint16_t{4790}, uint16_t{4791}})
      EXPECT_DROP(FromWeb(Udp(kWeb, 5, to, port)), "tunnel");
  EXPECT_PASS(FromWeb(Udp(kWeb, 5, kFar, 4790)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 5, kStranger, 4792)));
}

// Some nodes take it for their own.
TEST_P(ClosedTest, LoopbackIsNotOnTheWire) {
  const Host loopback = {"127.0.0.1", "::1"}, other = {"127.8.9.1", "::1"};
  Web(kOpen, kOpen);
  for (const Host& to : {loopback, other}) {
    EXPECT_DROP(FromWeb(Tcp(kWeb, 1, to, 80)), "spoofed-source");
    EXPECT_DROP(FromWeb(Udp(kWeb, 1, to, 80)), "spoofed-source");
  }
}

TEST_P(ClosedTest, APacketThatOnlyClaimsToBeThePodsOwnIsJudged) {
  Web(kNothing, kNothing);
  EXPECT_DROP(ToWeb(Tcp(kWeb, 1024, kWeb, 80)), "policy");
  EXPECT_DROP(ToWeb(Udp(kWeb, 1024, kWeb, 80)), "policy");
  // Nor does the mark say whose it is: the node may have unwrapped what another pod sent.
  const Arrival marked = {.mark = 0x100, .ingress_ifindex = web};
  EXPECT_DROP(k.ToPod(web, Tcp(kWeb, 1024, kWeb, 80), marked), "sender");
}

class AlwaysTest : public PodTest {};

Packet Neighbour(uint8_t type, const char* source, const char* target, uint8_t hop_limit = 255) {
  return Ethernet() / IPv6{.src = source, .dst = target, .hop_limit = hop_limit} /
         ICMPv6{.type = type, .id = 0, .sequence = 0} / Payload(16);
}

Packet Listener(uint8_t type, uint8_t hop_limit = 1) {
  return Ethernet() / IPv6{.src = "fe80::2", .dst = "ff02::16", .hop_limit = hop_limit} /
         HopByHop{.options = {5, 2, 0, 0, 1, 0}} / ICMPv6{.type = type} / Payload(20);
}

Packet Advertisement(const char* source, const char* target) {
  const auto bytes = Ip(target).bytes();
  return Ethernet() / IPv6{.src = source, .dst = "ff02::1", .hop_limit = 255} /
         ICMPv6{.type = kNeighbourAdvertisement, .id = 0, .sequence = 0} /
         Payload(Bytes(bytes.begin(), bytes.end())) / Payload(8);
}

TEST_F(AlwaysTest, ArpAndNeighbourDiscoveryPassClosedAndIsolated) {
  for (uint32_t flags : {0u, SP_ENDPOINT_OPEN}) {
    Web(kNothing, kNothing, flags);
    EXPECT_PASS(FromWeb(Ethernet() / Arp{}));
    EXPECT_PASS(FromWeb(Ethernet() / Arp{.sender = "0.0.0.0", .target = kWeb.v4}));
    EXPECT_PASS(ToWeb(Ethernet() / Arp{.sender = kFar.v4, .operation = 2}));
    for (uint8_t type : {kRouterSolicitation, kNeighbourSolicitation})
      EXPECT_PASS(FromWeb(Neighbour(type, "fe80::2", "ff02::2")));
    EXPECT_PASS(FromWeb(Advertisement(kWeb.v6, kWeb.v6)));
    EXPECT_PASS(FromWeb(Advertisement("fe80::2", "fe80::2")));
    for (uint8_t type : {kRouterSolicitation, kRouterAdvertisement, kNeighbourSolicitation,
                         kNeighbourAdvertisement, kRedirect6})
      EXPECT_PASS(ToWeb(Neighbour(type, "fd00::2", "fd00::1")));
    EXPECT_PASS(FromWeb(Neighbour(kNeighbourSolicitation, "::", "ff02::1:ff00:1")));
    for (uint8_t type : {kListenerReport, kListenerDone, kListenerReport2})
      EXPECT_PASS(FromWeb(Listener(type)));
    for (uint8_t type : {kListenerQuery, kListenerReport, kListenerDone, kListenerReport2})
      EXPECT_PASS(ToWeb(Listener(type)));
  }
}

// A pod is no router, and nobody but itself.
TEST_F(AlwaysTest, WhoIsWhereIsNotForOthersToSay) {
  k.SetPeer("fe80::1", SP_PEER_NODE | SP_PEER_NONE);
  k.SetPeer("10.96.0.1", SP_PEER_SERVICE);
  for (const char* address : {kDb.v4, kDb.v6}) k.SetPeer(address, kDbIdentity, db);
  for (uint32_t flags : {0u, SP_ENDPOINT_OPEN}) {
    SCOPED_TRACE(flags);
    Web(kNothing, kNothing, flags);
    for (const char* other : {kDb.v4, kNode.v4, "10.96.0.1"})
      for (uint16_t operation : {uint16_t{1}, uint16_t{2}})
        EXPECT_DROP(FromWeb(Ethernet() / Arp{.sender = other, .operation = operation}),
                    "spoofed-source");
    for (const char* other : {kDb.v6, kNode.v6, "fe80::1"}) {
      EXPECT_DROP(FromWeb(Advertisement(kWeb.v6, other)), "spoofed-source");
      EXPECT_DROP(FromWeb(Advertisement(other, kWeb.v6)), "spoofed-source");
      EXPECT_DROP(FromWeb(Neighbour(kNeighbourSolicitation, other, "ff02::1:ff00:1")),
                  "spoofed-source");
    }
    for (uint8_t type : {kRouterAdvertisement, kRedirect6})
      EXPECT_DROP(FromWeb(Neighbour(type, "fe80::2", "ff02::1")), "spoofed-source");
    EXPECT_DROP(FromWeb(Listener(kListenerQuery)), "spoofed-source");
  }
  EXPECT_DROP(FromWeb(Ethernet() / Arp{.sender = kStranger.v4}), "spoofed-source");
  EXPECT_DROP(FromWeb(Advertisement(kWeb.v6, kStranger.v6)), "spoofed-source");
}

TEST_F(AlwaysTest, ArpAndNeighbourDiscoveryCarryNothingElse) {
  for (uint32_t flags : {0u, SP_ENDPOINT_OPEN}) {
    Web(kNothing, kNothing, flags);
    Bytes arp = (Ethernet() / Arp{}).bytes(), padded = arp, v6 = arp, reverse = arp;
    padded.resize(60);
    arp.resize(1400);
    v6[16] = 0x86, v6[17] = 0xdd;
    reverse[21] = 3;
    for (sp_direction direction : {SP_EGRESS, SP_INGRESS}) {
      EXPECT_EQ(k.Run(direction, web, padded).reason, "");
      for (const Bytes& frame : {arp, v6, reverse, Bytes(v6.begin(), v6.begin() + 41)})
        EXPECT_DROP(k.Run(direction, web, frame), "malformed");
    }
    EXPECT_DROP(FromWeb(Ethernet() / IPv6{.src = kWeb.v6, .dst = "ff02::1", .hop_limit = 255} /
                        ICMPv6{.type = kNeighbourSolicitation} / Payload(1200)),
                "malformed");
  }
}

class TrustedAlwaysTest : public PodTest {
 protected:
  TrustedAlwaysTest() : PodTest({.anti_spoofing = false}) {}
};

TEST_F(TrustedAlwaysTest, WithoutAntiSpoofingAPodMaySpeakForOthers) {
  Web(kNothing, kNothing);
  EXPECT_PASS(FromWeb(Ethernet() / Arp{.sender = kStranger.v4}));
  EXPECT_PASS(FromWeb(Neighbour(kRouterAdvertisement, "fe80::2", "ff02::1")));
  EXPECT_PASS(FromWeb(Advertisement(kWeb.v6, kStranger.v6)));
  Web(kOpen, kOpen);
  EXPECT_PASS(ToWeb(Ethernet() / IPv4{.src = kFar.v4, .dst = kDb.v4} / UDP{}));
}

// Messages of the link carry a hop limit that no router can have let through.
TEST_F(AlwaysTest, NeighbourDiscoveryFromBeyondTheLinkIsJudged) {
  Web(kNothing, kNothing);
  EXPECT_DROP(FromWeb(Neighbour(kNeighbourAdvertisement, kWeb.v6, kFar.v6, 254)), "policy");
  EXPECT_DROP(ToWeb(Neighbour(kNeighbourAdvertisement, kFar.v6, kWeb.v6, 254)), "policy");
  EXPECT_DROP(ToWeb(Neighbour(kEchoRequest6, kFar.v6, kWeb.v6)), "policy");
  EXPECT_DROP(ToWeb(Listener(kListenerReport2, 64)), "policy");
  EXPECT_DROP(ToWeb(Listener(kEchoRequest6)), "policy");
}

// RFC 6980: such fragments are ignored by who gets them, so nobody may need them.
// A router would carry it anywhere.
TEST_F(AlwaysTest, NeighbourDiscoveryToWhoIsNoNeighbourIsJudged) {
  k.SetPeer(kDb.v6, kDbIdentity, db);
  Web(kNothing, kNothing);
  for (uint8_t type : {kRouterSolicitation, kNeighbourSolicitation, kNeighbourAdvertisement}) {
    EXPECT_DROP(FromWeb(Neighbour(type, kWeb.v6, kStranger.v6)), "policy");
    EXPECT_DROP(FromDb(Neighbour(type, kDb.v6, kStranger.v6)), "closed");
    if (type == kNeighbourAdvertisement) continue;
    for (const char* near : {"ff02::1", "fe80::2", kNode.v6, kDb.v6})
      EXPECT_PASS(FromWeb(Neighbour(type, kWeb.v6, near)));
  }
}

TEST_F(AlwaysTest, FragmentedNeighbourDiscoveryIsJudged) {
  Web(kNothing, kNothing);
  Packet fragment = Ethernet() / IPv6{.src = kWeb.v6, .dst = kFar.v6, .hop_limit = 255} /
                    Fragment{.more = true} / ICMPv6{.type = kNeighbourAdvertisement} / Payload(24);
  EXPECT_DROP(FromWeb(fragment), "policy");
}

TEST_F(AlwaysTest, Ipv4HasNoNeighbourDiscovery) {
  Web(kNothing, kNothing);
  EXPECT_DROP(FromWeb(Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .ttl = 255} /
                      ICMPv6{.type = kNeighbourSolicitation} / Payload(16)),
              "malformed");
}

}  // namespace
}  // namespace sallyport::test
