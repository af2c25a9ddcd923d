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

/*
 * Did it come in through the interface of an endpoint that is closed, or isolated for egress, and
 * has somebody taken the mark off since? A bridge hides that: there it came in through the bridge.
 * And nobody marks before the programs are there: at the first start policy is in force before.
 */
GLOBAL int lost_its_tag(struct __sk_buff *ctx, __u32 half)
{
	struct sp_endpoint *e;
	__u32 place;

	if (!ctx->ingress_ifindex || left_endpoint(ctx))
		return 0;
	e = endpoint_find(ctx->ingress_ifindex, &place);
	return e && READ_ONCE(e->seen) &&
	       (!(READ_ONCE(e->flags[half & 1]) & SP_ENDPOINT_OPEN) ||
		READ_ONCE(e->set[half & 1][SP_EGRESS]));
}

#endif
