/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The usual packet: TCP or UDP right behind a plain IP header, of a flow that was allowed under this
 * generation. Nothing is to be decided and, but for counters, nothing to be written. And its
 * opposite, when many come: of no flow, and denied by the endpoint's own policy, when there is no
 * event left to tell of it.
 *
 * usual_packet() recognises them on the shortest path. It does only what the long way in pod.bpf.c
 * would do with the same effect; about everything else it has no opinion.
 */
#ifndef SALLYPORT_LIB_USUAL_H
#define SALLYPORT_LIB_USUAL_H

#include "checksum.h"
#include "endpoint.h"
#include "flow.h"
#include "peer.h"
#include "pin.h"
#include "policy.h"
#include "report.h"

/* A flow younger than this is alive, whatever happened to it short of a reset, unless it is brief. */
#define USUAL_LIFE 60
_Static_assert(USUAL_LIFE <= SP_LIFE_SYN && USUAL_LIFE <= SP_LIFE_CLOSING &&
		       USUAL_LIFE <= SP_LIFE_CONVERSATION && SP_LIFE_ANSWERED_ONCE <= USUAL_LIFE &&
		       SP_LIFE_ANSWERED_ONCE <= SP_LIFE_DATAGRAM,
	       "alive in every state but reset");

static __always_inline __u32 usual_life(__u64 state)
{
	if (state & SP_FLOW_BRIEF)
		return SP_LIFE_BRIEF;
	return state & SP_FLOW_CONFIRMED ? USUAL_LIFE : SP_LIFE_ANSWERED_ONCE;
}

/* Is this the packet that confirms its flow? It changes the flow's state. */
static __always_inline int confirms(__u64 state, int opener)
{
	return opener && (state & SP_FLOW_ANSWERED) && !(state & SP_FLOW_CONFIRMED);
}

struct ends {
	struct sp_address source, destination;
	__be16 source_port, destination_port;
	__u8 protocol;
	__u8 turning; /* TCP FIN, SYN, RST: changes its flow's state */
};

struct tcp_start {
	__be16 source, destination;
	__be32 sequence, acknowledged;
	__u8 length; /* upper four bits: header words */
	__u8 flags;
};
#define TCP_FIN_SYN_RST 0x07

/* TCP or UDP, with a whole header before `end`. */
static __always_inline int usual_ports(struct __sk_buff *ctx, struct ends *e, const __u32 at,
				       __u32 end)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	const struct tcp_start *tcp = data + at;

	e->turning = 0;
	if (e->protocol == IPPROTO_TCP) {
		if (data + at + sizeof(struct tcphdr) > data_end ||
		    at + sizeof(struct tcphdr) > end)
			return 0;
		if (tcp->length < 0x50)
			return 0;
		e->turning = tcp->flags & TCP_FIN_SYN_RST;
	} else if (e->protocol != IPPROTO_UDP || data + at + sizeof(struct ports) > data_end ||
		   at + sizeof(struct ports) > end) {
		return 0;
	}
	e->source_port = tcp->source;
	e->destination_port = tcp->destination;
	return 1;
}

static __always_inline int usual_v4(struct __sk_buff *ctx, struct ends *e, const __u32 at)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	const struct iphdr *ip = data + at;
	__u32 end;

	if (data + at + sizeof(*ip) > data_end)
		return 0;
	end = at + bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || ip->ihl != 5 || end > ctx->len ||
	    (ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_FRAGMENT_OFFSET)))
		return 0;
	set_v4(&e->source, ip->saddr);
	set_v4(&e->destination, ip->daddr);
	e->protocol = ip->protocol;
	return usual_ports(ctx, e, at + sizeof(*ip), end);
}

static __always_inline int usual_v6(struct __sk_buff *ctx, struct ends *e, const __u32 at)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	const struct ipv6hdr *ip = data + at;
	__u32 end;

	if (data + at + sizeof(*ip) > data_end)
		return 0;
	end = at + sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (ip->version != 6 || end > ctx->len)
		return 0;
	set_v6(&e->source, &ip->saddr);
	set_v6(&e->destination, &ip->daddr);
	/* IPv4-mapped addresses are never usual: their first word would be zero. */
	if (e->source.halves[0] == 0 || e->destination.halves[0] == 0)
		return 0;
	e->protocol = ip->nexthdr;
	return usual_ports(ctx, e, at + sizeof(*ip), end);
}

/* `at`: the length of the frame's header. */
static __always_inline int parse_usual(struct __sk_buff *ctx, struct ends *e, const __u32 at)
{
	if (ctx->vlan_present)
		return 0;
	if (ctx->protocol == bpf_htons(ETH_P_IP))
		return usual_v4(ctx, e, at);
	return ctx->protocol == bpf_htons(ETH_P_IPV6) && usual_v6(ctx, e, at);
}

/* Where its ports begin. */
static __always_inline __u32 usual_l4(const struct ends *e, const __u32 at)
{
	return at + (is_v4(&e->source) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
}

/*
 * The way of its bucket that this flow is in. A difference of pointers is any number to the verifier,
 * which then looks at what follows once, not once per way.
 */
static __always_inline __u32 way_of(const struct sp_flow_bucket *b, const struct sp_flow *f)
{
	barrier_var(f);
	return (__u32)((const void *)f - (const void *)b->flow) / sizeof(*f) & 15;
}

static __always_inline struct sp_flow *usual_flow_in(__u32 bucket, __u64 tags,
						     const struct sp_flow_key *key, __u32 *place)
{
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);
	struct sp_flow *f;

	if (!b)
		return NULL;
#pragma unroll
	for (__u32 i = 0; i < 4; i++) {
		__u64 hits = tag_hits(READ_ONCE(b->lanes[i]), tags);

		if (!hits)
			continue;
#pragma unroll
		for (__u32 k = 0; k < 4 && i * 4 + k < SP_FLOW_WAYS; k++) {
			f = &b->flow[i * 4 + k];
			if ((hits >> (16 * k) & 0x8000) && same_key(&f->key, key))
				goto found;
		}
	}
	return NULL;
found:
	*place = bucket << 4 | way_of(b, f);
	return flow_at(*place);
}

/* `place`: as in struct flow_ref. */
static __always_inline struct sp_flow *usual_flow(const struct sp_flow_key *key, __u16 *tag,
						  __u32 *place)
{
	__u64 hash = sp_hash_flow(config.hash_seed, key), tags;
	__u32 bucket = sp_bucket((__u32)hash, config.flow_mask);
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);
	struct sp_flow *f;

	if (!b)
		return NULL;
	*tag = flow_tag(hash);
	f = &b->flow[flow_home(*tag)];
	*place = bucket << 4 | flow_home(*tag);
	if ((__u16)(READ_ONCE(f->state) >> 16) == *tag && same_key(&f->key, key))
		return f;
	tags = *tag * 0x0001000100010001ULL;
	f = usual_flow_in(bucket, tags, key, place);
	if (f || !is_overflowed(bucket))
		return f;
	return usual_flow_in(sp_other_bucket((__u32)hash, config.flow_mask), tags, key, place);
}

/* May the node have sent it to the pod? What came in through an interface, or left a pod, it has not. */
static __always_inline int may_be_the_nodes(struct __sk_buff *ctx, __u32 direction)
{
	return direction == SP_INGRESS && !ctx->ingress_ifindex && !left_endpoint(ctx);
}

/* At the other end's interface: is it sent by the endpoint that is noted as the flow's opener? */
static __always_inline int is_openers(struct __sk_buff *ctx, __u64 state, __u32 ifindex, __u32 half)
{
	struct sp_endpoint *sender;
	__u32 place;

	if (!left_endpoint(ctx))
		return !(state & SP_FLOW_JOINT);
	sender = sender_find(ctx->tc_index, half, &place);
	return sender && READ_ONCE(sender->ifindex) == ifindex;
}

/* A packet of no flow at an open endpoint: does the endpoint's policy deny it? */
GLOBAL int usual_denial(struct __sk_buff *ctx, __u32 direction, __u32 half)
{
	__u32 at = ctx->ifindex & config.endpoint_mask;
	struct sp_endpoint *endpoint = bpf_map_lookup_elem(&endpoints, &at);
	struct sp_counters *c = bpf_map_lookup_elem(&counters, &at);
	struct ends e;
	__u64 peer;
	__u32 set;

	if (!endpoint || !c || may_be_the_nodes(ctx, direction) ||
	    (direction == SP_INGRESS && (left_endpoint(ctx) || is_unmarked(ctx))) ||
	    !parse_usual(ctx, &e, ETH_HLEN) || same_address(&e.source, &e.destination))
		return NO_OPINION;
	set = READ_ONCE(endpoint->set[half & 1][direction & 1]);
	peer = peer_find(direction == SP_EGRESS ? &e.destination : &e.source, half);
	if (!set || (direction == SP_EGRESS && (peer_is_node(peer) || peer_is_service(peer))))
		return NO_OPINION;
	if (policy_allows(set, peer_identity(peer), e.protocol, e.destination_port) !=
	    -SP_DROP_POLICY)
		return NO_OPINION;
	count_drop(c, direction, SP_DROP_POLICY);
	c->events_suppressed++;
	return TC_ACT_SHOT;
}

/* Of usual_packet(): to be asked of usual_denial(). */
#define MAY_BE_DENIED -3

/*
 * Deals with a usual packet: the program's answer, PINNED_AT where it is, MAY_BE_DENIED, or
 * NO_OPINION.
 */
static __always_inline int usual_packet(struct __sk_buff *ctx, __u32 direction, __u32 generation,
					__u32 now)
{
	__u32 half = generation & 1, at = ctx->ifindex & config.endpoint_mask;
	struct sp_endpoint *endpoint = bpf_map_lookup_elem(&endpoints, &at);
	struct sp_counters *c = bpf_map_lookup_elem(&counters, &at);
	struct sp_flow_key key;
	struct sp_flow *f;
	struct ends e;
	__u64 state;
	int high, opener, verdict = SP_PASS;
	__u32 other = 0, carried = at + 1, place = 0;
	__u16 tag;

	if (!endpoint || !c || READ_ONCE(endpoint->ifindex) != ctx->ifindex ||
	    !(READ_ONCE(endpoint->flags[half]) & SP_ENDPOINT_OPEN))
		return NO_OPINION;
	if (!parse_usual(ctx, &e, ETH_HLEN))
		return NO_OPINION;
	if (e.turning && !events_are_spent(c, now))
		return NO_OPINION;
	if (direction == SP_EGRESS && config.anti_spoofing &&
	    !same_address(&endpoint->address[e.source.halves[0] ? 1 : 0], &e.source))
		return NO_OPINION;
	high = flow_key(&key, &e.source, &e.destination, e.source_port, e.destination_port,
			e.protocol);
	f = usual_flow(&key, &tag, &place);
	if (!f && events_are_spent(c, now))
		return MAY_BE_DENIED;
	if (!f || e.turning)
		return NO_OPINION;
	state = READ_ONCE(f->state);
	opener = !!(state & SP_FLOW_FROM_HIGH) == high;
	/* The tag too: the place may have become another flow's since its key was read. */
	if (state >> 16 != ((__u64)generation << 16 | tag) || (state & SP_FLOW_RESET) ||
	    !(state & (opener == (direction == SP_EGRESS) ? SP_FLOW_EGRESS : SP_FLOW_INGRESS)) ||
	    !(opener || (state & SP_FLOW_ANSWERED)) || confirms(state, opener) ||
	    READ_ONCE(f->ifindex[(direction == SP_EGRESS) == high]) != ctx->ifindex)
		return NO_OPINION;
	if (direction == SP_INGRESS && opener &&
	    !is_openers(ctx, state, READ_ONCE(f->ifindex[high ? 1 : 0]), half))
		return NO_OPINION;
	if (direction == SP_EGRESS && may_misplace_checksum(ctx) &&
	    ports_are_written_over(ctx, ETH_HLEN, usual_l4(&e, ETH_HLEN)))
		return NO_OPINION;
	/* From an endpoint, or in the name of one: it should be marked. */
	if (direction == SP_INGRESS && !left_endpoint(ctx) &&
	    (READ_ONCE(f->ifindex[high ? 1 : 0]) || is_unmarked(ctx)))
		return NO_OPINION;
	if (READ_ONCE(f->seen) != now) {
		if (now - READ_ONCE(f->seen) > usual_life(state))
			return NO_OPINION;
		WRITE_ONCE(f->seen, now);
	}
	if (direction == SP_EGRESS && (state & SP_FLOW_DIRECT)) {
		other = READ_ONCE(f->ifindex[high ? 0 : 1]);
		if (other && config.fast_path)
			verdict = SP_DIRECT;
		else if (!other && opener)
			return (int)(PINNED_AT | PINNED_USUAL | place);
	}
	if (opener && (state & SP_FLOW_CARRIED))
		carried |= SP_TAG_UNJUDGED;
	return report_pass(ctx, verdict, direction, c, other, carried);
}

#endif
