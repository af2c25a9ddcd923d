// SPDX-License-Identifier: Apache-2.0
#include "base/netlink.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <cstring>

namespace sallyport {
namespace {

// An attribute as the kernel lays it out.
std::string Attribute(int type, const std::string& payload) {
  nlattr header{static_cast<uint16_t>(sizeof(nlattr) + payload.size()),
                static_cast<uint16_t>(type)};
  std::string out(reinterpret_cast<const char*>(&header), sizeof(header));
  out += payload;
  out.resize((out.size() + 3) & ~size_t{3});
  return out;
}

TEST(NetlinkAttributesTest, FindsByType) {
  std::string bytes = Attribute(1, std::string("ab\0", 3)) + Attribute(2, "\1\0\0\0x") +
                      Attribute(3 | NLA_F_NESTED, Attribute(7, "inner")) + Attribute(1, "later");
  bytes += Attribute(4, std::string("\2\0\0\0", 4));
  NetlinkAttributes attributes(bytes);
  EXPECT_EQ(attributes.Text(1), "ab");
  EXPECT_EQ(attributes.Nested(3).Text(7), "inner");
  EXPECT_EQ(attributes.Get<uint32_t>(4), 2u);
  EXPECT_EQ(attributes.Get<uint32_t>(2), std::nullopt) << "of another width";
  EXPECT_EQ(attributes.Find(9), std::nullopt);
  EXPECT_EQ(attributes.Text(9), "");
}

TEST(NetlinkAttributesTest, CutAnywhereItStaysInside) {
  std::string bytes = Attribute(1, "abc") + Attribute(2, "defg");
  for (size_t length = 0; length < bytes.size(); ++length) {
    std::string cut = bytes.substr(0, length);  // of its own: a sanitizer sees what is beyond
    NetlinkAttributes attributes(cut);
    EXPECT_EQ(attributes.Find(2), std::nullopt) << length;
    EXPECT_EQ(attributes.Find(1).has_value(), length >= 7) << length;
  }
  std::string zero(16, '\0');
  EXPECT_EQ(NetlinkAttributes(zero).Find(0), std::nullopt) << "a length of nothing ends it";
}

// Against the kernel, in the namespace that the test runs in: the loopback is everywhere.
TEST(NetlinkSocketTest, ListsAndAsks) {
  NetlinkSocket socket = NetlinkSocket::Open().value();
  bool loopback = false;
  auto look = [&loopback](const NetlinkMessage& message) {
    ifinfomsg info{};
    NetlinkAttributes attributes;
    ASSERT_TRUE(message.Split(info, attributes));
    loopback |= attributes.Text(IFLA_IFNAME) == "lo";
  };
  EXPECT_TRUE(socket.Ask(NetlinkRequest(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{}), look));
  EXPECT_TRUE(loopback);

  loopback = false;
  NetlinkRequest one(RTM_GETLINK, 0, ifinfomsg{});
  one.Put(IFLA_IFNAME, std::string("lo"));
  EXPECT_TRUE(socket.Ask(one, look));
  EXPECT_TRUE(loopback);
}

TEST(NetlinkSocketTest, ErrorsAreTheKernels) {
  NetlinkSocket socket = NetlinkSocket::Open().value();
  NetlinkRequest request(RTM_GETLINK, 0, ifinfomsg{});
  request.Put(IFLA_IFNAME, std::string("spt-none"));
  for (int i = 0; i < 2; ++i) {
    Status status = socket.Ask(request, [](const NetlinkMessage&) { FAIL(); });
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ENODEV);
  }
}

TEST(NetlinkSocketTest, NothingWaitsIsNoError) {
  NetlinkSocket socket = NetlinkSocket::Subscribe({}, 1 << 16).value();
  EXPECT_TRUE(socket.Read([](const NetlinkMessage&) { FAIL(); }));
}

}  // namespace
}  // namespace sallyport
