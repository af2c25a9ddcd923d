// SPDX-License-Identifier: Apache-2.0
// Tells the network of an uplink that an egress IP is here now.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "net/address.h"

namespace sallyport::gateway {

// Once: frames get lost, so whoever takes an address repeats it. On an interface that is not
// Ethernet nobody keeps hardware addresses, and nothing is sent.
Status Announce(uint32_t ifindex, const net::Address& egress_ip);

}  // namespace sallyport::gateway
