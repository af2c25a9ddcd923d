// SPDX-License-Identifier: Apache-2.0
#include "gateway/announce_frames.h"

#include <gtest/gtest.h>

namespace sallyport::gateway {
namespace {

constexpr Mac kMac = {0x02, 0x42, 0xac, 0x11, 0x00, 0x02};

std::vector<std::string> Hex(const std::string& address) {
  std::vector<std::string> out;
  for (const std::string& frame : AnnouncementFrames(kMac, *net::Address::Parse(address))) {
    std::string text;
    for (char c : frame) {
      static constexpr char kDigits[] = "0123456789abcdef";
      auto byte = static_cast<uint8_t>(c);
      text += kDigits[byte >> 4];
      text += kDigits[byte & 15];
    }
    out.push_back(text);
  }
  return out;
}

TEST(AnnouncementFrames, Ipv4IsAnArpRequestAndAReply) {
  // Destination, source, type; hardware, protocol, sizes, operation; sender; target.
  std::vector<std::string> expected = {
      "ffffffffffff"
      "0242ac110002"
      "0806"
      "0001"
      "0800"
      "0604"
      "0001"
      "0242ac110002"
      "cb00710a"
      "000000000000"
      "cb00710a",
      "ffffffffffff"
      "0242ac110002"
      "0806"
      "0001"
      "0800"
      "0604"
      "0002"
      "0242ac110002"
      "cb00710a"
      "0242ac110002"
      "cb00710a"};
  EXPECT_EQ(Hex("203.0.113.10"), expected);
}

TEST(AnnouncementFrames, Ipv6IsAnUnsolicitedAdvertisement) {
  // Ethernet; IPv6, hop limit 255; type, checksum, override, target; its link-layer address.
  std::vector<std::string> expected = {
      "333300000001"
      "0242ac110002"
      "86dd"
      "60000000"
      "0020"
      "3a"
      "ff"
      "20010db8ffff00000000000000000010"
      "ff020000000000000000000000000001"
      "8800"
      "4cb8"
      "20000000"
      "20010db8ffff00000000000000000010"
      "0201"
      "0242ac110002"};
  EXPECT_EQ(Hex("2001:db8:ffff::10"), expected);
}

}  // namespace
}  // namespace sallyport::gateway
