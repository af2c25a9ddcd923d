// SPDX-License-Identifier: Apache-2.0
// Which addresses ipBlocks mean.
#include <gtest/gtest.h>

#include "policy/compile.h"
#include "support/questions.h"
#include "support/village.h"

namespace sallyport::test {
namespace {

// shop/db may reach these peers, on any port.
model::Snapshot To(const std::string& peers) {
  return SnapshotOf(
      VillageWith("{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress: [{to: [" +
                  peers + "]}]}"));
}

// Which of these addresses it may reach, in a row.
std::string Reached(const model::Snapshot& village, const std::vector<std::string>& addresses) {
  std::string out;
  for (const std::string& address : addresses) {
    bool v6 = address.find(':') != std::string::npos;
    std::string question =
        v6 ? "shop/db#1 -> [" + address + "]:443/TCP" : "shop/db -> " + address + ":443/TCP";
    std::string answer = Answer(village, question);
    if (answer != "denied") out += (out.empty() ? "" : " ") + address;
    if (answer != "denied" && answer != "allowed") out += " " + answer;
  }
  return out;
}

TEST(IpBlock, MeansTheAddressesFromFirstToLast) {
  model::Snapshot village = To("{ipBlock: {cidr: 203.0.113.16/28}}");
  EXPECT_EQ(Reached(village, {"203.0.113.15", "203.0.113.16", "203.0.113.31", "203.0.113.32"}),
            "203.0.113.16 203.0.113.31");
}

TEST(IpBlock, MeansPodsAddressesToo) {
  model::Snapshot village = To("{ipBlock: {cidr: 10.2.0.0/24}}");
  EXPECT_ALLOWED(village, "shop/db -> shop/cache:80/TCP");
  EXPECT_ALLOWED(village, "shop/db -> bank/web:80/TCP");
  EXPECT_DENIED(village, "shop/db -> shop/web:80/TCP");
}

TEST(IpBlock, ExceptTakesItsAddressesOut) {
  model::Snapshot village =
      To("{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.8/30, 203.0.113.255/32]}}");
  EXPECT_EQ(Reached(village, {"203.0.113.7", "203.0.113.8", "203.0.113.11", "203.0.113.12",
                              "203.0.113.254", "203.0.113.255"}),
            "203.0.113.7 203.0.113.12 203.0.113.254");
}

TEST(IpBlock, ExceptNarrowsItsOwnBlockOnly) {
  model::Snapshot village =
      To("{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/28]}}, {ipBlock: {cidr: "
         "203.0.113.4/31}},"
         "{podSelector: {matchLabels: {app: cache}}}");
  EXPECT_EQ(Reached(village, {"203.0.113.3", "203.0.113.4", "203.0.113.5", "203.0.113.6"}),
            "203.0.113.4 203.0.113.5");
  // A pod that a selector allows is allowed, whatever a block excepts.
  village =
      To("{ipBlock: {cidr: 10.0.0.0/8, except: [10.2.0.0/16]}},"
         "{podSelector: {matchLabels: {app: cache}}}");
  EXPECT_ALLOWED(village, "shop/db -> shop/cache:80/TCP");
  EXPECT_DENIED(village, "shop/db -> bank/web:80/TCP");
  EXPECT_ALLOWED(village, "shop/db -> shop/web:80/TCP");
}

TEST(IpBlock, EqualBlocksWithOtherExceptionsAddUp) {
  model::Snapshot village =
      To("{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/25]}},"
         "{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.64/26]}}");
  EXPECT_EQ(Reached(village, {"203.0.113.1", "203.0.113.64", "203.0.113.127", "203.0.113.128"}),
            "203.0.113.1 203.0.113.128");
}

TEST(IpBlock, ExceptionsInsideExceptionsTakeOutOnce) {
  model::Snapshot village =
      To("{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/26, 203.0.113.0/28]}},"
         "{ipBlock: {cidr: 203.0.113.0/30}}");
  EXPECT_EQ(Reached(village, {"203.0.113.1", "203.0.113.4", "203.0.113.20", "203.0.113.64"}),
            "203.0.113.1 203.0.113.64");
}

TEST(IpBlock, OfLengthZeroIsEveryAddressOfItsFamily) {
  model::Snapshot v4 = To("{ipBlock: {cidr: 0.0.0.0/0}}");
  EXPECT_EQ(Reached(v4, {"0.0.0.0", "255.255.255.255", "10.2.0.1", "2001:db8::1", "::"}),
            "0.0.0.0 255.255.255.255 10.2.0.1");
  model::Snapshot v6 = To("{ipBlock: {cidr: \"::/0\"}}");
  EXPECT_EQ(Reached(v6, {"0.0.0.0", "10.2.0.1", "2001:db8::1", "::", "fd00:2::1"}),
            "2001:db8::1 :: fd00:2::1");
  model::Snapshot but_metadata = To("{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}");
  EXPECT_EQ(Reached(but_metadata, {"169.254.169.253", "169.254.169.254", "169.254.169.255"}),
            "169.254.169.253 169.254.169.255");
}

TEST(IpBlock, OfOneAddress) {
  model::Snapshot village =
      To("{ipBlock: {cidr: 203.0.113.9/32}}, {ipBlock: {cidr: \"2001:db8::9/128\"}}");
  EXPECT_EQ(Reached(village, {"203.0.113.8", "203.0.113.9", "203.0.113.10", "2001:db8::8",
                              "2001:db8::9", "2001:db8::a"}),
            "203.0.113.9 2001:db8::9");
}

TEST(IpBlock, WithHostBitsMeansItsNetwork) {
  std::string yaml = VillageWith(
      "{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress: [{to: [{ipBlock:"
      " {cidr: 203.0.113.0/24}}]}]}");
  model::Snapshot village = SnapshotOf(yaml);
  model::NetworkPolicy policy = *village.policies.begin()->second;
  std::get<model::IpBlock>(policy.egress[0].peers[0]).cidr = *net::Cidr::Parse("203.0.113.77/24");
  village.Apply(model::Delta::Set(std::make_shared<const model::NetworkPolicy>(std::move(policy))));
  EXPECT_EQ(Reached(village, {"203.0.113.0", "203.0.113.255", "203.0.114.0"}),
            "203.0.113.0 203.0.113.255");
}

TEST(IpBlock, NestedBlocksWithOtherPortsAddUp) {
  model::Snapshot village = SnapshotOf(VillageWith(
      "{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress: ["
      "{to: [{ipBlock: {cidr: 203.0.0.0/16}}], ports: [{port: 1}]},"
      "{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.128/25]}}], ports: [{port: 2}]},"
      "{to: [{ipBlock: {cidr: 203.0.113.200/32}}], ports: [{port: 3}]}]}"));
  EXPECT_ALLOWED(village, "shop/db -> 203.0.113.1:1/TCP");
  EXPECT_ALLOWED(village, "shop/db -> 203.0.113.1:2/TCP");
  EXPECT_DENIED(village, "shop/db -> 203.0.113.1:3/TCP");
  EXPECT_ALLOWED(village, "shop/db -> 203.0.113.200:1/TCP");
  EXPECT_DENIED(village, "shop/db -> 203.0.113.200:2/TCP");
  EXPECT_ALLOWED(village, "shop/db -> 203.0.113.200:3/TCP");
  EXPECT_DENIED(village, "shop/db -> 203.0.112.1:2/TCP");
}

TEST(IpBlock, ThousandsInOneRuleAreOneIdentity) {
  model::Snapshot village = SnapshotOf(kVillage);
  model::NetworkPolicy policy;
  policy.name = {"shop", "list"};
  policy.isolates_egress = true;
  policy.egress.resize(1);
  for (uint32_t i = 0; i < 10000; ++i) {
    policy.egress[0].peers.push_back(
        model::IpBlock{net::Cidr(net::Address::V4(0xcb000000u + i * 2), 32), {}});
  }
  village.Apply(model::Delta::Set(std::make_shared<const model::NetworkPolicy>(std::move(policy))));
  policy::Image image = policy::Compile(village, "n1").image;
  EXPECT_EQ(image.prefixes.size(), 10000u);
  EXPECT_EQ(image.sets.size(), 1u);
  EXPECT_EQ(image.sets.begin()->second.rules.size(), 1u);
}

}  // namespace
}  // namespace sallyport::test
