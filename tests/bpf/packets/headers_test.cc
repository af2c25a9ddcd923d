// SPDX-License-Identifier: Apache-2.0
// Everything in front of the ports: options, extension headers, VLAN tags, other protocols.
#include "bpf/packets/world.h"

namespace sallyport::test {
namespace {

class HeadersTest : public PodTest {
 protected:
  HeadersTest() {
    k.SetRule(kSet, kFarIdentity, Ports().Tcp(80).Udp(80).Sctp(80));
    k.SetRule(kOtherSet, kFarIdentity, Ports::All());
  }
  Packet V6() const { return Ethernet() / IPv6{.src = kWeb.v6, .dst = kFar.v6}; }
  // Behind these headers the ports decide.
  void ExpectWalked(const Packet& headers) {
    EXPECT_PASS(FromWeb(headers / TCP{.dport = 80}));
    EXPECT_DROP(FromWeb(headers / TCP{.dport = 81}), "policy");
    EXPECT_PASS(FromWeb(headers / UDP{.dport = 80} / Payload(4)));
    EXPECT_DROP(FromWeb(headers / UDP{.dport = 81} / Payload(4)), "policy");
    EXPECT_PASS(FromWeb(headers / SCTP{.dport = 80}));
    EXPECT_DROP(FromWeb(headers / SCTP{.dport = 81}), "policy");
  }
};

TEST_F(HeadersTest, Ipv4OptionsOfEveryLength) {
  Web(kSet, kOpen);
  for (size_t length = 0; length <= 40; length += 4)
    ExpectWalked(Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .options = Bytes(length, 1)});
}

// They hide where a packet goes to, behind the address that is judged.
TEST_F(HeadersTest, SourceRoutesAreMalformed) {
  k.SetRule(kSet, kFarIdentity, Ports::All());
  Web(kSet, kNothing);
  for (const Bytes& options : {Bytes{131, 7, 4, 192, 0, 2, 1, 0}, Bytes{137, 7, 4, 192, 0, 2, 1, 0},
                               Bytes{1, 1, 1, 131, 3, 4, 0, 0}, Bytes{7, 4, 4, 0, 131, 3, 4, 0},
                               Bytes{7, 0, 0, 0}, Bytes{7, 9, 4, 0}, Bytes{1, 1, 1, 7}})
    EXPECT_DROP(FromWeb(Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .options = options} /
                        UDP{.dport = 80}),
                "malformed");
  for (const Bytes& options : {Bytes{7, 7, 4, 131, 137, 0, 0, 0}, Bytes{0, 131, 7, 4}})
    EXPECT_PASS(FromWeb(Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .options = options} /
                        UDP{.dport = 80}));
}

TEST_F(HeadersTest, TwoFragmentHeadersAreMalformed) {
  k.SetRule(kSet, kFarIdentity, Ports::All());
  Web(kSet, kNothing);
  EXPECT_DROP(FromWeb(V6() / Fragment{.id = 1} / Fragment{.id = 2} / UDP{.dport = 80}),
              "malformed");
}

// Behind more headers than are walked there may be a tunnel: from a pod that is not isolated too.
TEST_F(HeadersTest, WhatIsBehindTooManyHeadersDoesNotLeaveAPod) {
  Web(kOpen, kOpen);
  Packet deep = V6();
  for (int i = 0; i <= SP_MAX_EXT_HEADERS; i++) deep = deep / DestinationOptions{};
  EXPECT_DROP(FromWeb(deep / UDP{.dport = 8472}), "malformed");
}

// Bytes that would be the ports if the options were not walked.
TEST_F(HeadersTest, Ipv4OptionsAreNotPorts) {
  Web(kSet, kOpen);
  EXPECT_DROP(FromWeb(Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .options = {7, 4, 0, 80}} /
                      UDP{.dport = 81} / Payload(8)),
              "policy");
}

TEST_F(HeadersTest, EveryExtensionHeader) {
  Web(kSet, kOpen);
  ExpectWalked(V6() / HopByHop{});
  ExpectWalked(V6() / DestinationOptions{});
  ExpectWalked(V6() / DestinationOptions{.options = Bytes(254, 0)});
  ExpectWalked(V6() / Routing{.segments_left = 0});
  ExpectWalked(V6() / Fragment{});
  ExpectWalked(V6() / AuthHeader{});
  ExpectWalked(V6() / Mobility{});
  ExpectWalked(V6() / HopByHop{} / DestinationOptions{} / Routing{} / Fragment{} / AuthHeader{} /
               DestinationOptions{});
}

// The true destination is in the header, and not the one that was judged.
TEST_F(HeadersTest, ARoutingHeaderThatGoesOnIsMalformed) {
  Web(kOtherSet, kOtherSet);
  for (uint8_t left : std::initializer_list<uint8_t>{1, 2, 255})
    EXPECT_DROP(FromWeb(V6() / Routing{.segments_left = left} / TCP{}), "malformed");
  EXPECT_PASS(FromWeb(V6() / Routing{.type = 0} / TCP{}));
  Web(kOpen, kOpen);
  EXPECT_PASS(FromWeb(V6() / Routing{.segments_left = 1} / TCP{}));
}

TEST_F(HeadersTest, ChainsUpToTheBound) {
  Web(kSet, kOpen);
  Packet chain = V6();
  for (int i = 0; i < SP_MAX_EXT_HEADERS; i++) {
    ExpectWalked(chain);
    chain /= DestinationOptions{};
  }
  ExpectWalked(chain);
  chain /= DestinationOptions{};
  EXPECT_DROP(FromWeb(chain / TCP{.dport = 80}), "malformed");
}

TEST_F(HeadersTest, UnknownExtensionHeadersAreProtocolsWithoutPorts) {
  const uint8_t kHip = 139, kShim6 = 140, kNone = 59, kExperiment = 253;
  for (uint8_t next : {kHip, kShim6, kNone, kExperiment}) {
    Packet packet = Ethernet() / IPv6{.src = kWeb.v6, .dst = kFar.v6, .next = next} / Payload(24);
    Web(kSet, kOpen);
    EXPECT_DROP(FromWeb(packet), "policy");
    Web(kOtherSet, kOpen);
    EXPECT_PASS(FromWeb(packet));
  }
}

TEST_F(HeadersTest, ExtensionHeadersLongerThanThePacketAreMalformed) {
  Web(kOtherSet, kOtherSet);
  for (uint8_t length : std::initializer_list<uint8_t>{2, 16, 255}) {
    EXPECT_DROP(FromWeb(V6() / HopByHop{.length = length} / TCP{}), "malformed");
    EXPECT_DROP(FromWeb(V6() / DestinationOptions{.length = length} / UDP{}), "malformed");
    EXPECT_DROP(FromWeb(V6() / Routing{.length = length} / UDP{}), "malformed");
    EXPECT_DROP(FromWeb(V6() / Mobility{.length = length} / UDP{}), "malformed");
  }
  EXPECT_DROP(FromWeb(V6() / AuthHeader{.length = 255} / UDP{}), "malformed");
  EXPECT_DROP(FromWeb(V6() / HopByHop{.next = 58, .length = 0}), "malformed");
}

TEST_F(HeadersTest, ExtensionHeadersInIpv4AreProtocolsWithoutPorts) {
  for (uint8_t protocol : std::initializer_list<uint8_t>{0, 43, 44, 51, 60, 135}) {
    Packet packet =
        Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .protocol = protocol} / Payload(24);
    Web(kSet, kOpen);
    EXPECT_DROP(FromWeb(packet), "policy");
    Web(kOtherSet, kOpen);
    EXPECT_PASS(FromWeb(packet));
  }
}

TEST_F(HeadersTest, IcmpOfTheOtherFamilyIsMalformed) {
  Web(kOtherSet, kOtherSet);
  EXPECT_DROP(FromWeb(V6() / ICMP{}), "malformed");
  EXPECT_DROP(FromWeb(Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4} / ICMPv6{}), "malformed");
}

TEST_F(HeadersTest, TunnelsAreProtocolsWithoutPorts) {
  Packet inner4 = IPv4{} / UDP{}, inner6 = IPv6{} / UDP{};
  Web(kSet, kOpen);
  for (const Packet& inner : {inner4, inner6}) {
    EXPECT_DROP(FromWeb(Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4} / inner), "policy");
    EXPECT_DROP(FromWeb(V6() / inner), "policy");
  }
}

TEST_F(HeadersTest, TaggedFramesAreNotReadAtAnIsolatedEndpoint) {
  for (const Packet& inner : {Packet(Arp{}), IPv4{.dst = kFar.v4} / TCP{}, IPv6{} / TCP{}}) {
    Web(kOtherSet, kOtherSet);
    EXPECT_DROP(FromWeb(Ethernet() / Vlan{} / inner), "ethertype");
    EXPECT_DROP(ToWeb(Ethernet() / Vlan{} / inner), "ethertype");
    EXPECT_DROP(FromWeb(Ethernet{.type = 0x88a8} / Vlan{} / Vlan{} / inner), "ethertype");
    Web(kOpen, kOtherSet);
    EXPECT_PASS(FromWeb(Ethernet() / Vlan{} / inner));
    EXPECT_DROP(ToWeb(Ethernet() / Vlan{} / inner), "ethertype");
  }
}

TEST_F(HeadersTest, OtherEthertypes) {
  const uint16_t kLoop = 0x0060, kMpls = 0x8847, kPppoe = 0x8864, kLldp = 0x88cc, kRarp = 0x8035;
  for (uint16_t type : {kLoop, kMpls, kPppoe, kLldp, kRarp}) {
    Packet packet = Ethernet{.type = type} / Payload(46);
    Web(kOtherSet, kOtherSet);
    EXPECT_DROP(FromWeb(packet), "ethertype");
    EXPECT_DROP(ToWeb(packet), "ethertype");
    Web(kOpen, kOpen);
    EXPECT_PASS(FromWeb(packet));
    EXPECT_PASS(ToWeb(packet));
    Web(kOpen, kOpen, 0);
    EXPECT_DROP(FromWeb(packet), "closed");
  }
}

TEST_F(HeadersTest, LengthsAreCheckedAgainstThePacket) {
  Web(kOtherSet, kOtherSet);
  for (uint16_t length : std::initializer_list<uint16_t>{0, 19, 27, 41, 65535})
    EXPECT_DROP(
        FromWeb(Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .length = length} / TCP{}),
        "malformed");
  for (uint16_t length : std::initializer_list<uint16_t>{0, 19, 21, 65535})
    EXPECT_DROP(
        FromWeb(Ethernet() / IPv6{.src = kWeb.v6, .dst = kFar.v6, .length = length} / TCP{}),
        "malformed");
}

TEST_F(HeadersTest, BytesBehindThePacketAreNotPartOfIt) {
  Web(kSet, kOpen);
  EXPECT_PASS(FromWeb(Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .length = 40} / TCP{} /
                      Payload(20)));
  EXPECT_DROP(FromWeb(Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .length = 39} / TCP{} /
                      Payload(20)),
              "malformed");
}

// A segment above 64 KiB (BIG TCP) cannot say its length.
TEST_F(HeadersTest, LengthZeroIsTheWholeSegment) {
  Web(kSet, kOpen);
  Packet v4 = Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .length = 0} / TCP{} / Payload(999);
  Packet v6 = Ethernet() / IPv6{.src = kWeb.v6, .dst = kFar.v6, .length = 0} / TCP{} / Payload(999);
  for (const Packet& packet : {v4, v6}) {
    EXPECT_PASS(k.FromPod(web, packet, {.gso_size = 500}));
    EXPECT_DROP(FromWeb(packet), "malformed");
  }
}

TEST_F(HeadersTest, AShortTcpHeaderIsMalformed) {
  Web(kOtherSet, kOtherSet);
  for (uint8_t doff = 0; doff < 5; doff++) {
    EXPECT_DROP(FromWeb(V6() / TCP{.doff = doff}), "malformed");
    EXPECT_DROP(FromWeb(Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4} / TCP{.doff = doff}),
                "malformed");
  }
}

}  // namespace
}  // namespace sallyport::test
