/* SPDX-License-Identifier: GPL-2.0-only */
/* Of what E opens: what is judged further on, where the node sends it on, and what is pinned. */
#ifndef SALLYPORT_LIB_ELSEWHERE_H
#define SALLYPORT_LIB_ELSEWHERE_H

#include "context.h"
#include "egress.h"
#include "flow.h"

/*
 * An established connection that was left to be judged further on stays so, as long as anything is:
 * it may be translated still when its Service is no more.
 */
GLOBAL int stays_deferred(const struct flow_ref *ref, __u32 half)
{
	const __u32 established = SP_FLOW_DEFERRED | SP_FLOW_ANSWERED;
	__u32 zero = 0;
	struct sp_control *word = bpf_map_lookup_elem(&control, &zero);

	return ref && word && READ_ONCE(word->deferring[half & 1]) && ref->alive &&
	       is_connection(ref->key.protocol) &&
	       (ref->state & (established | SP_FLOW_CUT)) == established;
}

/*
 * At E's own interface: what E opens to its node or to a Service is judged when the node has
 * translated it, or delivered. Whatever else may be translated is judged here and there, for an E
 * that is isolated, or pinned to egress IPs.
 */
static __always_inline __u32 deferral(const struct context *c, const struct sp_endpoint *own,
				      __u64 peer)
{
	if (c->at_node)
		return 0;
	if (peer_is_node(peer) || peer_is_service(peer) ||
	    (!peer_is_pod(peer) && stays_deferred(&c->ref, c->half)))
		return SP_FLOW_CARRIED | SP_FLOW_DEFERRED;
	return (c->judge.set || endpoint_pins(own, c->half)) && !peer_is_pod(peer) ? SP_FLOW_CARRIED
										   : 0;
}

/* Does what E opens to this peer leave through an egress IP? Never to who is of the cluster. */
static __always_inline int is_pinned(const struct context *c, const struct sp_endpoint *own,
				     __u64 peer)
{
	__u32 pins = endpoint_pins(own, c->half);

	return pins && !peer_is_pod(peer) && !peer_is_any_node(peer) && !peer_is_service(peer) &&
	       pin_target(pins, peer_address(c));
}

#endif
