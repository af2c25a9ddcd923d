// SPDX-License-Identifier: Apache-2.0
// What a frame is, read in the plainest way: what bpf/lib/packet.h makes of it is compared with
// this.
#pragma once

#include <cstddef>
#include <string>

#include "support/packet.h"

namespace sallyport::test {

struct Reading {
  enum Kind {
    kOther,      // not readable to its end, or nothing that has a policy
    kAlways,     // ARP and neighbour discovery
    kTransport,  // a packet with a transport header, or of a protocol without ports
    kError,      // an ICMP error
    kLaterFragment,
  };
  Kind kind = kOther;
  bool plain = false;                // no options, no extension headers, no fragment
  Bytes source, destination;         // 4 or 16 bytes
  size_t l4 = 0, end = 0;            // where the transport header begins, and behind the payload
  uint8_t protocol = 0;              // of the transport header
  unsigned from_port = 0, port = 0;  // an echo's identifier is both; other ICMP: nothing meant
  unsigned fragment_headers = 0;     // IPv6
  bool echo = false, opening = false, reset = false, fin = false;
};

// The big-endian number at `at`, which must be there with the byte after it.
unsigned U16(const Bytes& frame, size_t at);

// An Ethernet frame. `big`: an IP header without a length means all that follows (BIG TCP).
Reading Read(const Bytes& frame, bool big = false);

// The packet that an ICMP error, read before, quotes: kTransport or kOther.
Reading ReadQuoted(const Bytes& frame, const Reading& error);

std::string Hex(const Bytes& frame);

}  // namespace sallyport::test
