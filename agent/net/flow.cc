// SPDX-License-Identifier: Apache-2.0
#include "net/flow.h"

namespace sallyport::net {
namespace {

std::string WithPort(const Address& address, Protocol protocol, uint16_t port) {
  std::string host = address.IsV4() ? address.ToString() : "[" + address.ToString() + "]";
  return HasPorts(protocol) ? host + ":" + std::to_string(port) : host;
}

}  // namespace

std::string ToString(Protocol protocol) {
  switch (protocol) {
    case Protocol::kIcmp:
      return "ICMP";
    case Protocol::kTcp:
      return "TCP";
    case Protocol::kUdp:
      return "UDP";
    case Protocol::kIcmpV6:
      return "ICMPv6";
    case Protocol::kSctp:
      return "SCTP";
  }
  return std::to_string(static_cast<int>(protocol));
}

std::optional<Protocol> ParseProtocol(std::string_view name) {
  for (Protocol p :
       {Protocol::kTcp, Protocol::kUdp, Protocol::kSctp, Protocol::kIcmp, Protocol::kIcmpV6}) {
    if (ToString(p) == name) return p;
  }
  return std::nullopt;
}

std::string FlowTuple::ToString() const {
  return WithPort(source, protocol, source_port) + " -> " +
         WithPort(destination, protocol, destination_port) + "/" + net::ToString(protocol);
}

}  // namespace sallyport::net
