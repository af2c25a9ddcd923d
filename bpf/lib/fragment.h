/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fragments: later ones share the fate of the first, because they are judged as packets of its flow.
 * Only allowed first ones are remembered.
 */
#ifndef SALLYPORT_LIB_FRAGMENT_H
#define SALLYPORT_LIB_FRAGMENT_H

#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SP_FRAGMENTS);
	__type(key, struct sp_fragment_key);
	__type(value, struct sp_fragment);
} fragments SEC(".maps");

static __always_inline void fragment_key(struct sp_fragment_key *key, const struct packet *p,
					 __u32 ifindex, __u32 direction)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->source = p->source;
	key->destination = p->destination;
	key->id = p->fragment_id;
	key->ifindex = ifindex;
	/* RFC 8200, 4.5: of IPv6 fragments only the first one's next header says anything. */
	key->protocol = is_v4(&p->source) ? p->protocol : 0;
	key->direction = (__u8)direction;
}

GLOBAL int fragment_remember(const struct packet *p, __u32 ifindex, __u32 direction, __u32 now)
{
	struct sp_fragment value = {.seen = now};
	struct sp_fragment_key key;

	if (!p)
		return -SP_DROP_FRAGMENT;
	value.source_port = p->source_port;
	value.destination_port = p->destination_port;
	value.protocol = p->protocol;
	value.covered = p->covered;
	fragment_key(&key, p, ifindex, direction);
	return bpf_map_update_elem(&fragments, &key, &value, BPF_ANY) ? -SP_DROP_FRAGMENT : SP_PASS;
}

/* Gives a later fragment the protocol and the ports of its first one. */
GLOBAL int fragment_place(struct packet *p, __u32 ifindex, __u32 direction, __u32 now)
{
	struct sp_fragment_key key;
	struct sp_fragment *first;

	if (!p)
		return -SP_DROP_FRAGMENT;
	fragment_key(&key, p, ifindex, direction);
	first = bpf_map_lookup_elem(&fragments, &key);
	if (!first || is_past(first->seen, SP_LIFE_FRAGMENT, now))
		return -SP_DROP_FRAGMENT;
	/* Some who put it together would read other ports than were judged. */
	if (p->covered < first->covered)
		return -SP_DROP_FRAGMENT;
	p->source_port = first->source_port;
	p->destination_port = first->destination_port;
	p->protocol = first->protocol;
	return SP_PASS;
}

#endif
