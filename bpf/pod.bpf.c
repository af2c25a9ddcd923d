/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pod_egress and pod_ingress: NetworkPolicy at a pod's interface, host side.
 *
 * One function judges both directions and both families. For the endpoint E of the interface, in
 * this order:
 *
 *  1. ARP passes, and neighbour discovery with who can be a neighbour.
 *  2. What the node itself sends to the pod passes. What came from another pod without the mark
 *     of pod_egress is asked of its sender what pod_egress asks.
 *  3. A closed endpoint drops the rest, but for what the pod sends to its node.
 *  4. What is neither IPv4 nor IPv6 is dropped if E is isolated for the direction, and a packet from
 *     the pod with a source that is not its own in any case.
 *  5. What cannot be parsed is dropped if E is isolated for the direction. What the pod sends to its
 *     node, or to itself, passes.
 *  6. A packet of a live flow that E has allowed under this generation passes.
 *  7. Else E's policy judges the flow as it was opened: E's egress if E opened it, E's ingress if
 *     the peer did. If the other end is an endpoint here too, and packets may be handed over, its
 *     policy is asked at once. What is allowed is remembered.
 */
#include "lib/config.h"

#include "lib/packet.h"

#include "lib/addressed.h"
#include "lib/neighbour.h"
#include "lib/node.h"
#include "lib/onward.h"
#include "lib/usual.h"

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

/* From the pod, behind more headers than are walked: a tunnel or an error, as far as can be told. */
static __always_inline int hides_its_kind(const struct context *c)
{
	const struct packet *p = &c->packet;

	return config.anti_spoofing && c->judge.direction == SP_EGRESS && !is_v4(&p->source) &&
	       is_ext_header(p->protocol) && p->protocol != IPPROTO_ROUTING;
}

/* On the wire it is nobody's; some nodes take it for their own (route_localnet). */
static __always_inline int is_loopback(const struct sp_address *a)
{
	if (is_v4(a))
		return a->bytes[12] == 127;
	return a->halves[0] == 0 && a->halves[1] == bpf_cpu_to_be64(1);
}

static __always_inline int judge_open(struct __sk_buff *ctx, struct context *c)
{
	struct packet *p = &c->packet;

	/* What it sent itself, through a Service of its own. */
	if (c->tag && (c->tag & SP_TAG_SENDER) == sender_tag(c->judge.place))
		return SP_PASS;
	if (p->kind == PACKET_OTHER)
		return unless_isolated(c, -SP_DROP_ETHERTYPE);
	if (c->judge.direction == SP_EGRESS && config.anti_spoofing && !own_has(c, &p->source))
		return -SP_DROP_SPOOFED;
	if (p->kind == PACKET_MALFORMED)
		return hides_its_kind(c) ? -SP_DROP_MALFORMED
					 : unless_isolated(c, -SP_DROP_MALFORMED);
	if (c->judge.direction == SP_EGRESS && is_loopback(&p->destination))
		return -SP_DROP_SPOOFED;
	/* A pod and itself. Not even without anti-spoofing may it say so of someone else. */
	if (c->judge.direction == SP_EGRESS && same_address(&p->source, &p->destination))
		return own_has(c, &p->source) ? SP_PASS : -SP_DROP_SPOOFED;
	if (p->kind == PACKET_ICMP_ERROR && c->judge.direction == SP_EGRESS &&
	    quotes_others(ctx, c))
		return -SP_DROP_ICMP_ERROR;
	if (p->kind != PACKET_TRANSPORT && c->judge.direction == SP_EGRESS &&
	    is_for_node(p, c->half)) {
		if (p->kind == PACKET_ICMP_ERROR)
			quotes_allowed_flow(ctx, c); /* and who opened it */
		return SP_PASS;
	}
	return judge_addressed(ctx, c);
}

/* Ports of VXLAN, of Linux before its number was given, and of Geneve. */
static __always_inline int is_tunnel_port(__be16 port)
{
	return port == bpf_htons(4789) || port == bpf_htons(8472) || port == bpf_htons(6081);
}

/* Of our own tunnel, and of gateways' heartbeats: what a node masquerades would pass for the node's. */
static __always_inline int is_agents_port(__be16 port)
{
	struct sp_tunnel *t = tunnel_word();

	return t && port &&
	       (port == bpf_htons((__u16)READ_ONCE(t->port)) ||
		port == bpf_htons((__u16)READ_ONCE(t->heartbeat_port)));
}

/*
 * What a node, this one or another, may unwrap: what is inside would come from the node, with any
 * sender. Who is no node may be spoken to so, as far as policy allows.
 */
static __always_inline int is_tunnel(const struct packet *p, __u32 half)
{
	int udp = p->protocol == IPPROTO_UDP;
	__u64 peer;

	if (p->kind == PACKET_OTHER || p->kind == PACKET_MALFORMED)
		return 0;
	if (!(udp && is_agents_port(p->destination_port)) &&
	    (config.tunnels_from_pods ||
	     (p->protocol != IPPROTO_IPIP && p->protocol != IPPROTO_IPV6 &&
	      p->protocol != IPPROTO_GRE && !(udp && is_tunnel_port(p->destination_port)))))
		return 0;
	peer = peer_find(&p->destination, half);
	return peer_is_any_node(peer) || peer_is_service(peer);
}

/* May this address be a neighbour's? A router may be asked to carry anything else elsewhere. */
static __always_inline int is_neighbours(const struct sp_address *a, __u32 half)
{
	__u64 peer;

	if (a->bytes[0] == 0xff || is_link_local(a))
		return 1;
	peer = peer_find(a, half);
	return peer_is_node(peer) || peer_ifindex(peer);
}

static __always_inline int judge_packet(struct __sk_buff *ctx, struct context *c)
{
	int verdict = c->tag & TAG_UNMARKED ? judge_unmarked(c) : SP_PASS, open;

	if ((c->judge.direction == SP_EGRESS || (c->tag & TAG_UNMARKED)) &&
	    may_misplace_checksum(ctx) && checksum_is_misplaced(ctx, ETH_HLEN))
		return -SP_DROP_MALFORMED;
	if (verdict < 0)
		return verdict;
	if (c->packet.kind == PACKET_ARP)
		return judge_arp(ctx, c);
	if (c->packet.kind == PACKET_NEIGHBOUR) {
		if (c->judge.direction == SP_INGRESS)
			return SP_PASS;
		if (is_neighbours(&c->packet.destination, c->half))
			return judge_neighbour(ctx, c);
		c->packet.kind = PACKET_TRANSPORT;
	}
	open = is_open(c);
	if (c->judge.direction == SP_INGRESS) {
		if (open && is_misdelivered(ctx, c))
			return -SP_DROP_MISDELIVERED;
		if (sent_by_node(ctx, c))
			return SP_PASS;
	} else if (is_tunnel(&c->packet, c->half)) {
		return -SP_DROP_TUNNEL;
	}
	if (open)
		return judge_open(ctx, c);
	if (c->judge.direction == SP_EGRESS && is_for_node(&c->packet, c->half))
		return SP_PASS;
	return -SP_DROP_CLOSED;
}

/* Is what leaves here to be judged again, unless its flow says otherwise? */
static __always_inline int is_isolated_egress(const struct context *c)
{
	struct sp_endpoint *own = endpoint_at(c->endpoint);

	return !is_open(c) || own_set(c, SP_EGRESS) || (own && endpoint_pins(own, c->half));
}

/*
 * What passes without being of a flow that E opened: an ICMP error about a pinned flow is translated
 * with it; about a flow that somebody outside opened, it goes as that flow goes. Else it may not
 * leave as it is, if it is for where E is pinned.
 */
static __always_inline int pin_others(struct context *c)
{
	struct sp_endpoint *own = endpoint_at(c->endpoint);
	__u64 peer;

	if (c->packet.kind != PACKET_ICMP_ERROR || !own || !endpoint_pins(own, c->half))
		return SP_PASS;
	peer = peer_find(&c->packet.destination, c->half);
	if (c->ref.alive)
		return flow_is_pinned(&c->ref) ? SP_PINNED : SP_PASS;
	return is_pinned(c, own, peer) ? -SP_DROP_UNTRANSLATABLE : SP_PASS;
}

/* Every packet that is not a usual one of a known flow. */
GLOBAL int pod_way(struct __sk_buff *ctx, __u32 direction, __u32 generation)
{
	struct context c;
	int verdict;

	begin(&c, direction, generation, tick_now());
	c.judge.ifindex = ctx->ifindex;
	if (direction == SP_INGRESS)
		c.tag = sent_through(ctx);
	if (ctx->vlan_present)
		c.packet.kind = PACKET_OTHER;
	else
		parse_packet(ctx, &c.packet, ETH_HLEN);
	if (direction == SP_INGRESS && !c.tag && ctx->ingress_ifindex)
		c.tag = sent_by_address(&c.packet.source, c.half, ctx->ingress_ifindex, 0);
	c.endpoint = c.judge.place = endpoint_place(ctx->ifindex);
	if (direction == SP_EGRESS && is_isolated_egress(&c))
		c.judge.unjudged = SP_TAG_UNJUDGED;
	verdict = judge_packet(ctx, &c);
	if (verdict == SP_PASS && direction == SP_EGRESS)
		verdict = pin_others(&c);
	if (verdict == SP_PINNED)
		return pinned_action(&c);
	return report(ctx, &c.packet, verdict, &c.judge);
}

static __always_inline int handle(struct __sk_buff *ctx, __u32 direction)
{
	__u32 zero = 0, generation;
	struct sp_control *control_word = bpf_map_lookup_elem(&control, &zero);
	int action;

	if (!control_word)
		return TC_ACT_SHOT;
	generation = READ_ONCE(control_word->generation);
	action = usual_packet(ctx, direction, generation, tick_now());
	if (action == NO_OPINION)
		return onward(ctx, WAY_POD, direction, generation, 0, 0);
	if (action == MAY_BE_DENIED)
		return onward(ctx, WAY_DENIED, direction, generation, 0, 0);
	if (direction == SP_EGRESS && is_pinned_action(action))
		return onward(ctx, WAY_PINNED, direction, generation, (__u32)action, 0);
	return action;
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

/*
 * Where packets leave the node, and come to it: on whatever is not an endpoint's. A frame begins
 * with an Ethernet header, or with the IP header (tunnels that carry IP).
 */
SEC("tc")
int node_egress(struct __sk_buff *ctx)
{
	return handle_leaving(ctx, ETH_HLEN);
}

SEC("tc")
int node_ingress(struct __sk_buff *ctx)
{
	return handle_coming(ctx, ETH_HLEN);
}

SEC("tc")
int tunnel_egress(struct __sk_buff *ctx)
{
	return handle_leaving(ctx, 0);
}

SEC("tc")
int tunnel_ingress(struct __sk_buff *ctx)
{
	return handle_coming(ctx, 0);
}

/* Our own tunnel's device: what goes to gateways, and comes back from them. */
SEC("tc")
int egress_in(struct __sk_buff *ctx)
{
	__u32 zero = 0;
	struct sp_control *control_word = bpf_map_lookup_elem(&control, &zero);

	if (!control_word)
		return TC_ACT_SHOT;
	return onward(ctx, WAY_FROM_TUNNEL, SP_EGRESS, READ_ONCE(control_word->generation), 0, 0);
}

SEC("tc")
int egress_out(struct __sk_buff *ctx)
{
	return into_tunnel(ctx);
}

/* Where onward() leads. */
SEC("tc")
int long_way(struct __sk_buff *ctx)
{
	__u32 way = ctx->cb[0] >> 1, direction = ctx->cb[0] & 1;
	__u32 generation = ctx->cb[1], with = ctx->cb[2], more = ctx->cb[3];
	int action;

	switch (way) {
	case WAY_FROM_OUTSIDE:
	case WAY_FROM_TUNNEL:
		action = gateway_way(ctx, way, generation, with, more);
		if (action != NO_OPINION)
			return action;
		return node_way(ctx, SP_INGRESS, generation, ETH_HLEN);
	case WAY_NODE:
		action = node_way(ctx, direction, generation, with);
		break;
	case WAY_PINNED:
		action = (int)with;
		break;
	case WAY_DENIED:
		action = usual_denial(ctx, direction, generation & 1);
		if (action != NO_OPINION)
			return action;
		/* fall through */
	default:
		action = pod_way(ctx, direction, generation);
	}
	return is_pinned_action(action) ? pin_out(ctx, (__u32)action, generation) : action;
}

char LICENSE[] SEC("license") = "GPL";
