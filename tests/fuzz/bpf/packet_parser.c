/* SPDX-License-Identifier: Apache-2.0 */
#include "packet_parser.h"

#include <linux/bpf.h>
#include <string.h>

#include <bpf/bpf_helpers.h>

struct skb {
  struct __sk_buff ctx; /* first: it is what the parser has */
  const uint8_t* bytes;
};

/* As the kernel's helper: all or nothing, and zeroes where there is nothing. */
static long load_bytes(const struct __sk_buff* ctx, uint32_t offset, void* to, uint32_t size) {
  if (offset > ctx->len || size > ctx->len - offset) {
    memset(to, 0, size);
    return -14;
  }
  memcpy(to, ((const struct skb*)ctx)->bytes + offset, size);
  return 0;
}

#define bpf_skb_load_bytes load_bytes
#include "lib/packet.h"

static struct skb skb_of(const struct parsed_frame* frame) {
  struct skb skb = {.bytes = frame->bytes};

  skb.ctx.len = frame->size;
  skb.ctx.protocol = bpf_htons(frame->ethertype);
  skb.ctx.gso_size = frame->big ? 1400 : 0;
  return skb;
}

static enum parsed_kind kind_of(int kind) {
  switch (kind) {
    case PACKET_TRANSPORT:
      return PARSED_TRANSPORT;
    case PACKET_ICMP_ERROR:
      return PARSED_ICMP_ERROR;
    case PACKET_NEIGHBOUR:
      return PARSED_NEIGHBOUR;
    case PACKET_ARP:
      return PARSED_ARP;
    case PACKET_FRAGMENT:
      return PARSED_FRAGMENT;
    case PACKET_OTHER:
      return PARSED_OTHER;
    case PACKET_MALFORMED:
      return PARSED_MALFORMED;
  }
  return PARSED_UNKNOWN;
}

static struct parsed parsed_of(const struct packet* p, int kind) {
  struct parsed out = {
      .kind = kind_of(kind),
      .protocol = p->protocol,
      .source_port = bpf_ntohs(p->source_port),
      .destination_port = bpf_ntohs(p->destination_port),
      .opening = p->opening,
      .reset = p->ending == PACKET_RESET,
      .fin = p->ending == PACKET_FIN,
      .in_fragments = p->in_fragments,
      .l4 = p->l4,
      .end = p->end,
  };

  memcpy(out.source, &p->source, sizeof(out.source));
  memcpy(out.destination, &p->destination, sizeof(out.destination));
  return out;
}

struct parsed parse_frame(const struct parsed_frame* frame) {
  struct skb skb = skb_of(frame);
  struct packet p = {};

  parse_packet(&skb.ctx, &p, frame->header);
  return parsed_of(&p, p.kind);
}

struct parsed parse_frame_quoted(const struct parsed_frame* frame) {
  struct skb skb = skb_of(frame);
  struct packet error = {}, quoted = {};
  int kind;

  parse_packet(&skb.ctx, &error, frame->header);
  kind = parse_quoted(&skb.ctx, &error, &quoted);
  return parsed_of(&quoted, kind);
}
