/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A sender may leave a checksum to whoever sends the packet on, and then says where it goes
 * (CHECKSUM_PARTIAL). A pod with raw sockets can say: over the ports, or over an IPv6 address. They
 * are rewritten then behind all programs, when the packet leaves through a device that does not do it
 * itself, or in hardware. A context does not show that; where it stands in the kernel's own structure
 * is found out at load. There is no other way to read it, and none where config.skb is not known.
 */
#ifndef SALLYPORT_LIB_CHECKSUM_H
#define SALLYPORT_LIB_CHECKSUM_H

#include "packet.h"

#define CHECKSUM_PARTIAL 3
#define AF_INET 2
#define AF_INET6 10

/* Only the sockets of TCP, UDP and the like leave checksums to where they belong, always. */
static __always_inline int may_misplace_checksum(struct __sk_buff *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	return config.skb.known && (!sk || (sk->family != AF_INET && sk->family != AF_INET6));
}

/* Where a checksum is left to go, in bytes from the frame's beginning. */
struct left_checksum {
	__s32 start, at;
};

/* 1: there is one, 0: none; minus: it cannot be told. `at`: the length of the frame's header. */
static __always_inline int find_left_checksum(struct __sk_buff *ctx, __u32 at,
					      struct left_checksum *left)
{
	__u16 start, offset, header;
	void *skb = (void *)ctx;
	__u8 summed;

	if (!config.skb.known)
		return 0;
	if (bpf_probe_read_kernel(&summed, sizeof(summed), skb + config.skb.summed))
		return -1;
	if (((summed >> config.skb.summed_shift) & 3) != CHECKSUM_PARTIAL)
		return 0;
	if (bpf_probe_read_kernel(&start, sizeof(start), skb + config.skb.csum_start) ||
	    bpf_probe_read_kernel(&offset, sizeof(offset), skb + config.skb.csum_offset) ||
	    bpf_probe_read_kernel(&header, sizeof(header), skb + config.skb.network_header))
		return -1;
	left->start = (__s32)(at + start) - (__s32)header;
	left->at = left->start + offset;
	return 1;
}

/* Behind all that verdicts are about: of a transport header its ports, or an ICMP type? */
static __always_inline int is_behind(const struct left_checksum *left, __u32 l4, int ports)
{
	return left->start >= (__s32)l4 && left->at >= (__s32)l4 + (ports ? 4 : 2);
}

static __always_inline int has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

/* 1: what will be written over belongs to what a verdict is about, or cannot be told. */
GLOBAL int checksum_is_misplaced(struct __sk_buff *ctx, __u32 at)
{
	struct left_checksum left = {};
	struct packet p = {};
	int found = find_left_checksum(ctx, at, &left);

	if (found <= 0)
		return found < 0;
	/* Inside a VLAN tag nothing is read, and nothing passes where anything is judged. */
	if (ctx->vlan_present)
		return 0;
	parse_packet(ctx, &p, at);
	if (p.kind == PACKET_OTHER)
		return 0;
	return !p.l4 || !is_behind(&left, p.l4, has_ports(p.protocol));
}

/* The same for a packet whose ports begin at `l4`. */
static __always_inline int ports_are_written_over(struct __sk_buff *ctx, __u32 at, __u32 l4)
{
	struct left_checksum left = {};
	int found = find_left_checksum(ctx, at, &left);

	return found < 0 || (found && !is_behind(&left, l4, 1));
}

#endif
