/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who sent it: what a packet that left an endpoint carries through the node, whatever the node makes
 * of its addresses, and what it is worth where it leaves the node or reaches another endpoint.
 *
 * In skb->tc_index, which takes no bits of anybody's mark, and which routing, translation, bridging
 * and fragmentation within a network namespace keep. A pod may write there too, inside: pod_egress
 * overwrites it on every packet, and without config.mark it says nothing.
 */
#ifndef SALLYPORT_LIB_SENDER_H
#define SALLYPORT_LIB_SENDER_H

#include "endpoint.h"

/* The kernel copies tc_classid over tc_index when a later program of somebody else says TC_ACT_OK. */
static __always_inline void tag_packet(struct __sk_buff *ctx, __u32 tag)
{
	ctx->tc_index = tag;
	ctx->tc_classid = tag;
}

/* `place`: as endpoint_find() says. */
static __always_inline __u32 sender_tag(__u32 place)
{
	return place <= config.endpoint_mask ? place + 1 : SP_TAG_CLOSED;
}

static __always_inline int left_endpoint(struct __sk_buff *ctx)
{
	return !!(ctx->mark & config.mark);
}

/*
 * The open endpoint that a packet that left one left. NULL: closed, by now or from the start, or it
 * does not say.
 */
static __always_inline struct sp_endpoint *sender_find(__u32 tag, __u32 half, __u32 *place)
{
	__u32 at = (tag & SP_TAG_SENDER) - 1;
	struct sp_endpoint *e;

	*place = config.endpoint_mask + 1;
	if (at > config.endpoint_mask)
		return NULL;
	e = bpf_map_lookup_elem(&endpoints, &at);
	if (!e || !READ_ONCE(e->ifindex) || !(READ_ONCE(e->flags[half & 1]) & SP_ENDPOINT_OPEN))
		return NULL;
	*place = at;
	return e;
}

/* In what sent_through() says, beside what the packet carries. */
#define TAG_LEFT 0x10000u /* it left an endpoint */
#define TAG_UNMARKED \
	0x20000u /* that is known from where it came in; pod_egress has not let it out */

/* Of a packet that came in through an interface: is that one a pod's, and is it without the mark? */
static __always_inline int is_unmarked(struct __sk_buff *ctx)
{
	return ctx->ingress_ifindex && !left_endpoint(ctx) && is_guarded(ctx->ingress_ifindex);
}

/*
 * The tag of a packet that left an endpoint, 0 for others. Where the packet has none, the interface
 * that it came in through names the sender: somebody has taken the mark off, or a pod has made the
 * kernel skip pod_egress (what was redirected to an ifb device is not classified again). A bridge
 * hides that interface from who is routed on.
 */
GLOBAL __u32 sent_through(struct __sk_buff *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex, place;

	if (left_endpoint(ctx))
		return TAG_LEFT | (ctx->tc_index & (SP_TAG_SENDER | SP_TAG_UNJUDGED));
	if (!ifindex)
		return 0;
	place = endpoint_place(ifindex);
	if (place > config.endpoint_mask && !is_guarded(ifindex))
		return 0;
	return TAG_LEFT | TAG_UNMARKED | SP_TAG_UNJUDGED | sender_tag(place);
}

#endif
