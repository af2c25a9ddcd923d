/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A packet with addresses, of an open endpoint: of a flow, a later fragment of one, or an ICMP error
 * about one.
 */
#ifndef SALLYPORT_LIB_ADDRESSED_H
#define SALLYPORT_LIB_ADDRESSED_H

#include "fragment.h"
#include "judge.h"

/* An error that E sends to who opened the flow is not judged again, as no answer is. 1. */
static __always_inline int is_answer_to(struct context *c, int opener)
{
	if (c->judge.direction == SP_EGRESS && opener)
		c->judge.unjudged = 0;
	return 1;
}

/* Is the ICMP error that a pod sends about a packet that was not sent to it? */
GLOBAL int quotes_others(struct __sk_buff *ctx, struct context *c)
{
	struct packet quoted = {};

	if (!c)
		return 1;
	if (!config.anti_spoofing)
		return 0;
	parse_quoted(ctx, &c->packet, &quoted);
	return (quoted.destination.halves[0] | quoted.destination.halves[1]) &&
	       !own_has(c, &quoted.destination);
}

/* Is the packet that an ICMP error quotes one of a live flow that E allows now? */
GLOBAL int quotes_allowed_flow(struct __sk_buff *ctx, struct context *c)
{
	struct packet quoted = {};
	int egress, opener, allowed;
	struct flow_ref *ref;
	struct sp_endpoint *own;
	__u32 direction;
	__u64 peer;

	if (!c)
		return 0;
	own = endpoint_at(c->endpoint);
	if (!own)
		return 0;
	ref = &c->ref;
	egress = c->judge.direction == SP_EGRESS;
	if (parse_quoted(ctx, &c->packet, &quoted) != PACKET_TRANSPORT)
		return 0;
	/*
	 * The quoted packet went the other way: E has received it at pod_egress, sent it at pod_ingress.
	 * E may tell only who sent it; E may be told by any router on the way.
	 */
	if (!same_address(egress ? &quoted.destination : &quoted.source, own_address(c)))
		return 0;
	if (egress && !same_address(&quoted.source, peer_address(c)))
		return 0;
	/* Pods are no routers: one tells of what was sent to itself. */
	if (!egress && config.anti_spoofing &&
	    !same_address(&quoted.destination, &c->packet.source) &&
	    (c->tag || peer_is_pod(peer_find(&c->packet.source, c->half))))
		return 0;
	flow_find(ref, &quoted, c->now);
	if (!ref->alive || (ref->state & SP_FLOW_CUT) ||
	    (flow_is_anothers(ref, !egress, c->judge.ifindex) && endpoint_has(own, own_address(c))))
		return 0;
	opener = from_opener(ref);
	if (state_generation(ref->state) == c->judge.generation &&
	    (ref->state & (opener == egress ? SP_FLOW_INGRESS : SP_FLOW_EGRESS)) &&
	    flow_is_noted(ref, !egress, c->judge.ifindex) &&
	    !(c->at_node && (ref->state & SP_FLOW_DEFERRED)))
		return is_answer_to(c, opener);
	/* Judged elsewhere, or as somebody else's: its next packet is. */
	if (ref->state & (SP_FLOW_DEFERRED | SP_FLOW_JOINT))
		return 0;
	direction = opener == egress ? SP_INGRESS : SP_EGRESS;
	c->judge.set = endpoint_set(own, c->half, direction);
	peer = peer_find(egress ? &quoted.source : &quoted.destination, c->half);
	c->established = is_established(ref);
	allowed = policy_allows(c->judge.set, peer_identity(peer), quoted.protocol,
				opener ? quoted.destination_port : quoted.source_port) == SP_PASS ||
		  keeps(c, own, direction, !egress);
	c->established = 0;
	return allowed && is_answer_to(c, opener);
}

/* Has only a guarded interface this address? */
static __always_inline int is_home(const struct sp_address *a)
{
	__u64 high = bpf_be64_to_cpu(a->halves[0]), low = bpf_be64_to_cpu(a->halves[1]), home;
	__u32 zero = 0, length;
	struct sp_control *c = bpf_map_lookup_elem(&control, &zero);

	if (!c)
		return 1;
	length = READ_ONCE(c->home_length);
	if (is_v4(a)) {
		length &= 0xff;
		return length && length <= 32 &&
		       !(((__u32)low ^ READ_ONCE(c->home[0])) >> (32 - length));
	}
	length = length >> 8 & 0xff;
	home = (__u64)READ_ONCE(c->home[1]) << 32 | READ_ONCE(c->home[2]);
	if (length && length <= 64)
		return !((high ^ home) >> (64 - length));
	return length && length <= 96 && high == home &&
	       !(((__u32)(low >> 32) ^ READ_ONCE(c->home[3])) >> (96 - length));
}

/* Has it come in where only pods are? */
static __always_inline int is_inside(__u32 through)
{
	__u32 zero = 0;
	struct sp_control *c = bpf_map_lookup_elem(&control, &zero);

	return !c || ((READ_ONCE(c->home_length) & SP_ENCLOSED) && !is_entrance(through));
}

/*
 * The same for what came without a mark through an interface that is nobody's, by its source: behind
 * a bridge nothing else names the sender. If it is not the sender, that one's egress is asked as well.
 *
 * A pod may not be known yet, as the agent is busy, or is not there: it is closed like an interface that
 * is. Its own address tells it, which the node's own may be among; or, where what came from inside leaves
 * the node, or has the node's address by now, where that came in. `leaves`: the node.
 */
GLOBAL __u32 sent_by_address(const struct sp_address *source, __u32 half, __u32 through, int leaves)
{
	__u32 ifindex, place = config.endpoint_mask + 1;
	struct sp_endpoint *e = NULL;
	int nodes, inside;
	__u64 peer;

	if (!source)
		return 0;
	peer = peer_find(source, half);
	ifindex = peer_ifindex(peer);
	if (ifindex)
		e = endpoint_find(ifindex, &place);
	if (!e || !endpoint_has(e, source)) {
		nodes = peer_is_node(peer);
		inside = (nodes || leaves) && is_inside(through);
		if (!inside && (nodes || !is_home(source)))
			return 0;
		place = config.endpoint_mask + 1;
	}
	return TAG_LEFT | TAG_UNMARKED | SP_TAG_UNJUDGED | sender_tag(place);
}

/*
 * What left an endpoint without its mark: at least what pod_egress would have asked. But who sends
 * from its node's address, or a Service's, may have been translated.
 */
static __always_inline int ask_for_sender(struct context *c, const struct sp_endpoint *sender)
{
	const struct packet *p = &c->packet;
	__u64 peer;
	int isolated;

	if (!sender)
		return -SP_DROP_CLOSED;
	isolated = endpoint_set(sender, c->half, SP_EGRESS) != 0;
	if (p->kind == PACKET_ARP || p->kind == PACKET_NEIGHBOUR)
		return config.anti_spoofing ? -SP_DROP_SPOOFED : SP_PASS;
	if (p->kind == PACKET_OTHER)
		return isolated ? -SP_DROP_ETHERTYPE : SP_PASS;
	if (config.anti_spoofing && !endpoint_has(sender, &p->source)) {
		peer = peer_find(&p->source, c->half);
		if (!peer_is_node(peer) && !peer_is_service(peer))
			return -SP_DROP_SPOOFED;
	}
	return p->kind == PACKET_MALFORMED && isolated ? -SP_DROP_MALFORMED : SP_PASS;
}

/* The same at another endpoint's interface; a denial is the sender's. */
GLOBAL int judge_unmarked(struct context *c)
{
	struct sp_endpoint *sender;
	__u32 place;
	int verdict;

	if (!c)
		return -SP_DROP_INTERNAL;
	sender = sender_find(c->tag, c->half, &place);
	verdict = ask_for_sender(c, sender);
	if (verdict < 0) {
		c->judge.place = place;
		c->judge.ifindex = sender ? READ_ONCE(sender->ifindex) : 0;
		c->judge.direction = SP_EGRESS;
	}
	return verdict;
}

/* An ICMP error passes if the flow it is about does, or if policy allows ICMP with its sender. */
static __always_inline int judge_icmp_error(struct __sk_buff *ctx, struct context *c)
{
	__u64 peer;

	if (quotes_allowed_flow(ctx, c))
		return SP_PASS;
	if (c->judge.direction == SP_INGRESS && (c->tag & TAG_UNMARKED))
		return -SP_DROP_ICMP_ERROR; /* its sender was not asked */
	c->judge.set = own_set(c, c->judge.direction);
	peer = peer_find(peer_address(c), c->half);
	if (policy_allows(c->judge.set, peer_identity(peer), c->packet.protocol, 0) == SP_PASS)
		return SP_PASS;
	return -SP_DROP_ICMP_ERROR;
}

/* A packet with addresses, of an open endpoint. */
static __always_inline int judge_addressed(struct __sk_buff *ctx, struct context *c)
{
	struct packet *p = &c->packet;
	int verdict;

	if (p->kind == PACKET_ICMP_ERROR)
		return judge_icmp_error(ctx, c);
	if (p->kind == PACKET_FRAGMENT &&
	    fragment_place(p, c->judge.ifindex, c->judge.direction, c->now) < 0)
		return unless_isolated(c, -SP_DROP_FRAGMENT);
	verdict = judge_transport(c);
	if (verdict < 0 || !p->in_fragments || p->kind == PACKET_FRAGMENT)
		return verdict;
	if (fragment_remember(p, c->judge.ifindex, c->judge.direction, c->now) < 0)
		return unless_isolated(c, -SP_DROP_FRAGMENT);
	return verdict;
}

#endif
