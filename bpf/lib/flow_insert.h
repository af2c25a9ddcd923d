/* SPDX-License-Identifier: GPL-2.0-only */
/* A place for a new flow: how full its buckets are, who may have one, and one entry for each flow. */
#ifndef SALLYPORT_LIB_FLOW_INSERT_H
#define SALLYPORT_LIB_FLOW_INSERT_H

#include "endpoint.h"
#include "flow.h"

/*
 * How full a bucket is: places used, a free one (SP_FLOW_WAYS: none), and how many `owner` holds
 * (0 if it was not worth looking), as bytes of one word.
 */
#define USE_USED(use) ((use)&0xff)
#define USE_FREE(use) ((use) >> 8 & 0xff)
#define USE_OWNED(use) ((use) >> 16 & 0xff)
#define USE(used, free, owned) ((used) | (free) << 8 | (owned) << 16)

/* Is the flow over, or the interface gone whose endpoint it belonged to? */
static __always_inline int is_dead(const struct sp_flow *f, __u64 state, __u32 now)
{
	return is_past(READ_ONCE(f->seen), flow_life(state, f->key.protocol), now) ||
	       endpoint_place(READ_ONCE(f->owner)) > config.endpoint_mask;
}

/* Of a way: is it free, in use, and that by a flow of the owner in question? */
#define WAY_FREE 1
#define WAY_USED 2
#define WAY_OWNED 4

/* Takes the flow out of this way if it is dead. */
GLOBAL __u32 way_sweep(__u32 bucket, __u32 way, __u32 owner, __u32 now)
{
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);
	struct sp_flow *f;
	__u64 state;

	if (!b || !IS_WAY(way))
		return WAY_USED;
	f = &b->flow[way];
	state = READ_ONCE(f->state);
	if (state && !(state & FLOW_BUSY) && is_dead(f, state, now) && free_place(b, way, state))
		state = 0;
	if (state == 0)
		return WAY_FREE;
	return READ_ONCE(f->owner) == owner ? WAY_USED | WAY_OWNED : WAY_USED;
}

/* The first way of a set of them; SP_FLOW_WAYS: of none. */
static __always_inline __u32 first_way(__u32 ways)
{
	ways |= 1 << SP_FLOW_WAYS;
	ways &= -ways;
	return !!(ways & 0xaaaa) | !!(ways & 0xcccc) << 1 | !!(ways & 0xf0f0) << 2 |
	       !!(ways & 0xff00) << 3;
}

/*
 * Looks at each flow of a bucket and takes the dead ones out. For buckets that are nearly full.
 * Without a branch in the loop: the verifier follows each.
 */
GLOBAL __u32 bucket_sweep(__u32 bucket, __u32 owner, __u32 now, __u32 skip)
{
	__u32 used = 0, owned = 0, ways = 0;

	for (__u32 way = 0; way < SP_FLOW_WAYS; way++) {
		__u32 use = way_sweep(bucket, way, owner, now);

		ways |= (use & WAY_FREE) << way;
		used += (use & WAY_USED) / WAY_USED;
		owned += (use & WAY_OWNED) / WAY_OWNED;
	}
	if (skip > 0)
		ways &= ways - 1;
	if (skip > 1)
		ways &= ways - 1;
	return USE(used, first_way(ways), owned);
}

/* May its owner have one more of a bucket? It gets half of what the others leave, rounded up. */
static __always_inline int is_within_share(__u32 use)
{
	return USE_OWNED(use) < (SP_FLOW_WAYS - (USE_USED(use) - USE_OWNED(use)) + 1) / 2;
}

static __always_inline __u32 bucket_owned(const struct sp_flow_bucket *b, __u32 owner)
{
	__u32 owned = 0;

	for (__u32 i = 0; i < SP_FLOW_WAYS; i++)
		owned += READ_ONCE(b->tag[i]) && READ_ONCE(b->flow[i].owner) == owner;
	return owned;
}

/* May it go if its place is needed? Never what both ends use, nor what has to stay cut. */
static __always_inline int is_weak(__u64 state)
{
	return state && !(state & (FLOW_BUSY | SP_FLOW_CUT)) &&
	       ((state & SP_FLOW_RESET) || !is_confirmed(state));
}

/* Both ends have closed it: worth less than a new one of the same owner's. */
static __always_inline int is_spent(__u64 state)
{
	return state && !(state & (FLOW_BUSY | SP_FLOW_CUT)) && flow_is_over(state);
}

/*
 * How good it were to give this way to `owner`, who holds `owned` of the bucket: best if it is
 * weak and theirs, else the more its owner holds, if that is more; then the older it is; last if it
 * is theirs and spent. 0: never.
 */
GLOBAL __u32 way_weakness(__u32 at, __u32 owner, __u32 owned, __u32 now)
{
	__u32 bucket = at >> 4, held = SP_FLOW_WAYS, whose, age;
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);
	struct sp_flow *f = flow_at(at);
	__u64 state;

	if (!b || !f)
		return 0;
	state = READ_ONCE(f->state);
	whose = READ_ONCE(f->owner);
	if (!is_weak(state)) {
		if (whose != owner || !is_spent(state))
			return 0;
		held = 0;
	} else if (whose != owner) {
		held = bucket_owned(b, whose);
		if (held <= owned)
			return 0;
	}
	age = now - READ_ONCE(f->seen);
	return (held & 15) << 16 | (age < 0xff ? age : 0) << 8 | 1 << 4 | (at & 15);
}

/* Takes the flow out of this way if it may go still: the way, or SP_FLOW_WAYS. */
GLOBAL __u32 way_evict(__u32 bucket, __u32 way)
{
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);
	__u64 state;

	if (!b || !IS_WAY(way))
		return SP_FLOW_WAYS;
	state = READ_ONCE(b->flow[way].state);
	return (is_weak(state) || is_spent(state)) && free_place(b, way, state) ? way
										: SP_FLOW_WAYS;
}

/*
 * Makes place for one more flow of `owner` among live ones: a weak flow goes, their own oldest, or
 * else the oldest of who holds most; if there is none, the oldest of theirs that is over. What goes
 * fails closed: its next packet is judged as a first one. The way, or SP_FLOW_WAYS.
 */
GLOBAL __u32 bucket_evict(__u32 bucket, __u32 owner, __u32 now)
{
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);
	__u32 weakest = 0, owned;

	if (!b)
		return SP_FLOW_WAYS;
	owned = bucket_owned(b, owner);
	for (__u32 i = 0; i < SP_FLOW_WAYS; i++) {
		__u32 weakness = way_weakness(bucket << 4 | i, owner, owned, now);

		weakest = weakness > weakest ? weakness : weakest;
	}
	return way_evict(bucket, weakest ? weakest & 15 : SP_FLOW_WAYS);
}

/* By the tags alone: one line. Prefers the place `home`; leaves `skip` free places out. */
GLOBAL __u32 bucket_count(__u32 bucket, __u32 home, __u32 skip)
{
	const __u64 each = 0x0001000100010001ULL; /* a tag is odd */
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);
	__u64 used = 0;

	if (!b)
		return USE(SP_FLOW_WAYS, SP_FLOW_WAYS, 0);
	for (__u32 i = 0; i < 4; i++)
		used += READ_ONCE(b->lanes[i]) & each;
	used = used * each >> 48;
	if (!skip && !READ_ONCE(b->tag[home & 15]))
		return USE((__u32)used, home & 15, 0);
	for (__u32 i = 0; i < SP_FLOW_WAYS; i++) {
		if (READ_ONCE(b->tag[i]))
			continue;
		if (!skip)
			return USE((__u32)used, i, 0);
		skip--;
	}
	return USE((__u32)used, SP_FLOW_WAYS, 0);
}

/* What a new flow is to hold besides its key. */
struct flow_new {
	__u64 state;
	__u32 source_ifindex, destination_ifindex;
	__u32 owner;
	__u32 now;
};

/* Writes what a claimed place is to hold besides its key; the state last, behind a full barrier. */
static __always_inline void flow_write(struct sp_flow *f, const struct flow_ref *ref,
				       const struct flow_new *new)
{
	f->seen = new->now;
	f->ifindex[0] = ref->source_is_high ? new->destination_ifindex : new->source_ifindex;
	f->ifindex[1] = ref->source_is_high ? new->source_ifindex : new->destination_ifindex;
	f->owner = new->owner;
	__sync_lock_test_and_set(&f->state, new->state);
}

/* A flow begins anew where it was. Nothing if someone else was faster: the next packet tries again. */
static __always_inline void flow_renew(const struct flow_ref *ref, const struct flow_new *new)
{
	struct sp_flow *f = flow_at(ref->place);
	__u64 busy = make_state(0, ref->tag, 0) | FLOW_BUSY;

	if (f && !(ref->state & FLOW_BUSY) &&
	    __sync_val_compare_and_swap(&f->state, ref->state, busy) == ref->state)
		flow_write(f, ref, new);
}

/* Fills a free place: claim, key, tag, and the rest. 0 if someone else was faster. */
static __always_inline int flow_fill(__u32 bucket, __u32 way, const struct flow_ref *ref,
				     const struct flow_new *new)
{
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);
	struct sp_flow *f;

	if (!b || !IS_WAY(way))
		return 0;
	f = &b->flow[way];
	if (__sync_val_compare_and_swap(&f->state, 0, FLOW_BUSY) != 0)
		return 0;
	f->key = ref->key;
	WRITE_ONCE(b->tag[way], ref->tag);
	flow_write(f, ref, new);
	return 1;
}

/* From tight_place(): there is room, but not for this owner. FLOW_NONE: there is none. */
#define FLOW_NO_SHARE 0xfffffffeu

/*
 * A place where both buckets are nearly full: of the emptier one, of the other, or that of a weak
 * flow. So who floods the table fills its own share, and what it floods with makes place.
 */
static __always_inline __u32 tight_place(const struct flow_ref *ref, const struct flow_new *new,
					 __u32 skip)
{
	__u32 first = ref->bucket[0], second = ref->bucket[1], way;
	__u32 in_first = bucket_sweep(first, new->owner, new->now, skip);
	__u32 in_second = bucket_sweep(second, new->owner, new->now, skip);

	if (USE_USED(in_second) < USE_USED(in_first)) {
		__u32 use = in_first;

		in_first = in_second;
		in_second = use;
		first = second;
		second = ref->bucket[0];
	}
	if (USE_FREE(in_first) < SP_FLOW_WAYS && is_within_share(in_first))
		return first << 4 | USE_FREE(in_first);
	if (USE_FREE(in_second) < SP_FLOW_WAYS && is_within_share(in_second))
		return second << 4 | USE_FREE(in_second);
	way = bucket_evict(first, new->owner, new->now);
	if (way < SP_FLOW_WAYS)
		return first << 4 | way;
	way = bucket_evict(second, new->owner, new->now);
	if (way < SP_FLOW_WAYS)
		return second << 4 | way;
	return USE_FREE(in_first) < SP_FLOW_WAYS || USE_FREE(in_second) < SP_FLOW_WAYS
		       ? FLOW_NO_SHARE
		       : FLOW_NONE;
}

/* A place for a new flow: in its first bucket, or in the emptier one if that is nearly full. */
GLOBAL int flow_insert(const struct flow_ref *ref, const struct flow_new *new)
{
	if (!ref || !new)
		return -SP_DROP_FLOWS_FULL;
	/* Another try, another place: someone else is filling the first one. */
	for (__u32 try = 0; try < 3; try++) {
		__u32 use = bucket_count(ref->bucket[0], flow_home(ref->tag), try);
		__u32 place = ref->bucket[0] << 4 | USE_FREE(use);

		if (USE_USED(use) >= SP_FLOW_SHARE) {
			use = bucket_count(ref->bucket[1], flow_home(ref->tag), try);
			place = USE_USED(use) < SP_FLOW_SHARE ? ref->bucket[1] << 4 | USE_FREE(use)
							      : tight_place(ref, new, try);
		}
		if (place >= FLOW_NO_SHARE)
			return place == FLOW_NONE ? -SP_DROP_FLOWS_FULL : -SP_DROP_FLOW_SHARE;
		if (place >> 4 != ref->bucket[0])
			set_overflowed(ref->bucket[0]);
		if (flow_fill(place >> 4, place & 15, ref, new))
			return SP_PASS;
	}
	return -SP_DROP_FLOWS_FULL;
}

/* How many tags of a bucket are this one; now and then more, never less. */
static __always_inline __u32 bucket_hits(__u32 bucket, __u16 tag)
{
	const __u64 each = 0x0001000100010001ULL;
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);
	__u64 hits = 0;

	if (!b)
		return 0;
	for (__u32 i = 0; i < 4; i++)
		hits += tag_hits(READ_ONCE(b->lanes[i]), tag * each) >> 15;
	return (__u32)(hits * each >> 48);
}

/* Frees this way of a bucket if it is the flow's and another was found before. Is it the flow's? */
GLOBAL int settle_way(__u32 bucket, __u32 way, const struct flow_ref *ref, int found)
{
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);
	__u64 state;

	if (!b || !ref || way >= SP_FLOW_WAYS)
		return 0;
	state = flow_here(b, way, ref);
	if (state && found && !(state & FLOW_BUSY))
		free_place(b, way, state);
	return !!state;
}

/* Of a flow's entries in this bucket the first that a look-up finds stays, if none did before. */
GLOBAL int bucket_settle(__u32 bucket, const struct flow_ref *ref, int found)
{
	__u32 home;

	if (!ref)
		return found;
	home = flow_home(ref->tag);
	found |= settle_way(bucket, home, ref, found);
	for (__u32 way = 0; way < SP_FLOW_WAYS; way++)
		if (way != home)
			found |= settle_way(bucket, way, ref, found);
	return found;
}

/*
 * After flow_insert(). Two processors may have opened it at once: who fills later sees both
 * entries, and one goes, the same one whoever comes by.
 */
GLOBAL int flow_settle(const struct flow_ref *ref)
{
	__u32 hits;

	if (!ref)
		return 0;
	hits = bucket_hits(ref->bucket[0], ref->tag);

	if (is_overflowed(ref->bucket[0]))
		hits += bucket_hits(ref->bucket[1], ref->tag);
	if (hits > 1)
		bucket_settle(ref->bucket[1], ref, bucket_settle(ref->bucket[0], ref, 0));
	return 0;
}

#endif
