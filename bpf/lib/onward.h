/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From the programs on the hooks, which deal with usual packets, to the one that deals with all
 * others: long_way. It is one program for all hooks, so the kernel verifies it once. What it has to
 * know goes along in the packet's cb[], which is the hooks' to use (include/net/sch_generic.h,
 * struct qdisc_skb_cb).
 *
 * Who leads there calls no function of its own: not every kernel lets a program do both.
 */
#ifndef SALLYPORT_LIB_ONWARD_H
#define SALLYPORT_LIB_ONWARD_H

#include "config.h"

int long_way(struct __sk_buff *ctx);

/* The kernel empties it when nobody holds it open or pinned: agent/dataplane/program_pins.h. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} ways SEC(".maps") = {
	.values = {(void *)&long_way},
};

/* What is to be done there, and what `with` and `more` are. */
enum way {
	WAY_POD,    /* judge at a pod's interface */
	WAY_DENIED, /* the same, but its endpoint may just deny it */
	WAY_NODE, /* judge at an interface of the node's; with = the length of the frame's header */
	WAY_PINNED,       /* translate and send on; with = what pinned_action() says */
	WAY_FROM_OUTSIDE, /* to the egress IP of number `with`; more = USUAL_END() or 0 */
	WAY_FROM_TUNNEL,
};

/* 16 bits of port, 8 of protocol, and one that is always set. */
#define USUAL_END(port, protocol) (1u << 24 | (__u32)(protocol) << 16 | bpf_ntohs(port))

static __always_inline int onward(struct __sk_buff *ctx, enum way way, __u32 direction,
				  __u32 generation, __u32 with, __u32 more)
{
	ctx->cb[0] = way << 1 | direction;
	ctx->cb[1] = generation;
	ctx->cb[2] = with;
	ctx->cb[3] = more;
	bpf_tail_call(ctx, &ways, 0);
	return TC_ACT_SHOT;
}

#endif
