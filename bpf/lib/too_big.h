/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tunnel takes some bytes of every packet. TCP is told at its handshake (the MSS, RFC 6691); who
 * sends more all the same, and wants it whole, gets the answer of a router (RFC 1191, RFC 8201).
 */
#ifndef SALLYPORT_LIB_TOO_BIG_H
#define SALLYPORT_LIB_TOO_BIG_H

#include "egress.h"

#define TCP_OPTION_MSS 2

/* In the name of a packet's destination, which is beyond the tunnel. Back to where it came from. */
struct error_v4 {
	struct iphdr ip;
	struct icmp_start icmp;
};
struct error_v6 {
	struct ipv6hdr ip;
	struct icmp_start icmp;
};
#define QUOTED_V4 28 /* its header and eight bytes */
#define QUOTED_V6 88 /* its header, a header of TCP and some more */

/* The MSS of a SYN becomes what fits. No option: 536 or 1,220 is meant, and that fits. */
GLOBAL int clamp_mss(struct __sk_buff *ctx, const struct packet *p, __u32 mtu)
{
	__u32 at, most;
	struct tcphdr tcp;

	if (!p || p->protocol != IPPROTO_TCP || bpf_skb_load_bytes(ctx, p->l4, &tcp, sizeof(tcp)))
		return 0;
	most = mtu - sizeof(tcp) -
	       (is_v4(&p->source) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	at = p->l4 + sizeof(tcp);
	for (int i = 0; i < 20 && at + 4 <= p->l4 + tcp.doff * 4; i++) {
		__u8 option[2];
		__be16 mss, less;

		if (bpf_skb_load_bytes(ctx, at, option, sizeof(option)) || option[0] == 0)
			return 0;
		if (option[0] == 1) {
			at++;
			continue;
		}
		if (option[1] < 2)
			return 0;
		if (option[0] != TCP_OPTION_MSS) {
			at += option[1];
			continue;
		}
		if (bpf_skb_load_bytes(ctx, at + 2, &mss, 2) || bpf_ntohs(mss) <= most)
			return 0;
		less = bpf_htons((__u16)most);
		/* At an odd offset the words of the sum are others: both bytes change places. */
		if ((at - p->l4) & 1)
			bpf_l4_csum_replace(ctx, p->l4 + 16, __builtin_bswap16(mss),
					    __builtin_bswap16(less), 2);
		else
			bpf_l4_csum_replace(ctx, p->l4 + 16, mss, less, 2);
		return (int)bpf_skb_store_bytes(ctx, at + 2, &less, 2, 0);
	}
	return 0;
}

/* Does it not fit, and must it not be cut? What is left to be cut by hardware is cut before. */
static __always_inline int is_too_big(struct __sk_buff *ctx, const struct packet *p, __u32 mtu)
{
	__u32 length = p->end > ETH_HLEN ? p->end - ETH_HLEN : 0;
	__be16 fragment = 0;

	if (ctx->gso_size)
		length = p->l4 - ETH_HLEN + ctx->gso_size +
			 (p->protocol == IPPROTO_TCP ? sizeof(struct tcphdr) : 8);
	if (length <= mtu)
		return 0;
	if (!is_v4(&p->source))
		return 1;
	return bpf_skb_load_bytes(ctx, ETH_HLEN + 6, &fragment, 2) ||
	       (fragment & bpf_htons(0x4000));
}

/* At a glance, of TCP or UDP right behind a plain IP header: does it fit for sure? */
static __always_inline int surely_fits(struct __sk_buff *ctx, __u8 protocol, __u32 mtu)
{
	__u32 ip = ctx->protocol == bpf_htons(ETH_P_IP) ? sizeof(struct iphdr)
							: sizeof(struct ipv6hdr);

	if (ctx->gso_size)
		return ip + (protocol == IPPROTO_TCP ? sizeof(struct tcphdr) : 8) + ctx->gso_size <=
		       mtu;
	return ctx->len - ETH_HLEN <= mtu;
}

static __always_inline __u16 folded(__u64 sum)
{
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

/* The frame goes back: what was its destination is its source. */
static __always_inline int swap_ethernet(struct __sk_buff *ctx)
{
	__u8 ends[12], swapped[12];

	if (bpf_skb_load_bytes(ctx, 0, ends, sizeof(ends)))
		return -1;
	__builtin_memcpy(swapped, ends + 6, 6);
	__builtin_memcpy(swapped + 6, ends, 6);
	return (int)bpf_skb_store_bytes(ctx, 0, swapped, sizeof(swapped), 0);
}

GLOBAL int answer_too_big_v4(struct __sk_buff *ctx, __u32 mtu)
{
	__u8 quoted[QUOTED_V4];
	struct error_v4 e = {};
	struct iphdr ip;
	__s64 sum;

	if (bpf_skb_load_bytes(ctx, ETH_HLEN, &ip, sizeof(ip)) ||
	    bpf_skb_load_bytes(ctx, ETH_HLEN, quoted, sizeof(quoted)) ||
	    bpf_skb_change_tail(ctx, ETH_HLEN + QUOTED_V4, 0) ||
	    bpf_skb_adjust_room(ctx, sizeof(e), BPF_ADJ_ROOM_MAC, 0))
		return -1;
	e.ip.version = 4;
	e.ip.ihl = 5;
	e.ip.tot_len = bpf_htons(sizeof(e) + QUOTED_V4);
	e.ip.ttl = 64;
	e.ip.protocol = IPPROTO_ICMP;
	e.ip.saddr = ip.daddr;
	e.ip.daddr = ip.saddr;
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&e.ip, sizeof(e.ip), 0);
	e.ip.check = folded((__u64)sum);
	e.icmp.type = ICMP_UNREACHABLE;
	e.icmp.code = 4; /* fragmentation needed */
	e.icmp.sequence = bpf_htons((__u16)mtu);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&e.icmp, sizeof(e.icmp), 0);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)quoted, sizeof(quoted), (__wsum)sum);
	e.icmp.checksum = folded((__u64)sum);
	return bpf_skb_store_bytes(ctx, ETH_HLEN, &e, sizeof(e), 0) || swap_ethernet(ctx) ? -1 : 0;
}

GLOBAL int answer_too_big_v6(struct __sk_buff *ctx, __u32 mtu)
{
	__u8 quoted[QUOTED_V6];
	struct error_v6 e = {};
	struct ipv6hdr ip;
	__be32 pseudo[2];
	__s64 sum;

	if (bpf_skb_load_bytes(ctx, ETH_HLEN, &ip, sizeof(ip)) ||
	    bpf_skb_load_bytes(ctx, ETH_HLEN, quoted, sizeof(quoted)) ||
	    bpf_skb_change_tail(ctx, ETH_HLEN + QUOTED_V6, 0) ||
	    bpf_skb_adjust_room(ctx, sizeof(e), BPF_ADJ_ROOM_MAC, 0))
		return -1;
	e.ip.version = 6;
	e.ip.payload_len = bpf_htons(sizeof(e.icmp) + QUOTED_V6);
	e.ip.hop_limit = 64;
	e.ip.nexthdr = IPPROTO_ICMPV6;
	e.ip.saddr = ip.daddr;
	e.ip.daddr = ip.saddr;
	e.icmp.type = 2; /* packet too big */
	e.icmp.sequence = bpf_htons((__u16)mtu);
	pseudo[0] = bpf_htonl(sizeof(e.icmp) + QUOTED_V6);
	pseudo[1] = bpf_htonl(IPPROTO_ICMPV6);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&e.ip.saddr, 32, 0);
	sum = bpf_csum_diff(NULL, 0, pseudo, sizeof(pseudo), (__wsum)sum);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&e.icmp, sizeof(e.icmp), (__wsum)sum);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)quoted, sizeof(quoted), (__wsum)sum);
	e.icmp.checksum = folded((__u64)sum);
	return bpf_skb_store_bytes(ctx, ETH_HLEN, &e, sizeof(e), 0) || swap_ethernet(ctx) ? -1 : 0;
}

/*
 * Tells the sender of a packet, which becomes the answer, how large one may be. Only of what is not
 * an error itself (RFC 1122, 3.2.2), nor a later fragment.
 */
static __always_inline int answer_too_big(struct __sk_buff *ctx, const struct packet *p, __u32 mtu)
{
	int failed;

	if (p->kind != PACKET_TRANSPORT)
		return -SP_DROP_TOO_BIG;
	failed = is_v4(&p->source) ? answer_too_big_v4(ctx, mtu) : answer_too_big_v6(ctx, mtu);
	if (failed)
		return -SP_DROP_TOO_BIG;
	mark_settled(ctx);
	return (int)bpf_redirect(ctx->ifindex, 0);
}

#endif
