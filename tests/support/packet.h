// SPDX-License-Identifier: Apache-2.0
// Packets written as expressions:
//
//   Ethernet() / IPv4{.src = "10.0.0.1", .dst = "10.0.0.2"} / TCP{.dport = 80, .flags = kSyn}
//
// What a layer leaves open (types of what follows, lengths, checksums) is filled in from the layers
// around it; what it states is kept, wrong or not. A Packet is a value: its bytes are made by
// bytes().
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "net/address.h"

namespace sallyport::test {

using Bytes = std::vector<uint8_t>;

// An address from its text; a text that is none ends the test program.
struct Ip : net::Address {
  Ip(const char* text);  // NOLINT: so that .src = "10.0.0.1" reads as it should
  Ip(const net::Address& address) : net::Address(address) {}  // NOLINT
};

struct Ethernet {
  std::optional<uint16_t> type = {};
  Bytes destination = {0, 0, 0, 0, 0, 0};  // of the loopback device: for this host
  Bytes source = {2, 0, 0, 0, 0, 1};
};
struct Vlan {
  uint16_t id = 1;
  std::optional<uint16_t> type = {};
};
struct Arp {
  Ip sender = "10.0.0.1";
  Ip target = "10.0.0.2";
  uint16_t operation = 1;
};
struct IPv4 {
  Ip src = "10.0.0.1";
  Ip dst = "10.0.0.2";
  std::optional<uint8_t> protocol = {};
  uint8_t ttl = 64;
  uint16_t id = 1;
  bool more = false;    // fragments follow
  uint16_t offset = 0;  // of this fragment, in units of 8 bytes
  Bytes options = {};   // a multiple of 4 bytes
  uint8_t version = 4;
  std::optional<uint8_t> ihl = {};
  std::optional<uint16_t> length = {};
};
struct IPv6 {
  Ip src = "fd00::1";
  Ip dst = "fd00::2";
  std::optional<uint8_t> next = {};
  uint8_t hop_limit = 64;
  uint8_t version = 6;
  std::optional<uint16_t> length = {};
};

// IPv6 extension headers. `options` without the first two bytes; 6, 14, ... bytes.
struct HopByHop {
  Bytes options = {1, 4, 0, 0, 0, 0};
  std::optional<uint8_t> next = {};
  std::optional<uint8_t> length = {};
};
struct DestinationOptions {
  Bytes options = {1, 4, 0, 0, 0, 0};
  std::optional<uint8_t> next = {};
  std::optional<uint8_t> length = {};
};
struct Routing {
  uint8_t type = 4;
  uint8_t segments_left = 0;
  std::optional<uint8_t> next = {};
  std::optional<uint8_t> length = {};
};
struct Fragment {
  uint16_t offset = 0;  // in units of 8 bytes
  bool more = false;
  uint32_t id = 1;
  std::optional<uint8_t> next = {};
};
struct AuthHeader {
  std::optional<uint8_t> next = {};
  std::optional<uint8_t> length = {};
};
struct Mobility {
  std::optional<uint8_t> next = {};
  std::optional<uint8_t> length = {};
};

inline constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16;
struct TCP {
  uint16_t sport = 1024;
  uint16_t dport = 80;
  uint8_t flags = kSyn;
  uint8_t doff = 5;
};
struct UDP {
  uint16_t sport = 1024;
  uint16_t dport = 80;
  std::optional<uint16_t> length = {};
};
inline constexpr uint8_t kSctpData = 0, kSctpInit = 1, kSctpInitAck = 2, kSctpAbort = 6,
                         kSctpShutdownComplete = 14;
struct SCTP {
  uint16_t sport = 1024;
  uint16_t dport = 80;
  uint8_t chunk = kSctpInit;
};
inline constexpr uint8_t kEchoReply = 0, kUnreachable = 3, kSourceQuench = 4, kRedirect = 5,
                         kEchoRequest = 8, kTimeExceeded = 11, kParameterProblem = 12,
                         kTimestamp = 13;
struct ICMP {
  uint8_t type = kEchoRequest;
  uint8_t code = 0;
  uint16_t id = 1;  // the four bytes behind the checksum
  uint16_t sequence = 1;
};
inline constexpr uint8_t kUnreachable6 = 1, kPacketTooBig6 = 2, kTimeExceeded6 = 3,
                         kParameterProblem6 = 4, kEchoRequest6 = 128, kEchoReply6 = 129,
                         kListenerQuery = 130, kListenerReport = 131, kListenerDone = 132,
                         kRouterSolicitation = 133, kRouterAdvertisement = 134,
                         kNeighbourSolicitation = 135, kNeighbourAdvertisement = 136,
                         kRedirect6 = 137, kListenerReport2 = 143;
struct ICMPv6 {
  uint8_t type = kEchoRequest6;
  uint8_t code = 0;
  uint16_t id = 1;
  uint16_t sequence = 1;
};
// Bytes as they are.
struct Payload {
  explicit Payload(size_t size) : bytes(size, 0x5a) {}
  explicit Payload(Bytes content) : bytes(std::move(content)) {}
  Bytes bytes;
};

using Layer = std::variant<Ethernet, Vlan, Arp, IPv4, IPv6, HopByHop, DestinationOptions, Routing,
                           Fragment, AuthHeader, Mobility, TCP, UDP, SCTP, ICMP, ICMPv6, Payload>;

class Packet {
 public:
  Packet() = default;
  template <typename L>
  requires std::constructible_from<Layer, L> Packet(L layer)
      : layers_{Layer(std::move(layer))} {}  // NOLINT: a layer is a packet of one

  Bytes bytes() const;
  // "Ethernet / IPv4 10.0.0.1 > 10.0.0.2 / TCP 1024 > 80"
  std::string ToString() const;

  // Puts what `inner` holds behind what is there.
  Packet& operator/=(const Packet& inner);

 private:
  std::vector<Layer> layers_;
};

inline Packet operator/(Packet outer, const Packet& inner) { return std::move(outer /= inner); }

// What an ICMP error carries: the packet from its IP header on, at most `limit` bytes of it.
Payload Quote(const Packet& packet, size_t limit = 1280);

}  // namespace sallyport::test
