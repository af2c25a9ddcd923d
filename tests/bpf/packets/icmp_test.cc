// SPDX-License-Identifier: Apache-2.0
// ICMP errors: those about an allowed flow pass, whoever sends them; forged and broken ones do not.
#include "bpf/packets/world.h"

namespace sallyport::test {
namespace {

const Host kRouter = {"172.20.0.1", "2001:db8:ffff::1"};

class ErrorTest : public FamilyTest {
 protected:
  ErrorTest() { k.SetRule(kSet, kFarIdentity, Ports().Tcp(80).Udp(80).Sctp(80)); }

  std::vector<Packet> Kinds() const {
    if (v6())
      return {ICMPv6{.type = kUnreachable6, .id = 0},
              ICMPv6{.type = kUnreachable6, .code = 4, .id = 0},
              ICMPv6{.type = kPacketTooBig6, .id = 0, .sequence = 1280},
              ICMPv6{.type = kTimeExceeded6, .id = 0},
              ICMPv6{.type = kParameterProblem6, .code = 1, .id = 0}};
    return {ICMP{.type = kUnreachable, .id = 0},
            ICMP{.type = kUnreachable, .code = 3, .id = 0},
            ICMP{.type = kUnreachable, .code = 4, .id = 0, .sequence = 1400},
            ICMP{.type = kSourceQuench, .id = 0},
            ICMP{.type = kTimeExceeded, .id = 0},
            ICMP{.type = kParameterProblem, .id = 0}};
  }
};
BOTH_FAMILIES(ErrorTest);

TEST_P(ErrorTest, EveryKindAboutALiveFlowPassesToTheSender) {
  Web(kSet, kNothing);
  for (const Packet& packet :
       {Tcp(kWeb, 1024, kFar, 80), Udp(kWeb, 1024, kFar, 80), Sctp(kWeb, 1024, kFar, 80)}) {
    EXPECT_DROP(ToWeb(Error(kRouter, kWeb, packet)), "icmp-error");
    EXPECT_PASS(FromWeb(packet));
    for (const Packet& kind : Kinds()) {
      EXPECT_PASS(ToWeb(Between(kRouter, kWeb) / kind / Quote(packet)));
      EXPECT_PASS(ToWeb(Between(kFar, kWeb) / kind / Quote(packet)));
    }
  }
}

TEST_P(ErrorTest, EveryKindAboutALiveFlowPassesFromTheReceiver) {
  Web(kNothing, kSet);
  for (const Packet& packet :
       {Tcp(kFar, 1024, kWeb, 80), Udp(kFar, 1024, kWeb, 80), Sctp(kFar, 1024, kWeb, 80)}) {
    EXPECT_DROP(FromWeb(Error(kWeb, kFar, packet)), "icmp-error");
    EXPECT_PASS(ToWeb(packet));
    for (const Packet& kind : Kinds())
      EXPECT_PASS(FromWeb(Between(kWeb, kFar) / kind / Quote(packet)));
  }
}

TEST_P(ErrorTest, ErrorsAboutRepliesPass) {
  Web(kNothing, kSet);
  EXPECT_PASS(ToWeb(Udp(kFar, 1024, kWeb, 80)));
  EXPECT_PASS(ToWeb(Error(kRouter, kWeb, Udp(kWeb, 80, kFar, 1024))));
  Web(kSet, kNothing);
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(FromWeb(Error(kWeb, kFar, Udp(kFar, 80, kWeb, 1024))));
}

TEST_P(ErrorTest, ErrorsAboutPingsPass) {
  k.SetRule(kSet, kFarIdentity, Ports::All());
  Web(kSet, kNothing);
  EXPECT_PASS(FromWeb(Ping(kWeb, kFar)));
  EXPECT_PASS(ToWeb(Error(kRouter, kWeb, Ping(kWeb, kFar))));
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, Ping(kWeb, kFar, 8))), "icmp-error");
}

TEST_P(ErrorTest, ErrorsAboutProtocolsWithoutPortsPass) {
  const uint8_t kGre = 47, kAh = 51;
  k.SetRule(kSet, kFarIdentity, Ports::All());
  Web(kSet, kNothing);
  auto packet = [&](uint8_t protocol) -> Packet {
    if (v6())
      return Ethernet() / IPv6{.src = kWeb.v6, .dst = kFar.v6, .next = protocol} / Payload(24);
    return Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .protocol = protocol} / Payload(24);
  };
  EXPECT_PASS(FromWeb(packet(kGre)));
  EXPECT_PASS(ToWeb(Error(kRouter, kWeb, packet(kGre))));
  if (v6()) return;
  EXPECT_PASS(FromWeb(packet(kAh)));
  EXPECT_PASS(ToWeb(Error(kRouter, kWeb, packet(kAh))));
}

// Only echoes are told apart by their identifier.
TEST_P(ErrorTest, ErrorsAboutOtherIcmpPass) {
  const uint8_t kNodeInformation6 = 139;
  k.SetRule(kSet, kFarIdentity, Ports::All());
  Web(kSet, kNothing);
  Packet packet = Between(kWeb, kFar) / Icmp(kTimestamp, kNodeInformation6, 5) / Payload(8);
  EXPECT_PASS(FromWeb(packet));
  EXPECT_PASS(ToWeb(Error(kRouter, kWeb, packet)));
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, Ping(kWeb, kFar, 5))), "icmp-error");
}

TEST_P(ErrorTest, ErrorsAboutOtherFlowsAreDropped) {
  Web(kSet, kNothing);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, Tcp(kWeb, 1025, kFar, 80))), "icmp-error");
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, Tcp(kWeb, 1024, kFar, 81))), "icmp-error");
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, Udp(kWeb, 1024, kFar, 80))), "icmp-error");
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, Tcp(kWeb, 1024, kStranger, 80))), "icmp-error");
}

// What is quoted went the other way than the error.
TEST_P(ErrorTest, ErrorsThatQuoteTheWrongDirectionAreDropped) {
  Web(kSet, kSet);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, Tcp(kFar, 80, kWeb, 1024))), "icmp-error");
  EXPECT_DROP(FromWeb(Error(kWeb, kFar, Tcp(kWeb, 1024, kFar, 80))), "icmp-error");
}

// About a packet that it never got, with addresses alone or with less.
TEST_P(ErrorTest, AnOpenPodTellsOfNobodyElsesPackets) {
  Web(kOpen, kOpen);
  for (const Host& to : {kDb, kNode, kStranger}) {
    Packet theirs = Tcp(to, 1024, kFar, 80);
    for (const Packet& kind : Kinds())
      EXPECT_DROP(FromWeb(Between(kWeb, to) / kind / Quote(theirs)), "icmp-error");
    EXPECT_DROP(FromWeb(Error(kWeb, to, theirs, v6() ? 40 : 20)), "icmp-error");
    EXPECT_PASS(FromWeb(Error(kWeb, to, Tcp(to, 1024, kWeb, 80))));
  }
  Bytes quoted = Tcp(kDb, 1024, kFar, 80).bytes();
  quoted.erase(quoted.begin(), quoted.begin() + 14);
  quoted[0] = 0x15;  // some look at no version
  EXPECT_DROP(FromWeb(Between(kWeb, kDb) / Kinds()[0] / Payload(quoted)), "icmp-error");
}

TEST_P(ErrorTest, PodsAreNoRouters) {
  WebAndDb({.egress = kSet, .ingress = kNothing}, {});
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(ToWeb(Error(kRouter, kWeb, Tcp(kWeb, 1024, kFar, 80))));
  EXPECT_PASS(ToWeb(Error(kFar, kWeb, Tcp(kWeb, 1024, kFar, 80))));
  EXPECT_DROP(ToWeb(Error(kDb, kWeb, Tcp(kWeb, 1024, kFar, 80))), "icmp-error");
}

// Who received the packet tells its sender, and nobody else.
TEST_P(ErrorTest, ErrorsToSomeoneElseAreDropped) {
  Web(kSet, kOpen);
  EXPECT_PASS(ToWeb(Tcp(kStranger, 1024, kWeb, 80)));
  EXPECT_PASS(FromWeb(Error(kWeb, kStranger, Tcp(kStranger, 1024, kWeb, 80))));
  EXPECT_DROP(FromWeb(Error(kWeb, kFar, Tcp(kStranger, 1024, kWeb, 80))), "icmp-error");
}

TEST_P(ErrorTest, ErrorsAboutSomeoneElsesFlowAreDropped) {
  k.SetEndpoint({.ifindex = db, .v4 = kDb.v4, .v6 = kDb.v6, .egress = kSet, .ingress = kNothing});
  Web(kSet, kSet);
  EXPECT_PASS(FromDb(Tcp(kDb, 1024, kFar, 80)));
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, Tcp(kDb, 1024, kFar, 80))), "icmp-error");
  EXPECT_DROP(FromWeb(Error(kWeb, kFar, Tcp(kFar, 80, kDb, 1024))), "icmp-error");
}

TEST_P(ErrorTest, ErrorsNeverOpenOrAnswerAFlow) {
  Web(kSet, kNothing);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(ToWeb(Error(kRouter, kWeb, Tcp(kWeb, 1024, kFar, 80))));
  ASSERT_EQ(k.Flows().size(), 1u);
  EXPECT_FALSE(k.Flows()[0]->state & SP_FLOW_ANSWERED);
}

TEST_P(ErrorTest, ErrorsEndWithTheirFlow) {
  Web(kSet, kNothing);
  Packet packet = Udp(kWeb, 1024, kFar, 80), syn = Tcp(kWeb, 1024, kFar, 80);
  EXPECT_PASS(FromWeb(packet));
  EXPECT_PASS(FromWeb(syn));
  k.NextGeneration();
  EXPECT_PASS(ToWeb(Error(kRouter, kWeb, packet)));  // judged anew, still allowed
  k.SetRule(kSet, kFarIdentity, Ports::None());
  k.NextGeneration();
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, packet)), "icmp-error");
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kFar, 80, kAck)), "policy");  // cut now
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, syn)), "icmp-error");
  k.SetRule(kSet, kFarIdentity, Ports().Udp(80));
  k.NextGeneration();
  EXPECT_PASS(ToWeb(Error(kRouter, kWeb, packet)));
  k.Age(SP_LIFE_DATAGRAM + 2);
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, packet)), "icmp-error");
}

TEST_P(ErrorTest, ErrorsPassWherePolicyAllowsTheirSenderAnything) {
  k.SetPeer(Of(kRouter), 20);
  k.SetRule(kSet, 20, Ports::All());
  Web(kNothing, kSet);
  EXPECT_PASS(ToWeb(Error(kRouter, kWeb, Udp(kWeb, 1, kStranger, 2))));
  EXPECT_DROP(ToWeb(Error(kFar, kWeb, Udp(kWeb, 1, kStranger, 2))), "icmp-error");
  Web(kOpen, kOpen);
  EXPECT_PASS(ToWeb(Error(kRouter, kWeb, Udp(kWeb, 1, kStranger, 2))));
  EXPECT_PASS(FromWeb(Error(kWeb, kRouter, Udp(kStranger, 1, kWeb, 2))));
}

TEST_P(ErrorTest, QuotesCutBelowThePortsAreDropped) {
  Web(kSet, kNothing);
  Packet packet = Tcp(kWeb, 1024, kFar, 80);
  EXPECT_PASS(FromWeb(packet));
  size_t header = v6() ? 40 : 20;
  for (size_t length = 0; length < header + 8; length++)
    EXPECT_DROP(ToWeb(Error(kRouter, kWeb, packet, length)), "icmp-error") << length;
  for (size_t length = header + 8; length <= header + 20; length++)
    EXPECT_PASS(ToWeb(Error(kRouter, kWeb, packet, length))) << length;
}

TEST_P(ErrorTest, QuotedFirstFragmentsAreFlowsAndLaterOnesAreNot) {
  Web(kSet, kNothing);
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  auto fragment = [&](uint16_t offset, bool more) -> Packet {
    if (v6())
      return Ethernet() / IPv6{.src = kWeb.v6, .dst = kFar.v6} /
             Fragment{.offset = offset, .more = more} / UDP{.sport = 1024, .dport = 80} /
             Payload(16);
    return Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .more = more, .offset = offset} /
           UDP{.sport = 1024, .dport = 80} / Payload(16);
  };
  EXPECT_PASS(ToWeb(Error(kRouter, kWeb, fragment(0, true))));
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, fragment(3, true))), "icmp-error");
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, fragment(3, false))), "icmp-error");
}

TEST_P(ErrorTest, QuotesOfTheOtherFamilyOrOfNoneAreDropped) {
  Web(kSet, kNothing);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80)));
  Packet other = v6() ? Ethernet() / IPv4{} / TCP{} : Ethernet() / IPv6{} / TCP{};
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, other)), "icmp-error");
  Packet broken = v6() ? Ethernet() / IPv6{.src = kWeb.v6, .dst = kFar.v6, .version = 5} / TCP{}
                       : Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .version = 5} / TCP{};
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, broken)), "icmp-error");
}

TEST_P(ErrorTest, ErrorsAboutErrorsAreNotAboutAFlow) {
  Web(kSet, kNothing);
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  Packet inner = Error(kWeb, kFar, Udp(kWeb, 1024, kFar, 80));
  EXPECT_DROP(ToWeb(Error(kRouter, kWeb, inner)), "icmp-error");
}

class ErrorHeadersTest : public PodTest {
 protected:
  ErrorHeadersTest() { k.SetRule(kSet, kFarIdentity, Ports().Udp(80)); }
};

TEST_F(ErrorHeadersTest, QuotedOptionsAndExtensionHeadersAreWalked) {
  Web(kSet, kNothing);
  Packet v4 = Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .options = Bytes(40, 1)} / UDP{};
  EXPECT_PASS(FromWeb(v4));
  EXPECT_PASS(ToWeb(Ethernet() / IPv4{.src = kRouter.v4, .dst = kWeb.v4} /
                    ICMP{.type = kUnreachable, .id = 0} / Quote(v4)));
  EXPECT_DROP(ToWeb(Ethernet() / IPv4{.src = kRouter.v4, .dst = kWeb.v4} /
                    ICMP{.type = kUnreachable, .id = 0} / Quote(v4, 67)),
              "icmp-error");
  Packet v6 =
      Ethernet() / IPv6{.src = kWeb.v6, .dst = kFar.v6} / HopByHop{} / DestinationOptions{} / UDP{};
  EXPECT_PASS(FromWeb(v6));
  EXPECT_PASS(ToWeb(Ethernet() / IPv6{.src = kRouter.v6, .dst = kWeb.v6} /
                    ICMPv6{.type = kPacketTooBig6} / Quote(v6)));
  EXPECT_DROP(ToWeb(Ethernet() / IPv6{.src = kRouter.v6, .dst = kWeb.v6} /
                    ICMPv6{.type = kPacketTooBig6} / Quote(v6, 63)),
              "icmp-error");
}

// A quoted header that is too short to be one.
TEST_F(ErrorHeadersTest, QuotedHeaderLengthsAreChecked) {
  Web(kSet, kNothing);
  EXPECT_PASS(FromWeb(Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4} / UDP{}));
  for (uint8_t ihl = 0; ihl < 16; ihl++) {
    Packet quoted = Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4, .ihl = ihl} / UDP{};
    Packet error = Ethernet() / IPv4{.src = kRouter.v4, .dst = kWeb.v4} /
                   ICMP{.type = kUnreachable, .id = 0} / Quote(quoted);
    if (ihl == 5)
      EXPECT_PASS(ToWeb(error));
    else
      EXPECT_DROP(ToWeb(error), "icmp-error");
  }
}

// ICMP that is neither an error nor an echo needs a rule without ports.
TEST_F(ErrorHeadersTest, RedirectsAndTimestampsAreJudged) {
  Web(kSet, kNothing);
  for (uint8_t type : {kRedirect, kTimestamp}) {
    EXPECT_DROP(ToWeb(Ethernet() / IPv4{.src = kRouter.v4, .dst = kWeb.v4} / ICMP{.type = type} /
                      Quote(Ethernet() / IPv4{} / UDP{})),
                "policy");
    EXPECT_DROP(FromWeb(Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4} / ICMP{.type = type}),
                "policy");
  }
}

}  // namespace
}  // namespace sallyport::test
