/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/lib/packet.h, called from outside the kernel. */
#pragma once

#ifdef __cplusplus
#include <cstddef>
#include <cstdint>
extern "C" {
#else
#include <stddef.h>
#include <stdint.h>
#endif

enum parsed_kind {
  PARSED_TRANSPORT,
  PARSED_ICMP_ERROR,
  PARSED_NEIGHBOUR,
  PARSED_ARP,
  PARSED_FRAGMENT,
  PARSED_OTHER,
  PARSED_MALFORMED,
  PARSED_UNKNOWN, /* a kind that this does not know */
};

struct parsed {
  enum parsed_kind kind;
  uint8_t source[16], destination[16]; /* IPv4 as ::ffff:a.b.c.d */
  uint8_t protocol;
  uint16_t source_port, destination_port; /* as numbers */
  int opening, reset, fin, in_fragments;
  size_t l4, end;
};

struct parsed_frame {
  const uint8_t* bytes; /* an IP packet behind `header` bytes */
  size_t size, header;
  uint16_t ethertype;
  int big; /* of several segments: gso_size is not 0 */
};

struct parsed parse_frame(const struct parsed_frame* frame);
/* What the ICMP error in `frame` quotes: PARSED_TRANSPORT or not to be read. */
struct parsed parse_frame_quoted(const struct parsed_frame* frame);

#ifdef __cplusplus
}
#endif
