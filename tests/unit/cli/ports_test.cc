// SPDX-License-Identifier: Apache-2.0
#include "cli/ports.h"

#include <gtest/gtest.h>

namespace sallyport::probe {
namespace {

using net::Protocol;

TEST(Ports, AreTcpUnlessSaid) {
  EXPECT_EQ(*ParsePort("80"), (Port{Protocol::kTcp, 80}));
  EXPECT_EQ(*ParsePort("53/udp"), (Port{Protocol::kUdp, 53}));
  EXPECT_EQ(*ParsePort("65535/SCTP"), (Port{Protocol::kSctp, 65535}));
  EXPECT_EQ(*ParsePort("ICMP"), (Port{Protocol::kIcmp, 0}));
  EXPECT_EQ(*ParsePort("icmpv6"), (Port{Protocol::kIcmpV6, 0}));
}

TEST(Ports, PrintAsTheyAreRead) {
  for (const char* text : {"80/TCP", "53/UDP", "5000/SCTP", "ICMP"}) {
    EXPECT_EQ(ParsePort(text)->ToString(), text);
  }
}

TEST(Ports, ThatMakeNoSenseAreErrors) {
  for (const char* text : {"", "0", "65536", "-1", "+80", "80 ", "80/", "80/ABC", "/TCP", "TCP",
                           "http", "0/ICMP", "8/ICMP", "80/TCP/UDP", "99999999999999999999"}) {
    EXPECT_FALSE(ParsePort(text)) << text;
  }
}

TEST(Ports, ListsKeepEachOnce) {
  auto ports = ParsePorts("81/UDP,80,80/TCP,ICMP");
  ASSERT_TRUE(ports);
  EXPECT_EQ(*ports,
            (std::vector<Port>{{Protocol::kUdp, 81}, {Protocol::kTcp, 80}, {Protocol::kIcmp, 0}}));
  EXPECT_FALSE(ParsePorts(""));
  EXPECT_FALSE(ParsePorts("80,"));
  EXPECT_FALSE(ParsePorts("80, 81"));
}

TEST(Ports, IcmpFollowsTheFamily) {
  net::Address v4 = *net::Address::Parse("10.0.0.1");
  net::Address v6 = *net::Address::Parse("2001:db8::1");
  EXPECT_EQ(OnWire(Protocol::kIcmp, v6), Protocol::kIcmpV6);
  EXPECT_EQ(OnWire(Protocol::kIcmpV6, v4), Protocol::kIcmp);
  EXPECT_EQ(OnWire(Protocol::kTcp, v6), Protocol::kTcp);
}

}  // namespace
}  // namespace sallyport::probe
