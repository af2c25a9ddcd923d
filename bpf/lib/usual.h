/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The usual packet: TCP or UDP right behind a plain IP header, of a flow that was allowed under this
 * generation. Nothing is to be decided and, but for counters, nothing to be written.
 *
 * usual_packet() recognises it on the shortest path. It accepts only what the long way in
 * pod.bpf.c would accept with the same effect; about everything else it has no opinion.
 */
#ifndef SALLYPORT_LIB_USUAL_H
#define SALLYPORT_LIB_USUAL_H

#include "endpoint.h"
#include "flow.h"

/* A flow younger than this is alive, whatever happened to it short of a reset. */
#define USUAL_LIFE 60
_Static_assert(USUAL_LIFE <= SP_LIFE_SYN && USUAL_LIFE <= SP_LIFE_CLOSING &&
		       USUAL_LIFE <= SP_LIFE_DATAGRAM && USUAL_LIFE <= SP_LIFE_CONVERSATION,
	       "alive in every state but reset");

/* The ends of a packet, in words. */
struct ends {
	__u64 source[2], destination[2];
	__be16 source_port, destination_port;
	__u8 protocol;
};

struct tcp_start {
	__be16 source, destination;
	__be32 sequence, acknowledged;
	__u8 length; /* upper four bits: header words */
	__u8 flags;
};
#define TCP_FIN_SYN_RST 0x07

/* TCP without SYN, FIN and RST, or UDP, with a whole header before `end`. */
static __always_inline int usual_ports(struct __sk_buff *ctx, struct ends *e, const __u32 at,
				       __u32 end)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	const struct tcp_start *tcp = data + at;

	if (e->protocol == IPPROTO_TCP) {
		if (data + at + sizeof(struct tcphdr) > data_end ||
		    at + sizeof(struct tcphdr) > end)
			return 0;
		if ((tcp->flags & TCP_FIN_SYN_RST) || tcp->length < 0x50)
			return 0;
	} else if (e->protocol != IPPROTO_UDP || data + at + sizeof(struct ports) > data_end ||
		   at + sizeof(struct ports) > end) {
		return 0;
	}
	e->source_port = tcp->source;
	e->destination_port = tcp->destination;
	return 1;
}

static __always_inline __u64 mapped_v4(__be32 v4)
{
	return bpf_cpu_to_be64(0xffff00000000ULL | bpf_ntohl(v4));
}

static __always_inline int usual_v4(struct __sk_buff *ctx, struct ends *e)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	const struct iphdr *ip = data + ETH_HLEN;
	__u32 end;

	if (data + ETH_HLEN + sizeof(*ip) > data_end)
		return 0;
	end = ETH_HLEN + bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || ip->ihl != 5 || end > ctx->len ||
	    (ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_FRAGMENT_OFFSET)))
		return 0;
	e->source[0] = e->destination[0] = 0;
	e->source[1] = mapped_v4(ip->saddr);
	e->destination[1] = mapped_v4(ip->daddr);
	e->protocol = ip->protocol;
	return usual_ports(ctx, e, ETH_HLEN + sizeof(*ip), end);
}

static __always_inline int usual_v6(struct __sk_buff *ctx, struct ends *e)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	const struct ipv6hdr *ip = data + ETH_HLEN;
	struct sp_address a;
	__u32 end;

	if (data + ETH_HLEN + sizeof(*ip) > data_end)
		return 0;
	end = ETH_HLEN + sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (ip->version != 6 || end > ctx->len)
		return 0;
	set_v6(&a, &ip->saddr);
	e->source[0] = a.halves[0];
	e->source[1] = a.halves[1];
	set_v6(&a, &ip->daddr);
	e->destination[0] = a.halves[0];
	e->destination[1] = a.halves[1];
	/* IPv4-mapped addresses are never usual: their first word would be zero. */
	if (e->source[0] == 0 || e->destination[0] == 0)
		return 0;
	e->protocol = ip->nexthdr;
	return usual_ports(ctx, e, ETH_HLEN + sizeof(*ip), end);
}

static __always_inline int parse_usual(struct __sk_buff *ctx, struct ends *e)
{
	if (ctx->vlan_present)
		return 0;
	if (ctx->protocol == bpf_htons(ETH_P_IP))
		return usual_v4(ctx, e);
	return ctx->protocol == bpf_htons(ETH_P_IPV6) && usual_v6(ctx, e);
}

/* As flow_key(): returns whether the source is the high end. */
static __always_inline int usual_key(struct sp_flow_key *key, const struct ends *e)
{
	int high = e->source[0] != e->destination[0]   ? e->source[0] > e->destination[0]
		   : e->source[1] != e->destination[1] ? e->source[1] > e->destination[1]
						       : e->source_port > e->destination_port;

	key->low.halves[0] = high ? e->destination[0] : e->source[0];
	key->low.halves[1] = high ? e->destination[1] : e->source[1];
	key->high.halves[0] = high ? e->source[0] : e->destination[0];
	key->high.halves[1] = high ? e->source[1] : e->destination[1];
	key->tail = high ? flow_tail(e->destination_port, e->source_port, e->protocol)
			 : flow_tail(e->source_port, e->destination_port, e->protocol);
	return high;
}

static __always_inline struct sp_flow *usual_flow_in(__u32 bucket, __u64 tags,
						     const struct sp_flow_key *key)
{
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);

	if (!b)
		return NULL;
#pragma unroll
	for (__u32 i = 0; i < 4; i++) {
		__u64 hits = tag_hits(READ_ONCE(b->lanes[i]), tags);

		if (!hits)
			continue;
#pragma unroll
		for (__u32 k = 0; k < 4 && i * 4 + k < SP_FLOW_WAYS; k++)
			if ((hits >> (16 * k) & 0x8000) && same_key(&b->flow[i * 4 + k].key, key))
				return &b->flow[i * 4 + k];
	}
	return NULL;
}

static __always_inline struct sp_flow *usual_flow(const struct sp_flow_key *key, __u16 *tag)
{
	__u64 hash = sp_hash_flow(config.hash_seed, key);
	__u64 tags = (*tag = flow_tag(hash)) * 0x0001000100010001ULL;
	struct sp_flow *f = usual_flow_in(sp_bucket((__u32)hash, config.flow_mask), tags, key);

	return f ? f : usual_flow_in(sp_other_bucket((__u32)hash, config.flow_mask), tags, key);
}

/* What is to be done with a usual packet: SP_PASS, SP_DIRECT with *other set, or -1: no opinion. */
static __always_inline int usual_packet(struct __sk_buff *ctx, __u32 direction, __u32 generation,
					__u32 now, __u32 *place, __u32 *other)
{
	__u32 half = generation & 1, at = ctx->ifindex & config.endpoint_mask;
	struct sp_endpoint *endpoint = bpf_map_lookup_elem(&endpoints, &at);
	struct sp_flow_key key;
	struct sp_flow *f;
	struct ends e;
	__u64 state;
	int high, opener;
	__u16 tag;

	if (!endpoint || READ_ONCE(endpoint->ifindex) != ctx->ifindex ||
	    !(READ_ONCE(endpoint->flags[half]) & SP_ENDPOINT_OPEN))
		return -1;
	if (!parse_usual(ctx, &e))
		return -1;
	if (direction == SP_EGRESS && config.anti_spoofing) {
		const struct sp_address *own = &endpoint->address[e.source[0] ? 1 : 0];

		if (own->halves[1] != e.source[1] || own->halves[0] != e.source[0])
			return -1;
	}
	high = usual_key(&key, &e);
	f = usual_flow(&key, &tag);
	if (!f)
		return -1;
	state = READ_ONCE(f->state);
	opener = !!(state & SP_FLOW_FROM_HIGH) == high;
	/* The tag too: the place may have become another flow's since its key was read. */
	if (state >> 16 != ((__u64)generation << 16 | tag) || (state & SP_FLOW_RESET) ||
	    !(state & (opener == (direction == SP_EGRESS) ? SP_FLOW_EGRESS : SP_FLOW_INGRESS)) ||
	    !(opener || (state & SP_FLOW_ANSWERED)))
		return -1;
	if (READ_ONCE(f->seen) != now) {
		if (now - READ_ONCE(f->seen) > USUAL_LIFE)
			return -1;
		WRITE_ONCE(f->seen, now);
	}
	*place = at;
	if (direction == SP_EGRESS && (state & SP_FLOW_DIRECT)) {
		*other = READ_ONCE(f->ifindex[high ? 0 : 1]);
		return *other ? SP_DIRECT : SP_PASS;
	}
	return SP_PASS;
}

#endif
