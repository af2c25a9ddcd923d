/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A port of an egress IP for a flow: the flow as the outside sees it gets an entry of its own in
 * "flows", and that is what makes a port somebody's: the same port serves many remotes, and two flows
 * to one remote never have the same.
 *
 * The entry lives as long as a remote may believe in the connection, by the same rules as any flow.
 * Ports are tried in turn, so the next one is the one that was given longest ago.
 */
#ifndef SALLYPORT_LIB_PORTS_H
#define SALLYPORT_LIB_PORTS_H

#include "egress.h"
#include "flow.h"
#include "flow_insert.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SP_FLOW_BUCKETS);
	__type(key, __u32);
	__type(value, struct sp_pin_bucket);
} pins SEC(".maps");

static __always_inline struct sp_pin *pin_at(__u32 place)
{
	__u32 bucket = place >> 4, way = place & 15;
	struct sp_pin_bucket *b = bpf_map_lookup_elem(&pins, &bucket);

	return b ? &b->pin[way] : NULL;
}

/* What the two entries of a pair have in common: what says how long they live. */
#define FLOW_LIFE                                                                        \
	(SP_FLOW_ANSWERED | SP_FLOW_CONFIRMED | SP_FLOW_FIN_OPENER | SP_FLOW_FIN_OTHER | \
	 SP_FLOW_RESET)

/* The flow of the pod that this entry belongs to, by its place: noted for the remote's end. */
static __always_inline __u32 noted_partner(const struct flow_ref *ref)
{
	struct sp_flow *f = flow_at(ref->place);

	return f ? READ_ONCE(f->ifindex[ref->source_is_high ? 0 : 1]) - 1 : FLOW_NONE;
}

/* Has one identifier in place of two ports. */
static __always_inline int is_icmp(__u8 protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

/* What a flow wants a port for: to the remote from the egress IP of this number. */
struct wanted {
	struct sp_address egress, remote;
	__be16 remote_port;
	__u8 protocol;
	__u32 number;
	__u32 place; /* of the pod's entry */
	__u32 owner; /* ifindex of the pod's interface */
	__u32 flags; /* FLOW_LIFE, of the pod's entry */
	__u32 now;
	__u16 own_port; /* the pod's, host byte order */
	/* From try_port(): the first that is nobody's any more, but that the remote may remember. */
	__u32 resting;
};

static __always_inline int is_closed(__u64 state)
{
	const __u64 both = SP_FLOW_FIN_OPENER | SP_FLOW_FIN_OTHER;

	return (state & both) == both;
}

/* Over for both sides, but a remote that closed first still remembers it. */
static __always_inline int is_resting(__u64 state)
{
	return is_closed(state) || (state & SP_FLOW_RESET);
}

/* From try_port(): somebody's. */
#define PORT_TAKEN FLOW_NONE
/* There is no place in "flows". */
#define PORT_NO_PLACE 0xfffffffeu
#define IS_PORT(place) ((place) < PORT_NO_PLACE)

/*
 * This port for the flow, if it is nobody's: the place of the entry. `hurried`: also one that a remote
 * may still remember.
 */
GLOBAL __u32 try_port(struct wanted *w, __u32 port, int hurried)
{
	struct flow_ref ref = {};
	struct flow_new new;

	if (!w || !port)
		return PORT_TAKEN;
	ref.source_is_high = (__u8)flow_key(
		&ref.key, &w->egress, &w->remote, bpf_htons((__u16)port),
		is_icmp(w->protocol) ? bpf_htons((__u16)port) : w->remote_port, w->protocol);
	ref.key.outside = 1;
	flow_lookup(&ref, w->now);
	if (ref.alive && noted_partner(&ref) != w->place) {
		if (is_resting(ref.state) && !w->resting)
			w->resting = port;
		if (!is_resting(ref.state) || !hurried)
			return PORT_TAKEN;
	}
	new = (struct flow_new){
		.state = make_state(0, ref.tag,
				    w->flags | SP_FLOW_PINNED |
					    (ref.source_is_high ? SP_FLOW_FROM_HIGH : 0)),
		.source_ifindex = w->owner,
		.destination_ifindex = w->place + 1,
		.owner = w->owner,
		.now = w->now,
	};
	if (ref.place != FLOW_NONE)
		flow_renew(&ref, &new);
	else if (flow_insert(&ref, &new) < 0)
		return PORT_NO_PLACE;
	flow_settle(&ref);
	/* Two processors may have wanted it at once: one entry is left. */
	flow_lookup(&ref, w->now);
	return noted_partner(&ref) == w->place ? ref.place : PORT_TAKEN;
}

/* The port whose turn it is; 0: none. */
GLOBAL __u32 next_port(__u32 number)
{
	struct sp_port_blocks *own = bpf_map_lookup_elem(&port_blocks, &number);
	struct sp_egress_ip *e = egress_ip_at(number);
	__u32 blocks, size, first, turn;

	if (!own || !e)
		return 0;
	blocks = READ_ONCE(e->blocks);
	size = READ_ONCE(e->block_ports);
	if (!blocks || !size)
		return 0;
	turn = __sync_fetch_and_add(&e->cursor, 1);
	turn = (__u32)((__u64)(turn % (blocks * size)) * SP_PORT_STRIDE % (blocks * size));
	first = READ_ONCE(own->first[(turn / size) % SP_PORT_GROUPS]);
	return first ? first + turn % size : 0;
}

/* Is it past a time that is not to come? */
static __always_inline int has_ended(__u32 until, __u32 now)
{
	return until && (__s32)(now - until) > 0;
}

/*
 * Is it a port that this node may give? Of its own: where the compiler knows what a port may be, it
 * leaves out what older verifiers have to be told.
 */
GLOBAL int is_own_port(__u32 number, __u32 port)
{
	__u32 *owner = port_owner(number, port);

	return owner && READ_ONCE(*owner) == SP_NODE_SELF;
}

/* Of the first ports so many may find no place in "flows": each has other buckets. */
#define PLACE_TRIES 4

/*
 * A port for the flow: the pod's own if it is among ours, else the next in turn that is free for this
 * remote; when there is none, of those that rest the one that was given longest ago. The place of the
 * new entry.
 */
static __always_inline __u32 give_port(struct wanted *w, struct sp_egress_ip *e)
{
	__u32 place, number = w->number;

	if (!READ_ONCE(e->blocks) || has_ended(READ_ONCE(e->use_until), w->now))
		return PORT_TAKEN;
	if (is_own_port(number, w->own_port)) {
		place = try_port(w, w->own_port, 0);
		if (IS_PORT(place))
			return place;
		w->resting = 0;
	}
	for (__u32 i = 0; i < SP_PORT_TRIES; i++) {
		place = try_port(w, next_port(number), 0);
		if (IS_PORT(place) || (place == PORT_NO_PLACE && i >= PLACE_TRIES))
			return place;
	}
	place = try_port(w, w->resting, 1);
	if (place != PORT_TAKEN) {
		if (IS_PORT(place))
			__sync_fetch_and_add(&e->hurried, 1);
		return place;
	}
	__sync_fetch_and_add(&e->refused, 1);
	return PORT_TAKEN;
}

#endif
