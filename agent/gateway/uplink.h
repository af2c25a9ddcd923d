// SPDX-License-Identifier: Apache-2.0
// Which interface of a gateway packets leave by, and the egress IPs that it has there.
//
// An egress IP is on its uplink so that the kernel answers ARP and neighbour solicitations for it,
// and for nothing else: no program of the node shall choose it as a source, and no route shall lead
// by it. So it is there as /32 with scope host, or as /128 that is deprecated from the start, and
// without a route of its own. (With arp_ignore=3 the kernel would not answer for it.)
//
// Ours is told from the machine's own by a metric that nobody else gives, "saly"; every kernel
// keeps it, and for want of a route it means nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace sallyport::gateway {

inline constexpr uint32_t kHeldMetric = 0x73616c79;

// An error if there is none, with code ENODEV.
Result<uint32_t> UplinkByName(const std::string& name);
// By which packets to the destination leave; an error if they do not leave this node.
Result<uint32_t> UplinkByRoute(const net::Address& destination);
// By the default route of the family, of several the one of the lowest metric; ENETUNREACH: none.
Result<uint32_t> UplinkByDefaultRoute(bool v4);

// Whether it is up and has a carrier; false if it has gone.
Result<bool> UplinkWorks(uint32_t ifindex);

// The address is ours, on this interface and no other; idempotent. EEXIST: the machine has the
// address by itself, which stays as it is.
Status HoldAddress(uint32_t ifindex, const net::Address& egress_ip);
// It is not ours on this interface any more; what is not ours stays. Idempotent.
Status DropAddress(uint32_t ifindex, const net::Address& egress_ip);

struct HeldAddress {
  uint32_t ifindex = 0;
  net::Address address;
  friend auto operator<=>(const HeldAddress&, const HeldAddress&) = default;
};
// Ours, on all interfaces, in order. After a start: those that are not to be held are to be
// dropped.
Result<std::vector<HeldAddress>> HeldAddresses();

}  // namespace sallyport::gateway
