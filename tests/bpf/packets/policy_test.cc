// SPDX-License-Identifier: Apache-2.0
// Policy sets, port sets and identities.
#include "bpf/packets/world.h"

namespace sallyport::test {
namespace {

class PolicyTest : public FamilyTest {
 protected:
  // One packet of each protocol to a port of kFar.
  void ExpectPorts(uint16_t port, bool tcp, bool udp, bool sctp) {
    Expect(Tcp(kWeb, source_, kFar, port), tcp);
    Expect(Udp(kWeb, source_, kFar, port), udp);
    Expect(Sctp(kWeb, source_, kFar, port), sctp);
    source_++;
  }
  void Expect(const Packet& packet, bool passes) {
    if (passes)
      EXPECT_PASS(FromWeb(packet));
    else
      EXPECT_DROP(FromWeb(packet), "policy");
  }

 private:
  uint16_t source_ = 20000;
};
BOTH_FAMILIES(PolicyTest);

TEST_P(PolicyTest, AnEndpointThatIsNotIsolatedIsOpen) {
  Web(kOpen, kOpen);
  ExpectPorts(80, true, true, true);
  EXPECT_PASS(ToWeb(Tcp(kStranger, 1024, kWeb, 80)));
  EXPECT_PASS(ToWeb(Ping(kStranger, kWeb)));
}

TEST_P(PolicyTest, IsolationIsPerDirection) {
  Web(kNothing, kOpen);
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kFar, 80)), "policy");
  EXPECT_PASS(ToWeb(Tcp(kFar, 1024, kWeb, 80)));
  Web(kOpen, kNothing);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1025, kFar, 80)));
  EXPECT_DROP(ToWeb(Tcp(kFar, 1025, kWeb, 80)), "policy");
}

TEST_P(PolicyTest, IsolatedWithoutRulesIsNothingAtAll) {
  Web(kNothing, kNothing);
  ExpectPorts(80, false, false, false);
  EXPECT_DROP(FromWeb(Ping(kWeb, kFar)), "policy");
  EXPECT_DROP(ToWeb(Udp(kFar, 1024, kWeb, 53)), "policy");
  EXPECT_DROP(ToWeb(Ping(kFar, kWeb)), "policy");
  EXPECT_EQ(k.Flows().size(), 0u);
}

TEST_P(PolicyTest, EveryPageEdge) {
  k.SetRule(kSet, kFarIdentity, Ports().Tcp(0).Tcp(2047).Udp(1).Udp(2048).Sctp(65535));
  Web(kSet, kOpen);
  ExpectPorts(0, true, false, false);
  ExpectPorts(1, false, true, false);
  ExpectPorts(2, false, false, false);
  ExpectPorts(2046, false, false, false);
  ExpectPorts(2047, true, false, false);
  ExpectPorts(2048, false, true, false);
  ExpectPorts(2049, false, false, false);
  ExpectPorts(65534, false, false, false);
  ExpectPorts(65535, false, false, true);
}

TEST_P(PolicyTest, RangesAcrossPages) {
  k.SetRule(kSet, kFarIdentity, Ports().Tcp(2000, 6200));
  Web(kSet, kOpen);
  ExpectPorts(1999, false, false, false);
  for (uint16_t port :
       std::initializer_list<uint16_t>{2000, 2047, 2048, 4095, 4096, 6143, 6144, 6200})
    ExpectPorts(port, true, false, false);
  ExpectPorts(6201, false, false, false);
  ExpectPorts(8192, false, false, false);
}

TEST_P(PolicyTest, EveryPortOfOneProtocol) {
  k.SetRule(kSet, kFarIdentity, Ports().Udp(0, 65535));
  Web(kSet, kOpen);
  for (uint16_t port : std::initializer_list<uint16_t>{0, 1, 2047, 2048, 30000, 65535})
    ExpectPorts(port, false, true, false);
  EXPECT_DROP(FromWeb(Ping(kWeb, kFar)), "policy");
}

TEST_P(PolicyTest, PortZeroOnly) {
  k.SetRule(kSet, kFarIdentity, Ports().Tcp(0).Udp(0).Sctp(0));
  Web(kSet, kOpen);
  ExpectPorts(0, true, true, true);
  ExpectPorts(80, false, false, false);
  EXPECT_DROP(FromWeb(Ping(kWeb, kFar)), "policy");
  EXPECT_DROP(FromWeb(Between(kWeb, kFar) / Payload(40)), "policy");
}

// `ports` missing: any port and any protocol.
TEST_P(PolicyTest, EveryPortOfEveryProtocol) {
  k.SetRule(kSet, kFarIdentity, Ports::All());
  Web(kSet, kOpen);
  ExpectPorts(0, true, true, true);
  ExpectPorts(65535, true, true, true);
  EXPECT_PASS(FromWeb(Ping(kWeb, kFar)));
  EXPECT_PASS(FromWeb(Between(kWeb, kFar) / Payload(40)));
}

TEST_P(PolicyTest, TheDestinationsPortCountsInBothDirections) {
  k.SetRule(kSet, kFarIdentity, Ports().Tcp(80));
  Web(kOpen, kSet);
  EXPECT_PASS(ToWeb(Tcp(kFar, 1024, kWeb, 80)));
  EXPECT_DROP(ToWeb(Tcp(kFar, 80, kWeb, 1024)), "policy");
}

TEST_P(PolicyTest, AnyPeerIsForThoseWithoutRulesOfTheirOwn) {
  k.SetRule(kSet, 0, Ports().Tcp(80));
  k.SetRule(kSet, kFarIdentity, Ports().Tcp(443));
  Web(kSet, kOpen);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kStranger, 80)));
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kStranger, 443)), "policy");
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kFar, 80)), "policy");
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 443)));
}

TEST_P(PolicyTest, AnIdentityWithoutARuleGetsTheAnyPeerEntry) {
  k.SetRule(kSet, 0, Ports().Tcp(80));
  k.SetRule(kOtherSet, kFarIdentity, Ports::All());
  Web(kSet, kOpen);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kFar, 443)), "policy");
}

TEST_P(PolicyTest, ARuleCanAllowNothing) {
  k.SetRule(kSet, 0, Ports::All());
  k.SetRule(kSet, kFarIdentity, Ports::None());
  Web(kSet, kOpen);
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kFar, 80)), "policy");
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kStranger, 80)));
}

TEST_P(PolicyTest, SetsAreNotMixedUp) {
  k.SetRule(kSet, kFarIdentity, Ports().Tcp(80));
  k.SetRule(kOtherSet, kFarIdentity, Ports().Tcp(443));
  k.SetEndpoint({.ifindex = db, .v4 = kDb.v4, .v6 = kDb.v6, .egress = kOtherSet});
  Web(kSet, kOtherSet);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kFar, 443)), "policy");
  EXPECT_DROP(ToWeb(Tcp(kFar, 1025, kWeb, 80)), "policy");
  EXPECT_PASS(ToWeb(Tcp(kFar, 1025, kWeb, 443)));
  EXPECT_DROP(FromDb(Tcp(kDb, 1024, kFar, 80)), "policy");
  EXPECT_PASS(FromDb(Tcp(kDb, 1024, kFar, 443)));
}

TEST_P(PolicyTest, ProtocolsWithoutPortsNeedARuleWithoutPorts) {
  const uint8_t kEsp = 50, kUdpLite = 136, kDccp = 33;
  k.SetRule(kSet, kFarIdentity, Ports().Tcp(0, 65535).Udp(0, 65535).Sctp(0, 65535));
  Web(kSet, kOpen);
  for (uint8_t protocol : {kEsp, kUdpLite, kDccp}) {
    Packet packet =
        v6()
            ? Ethernet() / IPv6{.src = kWeb.v6, .dst = kFar.v6, .next = protocol} / Payload(24)
            : Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .protocol = protocol} / Payload(24);
    EXPECT_DROP(FromWeb(packet), "policy");
  }
}

class IdentityTest : public FamilyTest {
 protected:
  // Each identity may use the TCP port of its own number.
  void AllowEachIts(std::initializer_list<uint32_t> identities) {
    for (uint32_t identity : identities) k.SetRule(kSet, identity, Ports().Tcp(identity));
  }
  void ExpectIdentity(const char* v4_or_v6, uint32_t identity) {
    for (uint32_t port : {1u, 2u, 3u, 4u, 5u}) {
      Packet packet = v6() ? Ethernet() / IPv6{.src = kWeb.v6, .dst = v4_or_v6} /
                                 TCP{.dport = static_cast<uint16_t>(port)}
                           : Ethernet() / IPv4{.src = kWeb.v4, .dst = v4_or_v6} /
                                 TCP{.dport = static_cast<uint16_t>(port)};
      if (port == identity)
        EXPECT_PASS(FromWeb(packet));
      else
        EXPECT_DROP(FromWeb(packet), "policy");
    }
  }
  void Prefix(const char* v4, const char* v6_text, uint32_t identity) {
    k.SetPrefix(v6() ? v6_text : v4, identity);
  }
  void Peer(const char* v4, const char* v6_text, uint32_t identity) {
    k.SetPeer(v6() ? v6_text : v4, identity);
  }
  void Is(const char* v4, const char* v6_text, uint32_t identity) {
    ExpectIdentity(v6() ? v6_text : v4, identity);
  }
};
BOTH_FAMILIES(IdentityTest);

TEST_P(IdentityTest, LongestPrefixWins) {
  AllowEachIts({1, 2, 3, 4});
  Prefix("0.0.0.0/0", "::/0", 1);
  Prefix("172.16.0.0/12", "2001:db8::/32", 2);
  Prefix("172.16.32.0/19", "2001:db8:2000::/35", 3);
  Prefix("172.16.33.7/32", "2001:db8:2000::7/128", 4);
  Web(kSet, kOpen);
  Is("8.8.8.8", "2606::8", 1);
  Is("172.15.255.255", "2001:db7:ffff:ffff::", 1);
  Is("172.16.0.0", "2001:db8::", 2);
  Is("172.31.255.255", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 2);
  Is("172.32.0.0", "2001:db9::", 1);
  Is("172.16.31.255", "2001:db8:1fff::", 2);
  Is("172.16.32.0", "2001:db8:2000::", 3);
  Is("172.16.63.255", "2001:db8:3fff:ffff:ffff:ffff:ffff:ffff", 3);
  Is("172.16.64.0", "2001:db8:4000::", 2);
  Is("172.16.33.6", "2001:db8:2000::6", 3);
  Is("172.16.33.7", "2001:db8:2000::7", 4);
  Is("172.16.33.8", "2001:db8:2000::8", 3);
}

TEST_P(IdentityTest, EverythingButAHole) {
  AllowEachIts({1, 2});
  k.SetRule(kSet, 3, Ports::None());
  Prefix("0.0.0.0/0", "::/0", 1);
  Prefix("10.9.0.0/16", "fd09::/16", 3);
  Prefix("10.9.8.0/21", "fd09:8::/29", 2);
  Web(kSet, kOpen);
  Is("10.8.255.255", "fd08:ffff::", 1);
  Is("10.9.0.0", "fd09::", 0);
  Is("10.9.7.255", "fd09:7:ffff::", 0);
  Is("10.9.8.0", "fd09:8::", 2);
  Is("10.9.15.255", "fd09:f:ffff::", 2);
  Is("10.9.16.0", "fd09:10::", 0);
  Is("10.10.0.0", "fd0a::", 1);
}

TEST_P(IdentityTest, TheWholeWorldIsOnePrefix) {
  AllowEachIts({1});
  Prefix("0.0.0.0/0", "::/0", 1);
  Web(kSet, kOpen);
  Is("0.0.0.1", "::1:0:0:0:1", 1);
  Is("255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1);
}

TEST_P(IdentityTest, TheFamiliesDoNotShareTheirPrefixes) {
  AllowEachIts({1});
  k.SetPrefix(v6() ? "0.0.0.0/0" : "::/0", 1);
  Web(kSet, kOpen);
  Is("8.8.8.8", "2606::8", 0);
}

TEST_P(IdentityTest, AnAddressIsKnownBeforeItsPrefix) {
  AllowEachIts({1, 2});
  Prefix("10.7.0.0/16", "fd07::/16", 1);
  Peer("10.7.0.1", "fd07::1", 2);
  Peer("10.7.0.2", "fd07::2", SP_PEER_NONE);
  Peer("10.7.0.3", "fd07::3", SP_PEER_NODE);  // a place in use that says: ask the prefixes
  Web(kSet, kSet);
  Is("10.7.0.1", "fd07::1", 2);
  Is("10.7.0.2", "fd07::2", 0);
  Is("10.7.0.4", "fd07::4", 1);
  Host node = {"10.7.0.3", "fd07::3"};
  EXPECT_PASS(ToWeb(Tcp(node, 1024, kWeb, 1)));
  EXPECT_DROP(ToWeb(Tcp(node, 1024, kWeb, 2)), "policy");
}

TEST_P(IdentityTest, NobodyIsIdentityNone) {
  AllowEachIts({1});
  k.SetRule(kSet, 0, Ports().Tcp(5));
  Web(kSet, kOpen);
  Is("10.7.0.1", "fd07::1", 5);
}

TEST_P(IdentityTest, AFullBucketOfPeersIsReadToItsEnd) {
  AllowEachIts({1, 2, 3, 4});
  for (uint32_t i = 0; i < 150; i++) {
    std::string text = v6() ? "fd07::" + std::to_string(i + 1)
                            : "10.7." + std::to_string(i / 100) + "." + std::to_string(i % 100);
    k.SetPeer(text.c_str(), 1 + i % 4);
  }
  k.SetRule(kSet, 0, Ports::None());
  Web(kSet, kOpen);
  for (uint32_t i = 0; i < 100; i++) {
    std::string v4 = "10.7.0." + std::to_string(i), six = "fd07::" + std::to_string(i + 1);
    Is(v4.c_str(), six.c_str(), 1 + i % 4);
  }
}

}  // namespace
}  // namespace sallyport::test
