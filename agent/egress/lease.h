// SPDX-License-Identifier: Apache-2.0
// Leases (coordination.k8s.io/v1), as far as egress uses them: what holds for those of port blocks
// and for those of egress IPs.
//
// Other nodes' clocks are not trusted: a Lease is expired when *this* node has seen the same
// renewTime for longer than its duration.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/address.h"

namespace sallyport::egress {

// Milliseconds of a clock of this node's that counts from its boot, also while it sleeps
// (CLOCK_BOOTTIME). Never compared with another node's.
using Millis = int64_t;
inline constexpr Millis kSecond = 1000;
inline constexpr Millis kMinute = 60 * kSecond;

// What a Lease object has beside its meaning.
struct LeaseMeta {
  std::string uid;       // of this creation; never empty in what a server tells
  uint64_t version = 0;  // metadata.resourceVersion: later ones are greater
  std::string created;   // metadata.creationTimestamp
  // spec.acquireTime: since when its holder has it. "" in what is asked: since the renewTime.
  std::string acquired = {};
  friend bool operator==(const LeaseMeta&, const LeaseMeta&) = default;
};

// An address as a part of an object's name: "203.0.113.10", or all digits of an IPv6 address with
// dashes in the place of colons.
std::string NamePart(const net::Address& address);
std::optional<net::Address> ParseNamePart(std::string_view text);

// What came of a request.
enum class Outcome {
  kDone,
  // It is not as the precondition says: it exists already, has changed, or is gone. Whoever asked
  // has read it since, and tells what stands there now.
  kConflict,
  kFailed,  // the server could not be reached or did not answer: perhaps it was done, perhaps not
};

}  // namespace sallyport::egress
