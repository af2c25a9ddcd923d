// SPDX-License-Identifier: Apache-2.0
// Fragments: later ones share the first one's fate; what cannot be placed is dropped for an
// isolated endpoint.
#include "bpf/packets/world.h"

namespace sallyport::test {
namespace {

class FragmentTest : public FamilyTest {
 protected:
  FragmentTest() { k.SetRule(kSet, kFarIdentity, Ports().Tcp(80).Udp(80)); }

  Packet Ip(const Host& from, const Host& to, uint32_t id, uint16_t offset, bool more,
            uint8_t protocol) const {
    if (v6())
      return Ethernet() / IPv6{.src = from.v6, .dst = to.v6} /
             Fragment{.offset = offset, .more = more, .id = id, .next = protocol};
    return Ethernet() / IPv4{.src = from.v4,
                             .dst = to.v4,
                             .protocol = protocol,
                             .id = static_cast<uint16_t>(id),
                             .more = more,
                             .offset = offset};
  }
  Packet First(const Host& from, const Host& to, uint16_t dport, uint32_t id = 1) const {
    return Ip(from, to, id, 0, true, 17) / UDP{.dport = dport} / Payload(24);
  }
  Packet Later(const Host& from, const Host& to, uint32_t id = 1, bool more = false,
               uint8_t protocol = 17) const {
    return Ip(from, to, id, 4, more, protocol) / Payload(32);
  }
};
BOTH_FAMILIES(FragmentTest);

TEST_P(FragmentTest, LaterFragmentsFollowAnAllowedFirst) {
  Web(kSet, kSet);
  EXPECT_PASS(FromWeb(First(kWeb, kFar, 80)));
  EXPECT_PASS(FromWeb(Later(kWeb, kFar, 1, true)));
  EXPECT_PASS(FromWeb(Later(kWeb, kFar, 1)));
  EXPECT_PASS(ToWeb(First(kFar, kWeb, 80)));
  EXPECT_PASS(ToWeb(Later(kFar, kWeb)));
}

TEST_P(FragmentTest, LaterFragmentsFollowADeniedFirst) {
  Web(kSet, kSet);
  EXPECT_DROP(FromWeb(First(kWeb, kFar, 81)), "policy");
  EXPECT_DROP(FromWeb(Later(kWeb, kFar)), "fragment");
  EXPECT_DROP(ToWeb(First(kFar, kWeb, 81)), "policy");
  EXPECT_DROP(ToWeb(Later(kFar, kWeb)), "fragment");
}

TEST_P(FragmentTest, FragmentsBeforeTheirFirstCannotBePlaced) {
  Web(kSet, kSet);
  EXPECT_DROP(FromWeb(Later(kWeb, kFar)), "fragment");
  EXPECT_PASS(FromWeb(First(kWeb, kFar, 80)));
  EXPECT_PASS(FromWeb(Later(kWeb, kFar)));
}

TEST_P(FragmentTest, FragmentsArePlacedByAddressesIdentifierAndDirection) {
  Web(kSet, kSet);
  EXPECT_PASS(FromWeb(First(kWeb, kFar, 80, 7)));
  EXPECT_DROP(FromWeb(Later(kWeb, kFar, 8)), "fragment");
  EXPECT_DROP(FromWeb(Later(kWeb, kStranger, 7)), "fragment");
  EXPECT_DROP(ToWeb(Later(kFar, kWeb, 7)), "fragment");
  EXPECT_DROP(ToWeb(Later(kWeb, kFar, 7)), "misdelivered");
  EXPECT_PASS(FromWeb(Later(kWeb, kFar, 7)));
}

// Who puts overlapping fragments together may keep either.
TEST_P(FragmentTest, PortsAreNotOverwritten) {
  Web(kSet, kSet);
  auto at = [&](uint16_t offset, uint32_t id, uint8_t protocol) {
    return Ip(kWeb, kFar, id, offset, false, protocol) / Payload(16);
  };
  EXPECT_PASS(FromWeb(Ip(kWeb, kFar, 1, 0, true, 6) / TCP{.dport = 80} / Payload(4)));
  EXPECT_NE(FromWeb(at(1, 1, 6)).action, Action::kPass);
  EXPECT_PASS(FromWeb(at(2, 1, 6)));
  EXPECT_PASS(FromWeb(First(kWeb, kFar, 80, 2)));
  EXPECT_PASS(FromWeb(at(1, 2, 17)));
  if (!v6()) return;
  EXPECT_PASS(FromWeb(Ip(kWeb, kFar, 3, 0, true, 60) / DestinationOptions{} / UDP{.dport = 80} /
                      Payload(8)));
  EXPECT_DROP(FromWeb(at(1, 3, 60)), "fragment");
  EXPECT_PASS(FromWeb(at(2, 3, 60)));
}

TEST_P(FragmentTest, AnotherEndpointsFirstDoesNotCount) {
  k.SetEndpoint({.ifindex = db, .v4 = kWeb.v4, .v6 = kWeb.v6, .egress = kSet});
  Web(kSet, kSet);
  EXPECT_PASS(FromWeb(First(kWeb, kFar, 80)));
  EXPECT_DROP(FromDb(Later(kWeb, kFar)), "fragment");
}

TEST_P(FragmentTest, WhereNothingIsIsolatedFragmentsPass) {
  Web(kOpen, kNothing);
  EXPECT_PASS(FromWeb(Later(kWeb, kFar)));
  EXPECT_DROP(ToWeb(Later(kFar, kWeb)), "fragment");
  Web(kNothing, kOpen);
  EXPECT_DROP(FromWeb(Later(kWeb, kFar)), "fragment");
  EXPECT_PASS(ToWeb(Later(kFar, kWeb)));
}

TEST_P(FragmentTest, RepliesInFragmentsPass) {
  Web(kSet, kNothing);
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  Packet first = Ip(kFar, kWeb, 5, 0, true, 17) / UDP{.sport = 80, .dport = 1024} / Payload(24);
  EXPECT_PASS(ToWeb(first));
  EXPECT_PASS(ToWeb(Later(kFar, kWeb, 5)));
}

TEST_P(FragmentTest, FragmentsToTheNodePass) {
  Web(kNothing, kNothing);
  EXPECT_PASS(FromWeb(Later(kWeb, kNode)));
  EXPECT_PASS(FromWeb(First(kWeb, kNode, 80)));
}

TEST_P(FragmentTest, TheFirstIsForgottenAsReassemblyForgetsIt) {
  Web(kSet, kSet);
  EXPECT_PASS(FromWeb(First(kWeb, kFar, 80)));
  k.AgeFragments(static_cast<uint32_t>(-2));  // seen in the next tick, by another processor
  EXPECT_PASS(FromWeb(Later(kWeb, kFar)));
  k.AgeFragments(SP_LIFE_FRAGMENT);
  EXPECT_PASS(FromWeb(Later(kWeb, kFar)));
  k.AgeFragments(4);
  EXPECT_DROP(FromWeb(Later(kWeb, kFar)), "fragment");
}

TEST_P(FragmentTest, LaterFragmentsObeyAChangeOfPolicy) {
  Web(kSet, kSet);
  EXPECT_PASS(FromWeb(First(kWeb, kFar, 80)));
  EXPECT_PASS(ToWeb(First(kFar, kWeb, 80)));
  k.NextGeneration();
  EXPECT_PASS(FromWeb(Later(kWeb, kFar)));
  EXPECT_PASS(ToWeb(Later(kFar, kWeb)));
  k.SetRule(kSet, kFarIdentity, Ports().Udp(81));
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Later(kWeb, kFar)), "policy");
  EXPECT_DROP(ToWeb(Later(kFar, kWeb)), "policy");
  EXPECT_EQ(k.Flows().size(), 0u);
}

// RFC 1858: the second fragment would write over the flags in the first.
TEST_P(FragmentTest, ATcpFragmentAtTheSecondWordIsMalformed) {
  Web(kSet, kSet);
  EXPECT_PASS(FromWeb(Ip(kWeb, kFar, 1, 0, true, 6) / TCP{} / Payload(12)));
  EXPECT_DROP(FromWeb(Ip(kWeb, kFar, 1, 1, false, 6) / Payload(16)), "malformed");
  EXPECT_PASS(FromWeb(Ip(kWeb, kFar, 1, 2, false, 6) / Payload(16)));
  Web(kOpen, kSet);
  EXPECT_PASS(FromWeb(Ip(kWeb, kFar, 1, 1, false, 6) / Payload(16)));
}

TEST_P(FragmentTest, AFirstFragmentWithoutTheWholeHeaderIsMalformed) {
  Web(kSet, kSet);
  for (size_t length = 0; length < 20; length += 8)
    EXPECT_DROP(FromWeb(Ip(kWeb, kFar, 1, 0, true, 6) / Payload(length)), "malformed");
  EXPECT_DROP(FromWeb(Ip(kWeb, kFar, 1, 0, true, 17) / Payload(size_t{0})), "malformed");
  EXPECT_DROP(FromWeb(Later(kWeb, kFar)), "fragment");
}

TEST_P(FragmentTest, OnlyFragmentsAreRemembered) {
  Web(kSet, kSet);
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  EXPECT_DROP(FromWeb(Later(kWeb, kFar)), "fragment");
}

class Ipv6FragmentTest : public PodTest {
 protected:
  Ipv6FragmentTest() { k.SetRule(kSet, kFarIdentity, Ports().Udp(80)); }
  Packet Ip() const { return Ethernet() / IPv6{.src = kWeb.v6, .dst = kFar.v6}; }
};

// RFC 6946: a fragment that is the whole packet.
TEST_F(Ipv6FragmentTest, AnAtomicFragmentIsAPacket) {
  Web(kSet, kOpen);
  EXPECT_PASS(FromWeb(Ip() / Fragment{} / UDP{}));
  EXPECT_DROP(FromWeb(Ip() / Fragment{} / UDP{.dport = 81}), "policy");
}

// RFC 8200, 4.5: the next header of later fragments may be another one and says nothing.
TEST_F(Ipv6FragmentTest, LaterFragmentsAreFoundWhateverTheirNextHeaderSays) {
  Web(kSet, kOpen);
  EXPECT_PASS(FromWeb(Ip() / Fragment{.more = true} / DestinationOptions{} / UDP{} / Payload(8)));
  EXPECT_PASS(FromWeb(Ip() / Fragment{.offset = 3, .next = 60} / Payload(16)));
  EXPECT_PASS(FromWeb(Ip() / Fragment{.offset = 3, .next = 17} / Payload(16)));
}

TEST_F(Ipv6FragmentTest, TheWholeIdentifierCounts) {
  Web(kSet, kOpen);
  EXPECT_PASS(FromWeb(Ip() / Fragment{.more = true, .id = 0x10001} / UDP{} / Payload(8)));
  EXPECT_DROP(FromWeb(Ip() / Fragment{.offset = 2, .id = 1, .next = 17} / Payload(16)), "fragment");
}

TEST_F(Ipv6FragmentTest, AChainThatGoesOnInALaterFragmentIsMalformed) {
  Web(kSet, kOpen);
  EXPECT_DROP(FromWeb(Ip() / Fragment{.more = true} / DestinationOptions{.next = 17}), "malformed");
}

class FragmentTableTest : public PodTest {
 protected:
  FragmentTableTest() : PodTest({.fragments = 64}) {}
};

// The table forgets the oldest; what is forgotten is dropped, not passed.
TEST_F(FragmentTableTest, AFullTableForgetsFirstFragments) {
  k.SetRule(kSet, kFarIdentity, Ports().Udp(80));
  Web(kSet, kOpen);
  auto fragment = [](uint16_t id, uint16_t offset) {
    return Ethernet() /
           IPv4{.src = kWeb.v4, .dst = kFar.v4, .id = id, .more = true, .offset = offset} / UDP{} /
           Payload(8);
  };
  for (uint16_t id = 0; id < 2000; id++) EXPECT_PASS(FromWeb(fragment(id, 0)));
  EXPECT_DROP(FromWeb(fragment(0, 2)), "fragment");
  EXPECT_PASS(FromWeb(fragment(1999, 2)));
}

}  // namespace
}  // namespace sallyport::test
