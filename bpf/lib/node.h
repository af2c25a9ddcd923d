/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * On an interface of the node's: what an endpoint was let send without a last word is judged here,
 * for what the node has made of it, and so are the answers once policy has moved on.
 *
 * Leaving: a packet that carries SP_TAG_UNJUDGED, by its sender's egress and its own destination as
 * it is now. It carries the bit no longer, so what a tunnel wraps it in is not judged. And what left
 * an endpoint without a mark.
 * Coming: an answer to a flow that an endpoint here has opened. What is cut stays out, and the
 * first one under another generation is judged as the flow was opened. All else is not ours to say.
 */
#ifndef SALLYPORT_LIB_NODE_H
#define SALLYPORT_LIB_NODE_H

#include "addressed.h"
#include "gateway.h"
#include "onward.h"
#include "usual.h"

/* By the node itself, on its way here: what is inside can be judged no more. */
static __always_inline int is_wrapped(const struct packet *p)
{
	return p->protocol == IPPROTO_ESP || p->protocol == IPPROTO_AH ||
	       p->protocol == IPPROTO_GRE || p->protocol == IPPROTO_IPIP ||
	       p->protocol == IPPROTO_IPV6;
}

static __always_inline int judge_leaving(struct __sk_buff *ctx, struct context *c, __u32 at)
{
	struct packet *p = &c->packet;
	struct sp_endpoint *sender;
	int verdict;

	if (!(c->tag & TAG_UNMARKED) && (p->kind == PACKET_ARP || p->kind == PACKET_NEIGHBOUR))
		return SP_PASS;
	sender = sender_find(c->tag, c->half, &c->endpoint);
	c->judge.place = c->endpoint;
	if (!sender)
		return -SP_DROP_CLOSED;
	c->judge.ifindex = READ_ONCE(sender->ifindex);
	if (c->tag & TAG_UNMARKED) {
		if (may_misplace_checksum(ctx) && checksum_is_misplaced(ctx, at))
			return -SP_DROP_MALFORMED;
		verdict = ask_for_sender(c, sender);
		if (verdict < 0 || p->kind == PACKET_ARP || p->kind == PACKET_NEIGHBOUR)
			return verdict;
	}
	if (is_wrapped(p) && peer_is_node(peer_find(&p->source, c->half)))
		return unless_isolated(c, -SP_DROP_SENDER);
	if (p->kind == PACKET_OTHER)
		return unless_isolated(c, -SP_DROP_ETHERTYPE);
	if (p->kind == PACKET_MALFORMED)
		return unless_isolated(c, -SP_DROP_MALFORMED);
	return judge_addressed(ctx, c);
}

static __always_inline int judge_coming(struct context *c)
{
	struct flow_ref *ref = &c->ref;
	struct sp_flow *f;

	if (c->packet.kind != PACKET_TRANSPORT || c->packet.opening)
		return SP_PASS;
	flow_find(ref, &c->packet, c->now);
	if (!ref->alive || from_opener(ref) || (ref->state & SP_FLOW_DEFERRED))
		return SP_PASS;
	f = flow_at(ref->place);
	if (!f)
		return SP_PASS;
	c->judge.ifindex = READ_ONCE(f->ifindex[!ref->source_is_high]);
	if (!c->judge.ifindex)
		return SP_PASS;
	c->endpoint = c->judge.place = endpoint_place(c->judge.ifindex);
	return is_open(c) ? judge_found(c) : SP_PASS;
}

GLOBAL int node_way(struct __sk_buff *ctx, __u32 direction, __u32 generation, __u32 at)
{
	struct context c;
	int verdict;

	begin(&c, direction, generation, tick_now());
	c.at_node = 1;
	if (direction == SP_EGRESS)
		c.tag = sent_through(ctx);
	parse_packet(ctx, &c.packet, at);
	if (direction == SP_EGRESS && !c.tag) {
		c.tag = sent_by_address(&c.packet.source, c.half, ctx->ingress_ifindex, 1);
		if (!c.tag)
			return TC_ACT_UNSPEC;
	}
	verdict = direction == SP_EGRESS ? judge_leaving(ctx, &c, at) : judge_coming(&c);
	if (verdict < 0)
		return report_drop(ctx, &c.packet, &c.judge, (__u32)-verdict);
	if (verdict == SP_PINNED && direction == SP_EGRESS && at == ETH_HLEN)
		return pinned_action(&c);
	if (verdict == SP_PINNED && direction == SP_EGRESS)
		return report_drop(ctx, &c.packet, &c.judge, SP_DROP_UNTRANSLATABLE);
	if (direction == SP_EGRESS) {
		ctx->mark |= config.mark;
		tag_packet(ctx, c.tag & SP_TAG_SENDER);
	}
	return TC_ACT_UNSPEC;
}

/* Flags of a flow that node_usual() does not pass. */
#define NODE_UNUSUAL (SP_FLOW_RESET | SP_FLOW_CUT | SP_FLOW_DEFERRED | SP_FLOW_PINNED)

/*
 * TCP or UDP behind plain headers: of a flow that the endpoint behind it has allowed under this
 * generation, or coming, and of no such flow. 0: has to go the long way.
 */
static __always_inline int node_usual(struct __sk_buff *ctx, __u32 direction, __u32 generation,
				      const __u32 at)
{
	__u32 now = tick_now(), place = 0, ifindex;
	struct sp_endpoint *sender;
	struct sp_flow_key key;
	struct sp_flow *f;
	struct ends e;
	__u64 state;
	int high;
	__u16 tag;

	if (!parse_usual(ctx, &e, at))
		return 0;
	high = flow_key(&key, &e.source, &e.destination, e.source_port, e.destination_port,
			e.protocol);
	f = usual_flow(&key, &tag, &place);
	if (!f)
		return direction == SP_INGRESS;
	state = READ_ONCE(f->state);
	if ((__u16)(state >> 16) != tag)
		return 0;
	ifindex = READ_ONCE(f->ifindex[(direction == SP_EGRESS) == high]);
	if (direction == SP_INGRESS && (!ifindex || !!(state & SP_FLOW_FROM_HIGH) == high))
		return 1;
	if (e.turning || state >> 32 != generation || (state & NODE_UNUSUAL) ||
	    !(state & SP_FLOW_EGRESS) || now - READ_ONCE(f->seen) > usual_life(state))
		return 0;
	if (direction == SP_INGRESS) {
		if (!(state & SP_FLOW_ANSWERED))
			return 0;
	} else {
		sender = sender_find(ctx->tc_index, generation & 1, &place);
		if (!sender || READ_ONCE(sender->ifindex) != ifindex ||
		    !!(state & SP_FLOW_FROM_HIGH) != high || confirms(state, 1))
			return 0;
		tag_packet(ctx, ctx->tc_index & SP_TAG_SENDER);
	}
	if (READ_ONCE(f->seen) != now)
		WRITE_ONCE(f->seen, now);
	return 1;
}

static __always_inline int handle_node(struct __sk_buff *ctx, __u32 direction, __u32 generation,
				       const __u32 at)
{
	if (node_usual(ctx, direction, generation, at))
		return TC_ACT_UNSPEC;
	return onward(ctx, WAY_NODE, direction, generation, at, 0);
}

static __always_inline int handle_leaving(struct __sk_buff *ctx, const __u32 at)
{
	__u32 zero = 0, generation;
	struct sp_control *control_word;
	int left = left_endpoint(ctx);

	/* What the node forwards without a mark may have left an endpoint all the same. */
	if (left ? !(ctx->tc_index & SP_TAG_UNJUDGED) : !ctx->ingress_ifindex)
		return TC_ACT_UNSPEC;
	control_word = bpf_map_lookup_elem(&control, &zero);
	if (!control_word)
		return TC_ACT_SHOT;
	generation = READ_ONCE(control_word->generation);
	return left ? handle_node(ctx, SP_EGRESS, generation, at)
		    : onward(ctx, WAY_NODE, SP_EGRESS, generation, at, 0);
}

static __always_inline int handle_coming(struct __sk_buff *ctx, const __u32 at)
{
	__u32 zero = 0, generation, number = 0, usual_end = 0;
	struct sp_control *control_word = bpf_map_lookup_elem(&control, &zero);

	if (!control_word)
		return TC_ACT_SHOT;
	generation = READ_ONCE(control_word->generation);
	if (at == ETH_HLEN && is_for_outside(ctx, &number, &usual_end)) {
		if (!number)
			return TC_ACT_UNSPEC;
		return onward(ctx, WAY_FROM_OUTSIDE, SP_INGRESS, generation, number, usual_end);
	}
	return handle_node(ctx, SP_INGRESS, generation, at);
}

#endif
