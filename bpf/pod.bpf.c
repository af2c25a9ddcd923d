/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pod_egress and pod_ingress: NetworkPolicy at a pod's interface, host side.
 *
 * One function judges both directions and both families. For the endpoint E of the interface, in
 * this order:
 *
 *  1. ARP passes, and neighbour discovery with who can be a neighbour.
 *  2. What the node itself sends to the pod, and what the pod sends to its node, passes.
 *  3. A closed endpoint drops the rest.
 *  4. A packet from the pod with a source that is not its own is dropped.
 *  5. What cannot be parsed is dropped if E is isolated for the direction.
 *  6. A packet of a live flow that E has allowed under this generation passes.
 *  7. Else E's policy judges the flow as it was opened: E's egress if E opened it, E's ingress if
 *     the peer did. If the other end is an endpoint here too, and packets may be handed over, its
 *     policy is asked at once. What is allowed is remembered.
 */
#include "lib/config.h"

#include "lib/packet.h"

#include "lib/endpoint.h"
#include "lib/flow.h"
#include "lib/flow_insert.h"
#include "lib/fragment.h"
#include "lib/peer.h"
#include "lib/policy.h"
#include "lib/report.h"
#include "lib/usual.h"

/* What is known while one packet is judged at one interface. */
struct context {
	struct packet packet;
	struct judge judge;
	struct flow_ref ref;
	struct sp_endpoint *endpoint; /* NULL: closed */
	__u32 now;
	__u32 half;
};

static __always_inline const struct sp_address *peer_address(const struct context *c)
{
	return c->judge.direction == SP_EGRESS ? &c->packet.destination : &c->packet.source;
}

static __always_inline const struct sp_address *own_address(const struct context *c)
{
	return c->judge.direction == SP_EGRESS ? &c->packet.source : &c->packet.destination;
}

static __always_inline __u32 endpoint_set(const struct sp_endpoint *e, __u32 half, __u32 direction)
{
	return READ_ONCE(e->set[half & 1][direction & 1]);
}

static __always_inline __u32 endpoint_flags(const struct sp_endpoint *e, __u32 half)
{
	return READ_ONCE(e->flags[half & 1]);
}

/* What cannot be judged by ports passes only where nothing is to be judged. */
static __always_inline int unless_isolated(struct context *c, int verdict)
{
	c->judge.set = endpoint_set(c->endpoint, c->half, c->judge.direction);
	return c->judge.set ? verdict : SP_PASS;
}

/* A local endpoint at the peer's address that packets may be handed to; NULL: none. */
static __always_inline struct sp_endpoint *local_peer(const struct context *c, __u32 ifindex,
						      __u32 *place)
{
	const __u32 both = SP_ENDPOINT_OPEN | SP_ENDPOINT_DIRECT;
	struct sp_endpoint *other;

	if (!config.fast_path || ifindex == 0 || ifindex == c->judge.ifindex)
		return NULL;
	if (c->judge.direction != SP_EGRESS || c->packet.in_fragments)
		return NULL;
	if ((endpoint_flags(c->endpoint, c->half) & both) != both ||
	    !endpoint_has(c->endpoint, own_address(c)))
		return NULL;
	other = endpoint_find(ifindex, place);
	if (!other || !endpoint_has(other, peer_address(c)))
		return NULL;
	return (endpoint_flags(other, c->half) & both) == both ? other : NULL;
}

/* The other end's word on a flow that E has allowed; a denial is reported as the other end's. */
static __always_inline int judge_other(struct context *c, struct sp_endpoint *other, __u32 place,
				       __u32 direction, __be16 port)
{
	__u32 set = endpoint_set(other, c->half, direction);
	int verdict;

	if (set == 0)
		return SP_PASS;
	verdict = policy_allows(set, peer_identity(peer_find(own_address(c), c->half)),
				c->packet.protocol, port);
	if (verdict < 0) {
		c->judge.place = place;
		c->judge.ifindex = READ_ONCE(other->ifindex);
		c->judge.direction = direction;
		c->judge.set = set;
	}
	return verdict;
}

/* What judge_flow decided: SP_FLOW_EGRESS, _INGRESS, _DIRECT; the local peer's interface. */
struct decision {
	__u32 flags; /* 0 with SP_PASS: our own node, nothing to remember */
	__u32 other;
};

/*
 * Judges the flow of this packet for E, as opened by E or by the peer; for the other end as well if
 * `both`.
 */
OUTLINE int judge_flow(struct context *c, int own_opens, int both, struct decision *out)
{
	__u32 direction = own_opens ? SP_EGRESS : SP_INGRESS, place = 0;
	int with_flow = own_opens == (c->judge.direction == SP_EGRESS);
	__be16 port = with_flow ? c->packet.destination_port : c->packet.source_port;
	__u64 peer = peer_find(peer_address(c), c->half);
	struct sp_endpoint *other;
	int verdict;

	out->flags = out->other = 0;
	if (peer_is_node(peer) && c->judge.direction == SP_EGRESS)
		return SP_PASS;
	c->judge.set = endpoint_set(c->endpoint, c->half, direction);
	verdict = policy_allows(c->judge.set, peer_identity(peer), c->packet.protocol, port);
	if (verdict < 0)
		return verdict;
	out->flags = own_opens ? SP_FLOW_EGRESS : SP_FLOW_INGRESS;
	other = both ? local_peer(c, peer_ifindex(peer), &place) : NULL;
	if (!other)
		return SP_PASS;
	verdict = judge_other(c, other, place, own_opens ? SP_INGRESS : SP_EGRESS, port);
	if (verdict < 0)
		return verdict;
	out->flags = SP_FLOW_EGRESS | SP_FLOW_INGRESS | SP_FLOW_DIRECT;
	out->other = peer_ifindex(peer);
	return SP_PASS;
}

/* The way on for an allowed packet of a flow with these flags; `other`: interface of its other end. */
static __always_inline int go(struct context *c, __u64 flags, __u32 other)
{
	if (!config.fast_path || !(flags & SP_FLOW_DIRECT) || !other ||
	    c->judge.direction != SP_EGRESS || c->packet.in_fragments)
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
 * The first packet of a flow, or one from the other side that asks for a new one. In the middle of a
 * connection it is not handed over: it may be a reply that the node has to translate back.
 */
OUTLINE int judge_new(struct context *c)
{
	struct flow_ref *ref = &c->ref;
	struct flow_new new;
	struct decision d;
	int egress = c->judge.direction == SP_EGRESS;
	int from_start = c->packet.opening || !is_connection(c->packet.protocol);
	int verdict = judge_flow(c, egress, from_start, &d);

	if (verdict < 0 || d.flags == 0)
		return verdict;
	if (ref->source_is_high)
		d.flags |= SP_FLOW_FROM_HIGH;
	if (c->packet.ending == PACKET_RESET)
		d.flags |= SP_FLOW_RESET;
	new = (struct flow_new){
		.state = make_state(c->judge.generation, ref->tag, d.flags),
		.source_ifindex = egress ? c->judge.ifindex : d.other,
		.destination_ifindex = egress ? d.other : c->judge.ifindex,
		.owner = c->judge.ifindex,
		.now = c->now,
	};
	if (ref->place != FLOW_NONE)
		flow_renew(ref, &new);
	else
		verdict = flow_insert(ref, &new);
	if (verdict < 0)
		return verdict;
	flow_settle(ref);
	return go(c, d.flags, d.other);
}

/* Flags that say what went over the wire: they stay when a flow is judged again. */
#define FLOW_HISTORY                                                                     \
	(SP_FLOW_FROM_HIGH | SP_FLOW_ANSWERED | SP_FLOW_FIN_OPENER | SP_FLOW_FIN_OTHER | \
	 SP_FLOW_RESET)

/* Flags that this packet adds to its flow. */
static __always_inline __u32 packet_flags(const struct context *c, int opener)
{
	__u32 flags = opener ? 0 : SP_FLOW_ANSWERED;

	if (c->packet.ending == PACKET_RESET)
		flags |= SP_FLOW_RESET;
	else if (c->packet.ending == PACKET_FIN)
		flags |= opener ? SP_FLOW_FIN_OPENER : SP_FLOW_FIN_OTHER;
	return flags;
}

/* From judge_again: the flow is no more, and this packet is the first of another. */
#define JUDGE_NEW 0x100

/*
 * A packet of a flow whose decision is of an earlier generation, or that E was not asked about
 * yet: the flow is judged as it was opened. Denied, a connection stays cut until it is opened
 * again; of other protocols, any packet from the other side is a first one. But what is denied to a
 * bystander, whom a bridge shows others' packets, changes nothing for them.
 *
 * Handed over is only what both ends have seen like this: else the node may translate in between.
 */
OUTLINE int judge_again(struct context *c)
{
	struct flow_ref *ref = &c->ref;
	const struct judge own = c->judge;
	struct decision d;
	__u32 state = (__u32)ref->state & 0x7fff;
	const __u32 both = SP_FLOW_EGRESS | SP_FLOW_INGRESS;
	int egress = c->judge.direction == SP_EGRESS;
	int opener = from_opener(ref), own_opens = opener == egress;
	int verdict = judge_flow(c, own_opens, (state & both) == both, &d);

	if (verdict == SP_PASS && d.flags == 0)
		return SP_PASS;
	if (verdict == SP_PASS) {
		if (state_generation(ref->state) == c->judge.generation)
			d.flags |= state & (SP_FLOW_EGRESS | SP_FLOW_INGRESS);
		d.flags |= (state & FLOW_HISTORY) | packet_flags(c, opener);
		note_ends(c, &d);
		flow_touch(ref, c->now);
		flow_update(ref, make_state(c->judge.generation, ref->tag, d.flags));
		return go(c, d.flags, d.other);
	}
	if (verdict != -SP_DROP_POLICY)
		return verdict;
	if (!endpoint_has(c->endpoint, own_address(c)) && !flow_is_noted(ref, egress, own.ifindex))
		return verdict;
	if (is_connection(c->packet.protocol)) {
		flow_touch(ref, c->now);
		flow_update(ref, make_state(c->judge.generation, ref->tag,
					    (state & FLOW_HISTORY) | SP_FLOW_CUT));
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
	return go(c, ref->state, READ_ONCE(f->ifindex[ref->source_is_high ? 0 : 1]));
}

static __always_inline int judge_transport(struct context *c)
{
	struct flow_ref *ref = &c->ref;
	int egress = c->judge.direction == SP_EGRESS, opener, verdict;
	__u32 need;

	flow_find(ref, &c->packet, c->now);
	if (!ref->alive)
		return judge_new(c);
	opener = from_opener(ref);
	if (c->packet.opening && (!opener || flow_is_over(ref->state)))
		return judge_new(c);
	need = opener == egress ? SP_FLOW_EGRESS : SP_FLOW_INGRESS;
	if (state_generation(ref->state) == c->judge.generation) {
		if ((ref->state & need) && flow_is_noted(ref, egress, c->judge.ifindex))
			return judge_known(c, opener);
		if (ref->state & SP_FLOW_CUT) {
			flow_touch(ref, c->now);
			return -SP_DROP_CUT;
		}
	}
	verdict = judge_again(c);
	return verdict == JUDGE_NEW ? judge_new(c) : verdict;
}

/* Is the packet that an ICMP error quotes one of a live flow that E allows now? */
OUTLINE int quotes_allowed_flow(struct __sk_buff *ctx, struct context *c)
{
	int egress = c->judge.direction == SP_EGRESS, opener;
	struct packet quoted = {};
	struct flow_ref *ref = &c->ref;
	__u64 peer;

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
	flow_find(ref, &quoted, c->now);
	if (!ref->alive || (ref->state & SP_FLOW_CUT))
		return 0;
	opener = from_opener(ref);
	c->judge.set =
		endpoint_set(c->endpoint, c->half, opener == egress ? SP_INGRESS : SP_EGRESS);
	peer = peer_find(egress ? &quoted.source : &quoted.destination, c->half);
	return policy_allows(c->judge.set, peer_identity(peer), quoted.protocol,
			     opener ? quoted.destination_port : quoted.source_port) == SP_PASS;
}

/* An ICMP error passes if the flow it is about does, or if policy allows ICMP with its sender. */
static __always_inline int judge_icmp_error(struct __sk_buff *ctx, struct context *c)
{
	__u64 peer;

	if (quotes_allowed_flow(ctx, c))
		return SP_PASS;
	c->judge.set = endpoint_set(c->endpoint, c->half, c->judge.direction);
	peer = peer_find(peer_address(c), c->half);
	if (policy_allows(c->judge.set, peer_identity(peer), c->packet.protocol, 0) == SP_PASS)
		return SP_PASS;
	return -SP_DROP_ICMP_ERROR;
}

/*
 * The node itself sent it: it came in through no interface and has a local socket. (A socket alone
 * does not say so: across a bridge a packet keeps that of the pod that sent it. No interface alone
 * does not either: what a software switch forwards from user space came through none.) The kernel
 * sends a few answers without one: over IPv6 resets and the last acknowledgements, and SYN cookies.
 */
static __always_inline int sent_by_node(struct __sk_buff *ctx, const struct context *c)
{
	const struct packet *p = &c->packet;
	struct bpf_sock *sk = ctx->sk;

	if (ctx->ingress_ifindex || (ctx->mark & config.mark))
		return 0;
	if (sk)
		return sk->family != 0;
	return p->kind == PACKET_TRANSPORT && p->protocol == IPPROTO_TCP && !p->opening &&
	       peer_is_node(peer_find(&p->source, c->half));
}

/* Is the packet, one with addresses, for one of this node's own? */
static __always_inline int is_for_node(const struct packet *p, __u32 half)
{
	if (p->kind != PACKET_TRANSPORT && p->kind != PACKET_FRAGMENT &&
	    p->kind != PACKET_ICMP_ERROR)
		return 0;
	return peer_is_node(peer_find(&p->destination, half));
}

static __always_inline int judge_open(struct __sk_buff *ctx, struct context *c)
{
	struct packet *p = &c->packet;
	int verdict;

	if (p->kind == PACKET_OTHER)
		return unless_isolated(c, -SP_DROP_ETHERTYPE);
	if (c->judge.direction == SP_EGRESS && config.anti_spoofing &&
	    !endpoint_has(c->endpoint, &p->source))
		return -SP_DROP_SPOOFED;
	if (p->kind == PACKET_MALFORMED)
		return unless_isolated(c, -SP_DROP_MALFORMED);
	/*
	 * A pod and itself. Not even without anti-spoofing may it say so of someone else; so what is
	 * marked did leave the pod that it goes to.
	 */
	if (same_address(&p->source, &p->destination)) {
		if (c->judge.direction == SP_EGRESS)
			return endpoint_has(c->endpoint, &p->source) ? SP_PASS : -SP_DROP_SPOOFED;
		if (ctx->mark & config.mark)
			return SP_PASS;
	}
	if (p->kind != PACKET_TRANSPORT && c->judge.direction == SP_EGRESS &&
	    is_for_node(p, c->half))
		return SP_PASS;
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

/* May this address be a neighbour's? A router may be asked to carry anything else elsewhere. */
static __always_inline int is_neighbours(const struct sp_address *a, __u32 half)
{
	__u64 peer;

	if (a->bytes[0] == 0xff || (a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80))
		return 1;
	peer = peer_find(a, half);
	return peer_is_node(peer) || peer_ifindex(peer);
}

static __always_inline int judge_packet(struct __sk_buff *ctx, struct context *c)
{
	if (c->packet.kind == PACKET_ARP)
		return SP_PASS;
	if (c->packet.kind == PACKET_NEIGHBOUR) {
		if (c->judge.direction == SP_INGRESS ||
		    is_neighbours(&c->packet.destination, c->half))
			return SP_PASS;
		c->packet.kind = PACKET_TRANSPORT;
	}
	if (c->judge.direction == SP_INGRESS && sent_by_node(ctx, c))
		return SP_PASS;
	if (c->endpoint && (endpoint_flags(c->endpoint, c->half) & SP_ENDPOINT_OPEN))
		return judge_open(ctx, c);
	if (c->judge.direction == SP_EGRESS && is_for_node(&c->packet, c->half))
		return SP_PASS;
	return -SP_DROP_CLOSED;
}

/* Every packet that is not a usual one of a known flow. */
OUTLINE int the_long_way(struct __sk_buff *ctx, __u32 direction, __u32 generation, __u32 now)
{
	struct context c;

	__builtin_memset(&c.packet, 0, sizeof(c.packet));
	c.judge.ifindex = ctx->ifindex;
	c.judge.direction = direction;
	c.judge.set = 0;
	c.judge.generation = generation;
	c.judge.hand_over = 0;
	c.half = generation & 1;
	c.now = now;
	parse_packet(ctx, &c.packet);
	c.endpoint = endpoint_find(ctx->ifindex, &c.judge.place);
	return report(ctx, &c.packet, judge_packet(ctx, &c), &c.judge);
}

static __always_inline int handle(struct __sk_buff *ctx, __u32 direction)
{
	__u32 zero = 0, generation, now = tick_now();
	struct sp_control *control_word = bpf_map_lookup_elem(&control, &zero);
	int action;

	if (!control_word)
		return TC_ACT_SHOT;
	generation = READ_ONCE(control_word->generation);
	action = direction == SP_EGRESS ? usual_egress(ctx, generation, now)
					: usual_ingress(ctx, generation, now);
	return action == NO_OPINION ? the_long_way(ctx, direction, generation, now) : action;
}

SEC("tc")
int pod_egress(struct __sk_buff *ctx)
{
	return handle(ctx, SP_EGRESS);
}

SEC("tc")
int pod_ingress(struct __sk_buff *ctx)
{
	return handle(ctx, SP_INGRESS);
}

char LICENSE[] SEC("license") = "GPL";
