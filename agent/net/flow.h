// SPDX-License-Identifier: Apache-2.0
// Protocols, ports and the 5-tuple of a flow.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/address.h"

namespace sallyport::net {

// IP protocol numbers (IANA). Any other value of the byte is a valid Protocol too.
enum class Protocol : uint8_t { kIcmp = 1, kTcp = 6, kUdp = 17, kIcmpV6 = 58, kSctp = 132 };

// Has 16-bit ports that a NetworkPolicy can name: TCP, UDP, SCTP.
constexpr bool HasPorts(Protocol p) {
  return p == Protocol::kTcp || p == Protocol::kUdp || p == Protocol::kSctp;
}
// "TCP", "UDP", "SCTP", "ICMP", "ICMPv6", else the number.
std::string ToString(Protocol protocol);
// The names above, exactly as the Kubernetes API spells TCP, UDP and SCTP; ICMP and ICMPv6 too.
std::optional<Protocol> ParseProtocol(std::string_view name);

// Ports first..last, both included. Host byte order.
struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;
  constexpr bool Contains(uint16_t port) const { return first <= port && port <= last; }
  friend constexpr auto operator<=>(const PortRange&, const PortRange&) = default;
};

// The first packet of a connection: who opens it (source) to whom. Ports in host byte order; 0 for
// protocols without ports.
struct FlowTuple {
  Address source;
  Address destination;
  Protocol protocol = Protocol::kTcp;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;

  // "10.0.0.1:4000 -> 10.0.0.2:80/TCP"; IPv6 addresses in brackets.
  std::string ToString() const;
  friend constexpr auto operator<=>(const FlowTuple&, const FlowTuple&) = default;
};

}  // namespace sallyport::net
