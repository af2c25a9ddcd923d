// SPDX-License-Identifier: Apache-2.0
// What gateways tell each other, and all nodes, in one UDP datagram.
//
//   datagram = "SPGW" version:1 flags:1 length:2 incarnation:8 sequence:8
//              name-length:1 hears-count:1 holds-count:1
//              name  { node-hash:8 }  { address:16 epoch:4 }  authenticator:16
//
// Numbers are in network byte order; `length` is that of the whole datagram; flags: 1, leaving;
// others are 0. What one datagram has no room for goes into the next one: each speaks for itself.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace sallyport::egress {

inline constexpr size_t kHeartbeatBytes = 1400;  // at most
inline constexpr size_t kMostHears = 32;
inline constexpr size_t kMostHolds = 40;
// The last bytes of a datagram: a keyed hash of all before it, for whoever sends it to fill and for
// whoever receives it to check. Encode leaves zeros, Decode does not look.
inline constexpr size_t kAuthenticatorBytes = 16;

struct HeldAddress {
  net::Address address;
  uint32_t epoch = 0;
  friend auto operator<=>(const HeldAddress&, const HeldAddress&) = default;
};

struct Heartbeat {
  std::string node;
  uint64_t incarnation = 0;  // of the agent: a later one is greater, as far as its clock can tell
  uint64_t sequence = 0;     // of its datagrams
  bool leaving = false;
  std::vector<uint64_t> hears;     // HashName of the gateways that it hears
  std::vector<HeldAddress> holds;  // the egress IPs that it holds, with the epoch it took them in
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

// Requires a node name that Kubernetes would accept, and no more hears and holds than there may be.
std::string Encode(const Heartbeat& heartbeat);
// All of it, or an error.
Result<Heartbeat> Decode(std::string_view datagram);

}  // namespace sallyport::egress
