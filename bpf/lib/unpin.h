/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What comes back to an egress IP for a flow of this node: it becomes what the pod expects, is judged
 * as it would be at the pod's interface, and handed to the pod.
 */
#ifndef SALLYPORT_LIB_UNPIN_H
#define SALLYPORT_LIB_UNPIN_H

#include "usual.h"

/*
 * The ends of what the packet is about: of itself, or of what an ICMP error quotes, as somebody
 * outside sent them. `from_outside`: 1 if the egress IP is to get it, 0 if it sends it.
 */
static __always_inline int ends_of(struct __sk_buff *ctx, const struct packet *p,
				   struct packet *quoted, struct end *egress, struct end *remote,
				   int from_outside)
{
	const struct packet *about = p;
	int swapped = !from_outside;

	if (p->kind == PACKET_ICMP_ERROR) {
		if (parse_quoted(ctx, p, quoted) != PACKET_TRANSPORT)
			return -1;
		about = quoted;
		swapped = !swapped;
	} else if (p->kind != PACKET_TRANSPORT && p->kind != PACKET_FRAGMENT) {
		return -1;
	}
	egress->address = swapped ? about->source : about->destination;
	egress->port = swapped ? about->source_port : about->destination_port;
	remote->address = swapped ? about->destination : about->source;
	remote->port = swapped ? about->destination_port : about->source_port;
	return 0;
}

/* Ports of a later fragment, or remembers them of a first one. `direction`: for what it is. */
GLOBAL int settle_fragment(struct __sk_buff *ctx, struct packet *p, __u32 direction)
{
	__u32 now = tick_now();

	if (!p)
		return -1;
	if (p->kind == PACKET_FRAGMENT)
		return fragment_place(p, ctx->ifindex, direction, now) < 0 ? -1 : 0;
	if (p->kind == PACKET_TRANSPORT && p->in_fragments)
		return fragment_remember(p, ctx->ifindex, direction, now) < 0 ? -1 : 0;
	return 0;
}

/* The entry, as the outside sees it, that a packet to an egress IP belongs to; -1: none that is alive. */
GLOBAL int find_outsides(struct __sk_buff *ctx, const struct packet *p)
{
	struct end egress, remote;
	struct packet quoted = {};
	struct flow_ref ref = {};

	if (!p || ends_of(ctx, p, &quoted, &egress, &remote, 1))
		return -1;
	ref.source_is_high =
		(__u8)flow_key(&ref.key, &egress.address, &remote.address, egress.port, remote.port,
			       p->kind == PACKET_ICMP_ERROR ? quoted.protocol : p->protocol);
	ref.key.outside = 1;
	flow_lookup(&ref, tick_now());
	return ref.alive ? (int)ref.place : -1;
}

/* The pod's entry of a pair; -1: they are none. */
static __always_inline int pods_entry(__u32 partner)
{
	struct sp_flow *outsides = flow_at(partner), *f;
	__u32 place, now = tick_now();
	struct sp_pin *pin;

	if (!outsides)
		return -1;
	place = READ_ONCE(outsides->ifindex[!opener_is_high(outsides)]) - 1;
	f = flow_at(place);
	pin = pin_at(place);
	if (!f || !pin || READ_ONCE(pin->partner) != partner || !is_pair(f, place, outsides))
		return -1;
	if (READ_ONCE(outsides->seen) != now)
		WRITE_ONCE(outsides->seen, now);
	return (int)place;
}

/* Whose it is that came back to an egress IP: the place of the pod's entry; minus a reason. */
GLOBAL int find_back(struct __sk_buff *ctx)
{
	struct packet p = {};
	int partner, place;

	parse_packet(ctx, &p, ETH_HLEN);
	if (settle_fragment(ctx, &p, SP_INGRESS))
		return -SP_DROP_STRANGER;
	partner = find_outsides(ctx, &p);
	place = partner < 0 ? -1 : pods_entry((__u32)partner);
	return place < 0 ? -SP_DROP_STRANGER : place;
}

/* Translates it back. 0, or minus a reason. */
GLOBAL int change_back(struct __sk_buff *ctx, __u32 place)
{
	struct sp_pin *pin = pin_at(place);
	struct sp_tunnel *t = tunnel_word();
	struct change change = {};
	struct packet p = {};

	if (!pin || !t || fill_change(&change, place, READ_ONCE(pin->partner), 1))
		return -SP_DROP_STRANGER;
	parse_packet(ctx, &p, ETH_HLEN);
	return change_packet(ctx, &p, &change, READ_ONCE(t->mtu));
}

/* Judged as at the pod's interface, and handed over. */
GLOBAL int judge_back(struct __sk_buff *ctx, __u32 ifindex, __u32 generation)
{
	struct context c;
	int verdict;

	begin(&c, SP_INGRESS, generation, tick_now());
	c.judge.ifindex = ifindex;
	parse_packet(ctx, &c.packet, ETH_HLEN);
	c.endpoint = c.judge.place = endpoint_place(ifindex);
	verdict = is_open(&c) ? judge_addressed(ctx, &c) : -SP_DROP_CLOSED;
	if (verdict < 0)
		return report_drop(ctx, &c.packet, &c.judge, (__u32)-verdict);
	count_pass(ctx, SP_INGRESS, bpf_map_lookup_elem(&counters, &c.judge.place));
	return hand_over(ctx, c.judge.ifindex);
}

/* What has ended the flow for the pod has ended it for the outside. */
GLOBAL int keep_pair_alike(__u32 place)
{
	struct sp_flow *f = flow_at(place), *outsides;
	struct sp_pin *pin = pin_at(place);

	if (!f || !pin)
		return 0;
	outsides = flow_at(READ_ONCE(pin->partner));
	if (outsides && is_pair(f, place, outsides))
		keep_alike(outsides, READ_ONCE(f->state), tick_now());
	return 0;
}

/* Does the usual answer pass to this endpoint, as judge_back() would let it, and change nothing? */
static __always_inline int passes_back(const struct sp_flow *f, __u64 state,
				       const struct sp_pin *pin, __u32 generation, __u32 now)
{
	const __u64 needed = SP_FLOW_EGRESS | SP_FLOW_PINNED | SP_FLOW_ANSWERED | SP_FLOW_CONFIRMED;
	__u32 high = !!(state & SP_FLOW_FROM_HIGH), ifindex = READ_ONCE(pin->ifindex), at;
	struct sp_endpoint *e = endpoint_find(ifindex, &at);

	return e && (READ_ONCE(e->flags[generation & 1]) & SP_ENDPOINT_OPEN) &&
	       state >> 32 == generation && (state & needed) == needed &&
	       !(state &
		 (SP_FLOW_RESET | SP_FLOW_CUT | SP_FLOW_DEFERRED | SP_FLOW_JOINT | FLOW_BUSY)) &&
	       READ_ONCE(f->ifindex[high]) == ifindex && !READ_ONCE(f->ifindex[!high]) &&
	       now - READ_ONCE(f->seen) <= usual_life(state);
}

/*
 * The usual answer: TCP or UDP behind plain headers, of a pair of flows that it changes nothing in.
 * The place of the pod's entry; minus a reason: it has to go the long way.
 */
GLOBAL int find_usual(struct __sk_buff *ctx, __u32 generation)
{
	struct sp_flow *outsides, *f;
	struct sp_flow_key key = {};
	__u32 partner = 0, now = tick_now();
	struct ends e = {};
	__u64 state, seen_state;
	struct sp_pin *pin;
	int place;
	__u16 tag;

	if (!parse_usual(ctx, &e, ETH_HLEN) || e.turning)
		return -SP_DROP_STRANGER;
	flow_key(&key, &e.source, &e.destination, e.source_port, e.destination_port, e.protocol);
	key.outside = 1;
	outsides = usual_flow(&key, &tag, &partner);
	if (!outsides)
		return -SP_DROP_STRANGER;
	seen_state = READ_ONCE(outsides->state);
	if ((__u16)(seen_state >> 16) != tag || (seen_state & (SP_FLOW_RESET | FLOW_BUSY)) ||
	    now - READ_ONCE(outsides->seen) > usual_life(seen_state))
		return -SP_DROP_STRANGER;
	place = pods_entry(partner);
	if (place < 0)
		return -SP_DROP_STRANGER;
	f = flow_at((__u32)place);
	pin = pin_at((__u32)place);
	if (!f || !pin)
		return -SP_DROP_STRANGER;
	state = READ_ONCE(f->state);
	if (((state ^ seen_state) & FLOW_LIFE) || !passes_back(f, state, pin, generation, now))
		return -SP_DROP_STRANGER;
	if (READ_ONCE(f->seen) != now)
		WRITE_ONCE(f->seen, now);
	return place;
}

/* Such an answer to its pod. */
static __always_inline int give_usual(struct __sk_buff *ctx, __u32 place)
{
	struct sp_pin *pin = pin_at(place);
	__u32 at, ifindex;
	int failed;

	if (!pin)
		return -SP_DROP_INTERNAL;
	failed = change_usual(ctx, place, READ_ONCE(pin->partner), 1);
	if (failed)
		return failed;
	ifindex = READ_ONCE(pin->ifindex);
	at = endpoint_place(ifindex);
	count_pass(ctx, SP_INGRESS, bpf_map_lookup_elem(&counters, &at));
	return hand_over(ctx, ifindex);
}

/*
 * The node has translated it, on the way to a backend of a Service outside, and has to translate it
 * back: it comes in where the flow leaves. There the frame is taken for the node's.
 */
static __always_inline int bring_in(struct __sk_buff *ctx, __u32 ifindex)
{
	ctx->mark |= config.mark;
	tag_packet(ctx, SP_TAG_BACK);
	return (int)bpf_redirect(ifindex, BPF_F_INGRESS);
}

/* On the interface of the node's: 1, and an ordinary packet, if it was brought in. */
static __always_inline int was_brought_in(struct __sk_buff *ctx)
{
	if (!(ctx->mark & config.mark) || ctx->tc_index != SP_TAG_BACK)
		return 0;
	ctx->mark &= ~config.mark;
	tag_packet(ctx, 0);
	if (ctx->pkt_type != 0)
		bpf_skb_change_type(ctx, 0);
	return 1;
}

/* From the functions that look where a packet is for: to the egress IP of this number, and a port that is this node's. */
#define FOR_US(number) (0x10000000 | (number))

static __always_inline int is_for_us(int action)
{
	return action > 0 && (action & FOR_US(0));
}

/* Such a packet to its pod. An action, or minus a reason. */
static __always_inline int give_back(struct __sk_buff *ctx, __u32 generation)
{
	int place = find_usual(ctx, generation), action;
	struct sp_endpoint *e;
	struct sp_pin *pin;
	__u32 at;

	if (place >= 0)
		return give_usual(ctx, (__u32)place);
	place = find_back(ctx);
	if (place < 0)
		return place;
	action = change_back(ctx, (__u32)place);
	if (action < 0)
		return action;
	pin = pin_at((__u32)place);
	if (!pin)
		return -SP_DROP_INTERNAL;
	e = endpoint_find(READ_ONCE(pin->ifindex), &at);
	if (!e)
		return bring_in(ctx, READ_ONCE(pin->ifindex));
	action = judge_back(ctx, READ_ONCE(pin->ifindex), generation);
	keep_pair_alike((__u32)place);
	return action;
}

#endif
