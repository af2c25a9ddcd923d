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

/* Behind all that verdicts are about? Of a transport header that is its ports, or an ICMP type. */
static __always_inline int is_behind_ports(const struct packet *p, __s32 start, __s32 offset)
{
	int ports = p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP ||
		    p->protocol == IPPROTO_SCTP;

	return start >= (__s32)p->l4 && start + offset >= (__s32)p->l4 + (ports ? 4 : 2);
}

/*
 * 1: what will be written over belongs to what a verdict is about, or cannot be told. `at`: the length
 * of the frame's header.
 */
GLOBAL int checksum_is_misplaced(struct __sk_buff *ctx, __u32 at)
{
	void *skb = (void *)ctx;
	struct packet p = {};
	__u16 start, offset, header;
	__u8 summed;

	if (!config.skb.known)
		return 0;
	if (bpf_probe_read_kernel(&summed, sizeof(summed), skb + config.skb.summed))
		return 1;
	if (((summed >> config.skb.summed_shift) & 3) != CHECKSUM_PARTIAL)
		return 0;
	if (bpf_probe_read_kernel(&start, sizeof(start), skb + config.skb.csum_start) ||
	    bpf_probe_read_kernel(&offset, sizeof(offset), skb + config.skb.csum_offset) ||
	    bpf_probe_read_kernel(&header, sizeof(header), skb + config.skb.network_header))
		return 1;
	/* Inside a VLAN tag nothing is read, and nothing passes where anything is judged. */
	if (ctx->vlan_present)
		return 0;
	parse_packet(ctx, &p, at);
	if (p.kind == PACKET_OTHER)
		return 0;
	return !p.l4 || !is_behind_ports(&p, (__s32)(at + start) - (__s32)header, offset);
}

#endif
