// SPDX-License-Identifier: Apache-2.0
// Questions as people write them: who, to whom, on which port.
//
//   party        = pod | address
//   pod          = [namespace "/"] name            the namespace is "default" if not said; where no
//                                                  pod has the name, a workload's first pod
//   address      = IPv4 | IPv6 | "[" IPv6 "]"
//   destination  = party ":" port ["/" protocol]   an IPv6 address in brackets
//                | party "/ICMP"
//   port         = 1..65535 | name                 a name is looked up on the destination pod
//   protocol     = TCP (default) | UDP | SCTP
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "model/objects.h"
#include "net/address.h"
#include "net/flow.h"

namespace sallyport::cli {

inline constexpr std::string_view kDefaultNamespace = "default";

// A pod by its name, or an address.
using Party = std::variant<model::ObjectName, net::Address>;
std::string ToString(const Party& party);

struct Destination {
  Party party;
  net::Protocol protocol = net::Protocol::kTcp;
  std::variant<std::monostate, uint16_t, std::string> port;  // monostate: the protocol has none
  friend bool operator==(const Destination&, const Destination&) = default;
};

Result<Party> ParseParty(std::string_view text);
Result<Destination> ParseDestination(std::string_view text);

// A destination cut where its port begins. Shared with expect files, whose parties are patterns.
struct SplitDestination {
  std::string_view party;  // without brackets
  std::string_view ports;  // "80/TCP,81/UDP", "ICMP", "*", or empty where none is given
};
Result<SplitDestination> Split(std::string_view text);

}  // namespace sallyport::cli
