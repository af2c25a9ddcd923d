// SPDX-License-Identifier: Apache-2.0
#include "cli/question.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sallyport::cli {
namespace {

using net::Protocol;
using ::testing::HasSubstr;

Party Pod(const std::string& ns, const std::string& name) { return model::ObjectName{ns, name}; }
Party At(const std::string& text) { return *net::Address::Parse(text); }

TEST(ParseParty, TakesPodsAndAddresses) {
  EXPECT_EQ(*ParseParty("shop/web"), Pod("shop", "web"));
  EXPECT_EQ(*ParseParty("web-0.x"), Pod("default", "web-0.x"));
  EXPECT_EQ(*ParseParty("10.0.0.1"), At("10.0.0.1"));
  EXPECT_EQ(*ParseParty("2001:db8::1"), At("2001:db8::1"));
  EXPECT_EQ(*ParseParty("[2001:db8::1]"), At("2001:db8::1"));
}

TEST(ParseParty, RefusesWhatIsNeither) {
  for (const char* text :
       {"", "/", "a/", "/b", "a/b/c", "A/b", "[web]", "[]", "10.0.0.0/8", "web:80", "a b"}) {
    auto party = ParseParty(text);
    ASSERT_FALSE(party) << text;
    EXPECT_THAT(party.error().message, HasSubstr("neither a pod"));
  }
}

TEST(ParseDestination, TakesPortsOfEveryForm) {
  EXPECT_EQ(*ParseDestination("y/b:80"),
            (Destination{Pod("y", "b"), Protocol::kTcp, uint16_t{80}}));
  EXPECT_EQ(*ParseDestination("y/b:53/UDP"),
            (Destination{Pod("y", "b"), Protocol::kUdp, uint16_t{53}}));
  EXPECT_EQ(*ParseDestination("b:metrics"),
            (Destination{Pod("default", "b"), Protocol::kTcp, "metrics"}));
  EXPECT_EQ(*ParseDestination("y/b:dns/UDP"), (Destination{Pod("y", "b"), Protocol::kUdp, "dns"}));
  EXPECT_EQ(*ParseDestination("y/b/ICMP"), (Destination{Pod("y", "b"), Protocol::kIcmp, {}}));
  EXPECT_EQ(*ParseDestination("10.0.0.1:80/SCTP"),
            (Destination{At("10.0.0.1"), Protocol::kSctp, uint16_t{80}}));
  EXPECT_EQ(*ParseDestination("[2001:db8::1]:80"),
            (Destination{At("2001:db8::1"), Protocol::kTcp, uint16_t{80}}));
  EXPECT_EQ(*ParseDestination("2001:db8::1/ICMP"),
            (Destination{At("2001:db8::1"), Protocol::kIcmp, {}}));
  EXPECT_EQ(*ParseDestination("[2001:db8::1]/ICMP"),
            (Destination{At("2001:db8::1"), Protocol::kIcmp, {}}));
}

TEST(ParseDestination, SaysWhatIsMissing) {
  EXPECT_THAT(ParseDestination("y/b").error().message, HasSubstr("y/b:80"));
  EXPECT_THAT(ParseDestination("10.0.0.1").error().message, HasSubstr("lacks a port"));
  EXPECT_THAT(ParseDestination("x/icmp").error().message, HasSubstr("lacks a port"))
      << "a pod called icmp";
  EXPECT_THAT(ParseDestination("fd00::5:80").error().message,
              HasSubstr("lacks a port: write [fd00::5]:80, [fd00::5:80]:80, or "));
  EXPECT_THAT(ParseDestination("[fd00::5]").error().message, HasSubstr("write [fd00::5]:80,"));
  EXPECT_THAT(ParseDestination("s/b/TCP").error().message,
              HasSubstr("lacks a port: write s/b:80/TCP"));
  EXPECT_THAT(ParseDestination("2001:db8:0:0:0:0:0:1:80").error().message,
              HasSubstr("in brackets"));
}

TEST(ParseDestination, IcmpHasNoPorts) {
  for (const char* text :
       {"s/b:80/ICMP", "b:80/ICMP", "s/b:http/ICMP", "10.0.0.1:80/ICMP", "[fd00::5]:80/ICMP"}) {
    EXPECT_THAT(ParseDestination(text).error().message, HasSubstr("ICMP has no ports")) << text;
  }
}

TEST(ParseDestination, RefusesPortsThatAreNone) {
  for (const char* text : {"b:", "b:0", "b:65536", "b:80/ABC", "b:80/ICMP", "b:Web", "b:web/ICMP",
                           "b:80/", "[2001:db8::1", "[2001:db8::1]80", ":80", "b:80:81"}) {
    EXPECT_FALSE(ParseDestination(text)) << text;
  }
}

}  // namespace
}  // namespace sallyport::cli
