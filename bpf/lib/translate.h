/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One end of a packet becomes another: its address, its port, and all checksums that cover them, also
 * in the packet that an ICMP error quotes. By differences, so what was wrong before stays wrong, and
 * what is left to hardware (CHECKSUM_PARTIAL) stays left to it.
 */
#ifndef SALLYPORT_LIB_TRANSLATE_H
#define SALLYPORT_LIB_TRANSLATE_H

#include "packet.h"

struct end {
	struct sp_address address;
	__be16 port;
};

/* From what to what; `is_source`: the source is, else the destination. */
struct change {
	struct end from, to;
	__u32 is_source;
};

#define NO_CHECKSUM 0

/* Where a transport header has its checksum; NO_CHECKSUM: it has none that can be adjusted so. */
static __always_inline __u32 checksum_offset(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return 16;
	case IPPROTO_UDP:
		return 6;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 2;
	}
	return NO_CHECKSUM;
}

/* Where a transport header has the port of an end: for an echo, its identifier. */
static __always_inline __u32 port_offset(__u8 protocol, int is_source)
{
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		return 4;
	return is_source ? 0 : 2;
}

/* Does the checksum of the transport header cover the addresses? */
static __always_inline int covers_addresses(__u8 protocol)
{
	return protocol != IPPROTO_ICMP && protocol != IPPROTO_SCTP;
}

/*
 * Of IPv6 the address's change and the checksum's cancel each other in what a device has summed up
 * (CHECKSUM_COMPLETE), and the helper, which knows of IPv4 only, has changed that sum: back.
 */
static __always_inline int replace_in_pseudo_header(struct __sk_buff *ctx, __u32 at, __u64 flags,
						    const struct change *c)
{
	__s64 diff;

	if (is_v4(&c->from.address))
		return (int)bpf_l4_csum_replace(ctx, at, c->from.address.words[3],
						c->to.address.words[3],
						flags | BPF_F_PSEUDO_HDR | 4);
	diff = bpf_csum_diff((__be32 *)c->from.address.words, 16, (__be32 *)c->to.address.words, 16,
			     0);
	if (diff < 0 || bpf_l4_csum_replace(ctx, at, 0, (__u64)diff, flags | BPF_F_PSEUDO_HDR))
		return -1;
	bpf_csum_update(ctx, (__wsum)diff);
	return 0;
}

/* `l3`: offset of an IP header of this family. */
static __always_inline int store_address(struct __sk_buff *ctx, __u32 l3, const struct change *c)
{
	if (is_v4(&c->from.address)) {
		if (bpf_l3_csum_replace(ctx, l3 + 10, c->from.address.words[3],
					c->to.address.words[3], 4))
			return -1;
		return (int)bpf_skb_store_bytes(ctx, l3 + (c->is_source ? 12 : 16),
						&c->to.address.words[3], 4, 0);
	}
	return (int)bpf_skb_store_bytes(ctx, l3 + (c->is_source ? 8 : 24), &c->to.address, 16, 0);
}

/*
 * The product of two polynomials modulo that of CRC32c (RFC 9260, appendix A), the highest power of
 * x in the lowest bit.
 */
GLOBAL __u32 crc_product(__u32 a, __u32 b)
{
	__u32 product = 0;

	for (int i = 0; i < 32; i++) {
		product ^= b & -(a >> 31);
		a <<= 1;
		b = (b >> 1) ^ (0x82f63b78 & -(b & 1));
	}
	return product;
}

/* CRC32c of a packet whose first word has changed by `change` and that is `length` bytes long. */
GLOBAL __u32 crc_adjusted(__u32 crc, __u32 change, __u32 length)
{
	__u32 power = 0x00800000; /* x^8: one byte */

	for (int i = 0; i < 16; i++) {
		if (length >> i & 1)
			change = crc_product(power, change);
		power = crc_product(power, power);
	}
	return crc ^ change;
}

/* SCTP: its checksum is of all bytes, and linear: that of the ports' change, moved to the end. */
GLOBAL int store_sctp_port(struct __sk_buff *ctx, const struct packet *p, const struct change *c)
{
	__u32 crc, ports, before, length;

	if (!p || !c || p->end < p->l4 || p->in_fragments)
		return -1;
	length = p->end - p->l4;
	if (length > 0xffff || bpf_skb_load_bytes(ctx, p->l4, &before, 4) ||
	    bpf_skb_load_bytes(ctx, p->l4 + 8, &crc, 4) ||
	    bpf_skb_store_bytes(ctx, p->l4 + (c->is_source ? 0 : 2), &c->to.port, 2, 0) ||
	    bpf_skb_load_bytes(ctx, p->l4, &ports, 4))
		return -1;
	crc = crc_adjusted(crc, before ^ ports, length);
	return (int)bpf_skb_store_bytes(ctx, p->l4 + 8, &crc, 4, 0);
}

static __always_inline int store_port(struct __sk_buff *ctx, const struct packet *p,
				      const struct change *c, __u64 flags)
{
	__u32 at = p->l4 + checksum_offset(p->protocol);

	if (covers_addresses(p->protocol) && replace_in_pseudo_header(ctx, at, flags, c))
		return -1;
	if (c->from.port == c->to.port)
		return 0;
	if (bpf_l4_csum_replace(ctx, at, c->from.port, c->to.port, flags | 2))
		return -1;
	return (int)bpf_skb_store_bytes(ctx, p->l4 + port_offset(p->protocol, c->is_source),
					&c->to.port, 2, 0);
}

/* A packet of a flow: TCP, UDP, SCTP, an echo; or a later fragment, which has an address only. */
GLOBAL int translate(struct __sk_buff *ctx, const struct packet *p, const struct change *c,
		     __u32 l3)
{
	int failed = 0;

	if (!p || !c)
		return -1;
	if (p->kind == PACKET_TRANSPORT) {
		if (p->protocol == IPPROTO_SCTP)
			failed = store_sctp_port(ctx, p, c);
		else
			failed = store_port(ctx, p, c,
					    p->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0);
	}
	return failed || store_address(ctx, l3, c) ? -1 : 0;
}

/* A sum of 16-bit words (RFC 1071), after a field of it has changed. */
static __always_inline __u16 adjusted_sum(__u16 sum, __u64 diff)
{
	__u64 n = (__u64)(__u16)~sum + (__u32)diff;

	n = (n & 0xffff) + (n >> 16);
	n = (n & 0xffff) + (n >> 16);
	n = (n & 0xffff) + (n >> 16);
	return (__u16)~n;
}

/* Writes two bytes of what an ICMP error quotes, which its checksum covers. */
static __always_inline int store_quoted(struct __sk_buff *ctx, const struct packet *error, __u32 at,
					__be16 from, __be16 to)
{
	if (from == to)
		return 0;
	return bpf_l4_csum_replace(ctx, error->l4 + 2, from, to, 2) ||
	       bpf_skb_store_bytes(ctx, at, &to, 2, 0);
}

/*
 * The quoted transport header: its port, and its checksum as far as it is quoted. In a quoted TCP
 * header it often is not.
 */
GLOBAL int translate_quoted_port(struct __sk_buff *ctx, const struct packet *error,
				 const struct packet *quoted, const struct change *c)
{
	__u32 sum_at;
	__s64 diff = 0;
	__be16 sum;

	if (!error || !quoted || !c)
		return -1;
	sum_at = checksum_offset(quoted->protocol);
	if (sum_at != NO_CHECKSUM && quoted->l4 + sum_at + 2 <= quoted->end &&
	    !bpf_skb_load_bytes(ctx, quoted->l4 + sum_at, &sum, 2) &&
	    !(quoted->protocol == IPPROTO_UDP && sum == 0)) {
		__be32 from = c->from.port, to = c->to.port;

		if (covers_addresses(quoted->protocol))
			diff = bpf_csum_diff((__be32 *)c->from.address.words, 16,
					     (__be32 *)c->to.address.words, 16, 0);
		if (diff < 0)
			return -1;
		diff = bpf_csum_diff(&from, 4, &to, 4, (__wsum)diff);
		if (diff < 0 || store_quoted(ctx, error, quoted->l4 + sum_at, sum,
					     adjusted_sum(sum, (__u64)diff)))
			return -1;
	}
	return store_quoted(ctx, error, quoted->l4 + port_offset(quoted->protocol, c->is_source),
			    c->from.port, c->to.port);
}

/*
 * An ICMP error: the end that gets or sends it, and the same end of the packet that it quotes, which
 * went the other way. `l3`: of the error's own header.
 */
GLOBAL int translate_error(struct __sk_buff *ctx, const struct packet *error,
			   const struct packet *quoted, struct change *c, __u32 l3)
{
	__u32 inner, at;
	__s64 diff;

	if (!error || !quoted || !c)
		return -1;
	inner = error->l4 + sizeof(struct icmp_start);
	at = error->l4 + 2;
	c->is_source = !c->is_source;
	if (translate_quoted_port(ctx, error, quoted, c))
		return -1;
	if (is_v4(&c->from.address)) {
		/* The quoted header's checksum changes against its address: the error's sum stays. */
		if (store_address(ctx, inner, c))
			return -1;
		c->is_source = !c->is_source;
		return store_address(ctx, l3, c);
	}
	diff = bpf_csum_diff((__be32 *)c->from.address.words, 16, (__be32 *)c->to.address.words, 16,
			     0);
	if (diff < 0 || bpf_l4_csum_replace(ctx, at, 0, (__u64)diff, 0) ||
	    store_address(ctx, inner, c))
		return -1;
	c->is_source = !c->is_source;
	if (replace_in_pseudo_header(ctx, at, 0, c))
		return -1;
	return store_address(ctx, l3, c);
}

#endif
