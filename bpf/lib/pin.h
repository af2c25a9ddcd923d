/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pinned flows: what a pod sends leaves with the egress IP as its source, and what comes back finds
 * the pod. What cannot be sent so is dropped, and never sent otherwise.
 */
#ifndef SALLYPORT_LIB_PIN_H
#define SALLYPORT_LIB_PIN_H

#include "addressed.h"
#include "ports.h"
#include "too_big.h"
#include "translate.h"

/* What the programs' parts return for a packet of a pinned flow: where its entry is. */
#define PINNED_AT 0x40000000
#define PINNED_USUAL \
	0x20000000 /* TCP or UDP, opens nothing, and nothing has changed since the last */
#define PINNED_PLACE 0x1fffffff

static __always_inline int is_pinned_action(int action)
{
	return action > 0 && (action & PINNED_AT);
}

/* For a flow that was judged just now. */
static __always_inline int pinned_action(struct context *c)
{
	if (c->ref.place == FLOW_NONE)
		flow_lookup(&c->ref, c->now); /* it is new */
	if (c->ref.place > PINNED_PLACE)
		return TC_ACT_SHOT;
	return (int)(PINNED_AT | c->ref.place);
}

/* What the packet is, as far as it matters for getting a port. */
#define LEAVING_OPENS 1
#define LEAVING_UNTRANSLATABLE 2

/* Ports, or what stands for them. */
static __always_inline int is_translatable(const struct packet *p)
{
	if (p->kind == PACKET_FRAGMENT || p->kind == PACKET_ICMP_ERROR)
		return 1;
	if (p->kind != PACKET_TRANSPORT)
		return 0;
	if (p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6)
		return is_echo(p->protocol, p->icmp_type);
	if (p->protocol == IPPROTO_SCTP)
		return !p->in_fragments; /* its checksum is of all of them */
	return p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP;
}

GLOBAL __u32 leaving_kind(struct __sk_buff *ctx)
{
	struct packet p = {};

	parse_packet(ctx, &p, ETH_HLEN);
	if (!is_translatable(&p))
		return LEAVING_UNTRANSLATABLE;
	return p.kind == PACKET_TRANSPORT && (p.opening || !is_connection(p.protocol))
		       ? LEAVING_OPENS
		       : 0;
}

/* Which end of its flow opened it: that of the pod, or of the egress IP. 1: the high one. */
static __always_inline int opener_is_high(const struct sp_flow *f)
{
	return !!(READ_ONCE(f->state) & SP_FLOW_FROM_HIGH);
}

static __always_inline const struct sp_address *opener_address(const struct sp_flow *f)
{
	return opener_is_high(f) ? &f->key.high : &f->key.low;
}

static __always_inline __be16 opener_port(const struct sp_flow *f)
{
	return opener_is_high(f) ? f->key.high_port : f->key.low_port;
}

static __always_inline const struct sp_address *other_address(const struct sp_flow *f)
{
	return opener_is_high(f) ? &f->key.low : &f->key.high;
}

static __always_inline __be16 other_port(const struct sp_flow *f)
{
	return opener_is_high(f) ? f->key.low_port : f->key.high_port;
}

/* Are these the two entries of one pair, the pod's and the one that the outside sees? */
static __always_inline int is_pair(const struct sp_flow *pods, __u32 place,
				   const struct sp_flow *outsides)
{
	__u64 state = READ_ONCE(outsides->state);

	if (pods->key.outside || outsides->key.outside != 1 || !state || (state & FLOW_BUSY) ||
	    outsides->key.protocol != pods->key.protocol ||
	    READ_ONCE(outsides->ifindex[!opener_is_high(outsides)]) != place + 1)
		return 0;
	return (other_port(pods) == other_port(outsides) || is_icmp(pods->key.protocol)) &&
	       same_address(other_address(pods), other_address(outsides));
}

/* They live alike. */
static __always_inline void keep_alike(struct sp_flow *f, __u64 of, __u32 now)
{
	__u64 state = READ_ONCE(f->state);

	if ((state ^ of) & FLOW_LIFE)
		__sync_val_compare_and_swap(&f->state, state,
					    (state & ~(__u64)FLOW_LIFE) | (of & FLOW_LIFE));
	if (READ_ONCE(f->seen) != now)
		WRITE_ONCE(f->seen, now);
}

/* The egress IP that the flow leaves with, now; minus a reason. */
static __always_inline __s64 choose_egress(const struct sp_flow *f, __u32 generation)
{
	struct sp_endpoint *e;
	__u32 place, number;

	e = endpoint_find(READ_ONCE(f->ifindex[opener_is_high(f)]), &place);
	if (!e)
		return -SP_DROP_CLOSED;
	number = pin_target(endpoint_pins(e, generation & 1), other_address(f));
	if (!number)
		return -SP_DROP_OTHER_ADDRESS;
	return number == SP_PIN_NOWHERE ? -SP_DROP_NO_EGRESS_IP : (__s64)number;
}

/* A port for a flow that has none; the place of its other entry, or minus a reason. */
static __always_inline __s64 new_partner(const struct sp_flow *f, __u32 pinned, __u32 number,
					 __u32 now)
{
	struct sp_egress_ip *e = egress_ip_at(number);
	const struct sp_flow *outsides;
	struct wanted w = {};
	__u32 place;

	if (!e)
		return -SP_DROP_NO_EGRESS_IP;
	w.egress = e->address;
	w.remote = *other_address(f);
	w.remote_port = other_port(f);
	w.own_port = bpf_ntohs(opener_port(f));
	w.protocol = f->key.protocol;
	w.number = number;
	w.place = pinned & PINNED_PLACE;
	w.owner = READ_ONCE(f->ifindex[opener_is_high(f)]);
	w.flags = READ_ONCE(f->state) & FLOW_LIFE;
	w.now = now;
	place = give_port(&w, e);
	if (place == PORT_TAKEN)
		return -SP_DROP_NO_PORT;
	/* A weak flow makes place for others, and the other entry may have had the pod's one out. */
	outsides = flow_at(place);
	return outsides && is_pair(f, w.place, outsides) ? (__s64)place : -SP_DROP_FLOWS_FULL;
}

/* May packets leave with it now? 0, or a reason. */
static __always_inline __u32 why_not_with(const struct sp_egress_ip *e, __u32 now)
{
	if (!e || !e->address.halves[1])
		return SP_DROP_NO_EGRESS_IP;
	if (!READ_ONCE(e->gateway))
		return SP_DROP_NO_GATEWAY;
	return has_ended(READ_ONCE(e->keep_until), now) ? SP_DROP_NO_PORT : 0;
}

/*
 * Does the flow go on with the port that it has? After a reset it does: a remote that remembers the
 * port's last connection answers the SYN with what the pod resets, forgets it, and takes the next SYN.
 */
static __always_inline int keeps_port(const struct sp_flow *f, __u32 place,
				      const struct sp_flow *outsides, const struct sp_egress_ip *e,
				      __u32 kind)
{
	return outsides && is_pair(f, place, outsides) &&
	       same_address(opener_address(outsides), &e->address) &&
	       !((kind & LEAVING_OPENS) && is_closed(READ_ONCE(outsides->state)));
}

/*
 * The entry that the outside sees of the flow at this place, with the egress IP that it is pinned to
 * now: the one it has, or a new one, but only for what begins a flow. Its place, or minus a reason.
 */
GLOBAL __s64 find_port(__u32 pinned, __u32 kind, __u32 at_ifindex, __u32 generation)
{
	__u32 place = pinned & PINNED_PLACE, now = tick_now(), partner, reason;
	struct sp_flow *f = flow_at(place), *outsides;
	struct sp_pin *pin = pin_at(place);
	struct sp_egress_ip *e;
	__s64 number, found;

	if (!f || !pin)
		return -SP_DROP_INTERNAL;
	if (kind & LEAVING_UNTRANSLATABLE)
		return -SP_DROP_UNTRANSLATABLE;
	number = pinned & PINNED_USUAL ? READ_ONCE(pin->egress) : choose_egress(f, generation);
	/* Until it has a port of what it is pinned to now, the next packet is chosen for again. */
	if (number != READ_ONCE(pin->egress))
		WRITE_ONCE(pin->egress, 0);
	if (number < 0)
		return number;
	e = egress_ip_at((__u32)number);
	reason = why_not_with(e, now);
	if (reason)
		return -(__s64)reason;
	partner = READ_ONCE(pin->partner);
	outsides = flow_at(partner);
	if (keeps_port(f, place, outsides, e, kind)) {
		keep_alike(outsides, READ_ONCE(f->state), now);
		if (READ_ONCE(pin->egress) != (__u32)number)
			WRITE_ONCE(pin->egress, (__u32)number);
		return partner;
	}
	WRITE_ONCE(pin->egress, 0);
	if (!(kind & LEAVING_OPENS))
		return -SP_DROP_OTHER_ADDRESS;
	found = new_partner(f, pinned, (__u32)number, now);
	if (found < 0)
		return found;
	count_opened((__u32)number);
	WRITE_ONCE(pin->ifindex, at_ifindex);
	WRITE_ONCE(pin->egress, (__u32)number);
	WRITE_ONCE(pin->partner, (__u32)found);
	return found;
}

static __always_inline void fill_end(struct end *e, const struct sp_flow *f)
{
	e->address = *opener_address(f);
	e->port = opener_port(f);
}

/* What the packet becomes: the flow's opener as the outside sees it. `back`: the other way round. */
static __always_inline int fill_change(struct change *c, __u32 place, __u32 partner, int back)
{
	struct sp_flow *pods = flow_at(place), *outsides = flow_at(partner);

	if (!pods || !outsides)
		return -1;
	fill_end(&c->from, back ? outsides : pods);
	fill_end(&c->to, back ? pods : outsides);
	c->is_source = !back;
	return 0;
}

/* As it is to go on. 0, or minus a reason. */
static __always_inline int change_packet(struct __sk_buff *ctx, const struct packet *p,
					 struct change *c, __u32 mtu)
{
	struct packet quoted = {};

	if (p->kind == PACKET_ICMP_ERROR) {
		if (parse_quoted(ctx, p, &quoted) != PACKET_TRANSPORT ||
		    translate_error(ctx, p, &quoted, c, ETH_HLEN))
			return -SP_DROP_UNTRANSLATABLE;
		return 0;
	}
	if (p->opening || p->answering)
		clamp_mss(ctx, p, mtu);
	return translate(ctx, p, c, ETH_HLEN) ? -SP_DROP_UNTRANSLATABLE : 0;
}

/*
 * A usual packet, TCP or UDP right behind a plain IP header and opening nothing, becomes what it is
 * to go on as: what it is says its flow. 0, or minus a reason.
 */
GLOBAL int change_usual(struct __sk_buff *ctx, __u32 place, __u32 partner, int back)
{
	struct sp_flow *f = flow_at(place);
	struct change change = {};
	struct packet p = {};

	if (!f || fill_change(&change, place, partner, back))
		return -SP_DROP_INTERNAL;
	p.kind = PACKET_TRANSPORT;
	p.protocol = f->key.protocol;
	p.l4 = ETH_HLEN +
	       (is_v4(&change.from.address) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	return translate(ctx, &p, &change, ETH_HLEN) ? -SP_DROP_UNTRANSLATABLE : 0;
}

/* Translated, to the gateway or out of this node. */
GLOBAL int send_on(struct __sk_buff *ctx, __u32 number, const struct sp_address *to, __u32 protocol)
{
	struct sp_egress_ip *e = egress_ip_at(number);
	__u32 gateway = e ? READ_ONCE(e->gateway) : 0;

	if (!gateway)
		return -SP_DROP_NO_GATEWAY;
	if (gateway != SP_NODE_SELF)
		return send_to_node(ctx, gateway);
	count_egress(number, 0, ctx->len);
	return send_outside(ctx, number, to, protocol);
}

/* Does a usual packet of the flow at this place fit into the tunnel? */
static __always_inline int fits_tunnel(struct __sk_buff *ctx, __u32 place)
{
	struct sp_flow *f = flow_at(place);
	struct sp_tunnel *t = tunnel_word();

	return f && t && surely_fits(ctx, f->key.protocol, READ_ONCE(t->mtu));
}

/* The same as leave_any(), for a usual packet that fits. */
GLOBAL int leave_usual(struct __sk_buff *ctx, __u32 place, __u32 partner)
{
	int failed = change_usual(ctx, place, partner, 0);
	struct sp_pin *pin = pin_at(place);
	struct sp_flow *f = flow_at(place);
	struct sp_address to;

	if (failed || !pin || !f)
		return failed ? failed : -SP_DROP_INTERNAL;
	to = *other_address(f);
	return send_on(ctx, READ_ONCE(pin->egress), &to, f->key.protocol);
}

/* Translates the packet and sends it on. An action, or minus a reason. */
GLOBAL int leave_any(struct __sk_buff *ctx, __u32 place, __u32 partner)
{
	struct sp_pin *pin = pin_at(place);
	struct sp_tunnel *t = tunnel_word();
	__u32 number = pin ? READ_ONCE(pin->egress) : 0;
	struct sp_egress_ip *e = egress_ip_at(number);
	struct change change = {};
	struct packet p = {};
	int verdict;

	if (!t || !READ_ONCE(t->mtu) || !e || !READ_ONCE(e->gateway))
		return -SP_DROP_NO_GATEWAY;
	parse_packet(ctx, &p, ETH_HLEN);
	if (fill_change(&change, place, partner, 0))
		return -SP_DROP_INTERNAL;
	if (is_too_big(ctx, &p, READ_ONCE(t->mtu)))
		return answer_too_big(ctx, &p, READ_ONCE(t->mtu));
	verdict = change_packet(ctx, &p, &change, READ_ONCE(t->mtu));
	if (verdict < 0)
		return verdict;
	return send_on(ctx, number, &p.destination, p.protocol);
}

GLOBAL int leave(struct __sk_buff *ctx, __u32 place, __u32 partner, __u32 pinned)
{
	return (pinned & PINNED_USUAL) && fits_tunnel(ctx, place) ? leave_usual(ctx, place, partner)
								  : leave_any(ctx, place, partner);
}

GLOBAL int refuse_pinned(struct __sk_buff *ctx, __u32 place, __u32 generation, __u32 reason)
{
	struct sp_flow *f = flow_at(place);
	struct packet p = {};
	struct judge j = {};

	j.direction = SP_EGRESS;
	j.generation = generation;
	j.ifindex = f ? READ_ONCE(f->ifindex[opener_is_high(f)]) : 0;
	j.place = endpoint_place(j.ifindex);
	parse_packet(ctx, &p, ETH_HLEN);
	return report_drop(ctx, &p, &j, reason);
}

static __always_inline void count_leaving(struct __sk_buff *ctx, __u32 place, __u64 length)
{
	struct sp_flow *f = flow_at(place);
	__u32 at = endpoint_place(f ? READ_ONCE(f->ifindex[opener_is_high(f)]) : 0);
	struct sp_counters *c = bpf_map_lookup_elem(&counters, &at);

	if (!c)
		return;
	c->packets[SP_EGRESS]++;
	c->bytes[SP_EGRESS] += length;
}

/* A packet of a pinned flow leaves, at the pod's interface or at one of the node's. */
static __always_inline int pin_out(struct __sk_buff *ctx, __u32 pinned, __u32 generation)
{
	__u32 place = pinned & PINNED_PLACE, kind;
	struct sp_pin *pin = pin_at(place);
	__u64 length = ctx->len;
	__s64 found;

	if (!pin || !READ_ONCE(pin->egress))
		pinned &= ~PINNED_USUAL; /* it has no port yet */
	kind = pinned & PINNED_USUAL ? 0 : leaving_kind(ctx);
	found = find_port(pinned, kind, ctx->ifindex, generation);
	if (found >= 0)
		found = leave(ctx, place, (__u32)found, pinned);
	if (found < 0)
		return refuse_pinned(ctx, place, generation, (__u32)-found);
	count_leaving(ctx, place, length);
	return (int)found;
}

#endif
