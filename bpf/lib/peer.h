/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Peers: from an address to its identity.
 *
 * 1. the address itself, if it is known (pods, this node);
 * 2. the longest prefix that covers it (ipBlocks);
 * 3. none: identity 0.
 */
#ifndef SALLYPORT_LIB_PEER_H
#define SALLYPORT_LIB_PEER_H

#include "config.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SP_PEER_BUCKETS);
	__type(key, __u32);
	__type(value, struct sp_peer_bucket);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SP_TRIE_NODES);
	__type(key, __u32);
	__type(value, struct sp_trie_node);
} prefixes SEC(".maps");

/*
 * What is known of an address, in one word: identity, SP_PEER_NODE, SP_PEER_OTHER_NODE,
 * SP_PEER_SERVICE, SP_PEER_ENDPOINT (here: known to be a pod's, on whatever node), and from bit 32 on
 * the ifindex of a local endpoint that may have it (0: none).
 */
static __always_inline __u32 peer_identity(__u64 peer)
{
	return peer & SP_PEER_IDENTITY;
}

static __always_inline int peer_is_node(__u64 peer)
{
	return !!(peer & SP_PEER_NODE);
}

static __always_inline int peer_is_any_node(__u64 peer)
{
	return !!(peer & (SP_PEER_NODE | SP_PEER_OTHER_NODE));
}

static __always_inline int peer_is_service(__u64 peer)
{
	return !!(peer & SP_PEER_SERVICE);
}

static __always_inline int peer_is_pod(__u64 peer)
{
	return !!(peer & SP_PEER_ENDPOINT);
}

static __always_inline __u32 peer_ifindex(__u64 peer)
{
	return peer >> 32;
}

/* A place that is empty in this half holds nothing, whatever its address says. */
static __always_inline struct sp_peer *peer_in(__u32 bucket, const struct sp_address *address,
					       __u32 half)
{
	struct sp_peer_bucket *b = bpf_map_lookup_elem(&peers, &bucket);

	if (!b)
		return NULL;
#pragma unroll
	for (int i = 0; i < SP_PEER_WAYS; i++)
		if (same_address(&b->peer[i].address, address) &&
		    READ_ONCE(b->peer[i].identity[half & 1]))
			return &b->peer[i];
	return NULL;
}

/* Each step takes the next four bits of the address. */
static __always_inline __u32 prefix_identity(const struct sp_address *address, __u32 half)
{
	__u32 zero = 0, v4 = is_v4(address), slot;
	__u64 high = bpf_be64_to_cpu(address->halves[0]), low = bpf_be64_to_cpu(address->halves[1]);
	struct sp_control *c = bpf_map_lookup_elem(&control, &zero);

	if (!c)
		return 0;
	slot = READ_ONCE(c->trie[half & 1][v4 ? 0 : 1]);
	if (v4)
		high = low << 32;
	for (int i = 0; i < 32; i++) {
		struct sp_trie_node *node;
		__u32 index = slot & ~SP_TRIE_NODE;

		if (!(slot & SP_TRIE_NODE))
			return slot;
		node = bpf_map_lookup_elem(&prefixes, &index);
		if (!node)
			return 0;
		slot = READ_ONCE(node->slot[high >> 60]);
		high = high << 4 | low >> 60;
		low <<= 4;
	}
	return slot & SP_TRIE_NODE ? 0 : slot;
}

GLOBAL __u64 peer_find(const struct sp_address *address, __u32 half)
{
	struct sp_peer *p;
	__u32 hash, word = 0, identity;
	__u64 ifindex = 0;

	if (!address)
		return 0;
	hash = sp_hash_peer(config.hash_seed, address);
	p = peer_in(sp_bucket(hash, config.peer_mask), address, half);
	if (!p)
		p = peer_in(sp_other_bucket(hash, config.peer_mask), address, half);
	if (p) {
		word = READ_ONCE(p->identity[half & 1]);
		if (word & SP_PEER_ENDPOINT)
			ifindex = READ_ONCE(p->ifindex);
	}
	identity = word & SP_PEER_IDENTITY;
	if (identity && !(word & SP_PEER_OTHER_NODE))
		word |= SP_PEER_ENDPOINT;
	if (identity == SP_PEER_NONE)
		identity = 0;
	else if (identity == 0)
		identity = prefix_identity(address, half) & SP_PEER_IDENTITY;
	return ifindex << 32 | (word & ~SP_PEER_IDENTITY) | identity;
}

#endif
