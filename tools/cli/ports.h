// SPDX-License-Identifier: Apache-2.0
// Ports as people write them: "80", "80/TCP", "53/UDP", "ICMP".
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/flow.h"

namespace sallyport::probe {

// A port of a protocol; the number is 0 for ICMP, which has none.
struct Port {
  net::Protocol protocol = net::Protocol::kTcp;
  uint16_t number = 0;
  // "80/TCP", "ICMP"
  std::string ToString() const;
  friend constexpr auto operator<=>(const Port&, const Port&) = default;
};

// Of either family.
bool IsIcmp(net::Protocol protocol);

// "TCP", "udp": any case. ICMP stands for ICMPv6 too (IcmpOf says which one an address needs).
Result<net::Protocol> ParseProtocolName(std::string_view name);
// 1..65535, in decimal digits.
Result<uint16_t> ParsePortNumber(std::string_view digits);
// "80" (TCP), "80/UDP", "ICMP".
Result<Port> ParsePort(std::string_view text);
// Comma-separated; at least one; each kept once, in the order written.
Result<std::vector<Port>> ParsePorts(std::string_view text);

// The protocol as it goes over the wire to this address: ICMP becomes ICMPv6 for an IPv6 address.
net::Protocol OnWire(net::Protocol protocol, const net::Address& address);

}  // namespace sallyport::probe
