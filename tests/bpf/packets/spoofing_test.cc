// SPDX-License-Identifier: Apache-2.0
// Anti-spoofing: what leaves an endpoint carries the endpoint's own address.
#include "bpf/packets/world.h"

namespace sallyport::test {
namespace {

class SpoofingTest : public FamilyTest {};
BOTH_FAMILIES(SpoofingTest);

TEST_P(SpoofingTest, AForeignSourceIsDropped) {
  Web(kOpen, kOpen);
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 53)));
  EXPECT_DROP(FromWeb(Udp(kDb, 1024, kFar, 53)), "spoofed-source");
  EXPECT_DROP(FromWeb(Tcp(kDb, 1024, kFar, 80)), "spoofed-source");
  EXPECT_DROP(FromWeb(Ping(kDb, kFar)), "spoofed-source");
  EXPECT_DROP(FromWeb(Error(kDb, kFar, Udp(kFar, 1, kDb, 2))), "spoofed-source");
}

TEST_P(SpoofingTest, AForeignSourceIsDroppedOnTheWayToTheNode) {
  Web(kOpen, kOpen);
  EXPECT_DROP(FromWeb(Udp(kDb, 1024, kNode, 53)), "spoofed-source");
}

TEST_P(SpoofingTest, AForeignSourceCannotUseSomeoneElsesFlow) {
  k.SetEndpoint({.ifindex = db, .v4 = kDb.v4, .v6 = kDb.v6});
  Web(kOpen, kOpen);
  EXPECT_PASS(FromDb(Udp(kDb, 1024, kFar, 53)));
  EXPECT_DROP(FromWeb(Udp(kDb, 1024, kFar, 53)), "spoofed-source");
  EXPECT_DROP(FromWeb(Tcp(kDb, 1024, kFar, 80, kAck)), "spoofed-source");
}

TEST_P(SpoofingTest, IncomingSourcesAreNotTheEndpoints) {
  Web(kOpen, kOpen);
  EXPECT_PASS(ToWeb(Udp(kStranger, 1024, kWeb, 53)));
}

TEST_P(SpoofingTest, AnAddressOfOneFamilyDoesNotOpenTheOther) {
  k.SetEndpoint({.ifindex = web, .v4 = v6() ? kWeb.v4 : nullptr, .v6 = v6() ? nullptr : kWeb.v6});
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Udp(kWeb, 1024, kFar, 53)), "spoofed-source");
}

TEST_P(SpoofingTest, TheUnspecifiedAddressIsNobodys) {
  const Host none = {"0.0.0.0", "::"};
  Web(kOpen, kOpen);
  EXPECT_DROP(FromWeb(Udp(none, 68, kFar, 67)), "spoofed-source");
  k.SetEndpoint({.ifindex = web, .v4 = v6() ? kWeb.v4 : nullptr, .v6 = v6() ? nullptr : kWeb.v6});
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Udp(none, 68, kFar, 67)), "spoofed-source");
  EXPECT_DROP(FromWeb(Udp(none, 68, none, 67)), "spoofed-source");
}

// As an entry is for a moment while its address changes.
TEST_P(SpoofingTest, AnAddressThatIsHalfGoneIsNobodys) {
  const Host half = {"0.0.0.0", "::2"};
  k.SetEndpoint({.ifindex = web, .v4 = nullptr, .v6 = half.v6});
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Udp(half, 1000, kFar, 80)), "spoofed-source");
  EXPECT_DROP(FromWeb(Udp(half, 1000, half, 80)), "spoofed-source");
}

// Around pod_egress, or before the programs are on the pods' interfaces, or its mark was taken off.
TEST_P(SpoofingTest, APodsPacketsWithoutTheMarkAreJudgedAsItsOwn) {
  const Arrival from_web = {.ingress_ifindex = web};
  k.SetRule(kSet, kDbIdentity, Ports().Udp(80));
  WebAndDb({.egress = kSet}, {});
  EXPECT_PASS(k.ToPod(db, Udp(kWeb, 1, kDb, 80), from_web));
  EXPECT_DROP(k.ToPod(db, Udp(kWeb, 1, kDb, 81), from_web), "policy");
  EXPECT_DROP(k.ToPod(db, Ethernet{.type = 0x1234} / Payload(16), from_web), "ethertype");
  WebAndDb({.egress = kOpen}, {});
  EXPECT_PASS(k.ToPod(db, Udp(kWeb, 1, kDb, 81), from_web));
  for (const Host& other : {kFar, kDb, kStranger})
    EXPECT_DROP(k.ToPod(db, Udp(other, 1, kDb, 80), from_web), "spoofed-source");
  EXPECT_DROP(k.ToPod(db, Ethernet() / Arp{}, from_web), "spoofed-source");
  EXPECT_PASS(k.ToPod(db, Udp(kNode, 1, kDb, 80), from_web));  // translated, that is
  EXPECT_EQ(k.Counters(web).dropped[SP_EGRESS][SP_DROP_SPOOFED], 4u);
}

// Not even packets of a flow that somebody else has opened, and that is known.
TEST_P(SpoofingTest, APodsPacketsWithoutTheMarkAreNobodyElses) {
  k.Guard(web);
  WebAndDb({}, {});
  Packet udp = Udp(kFar, 1, kDb, 80), tcp = Tcp(kFar, 1, kDb, 80),
         data = Tcp(kFar, 1, kDb, 80, kAck);
  EXPECT_PASS(ToDb(udp));
  EXPECT_PASS(ToDb(udp));
  EXPECT_PASS(ToDb(tcp));
  EXPECT_PASS(FromDb(Tcp(kDb, 80, kFar, 1, kSyn | kAck)));
  EXPECT_PASS(ToDb(data));
  for (const Packet& packet : {udp, data})
    EXPECT_DROP(k.ToPod(db, packet, {.ingress_ifindex = web}), "spoofed-source");
}

// From nobody's interface: it was bridged, or comes from outside. Then web's egress is asked too.
TEST_P(SpoofingTest, WhoHasAPodsAddressObeysThePodsPolicy) {
  k.SetRule(kSet, kDbIdentity, Ports().Udp(80));
  WebAndDb({.egress = kSet}, {});
  EXPECT_PASS(ToDb(Udp(kWeb, 1, kDb, 80)));
  EXPECT_DROP(ToDb(Udp(kWeb, 1, kDb, 81)), "policy");
  WebAndDb({.egress = kOpen}, {.ingress = kSet});
  EXPECT_DROP(ToDb(Udp(kWeb, 1, kDb, 80)), "policy");
}

TEST_P(SpoofingTest, AnInterfaceWithProgramsAndNoEntryIsClosed) {
  WebAndDb({}, {});
  k.RemoveEndpoint(web);
  k.NextGeneration();
  k.NextGeneration();
  k.Guard(web);
  EXPECT_DROP(k.ToPod(db, Udp(kFar, 1, kDb, 80), {.ingress_ifindex = web}), "closed");
  EXPECT_PASS(ToDb(Udp(kFar, 1, kDb, 80)));
  EXPECT_DROP(k.ToPod(db, Udp(kFar, 1, kDb, 80), {.ingress_ifindex = web}), "closed");
}

TEST_P(SpoofingTest, FragmentsAndOddPacketsAreCheckedToo) {
  Web(kOpen, kOpen);
  Packet later = v6() ? Ethernet() / IPv6{.src = kDb.v6, .dst = kFar.v6} /
                            Fragment{.offset = 64, .next = 17} / Payload(32)
                      : Ethernet() /
                            IPv4{.src = kDb.v4, .dst = kFar.v4, .protocol = 17, .offset = 64} /
                            Payload(32);
  EXPECT_DROP(FromWeb(later), "spoofed-source");
  EXPECT_DROP(FromWeb(Between(kDb, kFar) / TCP{.doff = 4}), "spoofed-source");
}

class NoAntiSpoofingTest : public FamilyTest {
 protected:
  NoAntiSpoofingTest() : FamilyTest({.anti_spoofing = false}) {}
};
BOTH_FAMILIES(NoAntiSpoofingTest);

TEST_P(NoAntiSpoofingTest, AForeignSourcePassesButIsJudged) {
  Web(kOpen, kOpen);
  EXPECT_PASS(FromWeb(Udp(kDb, 1024, kFar, 53)));
  Web(kNothing, kOpen);
  EXPECT_DROP(FromWeb(Udp(kDb, 1025, kFar, 53)), "policy");
}

// Source and destination alike, and neither is the pod's: it would pass for the victim's own.
TEST_P(NoAntiSpoofingTest, NobodySendsAsThePodThatItSendsTo) {
  WebAndDb({.egress = kNothing}, {.ingress = kNothing});
  EXPECT_DROP(FromWeb(Udp(kDb, 1024, kDb, 53)), "spoofed-source");
  WebAndDb({.egress = kOpen}, {.ingress = kNothing});
  EXPECT_DROP(FromWeb(Udp(kDb, 1024, kDb, 53)), "spoofed-source");
  EXPECT_PASS(FromDb(Udp(kDb, 1024, kDb, 53)));
}

class LinkLocalTest : public PodTest {};

// Neighbour discovery is all that a pod needs its link-local address for; it is always allowed.
TEST_F(LinkLocalTest, LinkLocalSourcesAreNotTheEndpoints) {
  Web(kOpen, kOpen);
  EXPECT_DROP(FromWeb(Ethernet() / IPv6{.src = "fe80::1", .dst = "ff02::fb"} /
                      UDP{.sport = 5353, .dport = 5353}),
              "spoofed-source");
  EXPECT_PASS(FromWeb(Ethernet() / IPv6{.src = "fe80::1", .dst = "fe80::2", .hop_limit = 255} /
                      ICMPv6{.type = kNeighbourSolicitation} / Payload(16)));
}

// RFC 4291, 2.5.5.2: such addresses never stand in a packet.
TEST_F(LinkLocalTest, MappedAddressesInIpv6AreNotThePods) {
  Web(kNothing, kNothing);
  Packet mapped = Ethernet() / IPv6{} / UDP{};
  Bytes bytes = mapped.bytes();
  const Bytes own = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
  std::copy(own.begin(), own.end(), bytes.begin() + 14 + 8);
  EXPECT_DROP(k.Run(SP_EGRESS, web, bytes), "malformed");
  std::copy(own.begin(), own.end(), bytes.begin() + 14 + 24);
  EXPECT_DROP(k.Run(SP_EGRESS, web, bytes), "malformed");
  EXPECT_DROP(k.Run(SP_INGRESS, web, bytes, {.mark = 0x100}), "malformed");
}

}  // namespace
}  // namespace sallyport::test
