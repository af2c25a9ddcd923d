/* SPDX-License-Identifier: GPL-2.0-only */
/* What is known while one packet is judged at one interface. */
#ifndef SALLYPORT_LIB_CONTEXT_H
#define SALLYPORT_LIB_CONTEXT_H

#include "endpoint.h"
#include "flow.h"
#include "peer.h"
#include "report.h"

/* Without pointers, for GLOBAL functions. */
struct context {
	struct packet packet;
	struct judge judge;
	struct flow_ref ref;
	/* In "endpoints", one past the end for none. */
	__u32 endpoint; /* none: closed */
	__u32 other;    /* the opener, where a flow is judged for both ends */
	__u32 tag;      /* at pod_ingress, and of what has no mark: as sent_through() says */
	__u32 now;
	__u16 half;
	__u8 at_node;     /* judged for its sender on an interface of the node's */
	__u8 established; /* of a connection that may stay for those who ask for that */
};

static __always_inline void begin(struct context *c, __u32 direction, __u32 generation, __u32 now)
{
	/* Before 6.3 the verifier takes no pointer to what was not written. */
	__builtin_memset(c, 0, sizeof(*c));
	c->judge.direction = direction;
	c->judge.generation = generation;
	c->endpoint = config.endpoint_mask + 1;
	c->other = config.endpoint_mask + 1;
	c->now = now;
	c->half = generation & 1;
}

static __always_inline const struct sp_address *seen_address(const struct context *c)
{
	return c->judge.direction == SP_EGRESS ? &c->packet.destination : &c->packet.source;
}

/* Of the other end: its own, if it is known, whatever the node wrote into the packet. */
static __always_inline const struct sp_address *peer_address(const struct context *c)
{
	struct sp_endpoint *other = endpoint_at(c->other);

	return other ? &other->address[is_v4(seen_address(c)) ? 0 : 1] : seen_address(c);
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

static __always_inline int own_has(const struct context *c, const struct sp_address *a)
{
	struct sp_endpoint *e = endpoint_at(c->endpoint);

	return e && endpoint_has(e, a);
}

/* Of no endpoint: has no rules, so all is denied. */
#define SET_OF_NONE SP_SET_FULL

/* 0: not isolated, so policy has no say. */
static __always_inline __u32 own_set(const struct context *c, __u32 direction)
{
	struct sp_endpoint *e = endpoint_at(c->endpoint);

	return e ? endpoint_set(e, c->half, direction) : SET_OF_NONE;
}

static __always_inline int is_open(const struct context *c)
{
	struct sp_endpoint *e = endpoint_at(c->endpoint);

	return e && (endpoint_flags(e, c->half) & SP_ENDPOINT_OPEN);
}

/* What cannot be judged by ports passes only where nothing is to be judged, nor pinned. */
static __always_inline int unless_isolated(struct context *c, int verdict)
{
	struct sp_endpoint *e = endpoint_at(c->endpoint);

	c->judge.set = own_set(c, c->judge.direction);
	if (c->judge.direction == SP_EGRESS && e &&
	    endpoint_flags(e, c->half) >> SP_ENDPOINT_PINS_SHIFT)
		return verdict;
	return c->judge.set ? verdict : SP_PASS;
}

#endif
