// SPDX-License-Identifier: Apache-2.0
#include "cli/ports.h"

#include <algorithm>
#include <charconv>

namespace sallyport::probe {
namespace {

std::string Upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

}  // namespace

std::string Port::ToString() const {
  std::string name = net::ToString(protocol);
  return net::HasPorts(protocol) ? std::to_string(number) + "/" + name : name;
}

bool IsIcmp(net::Protocol protocol) {
  return protocol == net::Protocol::kIcmp || protocol == net::Protocol::kIcmpV6;
}

Result<net::Protocol> ParseProtocolName(std::string_view name) {
  std::string upper = Upper(name);
  if (upper == "ICMPV6") upper = "ICMPv6";
  if (auto protocol = net::ParseProtocol(upper)) return *protocol;
  return Error{"\"" + std::string(name) + "\" is not a protocol; use TCP, UDP, SCTP or ICMP"};
}

Result<uint16_t> ParsePortNumber(std::string_view digits) {
  uint16_t number = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  bool whole = error == std::errc() && end == digits.data() + digits.size();
  if (whole && number > 0) return number;
  return Error{"\"" + std::string(digits) + "\" is not a port; use a number from 1 to 65535"};
}

Result<Port> ParsePort(std::string_view text) {
  size_t slash = text.find('/');
  std::string_view before = text.substr(0, slash);
  if (slash == std::string_view::npos) {
    auto protocol = ParseProtocolName(before);
    if (protocol && IsIcmp(*protocol)) return Port{*protocol, 0};
    if (protocol) return Error{"\"" + std::string(text) + "\" lacks a port; write 80/TCP"};
  }
  auto number = ParsePortNumber(before);
  if (!number) return std::move(number).error();
  Port port{net::Protocol::kTcp, *number};
  if (slash == std::string_view::npos) return port;
  auto protocol = ParseProtocolName(text.substr(slash + 1));
  if (!protocol) return std::move(protocol).error();
  if (IsIcmp(*protocol)) {
    return Error{"\"" + std::string(text) + "\": ICMP has no ports; write ICMP alone"};
  }
  port.protocol = *protocol;
  return port;
}

Result<std::vector<Port>> ParsePorts(std::string_view text) {
  std::vector<Port> ports;
  while (true) {
    size_t comma = text.find(',');
    auto port = ParsePort(text.substr(0, comma));
    if (!port) return std::move(port).error();
    if (std::find(ports.begin(), ports.end(), *port) == ports.end()) ports.push_back(*port);
    if (comma == std::string_view::npos) return ports;
    text.remove_prefix(comma + 1);
  }
}

net::Protocol OnWire(net::Protocol protocol, const net::Address& address) {
  if (!IsIcmp(protocol)) return protocol;
  return address.IsV4() ? net::Protocol::kIcmp : net::Protocol::kIcmpV6;
}

}  // namespace sallyport::probe
