// SPDX-License-Identifier: Apache-2.0
// Pinned flows' ICMP errors, fragments, and packets that are too large for the tunnel.
#include <arpa/inet.h>

#include "bpf/packets/pinned.h"

namespace sallyport::test {
namespace {

class PinErrorsTest : public PinTest {
 protected:
  // A SYN with this MSS.
  Packet Syn(const Host& from, uint16_t sport, const Host& to, uint16_t dport, uint16_t mss,
             uint8_t flags = kSyn, bool odd = false) const {
    Bytes options = odd ? Bytes{1, 2, 4} : Bytes{2, 4};
    options.push_back(static_cast<uint8_t>(mss >> 8));
    options.push_back(static_cast<uint8_t>(mss));
    options.resize(odd ? 8 : 4, 1);
    return Between(from, to) /
           TCP{.sport = sport,
               .dport = dport,
               .flags = flags,
               .doff = static_cast<uint8_t>(5 + options.size() / 4)} /
           Payload(options);
  }
  uint16_t Most() const { return static_cast<uint16_t>(kMtu - 20 - (v6() ? 40 : 20)); }
};
BOTH_FAMILIES(PinErrorsTest);

TEST_P(PinErrorsTest, ErrorsFindTheirFlow) {
  const Host router = {"192.0.2.77", "2001:db8:77::1"};
  auto both = [&](const Packet& out, const Packet& seen) {
    EXPECT_DIRECT(FromWeb(out));
    ExpectBecomes(FromPartner(Error(router, kEgress, seen)), Error(router, kWeb, out));
    ExpectBecomes(FromPartner(Error(router, kEgress, seen, v6() ? 48 : 28)),
                  Error(router, kWeb, out, v6() ? 48 : 28));
  };
  both(Tcp(kWeb, 1024, kPartner, 443), Tcp(kEgress, Port(), kPartner, 443));
  both(Udp(kWeb, 1024, kPartner, 53), Udp(kEgress, Port(1), kPartner, 53));
  both(Ping(kWeb, kPartner, 7), Ping(kEgress, kPartner, Port(2)));
  EXPECT_EQ(FromPartner(Error(router, kEgress, Tcp(kEgress, Port(9), kPartner, 443))).action,
            Action::kDrop);
}

TEST_P(PinErrorsTest, ThePodsErrorsLeaveAsTheFlowDoes) {
  EXPECT_DIRECT(FromWeb(Udp(kWeb, 1024, kPartner, 53)));
  EXPECT_DIRECT(FromPartner(Udp(kPartner, 53, kEgress, Port())));
  ExpectBecomes(FromWeb(Error(kWeb, kPartner, Udp(kPartner, 53, kWeb, 1024))),
                Error(kEgress, kPartner, Udp(kPartner, 53, kEgress, Port())));
}

TEST_P(PinErrorsTest, FragmentsBothWays) {
  auto fragment = [&](const Host& from, const Host& to, uint16_t offset, bool more,
                      const Packet& rest) {
    if (v6()) {
      return Ethernet() / IPv6{.src = from.v6, .dst = to.v6} /
             Fragment{.offset = offset, .more = more, .id = 9, .next = 17} / rest;
    }
    return Ethernet() /
           IPv4{.src = from.v4,
                .dst = to.v4,
                .protocol = 17,
                .id = 9,
                .more = more,
                .offset = offset} /
           rest;
  };
  Payload rest(24);
  EXPECT_DROP(FromWeb(fragment(kWeb, kPartner, 3, false, rest)), "fragment");
  Outcome first = FromWeb(fragment(kWeb, kPartner, 0, true,
                                   UDP{.sport = 1024, .dport = 53, .length = 48} / Payload(16)));
  EXPECT_DIRECT(first);
  ExpectBecomes(FromWeb(fragment(kWeb, kPartner, 3, false, rest)),
                fragment(kEgress, kPartner, 3, false, rest));
  EXPECT_EQ(FromPartner(fragment(kPartner, kEgress, 3, false, rest)).action, Action::kDrop);
  EXPECT_DIRECT(FromPartner(fragment(
      kPartner, kEgress, 0, true, UDP{.sport = 53, .dport = Port(), .length = 48} / Payload(16))));
  ExpectBecomes(FromPartner(fragment(kPartner, kEgress, 3, false, rest)),
                fragment(kPartner, kWeb, 3, false, rest));
}

TEST_P(PinErrorsTest, TheHandshakeSaysWhatFits) {
  ExpectBecomes(FromWeb(Syn(kWeb, 1024, kPartner, 443, 1460)),
                Syn(kEgress, Port(), kPartner, 443, Most()));
  ExpectBecomes(FromPartner(Syn(kPartner, 443, kEgress, Port(), 1460, kSyn | kAck)),
                Syn(kPartner, 443, kWeb, 1024, Most(), kSyn | kAck));
  ExpectBecomes(FromWeb(Syn(kWeb, 1025, kPartner, 443, 1460, kSyn, true)),
                Syn(kEgress, Port(1), kPartner, 443, Most(), kSyn, true));
  ExpectBecomes(FromWeb(Syn(kWeb, 1026, kPartner, 443, 500)),
                Syn(kEgress, Port(2), kPartner, 443, 500));
}

// As a router would say it, to be believed by the pod's kernel: where it is from, how large a
// packet may be, and which packet it was.
TEST_P(PinErrorsTest, WhatIsTooBigIsAnswered) {
  EXPECT_DIRECT(FromWeb(Udp(kWeb, 1024, kPartner, 53)));
  Packet big = v6() ? Ethernet() / IPv6{.src = kWeb.v6, .dst = kPartner.v6} / UDP{.dport = 53} /
                          Payload(1500)
                    : Ethernet() / IPv4{.src = kWeb.v4, .dst = kPartner.v4} / UDP{.dport = 53} /
                          Payload(1500);
  Bytes frame = big.bytes();
  if (!v6()) {
    EXPECT_DIRECT(k.Run(SP_EGRESS, web, frame)) << "may be cut on the way";
    // Don't fragment.
    frame[14 + 6] |= 0x40;
    uint32_t sum = 0;
    frame[14 + 10] = frame[14 + 11] = 0;
    for (int i = 0; i < 20; i += 2) sum += uint32_t{frame[14 + i]} << 8 | frame[15 + i];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~((sum & 0xffff) + (sum >> 16));
    frame[14 + 10] = static_cast<uint8_t>(sum >> 8);
    frame[14 + 11] = static_cast<uint8_t>(sum);
  }
  Outcome answer = k.Run(SP_EGRESS, web, frame);
  EXPECT_DIRECT(answer);
  Bytes quoted(frame.begin() + 14, frame.begin() + 14 + (v6() ? 88 : 28));
  Packet expected =
      v6() ? Ethernet() / IPv6{.src = kPartner.v6, .dst = kWeb.v6} /
                 ICMPv6{.type = kPacketTooBig6, .id = 0, .sequence = kMtu} / Payload(quoted)
           : Ethernet() / IPv4{.src = kPartner.v4, .dst = kWeb.v4, .id = 0} /
                 ICMP{.type = kUnreachable, .code = 4, .id = 0, .sequence = kMtu} / Payload(quoted);
  EXPECT_EQ(Inside(answer.frame), Inside(expected.bytes()));
  EXPECT_EQ(Bytes(answer.frame.begin(), answer.frame.begin() + 6),
            Bytes(frame.begin() + 6, frame.begin() + 12))
      << "to who sent it";
}

// Of what nobody answers.
TEST_P(PinErrorsTest, ALaterFragmentThatIsTooBig) {
  if (!v6()) return;
  auto fragment = [&](uint16_t offset, bool more, const Packet& rest) {
    return Ethernet() / IPv6{.src = kWeb.v6, .dst = kPartner.v6} /
           Fragment{.offset = offset, .more = more, .id = 9, .next = 17} / rest;
  };
  EXPECT_DIRECT(FromWeb(fragment(0, true, UDP{.sport = 1, .dport = 53} / Payload(16))));
  EXPECT_DROP(FromWeb(fragment(3, false, Payload(1500))), "too-big");
}

// A gateway says it to the outside, for what would not go through the tunnel whole.
TEST_P(PinErrorsTest, TheOutsideIsAnsweredToo) {
  k.egress().port_owners[number()].node[2048 / SP_PORT_GROUP] = kOtherNode;
  if (!v6()) return;
  Packet big = Ethernet() / IPv6{.src = kPartner.v6, .dst = kEgress.v6} /
               UDP{.sport = 53, .dport = 2100} / Payload(1500);
  Outcome answer = FromPartner(big);
  EXPECT_DIRECT(answer);
  Bytes frame = big.bytes();
  ExpectBecomes(answer, Ethernet() / IPv6{.src = kEgress.v6, .dst = kPartner.v6} /
                            ICMPv6{.type = kPacketTooBig6, .id = 0, .sequence = kMtu} /
                            Payload(Bytes(frame.begin() + 14, frame.begin() + 14 + 88)));
}

}  // namespace
}  // namespace sallyport::test
