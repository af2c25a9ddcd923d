/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A packet against its flow, and a flow against policy: for the endpoint of the interface, for both
 * ends, or on an interface of the node's for the endpoint that the packet left.
 */
#ifndef SALLYPORT_LIB_JUDGE_H
#define SALLYPORT_LIB_JUDGE_H

#include "context.h"
#include "elsewhere.h"
#include "flow_insert.h"
#include "policy.h"
#include "sender.h"

/* A local endpoint at the peer's address that packets may be handed to; NULL: none. */
static __always_inline struct sp_endpoint *local_peer(const struct context *c, __u32 ifindex,
						      __u32 *place)
{
	const __u32 both = SP_ENDPOINT_OPEN | SP_ENDPOINT_DIRECT;
	struct sp_endpoint *own = endpoint_at(c->endpoint), *other;

	if (!own || !config.fast_path || c->at_node || ifindex == 0 || ifindex == c->judge.ifindex)
		return NULL;
	if (c->judge.direction != SP_EGRESS || c->packet.in_fragments)
		return NULL;
	if ((endpoint_flags(own, c->half) & both) != both || !endpoint_has(own, own_address(c)))
		return NULL;
	other = endpoint_find(ifindex, place);
	if (!other || !endpoint_has(other, peer_address(c)))
		return NULL;
	return (endpoint_flags(other, c->half) & both) == both ? other : NULL;
}

/* May a packet that opens nothing be of a connection that stays? What was cut never is. */
static __always_inline int is_established(const struct flow_ref *ref)
{
	__u64 asked = SP_FLOW_ANSWERED | SP_FLOW_CUT | SP_FLOW_RESET | SP_FLOW_DEFERRED;

	/* The end that allows it may have spoken first: then only this bit is left. */
	if (is_connection(ref->key.protocol))
		asked |= SP_FLOW_WAS_CUT;
	return (ref->state & asked) == SP_FLOW_ANSWERED && ref->key.protocol != IPPROTO_ICMP &&
	       ref->key.protocol != IPPROTO_ICMPV6;
}

/*
 * Does e ask that established connections stay, and has it allowed this one itself? Only who has
 * judged a flow is noted for its end.
 */
static __always_inline int keeps(const struct context *c, const struct sp_endpoint *e,
				 __u32 direction, int is_source)
{
	return c->established &&
	       (endpoint_flags(e, c->half) & (SP_ENDPOINT_KEEP << (direction & 1))) &&
	       flow_is_noted(&c->ref, is_source, READ_ONCE(e->ifindex));
}

/* What judge_flow decided: SP_FLOW_EGRESS, _INGRESS, _DIRECT, _KEPT; the local peer's interface. */
struct decision {
	__u64 peer;  /* the word of the other end's own address */
	__u32 flags; /* 0 with SP_PASS: our own node, or a Service's; nothing to remember */
	__u32 other;
};

/* The other end's word on a flow that E has allowed; a denial is reported as the other end's. */
static __always_inline int judge_other(struct context *c, struct sp_endpoint *other, __u32 place,
				       __u32 direction, __be16 port, struct decision *out)
{
	__u32 set = endpoint_set(other, c->half, direction);
	int verdict;

	if (set == 0)
		return SP_PASS;
	verdict = policy_allows(set, peer_identity(peer_find(own_address(c), c->half)),
				c->packet.protocol, port);
	if (verdict == -SP_DROP_POLICY &&
	    keeps(c, other, direction, c->judge.direction != SP_EGRESS)) {
		out->flags |= SP_FLOW_KEPT;
		return SP_PASS;
	}
	if (verdict < 0) {
		c->judge.place = place;
		c->judge.ifindex = READ_ONCE(other->ifindex);
		c->judge.direction = direction;
		c->judge.set = set;
	}
	return verdict;
}

/*
 * Judges the flow of this packet for E, as opened by E or by the peer; for the other end as well if
 * it is known, or if `both`.
 */
GLOBAL int judge_flow(struct context *c, int own_opens, int both, struct decision *out)
{
	__u32 direction = own_opens ? SP_EGRESS : SP_INGRESS, place, kept = 0;
	struct sp_endpoint *own, *other, *joint;
	int with_flow, verdict;
	__be16 port;
	__u64 peer;

	if (!c || !out)
		return -SP_DROP_INTERNAL;
	own = endpoint_at(c->endpoint);
	if (!own)
		return -SP_DROP_INTERNAL;
	with_flow = own_opens == (c->judge.direction == SP_EGRESS);
	port = with_flow ? c->packet.destination_port : c->packet.source_port;
	peer = peer_find(peer_address(c), c->half);
	out->peer = peer;
	out->flags = out->other = 0;
	c->judge.set = endpoint_set(own, c->half, direction);
	if (own_opens) {
		out->flags = SP_FLOW_EGRESS | deferral(c, own, peer);
		if (out->flags & SP_FLOW_DEFERRED)
			return SP_PASS;
		if (is_pinned(c, own, peer))
			out->flags = SP_FLOW_EGRESS | SP_FLOW_PINNED;
	}
	verdict = policy_allows(c->judge.set, peer_identity(peer), c->packet.protocol, port);
	if (verdict == -SP_DROP_POLICY && !peer_is_service(peer) &&
	    keeps(c, own, direction, c->judge.direction == SP_EGRESS))
		kept = SP_FLOW_KEPT;
	else if (verdict < 0)
		return verdict;
	/*
	 * Datagrams from a Service open nothing: what E sends there is E's own, and judged when it is
	 * translated. A connection needs an opening of its own anyway.
	 */
	if (!own_opens && peer_is_service(peer) && !peer_is_node(peer) && !peer_is_pod(peer) &&
	    !is_connection(c->packet.protocol))
		return SP_PASS;
	if (!own_opens)
		out->flags = SP_FLOW_INGRESS;
	out->flags |= kept;
	joint = endpoint_at(c->other);
	place = c->other;
	other = joint || !both ? joint : local_peer(c, peer_ifindex(peer), &place);
	if (!other)
		return SP_PASS;
	out->flags =
		SP_FLOW_EGRESS | SP_FLOW_INGRESS | kept | (joint ? SP_FLOW_JOINT : SP_FLOW_DIRECT);
	out->other = READ_ONCE(other->ifindex);
	return judge_other(c, other, place, own_opens ? SP_INGRESS : SP_EGRESS, port, out);
}

/* The way on for an allowed packet of a flow with these flags; `other`: interface of its other end. */
static __always_inline int go(struct context *c, __u64 flags, int opener, __u32 other)
{
	if ((flags & SP_FLOW_PINNED) && !other)
		return opener ? SP_PINNED : SP_PASS;
	c->judge.unjudged = opener && (flags & SP_FLOW_CARRIED) ? SP_TAG_UNJUDGED : 0;
	if (c->at_node || (flags & SP_FLOW_JOINT) || !config.fast_path ||
	    !(flags & SP_FLOW_DIRECT) || !other || c->judge.direction != SP_EGRESS ||
	    c->packet.in_fragments)
		return SP_PASS;
	c->judge.hand_over = other;
	return SP_DIRECT;
}

static __always_inline void note_ends(const struct context *c, const struct decision *d)
{
	if (c->judge.direction == SP_EGRESS)
		flow_note_ends(&c->ref, c->judge.ifindex, d->other);
	else
		flow_note_ends(&c->ref, d->other, c->judge.ifindex);
}

/*
 * What the node has made of the packets of a flow between two endpoints here, only the other end's
 * interface sees: there the flow is judged for the opener as well, whoever it seems to be from. But
 * for one that the opener's own interface has judged as it is.
 */
GLOBAL int choose_other(struct context *c, int opener)
{
	const __u32 judged = SP_FLOW_EGRESS | SP_FLOW_JOINT | SP_FLOW_DEFERRED;
	struct sp_endpoint *other;
	struct flow_ref *ref;
	struct sp_flow *f;

	if (!c)
		return -SP_DROP_INTERNAL;
	ref = &c->ref;
	c->other = config.endpoint_mask + 1;
	if (c->at_node)
		return SP_PASS;
	if (c->judge.direction == SP_EGRESS) {
		if (opener || !ref->alive || !(ref->state & SP_FLOW_JOINT))
			return SP_PASS;
		f = flow_at(ref->place);
		if (!f)
			return -SP_DROP_CLOSED;
		other = endpoint_find(READ_ONCE(f->ifindex[!ref->source_is_high]), &c->other);
		return other && (endpoint_flags(other, c->half) & SP_ENDPOINT_OPEN)
			       ? SP_PASS
			       : -SP_DROP_CLOSED;
	}
	if (!opener || !c->tag)
		return SP_PASS;
	if (!(c->tag & SP_TAG_SENDER))
		return -SP_DROP_SENDER;
	other = sender_find(c->tag, c->half, &c->other);
	if (!other) {
		c->judge.place = c->other;
		c->judge.ifindex = 0;
		c->judge.direction = SP_EGRESS;
		return -SP_DROP_CLOSED;
	}
	if (ref->alive && state_generation(ref->state) == c->judge.generation &&
	    (ref->state & judged) == SP_FLOW_EGRESS &&
	    flow_is_noted(ref, 1, READ_ONCE(other->ifindex)))
		c->other = config.endpoint_mask + 1;
	return SP_PASS;
}

/*
 * Datagrams with a node's address may be somebody else's whom that node has translated. Once its
 * conntrack has forgotten that, what looks like an answer would be translated anew, unjudged.
 */
GLOBAL __u32 brief_flag(const struct flow_ref *ref, const struct sp_address *seen, __u64 peer,
			__u32 flags, __u32 half)
{
	if (!ref || !seen || is_connection(ref->key.protocol))
		return 0;
	if (flags & SP_FLOW_JOINT) /* the peer is not whom the packet shows */
		peer = peer_find(seen, half);
	return peer_is_any_node(peer) ? SP_FLOW_BRIEF : 0;
}

/*
 * The first packet of a flow, or one from the other side that asks for a new one. In the middle of a
 * connection it is not handed over: it may be a reply that the node has to translate back.
 */
GLOBAL int judge_new(struct context *c)
{
	int egress, from_start, verdict, deferred;
	struct decision d = {};
	struct flow_ref *ref;
	struct flow_new new;

	if (!c)
		return -SP_DROP_INTERNAL;
	ref = &c->ref;
	egress = c->judge.direction == SP_EGRESS;
	from_start = c->packet.opening || !is_connection(c->packet.protocol);
	verdict = choose_other(c, 1);
	if (verdict < 0)
		return verdict;
	verdict = judge_flow(c, egress || c->at_node, from_start, &d);
	if (verdict < 0 || d.flags == 0)
		return verdict;
	/* It goes on outside with the address that it began with, or not at all. */
	if ((d.flags & SP_FLOW_PINNED) && !d.other && !from_start)
		return -SP_DROP_OTHER_ADDRESS;
	/* What opens nothing is an answer to the node, as far as can be told. */
	deferred = d.flags & SP_FLOW_DEFERRED;
	if (deferred && !(c->packet.opening || c->packet.protocol == IPPROTO_UDP))
		return SP_PASS;
	if (ref->source_is_high)
		d.flags |= SP_FLOW_FROM_HIGH;
	d.flags |= brief_flag(ref, seen_address(c), d.peer, d.flags, c->half);
	if (c->packet.ending == PACKET_RESET)
		d.flags |= SP_FLOW_RESET;
	else if (!from_start)
		d.flags |= SP_FLOW_CONFIRMED;
	new = (struct flow_new){
		.state = make_state(c->judge.generation, ref->tag, d.flags),
		.source_ifindex = egress ? c->judge.ifindex : d.other,
		.destination_ifindex = egress ? d.other : c->judge.ifindex,
		.owner = d.flags & SP_FLOW_JOINT
				 ? d.other
				 : c->judge.ifindex, /* who sent it, if that is known */
		.now = c->now,
	};
	if (ref->place != FLOW_NONE)
		flow_renew(ref, &new);
	else
		verdict = flow_insert(ref, &new);
	if (verdict < 0)
		return deferred ? SP_PASS : verdict; /* the node is reached all the same */
	flow_settle(ref);
	return go(c, d.flags, 1, d.other);
}

/* Flags of what has happened to a flow: they stay when it is judged again. _BRIEF is _WAS_CUT too. */
#define FLOW_HISTORY                                                                     \
	(SP_FLOW_FROM_HIGH | SP_FLOW_ANSWERED | SP_FLOW_FIN_OPENER | SP_FLOW_FIN_OTHER | \
	 SP_FLOW_RESET | SP_FLOW_CARRIED | SP_FLOW_JOINT | SP_FLOW_BRIEF | SP_FLOW_CONFIRMED)

/* Flags of a flow that policy ends. */
static __always_inline __u32 cut_flags(__u32 state, __u8 protocol)
{
	return (state & FLOW_HISTORY) | SP_FLOW_CUT |
	       (is_connection(protocol) ? SP_FLOW_WAS_CUT : 0);
}

/* Flags that this packet adds to its flow. */
static __always_inline __u32 packet_flags(const struct context *c, int opener)
{
	__u32 flags = opener ? 0 : SP_FLOW_ANSWERED;

	if (c->packet.ending == PACKET_RESET)
		return flags | SP_FLOW_RESET;
	if (opener && (c->ref.state & SP_FLOW_ANSWERED) && !c->packet.opening)
		flags |= SP_FLOW_CONFIRMED;
	if (c->packet.ending == PACKET_FIN)
		flags |= opener ? SP_FLOW_FIN_OPENER : SP_FLOW_FIN_OTHER;
	return flags;
}

/* What an endpoint here had opened was taken over by somebody with the same address: the node's. */
static __always_inline void become_strangers(const struct flow_ref *ref, struct decision *d)
{
	d->flags &= ~(__u32)SP_FLOW_JOINT;
	flow_forget_source(ref);
}

/*
 * Does E answer an opening of its node's? No flow is asked about what the node sends itself, so here
 * is that of a stranger who had the node's address, and the port, before. A stranger whom policy
 * lets in would have made the flow its own.
 */
static __always_inline int answers_node(const struct context *c, int opener)
{
	return c->packet.answering && !opener && !c->at_node && c->judge.direction == SP_EGRESS &&
	       peer_is_node(peer_find(&c->packet.destination, c->half));
}

/* The flow's far end is nobody's here, and it leaves through an egress IP. */
static __always_inline int flow_is_pinned(const struct flow_ref *ref)
{
	struct sp_flow *f = flow_at(ref->place);

	return f && (ref->state & SP_FLOW_PINNED) &&
	       !READ_ONCE(f->ifindex[ref->state & SP_FLOW_FROM_HIGH ? 0 : 1]);
}

/* Is the outside to see another address than the flow began with? `flags`: as it is judged now. */
static __always_inline int changes_address(const struct context *c, __u32 flags, __u32 other)
{
	int is = !other && (flags & SP_FLOW_PINNED);

	return is_connection(c->packet.protocol) && !c->packet.opening &&
	       flow_is_pinned(&c->ref) != is;
}

/* From judge_again: the flow is no more, and this packet is the first of another. */
#define JUDGE_NEW 0x100

/*
 * A packet of a flow whose decision is of an earlier generation, or that E was not asked about
 * yet: the flow is judged as it was opened. Denied, a connection stays cut until it is opened
 * again; of other protocols, any packet from the other side is a first one, unless the node may
 * translate it into an answer. But what is denied to a bystander, whom a bridge shows others'
 * packets, changes nothing for them.
 *
 * Handed over is only what both ends have seen like this: else the node may translate in between.
 */
GLOBAL int judge_again(struct context *c)
{
	const __u32 both = SP_FLOW_EGRESS | SP_FLOW_INGRESS;
	int egress, opener, own_opens, verdict;
	struct decision d = {};
	struct flow_ref *ref;
	struct judge own;
	__u32 state;

	if (!c)
		return -SP_DROP_INTERNAL;
	ref = &c->ref;
	own = c->judge;
	state = (__u32)ref->state & 0x7fff;
	egress = c->judge.direction == SP_EGRESS;
	opener = from_opener(ref);
	own_opens = opener == egress;
	verdict = choose_other(c, opener);
	if (verdict < 0)
		return verdict;
	c->established = !c->packet.opening && is_established(ref);
	verdict = judge_flow(c, own_opens, (state & both) == both && !(state & SP_FLOW_JOINT), &d);
	c->established = 0;
	if (verdict == SP_PASS && d.flags == 0)
		return SP_PASS;
	if (verdict == SP_PASS && own_opens && changes_address(c, d.flags, d.other))
		return -SP_DROP_OTHER_ADDRESS;
	if (verdict == SP_PASS) {
		if (state_generation(ref->state) == c->judge.generation) {
			d.flags |= state & (SP_FLOW_EGRESS | SP_FLOW_INGRESS | SP_FLOW_KEPT);
			if (!own_opens)
				d.flags |= state & SP_FLOW_DEFERRED;
		}
		d.flags |= (state & FLOW_HISTORY) | packet_flags(c, opener);
		if (!egress && opener && !c->tag && (state & SP_FLOW_JOINT))
			become_strangers(ref, &d);
		note_ends(c, &d);
		flow_touch(ref, c->now);
		flow_update(ref, make_state(c->judge.generation, ref->tag, d.flags));
		return go(c, d.flags, opener, d.other);
	}
	if (verdict != -SP_DROP_POLICY || c->packet.opening)
		return verdict; /* an opening that is denied ends nothing */
	if (answers_node(c, opener)) {
		flow_free(ref);
		c->judge = own;
		return SP_PASS;
	}
	if (!own_has(c, own_address(c)) && !flow_is_noted(ref, egress, own.ifindex))
		return verdict;
	if (is_connection(c->packet.protocol) || c->at_node || (state & SP_FLOW_JOINT)) {
		flow_touch(ref, c->now);
		flow_update(ref, make_state(c->judge.generation, ref->tag,
					    cut_flags(state, c->packet.protocol)));
		return verdict;
	}
	flow_free(ref);
	if (opener)
		return verdict;
	c->judge = own; /* the denial may have been the other end's */
	return JUDGE_NEW;
}

/* A packet of a live flow that E has allowed under this generation. */
static __always_inline int judge_known(struct context *c, int opener)
{
	struct flow_ref *ref = &c->ref;
	struct sp_flow *f = flow_at(ref->place);

	if (!f)
		return -SP_DROP_INTERNAL;
	flow_touch(ref, c->now);
	flow_add(ref, packet_flags(c, opener));
	return go(c, ref->state, opener, READ_ONCE(f->ifindex[ref->source_is_high ? 0 : 1]));
}

/* Does what the flow says of this end count for this packet, sent by whoever sent it? */
static __always_inline int is_settled(const struct context *c, int opener)
{
	struct sp_endpoint *sender;
	__u32 place;

	if (c->at_node)
		return !(c->ref.state & SP_FLOW_DEFERRED);
	if (c->judge.direction == SP_EGRESS || !opener)
		return 1;
	if (!c->tag)
		return !(c->ref.state & SP_FLOW_JOINT);
	sender = sender_find(c->tag, c->half, &place);
	return sender && flow_is_noted(&c->ref, 1, READ_ONCE(sender->ifindex));
}

/* A packet of a live flow. */
GLOBAL int judge_found(struct context *c)
{
	int egress, opener, verdict;
	struct flow_ref *ref;
	__u32 need;

	if (!c)
		return -SP_DROP_INTERNAL;
	ref = &c->ref;
	egress = c->judge.direction == SP_EGRESS;
	/* Who had this address before, behind another interface, has opened it. */
	if (flow_is_anothers(ref, egress, c->judge.ifindex) && own_has(c, own_address(c))) {
		flow_free(ref);
		return judge_new(c);
	}
	opener = from_opener(ref);
	if (c->packet.opening &&
	    (!opener || flow_is_over(ref->state) || (ref->state & SP_FLOW_KEPT)))
		return judge_new(c);
	need = opener == egress ? SP_FLOW_EGRESS : SP_FLOW_INGRESS;
	if (state_generation(ref->state) == c->judge.generation) {
		if ((ref->state & need) && flow_is_noted(ref, egress, c->judge.ifindex) &&
		    is_settled(c, opener))
			return judge_known(c, opener);
		if ((ref->state & SP_FLOW_CUT) && answers_node(c, opener)) {
			flow_free(ref);
			return SP_PASS;
		}
		if (ref->state & SP_FLOW_CUT) {
			flow_touch(ref, c->now);
			return -SP_DROP_CUT;
		}
	}
	verdict = judge_again(c);
	return verdict == JUDGE_NEW ? judge_new(c) : verdict;
}

static __always_inline int judge_transport(struct context *c)
{
	flow_find(&c->ref, &c->packet, c->now);
	return c->ref.alive ? judge_found(c) : judge_new(c);
}

#endif
