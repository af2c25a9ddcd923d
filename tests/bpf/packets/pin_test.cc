// SPDX-License-Identifier: Apache-2.0
// Pinned flows at the pod's interface and at the gateway's: what a packet becomes, byte by byte,
// and what is dropped instead.
#include <cstring>

#include "bpf/packets/pinned.h"

namespace sallyport::test {
namespace {

BOTH_FAMILIES(PinTest);

TEST_P(PinTest, TcpBothWays) {
  ExpectBecomes(FromWeb(Tcp(kWeb, 1024, kPartner, 443)), Tcp(kEgress, Port(), kPartner, 443));
  ExpectBecomes(FromPartner(Tcp(kPartner, 443, kEgress, Port(), kSyn | kAck)),
                Tcp(kPartner, 443, kWeb, 1024, kSyn | kAck));
  ExpectBecomes(FromWeb(Tcp(kWeb, 1024, kPartner, 443, kAck)),
                Tcp(kEgress, Port(), kPartner, 443, kAck));
  ExpectBecomes(FromWeb(Tcp(kWeb, 1024, kPartner, 443, kAck | kPsh)),
                Tcp(kEgress, Port(), kPartner, 443, kAck | kPsh));
  ExpectBecomes(FromPartner(Tcp(kPartner, 443, kEgress, Port(), kAck)),
                Tcp(kPartner, 443, kWeb, 1024, kAck));
  EXPECT_EQ(k.EgressCounters(number()).opened, 1u);
  EXPECT_EQ(k.Counters(web).packets[SP_EGRESS], 3u);
  EXPECT_EQ(k.Counters(web).packets[SP_INGRESS], 2u);
}

TEST_P(PinTest, UdpBothWays) {
  for (int i = 0; i < 3; i++) {
    ExpectBecomes(FromWeb(Udp(kWeb, 1024, kPartner, 53)), Udp(kEgress, Port(), kPartner, 53));
    ExpectBecomes(FromPartner(Udp(kPartner, 53, kEgress, Port())), Udp(kPartner, 53, kWeb, 1024));
  }
}

TEST_P(PinTest, EchoBothWays) {
  ExpectBecomes(FromWeb(Ping(kWeb, kPartner, 7)), Ping(kEgress, kPartner, Port()));
  ExpectBecomes(FromPartner(Pong(kPartner, kEgress, Port())), Pong(kPartner, kWeb, 7));
}

// Its checksum is of all bytes and no sum: reckoned here the slow way.
uint32_t Crc32c(const Bytes& bytes, size_t from) {
  uint32_t crc = ~0u;
  for (size_t i = from; i < bytes.size(); i++) {
    crc ^= i >= from + 8 && i < from + 12 ? 0 : bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
  }
  return ~crc;
}

void StoreCrc(Bytes& inside, size_t at) {
  uint32_t crc = Crc32c(inside, at);
  std::memcpy(inside.data() + at + 8, &crc, 4);
}

TEST_P(PinTest, SctpBothWaysWithARightChecksum) {
  size_t at = v6() ? 40 : 20;
  for (size_t more : {0u, 1u, 3u, 100u, 1200u}) {
    auto run = [&](const Packet& packet, const Packet& expected, bool out) {
      Bytes frame = packet.bytes(), right = Inside(expected.bytes());
      Bytes inside = Inside(frame);
      StoreCrc(inside, at);
      std::copy(inside.begin(), inside.end(), frame.begin() + 14);
      StoreCrc(right, at);
      Outcome outcome = out ? k.Run(SP_EGRESS, web, frame) : k.RunOnNode(Interface(6), frame);
      EXPECT_DIRECT(outcome);
      EXPECT_EQ(Inside(outcome.frame), right) << more;
    };
    run(Sctp(kWeb, 1024, kPartner, 80) / Payload(more),
        Sctp(kEgress, Port(), kPartner, 80) / Payload(more), true);
    run(Sctp(kPartner, 80, kEgress, Port(), kSctpInitAck) / Payload(more),
        Sctp(kPartner, 80, kWeb, 1024, kSctpInitAck) / Payload(more), false);
  }
}

TEST_P(PinTest, WhatIsNotPinnedGoesAsItIs) {
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kStranger, 443)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 443)));
  EXPECT_EQ(k.EgressCounters(number()).opened, 0u);
}

// The node may make another of it, a backend of a Service that nobody told of: it is asked there
// again.
TEST_P(PinTest, WhatIsNotPinnedYetIsAskedForAgain) {
  const Host service = {"10.96.0.50", "fd00:10:96::50"};
  auto carried = [&] {
    int out = 0;
    for (const sp_flow* flow : k.Flows()) out += (flow->state & SP_FLOW_CARRIED) != 0;
    return out;
  };
  Pinned(0);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, service, 443)));
  EXPECT_EQ(carried(), 0);
  Pinned();
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1025, service, 443)));
  EXPECT_EQ(carried(), 1);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, service, 443)));
  EXPECT_EQ(carried(), 2) << "also of what began before";
}

// Policy has the first word, and is asked about the real destination.
TEST_P(PinTest, PolicyFirst) {
  k.SetPrefix("198.51.100.0/24", 31);
  k.SetPrefix("2001:db8:100::/48", 31);
  k.SetRule(kSet, 31, Ports().Tcp(443));
  Pinned(kPins, kSet);
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kPartner, 80)), "policy");
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kPartner, 443)));
  k.RemoveRule(kSet, 31);
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kPartner, 443, kAck)), "policy");
}

TEST_P(PinTest, NothingLeavesWhereSomethingIsMissing) {
  Packet syn = Tcp(kWeb, 1024, kPartner, 443);
  ip().gateway = 0;
  EXPECT_DROP(FromWeb(syn), "no-gateway");
  ip().gateway = kOtherNode;
  k.egress().tunnel->mtu = 0;
  EXPECT_DROP(FromWeb(syn), "no-gateway");
  k.egress().tunnel->mtu = kMtu;
  k.egress().tunnel->ifindex = 0;
  EXPECT_DROP(FromWeb(syn), "no-gateway");
  k.egress().tunnel->ifindex = Interface(4);
  k.egress().tunnel_nodes[kOtherNode].address = {};
  EXPECT_DROP(FromWeb(syn), "no-gateway");
  k.egress().tunnel_nodes[kOtherNode].address = Abi("10.0.0.253");
  ip().blocks = 0;
  EXPECT_DROP(FromWeb(Udp(kWeb, 1, kPartner, 53)), "no-port");
  ip().blocks = 1;
  sp_address address = ip().address;
  ip().address = {};
  EXPECT_DROP(FromWeb(syn), "no-egress-ip");
  ip().address = address;
  k.SetPin(kPins, v6() ? "2001:db8:100::/48" : "198.51.100.0/24", SP_PIN_NOWHERE);
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1025, kPartner, 443)), "no-egress-ip");
  Pinned(SP_PIN_SET_FULL);
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1026, kStranger, 443)), "no-egress-ip");
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1026, kFar, 443)));
}

TEST_P(PinTest, WhatCannotBeTranslatedIsDropped) {
  EXPECT_DROP(
      FromWeb(v6() ? Ethernet() / IPv6{.src = kWeb.v6, .dst = kPartner.v6, .next = 47} / Payload(20)
                   : Ethernet() / IPv4{.src = kWeb.v4, .dst = kPartner.v4, .protocol = 47} /
                         Payload(20)),
      "untranslatable");
  EXPECT_DROP(FromWeb(Between(kWeb, kPartner) / Icmp(kTimestamp, 139) / Payload(12)),
              "untranslatable");
  // An error about nothing that is known.
  EXPECT_DROP(FromWeb(Error(kWeb, kPartner, Udp(kPartner, 5, kWeb, 6))), "untranslatable");
}

// A connection keeps the address that it began with, or ends.
TEST_P(PinTest, ConnectionsDoNotChangeTheirAddress) {
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kPartner, 443, kAck)), "other-address");
  Pinned(0);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kPartner, 443)));
  EXPECT_PASS(ToWeb(Tcp(kPartner, 443, kWeb, 1024, kSyn | kAck)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kPartner, 443, kAck)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kPartner, 53)));
  Pinned();
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kPartner, 443, kAck)), "other-address");
  EXPECT_DIRECT(FromWeb(Udp(kWeb, 1024, kPartner, 53))) << "a datagram begins anew";
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1025, kPartner, 443)));
  Pinned(0);
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1025, kPartner, 443, kAck)), "other-address");
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kPartner, 443, kAck)))
      << "the first one has its address again";
}

// Another egress IP than before.
TEST_P(PinTest, APinThatMovesEndsWhatWentBefore) {
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kPartner, 443)));
  EXPECT_DIRECT(FromWeb(Udp(kWeb, 1024, kPartner, 53)));
  sp_egress_ip& other = k.egress().egress_ips[3] = ip();
  other.cursor = 0;
  other.address = Abi(v6() ? "2001:db8:ffff::11" : "203.0.113.11");
  k.egress().port_blocks[3].first[0] = kFirst;
  k.SetPin(kPins, v6() ? "2001:db8:100::/48" : "198.51.100.0/24", 3);
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kPartner, 443, kAck)), "other-address");
  const Host moved = {"203.0.113.11", "2001:db8:ffff::11"};
  ExpectBecomes(FromWeb(Udp(kWeb, 1024, kPartner, 53)), Udp(moved, Port(), kPartner, 53));
}

// Who was spoken to answers from the address that was spoken to.
TEST_P(PinTest, AnswersToTheOutsideAreNotPinned) {
  EXPECT_PASS(ToWeb(Tcp(kPartner, 5000, kWeb, 80)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 80, kPartner, 5000, kSyn | kAck)));
  EXPECT_PASS(ToWeb(Udp(kPartner, 5000, kWeb, 80)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 80, kPartner, 5000)));
  EXPECT_PASS(FromWeb(Error(kWeb, kPartner, Udp(kPartner, 5000, kWeb, 80))));
}

TEST_P(PinTest, StrangersAreDroppedWithoutAWord) {
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kPartner, 443)));
  for (const Packet& packet :
       {Tcp(kStranger, 443, kEgress, Port(), kSyn), Tcp(kStranger, 443, kEgress, Port(), kAck),
        Tcp(kPartner, 444, kEgress, Port(), kSyn | kAck), Udp(kPartner, 443, kEgress, Port()),
        Tcp(kPartner, 443, kEgress, Port(1), kSyn | kAck), Ping(kPartner, kEgress),
        Tcp(kPartner, 443, kEgress, 80), Between(kPartner, kEgress) / Payload(4)}) {
    Outcome outcome = FromPartner(packet);
    EXPECT_DROP(outcome, "stranger");
    EXPECT_FALSE(outcome.event) << "they may knock at all ports of the world";
  }
  EXPECT_EQ(k.EgressCounters(number()).strangers, 8u);
  EXPECT_DIRECT(FromPartner(Tcp(kPartner, 443, kEgress, Port(), kSyn | kAck)));
}

// From outside, for the ports of another node.
TEST_P(PinTest, RepliesGoToTheNodeWhosePortsTheyAre) {
  k.egress().port_owners[number()].node[2048 / SP_PORT_GROUP] = kOtherNode;
  Packet reply = Tcp(kPartner, 443, kEgress, 2100, kSyn | kAck);
  ExpectBecomes(FromPartner(reply), reply);
  Packet error = Error(kStranger, kEgress, Tcp(kEgress, 2101, kPartner, 443));
  ExpectBecomes(FromPartner(error), error);
  EXPECT_EQ(k.EgressCounters(number()).packets[1], 2u);
}

// Whatever comes out of the tunnel and is not known to be from a node.
TEST_P(PinTest, TheTunnelIsForNodes) {
  EXPECT_DIRECT(FromWeb(Tcp(kWeb, 1024, kPartner, 443)));
  for (const Packet& packet :
       {Tcp(kPartner, 443, kEgress, Port(), kSyn | kAck), Tcp(kEgress, Port(), kPartner, 443),
        Tcp(kStranger, 1, kWeb, 80), Packet(Ethernet()) / Arp{}})
    EXPECT_DROP(k.FromTunnel(Interface(4), packet), "not-a-node");
}

// A Service's packets, and any other, are not touched where an egress IP is not concerned.
TEST_P(PinTest, TheGatewaysOwnTrafficIsLeftAlone) {
  EXPECT_PASS(FromPartner(Tcp(kPartner, 443, kNode, 5000, kAck)));
  EXPECT_PASS(FromPartner(Tcp(kStranger, 443, kFar, 5000)));
}

}  // namespace
}  // namespace sallyport::test
