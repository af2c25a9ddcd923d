/* SPDX-License-Identifier: GPL-2.0-only */
/* The one way out: verdict to action, counter and, for drops, a rate-limited event. */
#ifndef SALLYPORT_LIB_REPORT_H
#define SALLYPORT_LIB_REPORT_H

#include "endpoint.h"
#include "packet.h"
#include "sender.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SP_ENDPOINTS + 1);
	__type(key, __u32);
	__type(value, struct sp_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SP_EVENTS_BYTES);
} events SEC(".maps");

/* Who denies: the endpoint of the interface, or the other end for a packet judged for both. */
struct judge {
	__u32 place; /* in "endpoints", for counters */
	__u32 ifindex;
	__u32 direction; /* enum sp_direction */
	__u32 set;
	__u32 generation;
	__u32 hand_over; /* SP_DIRECT: ifindex to hand the packet to */
	__u32 unjudged;  /* SP_TAG_UNJUDGED or 0: what a packet that leaves the endpoint carries */
};

static __always_inline void count_pass(struct __sk_buff *ctx, __u32 direction,
				       struct sp_counters *c)
{
	if (!c)
		return;
	c->packets[direction & 1]++;
	c->bytes[direction & 1] += ctx->len;
}

static __always_inline void send_event(struct __sk_buff *ctx, const struct packet *p,
				       const struct judge *j, struct sp_counters *c, __u32 reason)
{
	struct sp_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		c->events_suppressed++;
		return;
	}
	e->time_ns = bpf_ktime_get_coarse_ns();
	e->ifindex = ctx->ifindex;
	e->endpoint = j->ifindex;
	e->generation = j->generation;
	e->length = ctx->len > 0xffff ? 0xffff : (__u16)ctx->len;
	e->reason = (__u8)reason;
	e->direction = (__u8)j->direction;
	e->source = p->source;
	e->destination = p->destination;
	e->source_port = p->source_port;
	e->destination_port = p->destination_port;
	e->protocol = p->protocol;
	e->icmp_type = p->icmp_type;
	e->ethertype = (__be16)ctx->protocol;
	e->set = j->set;
	e->suppressed =
		c->events_suppressed > 0xffffffff ? 0xffffffff : (__u32)c->events_suppressed;
	bpf_ringbuf_submit(e, 0);
}

/* Is this endpoint's share of events for this tick used up? */
static __always_inline int events_are_spent(const struct sp_counters *c, __u32 now)
{
	return c->event_tick == now && c->event_count >= config.events_per_tick;
}

static __always_inline void count_drop(struct sp_counters *c, __u32 direction, __u32 reason)
{
	c->dropped[direction & 1][reason & (SP_DROP_SLOTS - 1)]++;
}

GLOBAL int report_drop(struct __sk_buff *ctx, const struct packet *p, const struct judge *j,
		       __u32 reason)
{
	struct sp_counters *c;
	__u32 now = tick_now(), place;

	if (!p || !j)
		return TC_ACT_SHOT;
	place = j->place; /* a key is the caller's memory only since 6.2 */
	c = bpf_map_lookup_elem(&counters, &place);
	if (!c)
		return TC_ACT_SHOT;
	count_drop(c, j->direction, reason);
	if (c->event_tick != now) {
		c->event_tick = now;
		c->event_count = 0;
	}
	if (events_are_spent(c, now)) {
		c->events_suppressed++;
		return TC_ACT_SHOT;
	}
	c->event_count++;
	send_event(ctx, p, j, c, reason);
	return TC_ACT_SHOT;
}

/*
 * PACKET_HOST: on a bridge the frame is addressed to the other pod's own interface, and would be
 * taken for someone else's there.
 */
static __always_inline int hand_over(struct __sk_buff *ctx, __u32 ifindex)
{
	if (ctx->pkt_type != 0 && bpf_skb_change_type(ctx, 0))
		return TC_ACT_SHOT;
	return (int)bpf_redirect_peer(ifindex, 0);
}

/* `tag`: of a packet that leaves an endpoint. */
static __always_inline int report_pass(struct __sk_buff *ctx, int verdict, __u32 direction,
				       struct sp_counters *c, __u32 other, __u32 tag)
{
	count_pass(ctx, direction, c);
	if (verdict == SP_DIRECT)
		return hand_over(ctx, other);
	if (direction == SP_EGRESS) {
		ctx->mark |= config.mark;
		tag_packet(ctx, tag);
	}
	return TC_ACT_UNSPEC;
}

static __always_inline int report(struct __sk_buff *ctx, const struct packet *p, int verdict,
				  const struct judge *j)
{
	if (verdict < 0)
		return report_drop(ctx, p, j, (__u32)-verdict);
	return report_pass(ctx, verdict, j->direction, bpf_map_lookup_elem(&counters, &j->place),
			   j->hand_over, sender_tag(j->place) | j->unjudged);
}

#endif
