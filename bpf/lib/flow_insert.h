/* SPDX-License-Identifier: GPL-2.0-only */
/* A place for a new flow: how full its buckets are, who may have one, and one entry for each flow. */
#ifndef SALLYPORT_LIB_FLOW_INSERT_H
#define SALLYPORT_LIB_FLOW_INSERT_H

#include "flow.h"

/*
 * How full a bucket is: places used, a free one (SP_FLOW_WAYS: none), and how many `owner` holds
 * (0 if it was not worth looking), as bytes of one word.
 */
#define USE_USED(use) ((use)&0xff)
#define USE_FREE(use) ((use) >> 8 & 0xff)
#define USE_OWNED(use) ((use) >> 16 & 0xff)
#define USE(used, free, owned) ((used) | (free) << 8 | (owned) << 16)

/* Looks at each flow of a bucket and takes the dead ones out. For buckets that are nearly full. */
GLOBAL __u32 bucket_sweep(__u32 bucket, __u32 owner, __u32 now, __u32 skip)
{
	struct sp_flow_bucket *b = bpf_map_lookup_elem(&flows, &bucket);
	__u32 used = 0, free = SP_FLOW_WAYS, owned = 0;

	if (!b)
		return USE(SP_FLOW_WAYS, free, owned);
	for (__u32 i = 0; i < SP_FLOW_WAYS; i++) {
		struct sp_flow *f = &b->flow[i];
		__u64 state = READ_ONCE(f->state);

		if (state && state != FLOW_BUSY &&
		    is_past(READ_ONCE(f->seen), flow_life(state, f->key.protocol), now) &&
		    free_place(b, i, state))
			state = 0;
		if (state == 0) {
			if (skip)
				skip--;
			else
				free = i;
			continue;
		}
		used++;
		owned += READ_ONCE(f->owner) == owner;
	}
	return USE(used, free, owned);
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

	if (!b || way >= SP_FLOW_WAYS)
		return 0;
	f = &b->flow[way];
	if (__sync_val_compare_and_swap(&f->state, 0, FLOW_BUSY) != 0)
		return 0;
	f->key = ref->key;
	WRITE_ONCE(b->tag[way], ref->tag);
	flow_write(f, ref, new);
	return 1;
}

/*
 * A place for a new flow: in its first bucket, or in the emptier one if that is nearly full. Of a
 * bucket that is nearly full, one owner's flows get at most SP_FLOW_SHARE places: who floods the
 * table fills only its own share.
 */
GLOBAL int flow_insert(const struct flow_ref *ref, const struct flow_new *new)
{
	if (!ref || !new)
		return -SP_DROP_FLOWS_FULL;
	/* Another try, another place: someone else is filling the first one. */
	for (__u32 try = 0; try < 3; try++) {
		__u32 bucket = ref->bucket[0];
		__u32 use = bucket_count(bucket, flow_home(ref->tag), try), other;

		if (USE_USED(use) >= SP_FLOW_SHARE) {
			other = bucket_count(ref->bucket[1], flow_home(ref->tag), try);
			if (USE_USED(other) >= SP_FLOW_SHARE) {
				use = bucket_sweep(bucket, new->owner, new->now, try);
				other = bucket_sweep(ref->bucket[1], new->owner, new->now, try);
			}
			if (USE_USED(other) < USE_USED(use)) {
				set_overflowed(bucket);
				use = other;
				bucket = ref->bucket[1];
			}
		}
		if (USE_FREE(use) >= SP_FLOW_WAYS || USE_OWNED(use) >= SP_FLOW_SHARE)
			return -SP_DROP_FLOWS_FULL;
		if (flow_fill(bucket, USE_FREE(use), ref, new))
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
