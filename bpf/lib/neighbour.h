/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who is where on the link, as pods may tell it: a pod speaks for itself only. ARP and neighbour
 * discovery are never a matter of policy, but a forged one steers others' packets, and one of any
 * content would carry data past it. And a packet that was steered to the wrong pod ends there.
 *
 * All of it is anti-spoofing, and off without.
 */
#ifndef SALLYPORT_LIB_NEIGHBOUR_H
#define SALLYPORT_LIB_NEIGHBOUR_H

#include "judge.h"

struct arp {
	__be16 hardware, protocol;
	__u8 hardware_length, protocol_length;
	__be16 operation;
	__u8 sender_hardware[6], sender[4], target_hardware[6], target[4];
};
#define ARP_LONGEST 64 /* frames are padded */

#define ICMP6_LISTENER_QUERY 130
#define ICMP6_ROUTER_ADVERTISEMENT 134
#define ICMP6_NEIGHBOUR_ADVERTISEMENT 136
#define ICMP6_REDIRECT 137
#define NEIGHBOUR_LONGEST 512 /* a report names 20 bytes a group */

static __always_inline int is_link_local(const struct sp_address *a)
{
	return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

/*
 * May the endpoint say that this address is its own? Before the agent has said which ones are, it
 * may not be anybody's here.
 */
static __always_inline int may_claim(const struct context *c, const struct sp_address *a)
{
	__u64 peer;

	if (own_has(c, a))
		return 1;
	peer = peer_find(a, c->half);
	if (is_link_local(a))
		return !peer_is_node(peer);
	if (is_open(c))
		return 0;
	return !peer_is_any_node(peer) && !peer_is_service(peer) &&
	       (!peer_ifindex(peer) || peer_ifindex(peer) == c->judge.ifindex);
}

GLOBAL int judge_arp(struct __sk_buff *ctx, const struct context *c)
{
	struct sp_address sender;
	struct arp arp;
	__be32 v4;

	if (!c)
		return -SP_DROP_INTERNAL;
	if (!config.anti_spoofing)
		return SP_PASS;
	if (ctx->len > ARP_LONGEST || bpf_skb_load_bytes(ctx, ETH_HLEN, &arp, sizeof(arp)) ||
	    arp.hardware != bpf_htons(1) || arp.protocol != bpf_htons(ETH_P_IP) ||
	    arp.hardware_length != 6 || arp.protocol_length != 4 ||
	    (arp.operation != bpf_htons(1) && arp.operation != bpf_htons(2)))
		return -SP_DROP_MALFORMED;
	__builtin_memcpy(&v4, arp.sender, sizeof(v4));
	if (c->judge.direction == SP_INGRESS || v4 == 0) /* 0: asks whether an address is free */
		return SP_PASS;
	set_v4(&sender, v4);
	return may_claim(c, &sender) ? SP_PASS : -SP_DROP_SPOOFED;
}

/* What a pod sends of neighbour discovery: no router's messages, and no other's addresses. */
GLOBAL int judge_neighbour(struct __sk_buff *ctx, const struct context *c)
{
	struct sp_address target;
	const struct packet *p;

	if (!c)
		return -SP_DROP_INTERNAL;
	p = &c->packet;
	if (!config.anti_spoofing)
		return SP_PASS;
	if (p->icmp_type == ICMP6_LISTENER_QUERY || p->icmp_type == ICMP6_ROUTER_ADVERTISEMENT ||
	    p->icmp_type == ICMP6_REDIRECT)
		return -SP_DROP_SPOOFED;
	if (p->end - p->l4 > NEIGHBOUR_LONGEST)
		return -SP_DROP_MALFORMED;
	if ((p->source.halves[0] | p->source.halves[1]) && !may_claim(c, &p->source))
		return -SP_DROP_SPOOFED;
	if (p->icmp_type != ICMP6_NEIGHBOUR_ADVERTISEMENT)
		return SP_PASS;
	if (p->l4 + sizeof(struct icmp_start) + sizeof(target) > p->end ||
	    bpf_skb_load_bytes(ctx, p->l4 + sizeof(struct icmp_start), &target, sizeof(target)))
		return -SP_DROP_MALFORMED;
	return may_claim(c, &target) ? SP_PASS : -SP_DROP_SPOOFED;
}

/* At an open endpoint's interface: for one other, whom a bridge or a neighbour took it for. */
GLOBAL int is_misdelivered(struct __sk_buff *ctx, const struct context *c)
{
	const struct sp_address *to;
	__u8 first = 0;

	if (!c)
		return 1;
	to = &c->packet.destination;
	if (!config.anti_spoofing || !(to->halves[0] | to->halves[1]) || own_has(c, to) ||
	    to->bytes[0] == 0xff || is_link_local(to))
		return 0;
	if (is_v4(to) && ((to->bytes[12] & 0xf0) == 0xe0 || to->words[3] == 0xffffffff))
		return 0;
	/* A subnet's broadcast address is known by the frame's. */
	return bpf_skb_load_bytes(ctx, 0, &first, sizeof(first)) || !(first & 1);
}

#endif
