// SPDX-License-Identifier: Apache-2.0
// Frames that tell a network which hardware address has an egress IP now. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "net/address.h"

namespace sallyport::gateway {

using Mac = std::array<uint8_t, 6>;

// Whole Ethernet frames, in the order to send.
//
// IPv4: an ARP announcement (a request, RFC 5227 2.3) and the same as a reply (RFC 5944 4.6), each
// to all: some hosts learn from the one only, some from the other. IPv6: an unsolicited neighbour
// advertisement (RFC 4861 7.2.6) to all nodes, with the override flag.
std::vector<std::string> AnnouncementFrames(const Mac& mac, const net::Address& egress_ip);

}  // namespace sallyport::gateway
