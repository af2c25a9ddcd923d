/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flows: what was decided for a connection, and under which generation.
 *
 * A two-choice hash table in an array. A flow stands in its first bucket, and at home there, unless
 * that place is taken; in its second bucket only when the first is nearly full, which then says so.
 * A bucket's first line holds the tags of its 15 flows. So a look-up touches one line for a flow at
 * home, two for another or for none. Nothing needs to clean it: a flow that is no longer alive is
 * free, and is taken when its place is needed.
 *
 * A flow's state is one word that carries its tag: read once, replaced by compare-and-exchange, so
 * a reader never acts on another flow's state, and a writer never overwrites one.
 */
#ifndef SALLYPORT_LIB_FLOW_H
#define SALLYPORT_LIB_FLOW_H

#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SP_FLOW_BUCKETS);
	__type(key, __u32);
	__type(value, struct sp_flow_bucket);
} flows SEC(".maps");

/* A place that is being filled: without a tag nobody's, with one its flow's. */
#define FLOW_BUSY 0x8000ULL

/* Where a flow is or would be, and its state as read. */
struct flow_ref {
	struct sp_flow_key key;
	__u64 state;
	__u32 bucket[2];
	__u32 place; /* bucket * 16 + way, or FLOW_NONE */
	__u16 tag;
	__u8 source_is_high;
	__u8 alive;
};
#define FLOW_NONE 0xffffffffu

static __always_inline __u32 state_generation(__u64 state)
{
	return (__u32)(state >> 32);
}

static __always_inline __u64 make_state(__u32 generation, __u16 tag, __u32 flags)
{
	return (__u64)generation << 32 | (__u64)tag << 16 | (flags & 0x7fff);
}

static __always_inline int is_connection(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_SCTP;
}

/*
 * Have both sides shown that they are there? A connection that was only answered may be a spoofed
 * opening's, and a datagram's only answer is the last word of most.
 */
static __always_inline int is_confirmed(__u64 state)
{
	const __u64 both = SP_FLOW_ANSWERED | SP_FLOW_CONFIRMED;

	return (state & both) == both;
}

/* Ticks that a flow lives after its last packet. */
static __always_inline __u32 flow_life(__u64 state, __u8 protocol)
{
	if (state & SP_FLOW_RESET)
		return SP_LIFE_RESET;
	if (!is_connection(protocol)) {
		if (state & SP_FLOW_BRIEF)
			return SP_LIFE_BRIEF;
		if (!(state & SP_FLOW_ANSWERED))
			return SP_LIFE_DATAGRAM;
		return is_confirmed(state) ? SP_LIFE_CONVERSATION : SP_LIFE_ANSWERED_ONCE;
	}
	/* As long as its sides may go on trying: what they send then must not pass for an opening. */
	if (state & SP_FLOW_CUT)
		return state & SP_FLOW_ANSWERED ? SP_LIFE_ESTABLISHED : SP_LIFE_CLOSING;
	if ((state & SP_FLOW_FIN_OPENER) && (state & SP_FLOW_FIN_OTHER))
		return SP_LIFE_CLOSING;
	if (!is_confirmed(state))
		return SP_LIFE_SYN;
	return state & (SP_FLOW_FIN_OPENER | SP_FLOW_FIN_OTHER) ? SP_LIFE_HALF_CLOSED
								: SP_LIFE_ESTABLISHED;
}

/* Ended by both sides, or by one at once: an opening packet starts a new connection. */
static __always_inline int flow_is_over(__u64 state)
{
	return (state & (SP_FLOW_RESET | SP_FLOW_CUT)) ||
	       ((state & SP_FLOW_FIN_OPENER) && (state & SP_FLOW_FIN_OTHER));
}

/* The last word of a key, as it lies in memory. */
static __always_inline __u64 flow_tail(__be16 low_port, __be16 high_port, __u8 protocol)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__u64)protocol << 32 | (__u32)high_port << 16 | low_port;
#else
	return (__u64)low_port << 48 | (__u64)high_port << 32 | (__u32)protocol << 24;
#endif
}

/* Returns whether the source is the high end. Any total order will do. */
static __always_inline int flow_key(struct sp_flow_key *key, const struct sp_address *source,
				    const struct sp_address *destination, __be16 source_port,
				    __be16 destination_port, __u8 protocol)
{
	__u64 s0 = source->halves[0], d0 = destination->halves[0];
	__u64 s1 = source->halves[1], d1 = destination->halves[1];
	int high = s0 != d0 ? s0 > d0 : s1 != d1 ? s1 > d1 : source_port > destination_port;

	key->low.halves[0] = high ? d0 : s0;
	key->low.halves[1] = high ? d1 : s1;
	key->high.halves[0] = high ? s0 : d0;
	key->high.halves[1] = high ? s1 : d1;
	key->tail = high ? flow_tail(destination_port, source_port, protocol)
			 : flow_tail(source_port, destination_port, protocol);
	return high;
}

static __always_inline int same_key(const struct sp_flow_key *a, const struct sp_flow_key *b)
{
	return a->low.halves[1] == b->low.halves[1] && a->high.halves[1] == b->high.halves[1] &&
	       a->tail == b->tail && a->low.halves[0] == b->low.halves[0] &&
	       a->high.halves[0] == b->high.halves[0];
}

/*
 * Of four bits, the compiler would ask whether they are not 15; verifiers before 6.8 learn nothing
 * from that.
 */
#define IS_WAY(way)                   \
	({                            \
		barrier_var(way);     \
		(way) < SP_FLOW_WAYS; \
	})

static __always_inline struct sp_flow *flow_at(__u32 place)
{
	__u32 bucket = place >> 4, way = place & 15;
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);

	return b && IS_WAY(way) ? &b->flow[way] : NULL;
}

/* The flow in this way of the bucket, if it is the one: its state, else 0. */
static __always_inline __u64 flow_here(const struct sp_flow_bucket *b, __u32 way,
				       const struct flow_ref *ref)
{
	__u64 state;

	if (READ_ONCE(b->tag[way]) != ref->tag || !same_key(&b->flow[way].key, &ref->key))
		return 0;
	state = READ_ONCE(b->flow[way].state);
	return (__u16)(state >> 16) == ref->tag ? state : 0;
}

/* The upper bit of each 16-bit lane that holds the tag; now and then of one more, never one less. */
static __always_inline __u64 tag_hits(__u64 lanes, __u64 tags)
{
	__u64 x = lanes ^ tags;

	return (x - 0x0001000100010001ULL) & ~x & 0x8000800080008000ULL;
}

static __always_inline __u16 flow_tag(__u64 hash)
{
	return (__u16)(hash >> 48) | 1;
}

/* The way to prefer. */
static __always_inline __u32 flow_home(__u16 tag)
{
	__u32 way = tag >> 12;

	return IS_WAY(way) ? way : SP_FLOW_WAYS / 2;
}

/* May flows whose first bucket this is stand in their second one? */
static __always_inline int is_overflowed(__u32 bucket)
{
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);

	return b && READ_ONCE(b->overflowed);
}

static __always_inline void set_overflowed(__u32 bucket)
{
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);

	if (b && !READ_ONCE(b->overflowed))
		WRITE_ONCE(b->overflowed, 1);
}

/* At home first, as usual_flow() does: of two entries for a flow, all find the same one. */
static __always_inline __u32 flow_in(__u32 bucket, struct flow_ref *ref)
{
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);
	__u64 tags = ref->tag * 0x0001000100010001ULL;
	__u32 home = flow_home(ref->tag);

	if (!b)
		return FLOW_NONE;
	ref->state = flow_here(b, home, ref);
	if (ref->state)
		return bucket << 4 | home;
#pragma unroll
	for (__u32 i = 0; i < 16; i += 4) {
		if (!tag_hits(READ_ONCE(b->lanes[i / 4]), tags))
			continue;
#pragma unroll
		for (__u32 way = i; way < i + 4 && way < SP_FLOW_WAYS; way++) {
			__u64 state = flow_here(b, way, ref);

			if (state) {
				ref->state = state;
				return bucket << 4 | way;
			}
		}
	}
	return FLOW_NONE;
}

/* Looks `ref->key` up. A flow that is not alive is found too: its place is ours to reuse. */
GLOBAL int flow_lookup(struct flow_ref *ref, __u32 now)
{
	struct sp_flow *f;
	__u64 hash;

	if (!ref)
		return 0;
	hash = sp_hash_flow(config.hash_seed, &ref->key);
	ref->tag = flow_tag(hash);
	ref->bucket[0] = sp_bucket((__u32)hash, config.flow_mask);
	ref->bucket[1] = sp_other_bucket((__u32)hash, config.flow_mask);
	ref->state = 0;
	ref->alive = 0;
	ref->place = flow_in(ref->bucket[0], ref);
	if (ref->place == FLOW_NONE && is_overflowed(ref->bucket[0]))
		ref->place = flow_in(ref->bucket[1], ref);
	if (ref->place == FLOW_NONE)
		return 0;
	f = flow_at(ref->place);
	if (f && !(ref->state & FLOW_BUSY))
		ref->alive =
			!is_past(READ_ONCE(f->seen), flow_life(ref->state, ref->key.protocol), now);
	return 0;
}

static __always_inline void flow_find(struct flow_ref *ref, const struct packet *p, __u32 now)
{
	ref->source_is_high = (__u8)flow_key(&ref->key, &p->source, &p->destination, p->source_port,
					     p->destination_port, p->protocol);
	flow_lookup(ref, now);
}

/* Is the packet from the side that opened the flow? */
static __always_inline int from_opener(const struct flow_ref *ref)
{
	return !!(ref->state & SP_FLOW_FROM_HIGH) == ref->source_is_high;
}

/* A packet of the flow went by. Written once a tick, so that the line stays shared. */
static __always_inline void flow_touch(const struct flow_ref *ref, __u32 now)
{
	struct sp_flow *f = flow_at(ref->place);

	if (f && READ_ONCE(f->seen) != now)
		WRITE_ONCE(f->seen, now);
}

/* Adds flags, also when someone else adds others meanwhile: a FIN or RST is not seen twice. */
static __always_inline void flow_add(struct flow_ref *ref, __u64 flags)
{
	struct sp_flow *f = flow_at(ref->place);

	for (int try = 0; f && try < 2 && (ref->state | flags) != ref->state; try++) {
		__u64 was = __sync_val_compare_and_swap(&f->state, ref->state, ref->state | flags);
		int added = was == ref->state;

		if ((was ^ ref->state) >> 16 || (was & FLOW_BUSY))
			return;
		ref->state = added ? was | flags : was;
	}
}

/* Replaces the state unless someone else has: then the next packet tries again. */
static __always_inline void flow_update(struct flow_ref *ref, __u64 state)
{
	struct sp_flow *f = flow_at(ref->place);

	if (!f || state == ref->state)
		return;
	if (__sync_val_compare_and_swap(&f->state, ref->state, state) == ref->state)
		ref->state = state;
}

/* Is this interface noted for the flow's end that the packet is from, or is for? */
static __always_inline int flow_is_noted(const struct flow_ref *ref, int is_source, __u32 ifindex)
{
	struct sp_flow *f = flow_at(ref->place);

	return f && READ_ONCE(f->ifindex[is_source == ref->source_is_high]) == ifindex;
}

/* Is another interface noted for that end? */
static __always_inline int flow_is_anothers(const struct flow_ref *ref, int is_source,
					    __u32 ifindex)
{
	struct sp_flow *f = flow_at(ref->place);
	__u32 noted = f ? READ_ONCE(f->ifindex[is_source == ref->source_is_high]) : 0;

	return noted && noted != ifindex;
}

/* Notes the interfaces of both ends, 0: not an endpoint here, or not known. */
static __always_inline void flow_note_ends(const struct flow_ref *ref, __u32 source,
					   __u32 destination)
{
	struct sp_flow *f = flow_at(ref->place);
	__u32 high = ref->source_is_high ? source : destination;
	__u32 low = ref->source_is_high ? destination : source;

	if (!f)
		return;
	if (low && READ_ONCE(f->ifindex[0]) != low)
		WRITE_ONCE(f->ifindex[0], low);
	if (high && READ_ONCE(f->ifindex[1]) != high)
		WRITE_ONCE(f->ifindex[1], high);
}

/* Nobody here is noted any more for the end that the packet is from. */
static __always_inline void flow_forget_source(const struct flow_ref *ref)
{
	struct sp_flow *f = flow_at(ref->place);

	if (f)
		WRITE_ONCE(f->ifindex[ref->source_is_high ? 1 : 0], 0);
}

/*
 * Frees a place that still has this state. While its tag goes it is nobody's: who fills it next must
 * not lose theirs. So what is free has no tag.
 */
static __always_inline int free_place(struct sp_flow_bucket *b, __u32 way, __u64 state)
{
	struct sp_flow *f = &b->flow[way];

	if (__sync_val_compare_and_swap(&f->state, state, FLOW_BUSY) != state)
		return 0;
	WRITE_ONCE(b->tag[way], 0);
	__sync_lock_test_and_set(&f->state, 0);
	return 1;
}

/* The flow is no more; its place is free. */
static __always_inline void flow_free(struct flow_ref *ref)
{
	__u32 bucket = ref->place >> 4, way = ref->place & 15;
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);

	if (b && IS_WAY(way))
		free_place(b, way, ref->state);
	ref->place = FLOW_NONE;
	ref->state = 0;
	ref->alive = 0;
}

#endif
