// SPDX-License-Identifier: Apache-2.0
#include "egress/heartbeat.h"

#include <gtest/gtest.h>

#include "egress/hash.h"

namespace sallyport::egress {
namespace {

Heartbeat Full() {
  Heartbeat out{std::string(253, 'n'), 0x0102030405060708u, 9, true, {}, {}};
  for (size_t i = 0; i < kMostHears; ++i) out.hears.push_back(HashName(std::to_string(i)));
  for (size_t i = 0; i < kMostHolds; ++i) {
    out.holds.push_back({net::Address::V4(static_cast<uint32_t>(i)), static_cast<uint32_t>(i)});
  }
  return out;
}

TEST(Heartbeat, ArrivesAsItWasSent) {
  for (const Heartbeat& sent :
       {Full(), Heartbeat{"n1", 1, 2, false, {}, {}},
        Heartbeat{"n1", 1, 2, false, {7}, {{*net::Address::Parse("2001:db8::1"), 4}}}}) {
    std::string datagram = Encode(sent);
    EXPECT_LE(datagram.size(), kHeartbeatBytes);
    auto got = Decode(datagram);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(*got, sent);
  }
}

TEST(Heartbeat, HasItsLayout) {
  std::string datagram = Encode({"ab", 1, 2, true, {3}, {{net::Address::V4(0x01020304), 5}}});
  std::string head(
      "SPGW\x01\x01\x00\x49\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\x02\x01\x01"
      "ab\0\0\0\0\0\0\0\x03",
      37);
  EXPECT_EQ(datagram.substr(0, head.size()), head);
  EXPECT_EQ(datagram.substr(datagram.size() - 16), std::string(16, '\0'));
}

TEST(Heartbeat, NothingIsReadOfOneThatIsCutOrLonger) {
  std::string datagram = Encode(Full());
  for (size_t size = 0; size < datagram.size(); ++size) {
    EXPECT_FALSE(Decode(datagram.substr(0, size))) << size;
  }
  EXPECT_FALSE(Decode(datagram + "x"));
}

TEST(Heartbeat, OthersVersionsFlagsAndNamesAreRefused) {
  std::string datagram = Encode({"n1", 1, 2, false, {}, {}});
  auto changed = [&](size_t at, char to) {
    std::string out = datagram;
    out[at] = to;
    return Decode(out);
  };
  EXPECT_FALSE(changed(0, 'X'));
  EXPECT_EQ(changed(4, 2).error().message, "it is of version 2, this is 1: update the older agent");
  EXPECT_FALSE(changed(5, 2));
  EXPECT_FALSE(changed(25, 1));  // a count
  EXPECT_FALSE(changed(27, 'N'));
  EXPECT_TRUE(changed(27, 'm'));
}

}  // namespace
}  // namespace sallyport::egress
