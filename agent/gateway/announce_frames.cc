// SPDX-License-Identifier: Apache-2.0
#include "gateway/announce_frames.h"

#include <string_view>

namespace sallyport::gateway {
namespace {

constexpr std::string_view kAllStations("\xff\xff\xff\xff\xff\xff", 6);
constexpr std::string_view kAllNodesMac("\x33\x33\x00\x00\x00\x01", 6);
constexpr std::string_view kAllNodes("\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
constexpr uint16_t kArp = 0x0806, kIpv6 = 0x86dd;
constexpr uint16_t kRequest = 1, kReply = 2;
constexpr char kIcmp6 = 58;
constexpr size_t kAdvertisementBytes = 32;  // ICMPv6, with one option

std::string Number16(uint16_t number) {
  return {static_cast<char>(number >> 8), static_cast<char>(number & 0xff)};
}

std::string Text(const Mac& mac) { return {reinterpret_cast<const char*>(mac.data()), mac.size()}; }

std::string ArpFrame(const Mac& mac, const net::Address& ip, uint16_t operation) {
  uint32_t number = ip.v4();
  std::string wire = Number16(static_cast<uint16_t>(number >> 16)) +
                     Number16(static_cast<uint16_t>(number & 0xffff));
  std::string target = operation == kRequest ? std::string(6, '\0') : Text(mac);
  std::string ethernet_to_ipv4 = Number16(1) + Number16(0x0800) + '\x06' + '\x04';
  return std::string(kAllStations) + Text(mac) + Number16(kArp) + ethernet_to_ipv4 +
         Number16(operation) + Text(mac) + wire + target + wire;
}

// RFC 1071, over an even number of bytes.
uint16_t InternetChecksum(std::string_view bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2)
    sum += static_cast<uint32_t>(static_cast<uint8_t>(bytes[i]) << 8 |
                                 static_cast<uint8_t>(bytes[i + 1]));
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

std::string AdvertisementFrame(const Mac& mac, const net::Address& ip) {
  const std::string own(reinterpret_cast<const char*>(ip.bytes().data()), ip.bytes().size());
  const std::string override_flag("\x20\0\0\0", 4);
  const std::string link_layer = std::string("\x02\x01", 2) + Text(mac);
  const std::string before = std::string("\x88\0", 2), after = override_flag + own + link_layer;
  const std::string length = Number16(kAdvertisementBytes);
  uint16_t checksum =
      InternetChecksum(own + std::string(kAllNodes) + Number16(0) + length + std::string(3, '\0') +
                       kIcmp6 + before + Number16(0) + after);
  const std::string header =
      std::string("\x60\0\0\0", 4) + length + kIcmp6 + '\xff' + own + std::string(kAllNodes);
  return std::string(kAllNodesMac) + Text(mac) + Number16(kIpv6) + header + before +
         Number16(checksum) + after;
}

}  // namespace

std::vector<std::string> AnnouncementFrames(const Mac& mac, const net::Address& egress_ip) {
  if (!egress_ip.IsV4()) return {AdvertisementFrame(mac, egress_ip)};
  return {ArpFrame(mac, egress_ip, kRequest), ArpFrame(mac, egress_ip, kReply)};
}

}  // namespace sallyport::gateway
