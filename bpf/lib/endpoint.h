/* SPDX-License-Identifier: GPL-2.0-only */
/* Endpoints: which interface is whose, what it enforces, and whether it is open. */
#ifndef SALLYPORT_LIB_ENDPOINT_H
#define SALLYPORT_LIB_ENDPOINT_H

#include "config.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SP_ENDPOINTS);
	__type(key, __u32);
	__type(value, struct sp_endpoint);
} endpoints SEC(".maps");

#define INTERFACES(name, entries)                     \
	struct {                                      \
		__uint(type, BPF_MAP_TYPE_HASH);      \
		__uint(map_flags, BPF_F_NO_PREALLOC); \
		__uint(max_entries, entries);         \
		__type(key, __u32);                   \
		__type(value, __u32);                 \
	} name SEC(".maps")

/* That carry the programs for pods, whether they have an entry above or not. */
INTERFACES(guarded, SP_GUARDED);
/* Through which comes what no pod of this node has sent. */
INTERFACES(entrances, SP_ENTRANCES);

static __always_inline int is_guarded(__u32 ifindex)
{
	return bpf_map_lookup_elem(&guarded, &ifindex) != NULL;
}

static __always_inline int is_entrance(__u32 ifindex)
{
	return bpf_map_lookup_elem(&entrances, &ifindex) != NULL;
}

/* Index in the table, one past the end without an entry. */
GLOBAL __u32 endpoint_place(__u32 ifindex)
{
	for (__u32 i = 0; i < SP_ENDPOINT_PROBES; i++) {
		__u32 at = sp_endpoint_place(ifindex, i, config.endpoint_mask);
		struct sp_endpoint *e = bpf_map_lookup_elem(&endpoints, &at);

		if (e && READ_ONCE(e->ifindex) == ifindex)
			return at;
	}
	return config.endpoint_mask + 1;
}

/* NULL: there is none at this place, as behind a closed interface. */
static __always_inline struct sp_endpoint *endpoint_at(__u32 place)
{
	return bpf_map_lookup_elem(&endpoints, &place);
}

/* NULL: the interface is closed. `place`: as above. */
static __always_inline struct sp_endpoint *endpoint_find(__u32 ifindex, __u32 *place)
{
	*place = endpoint_place(ifindex);
	return endpoint_at(*place);
}

static __always_inline int endpoint_has(const struct sp_endpoint *e, const struct sp_address *a)
{
	if (is_v4(a))
		return same_address(&e->address[0], a);
	/*
	 * In ::/64 is nobody's: "::" is the source of who has no address yet, or a header that could
	 * not be read; the rest may be an address that the endpoint is just losing.
	 */
	return same_address(&e->address[1], a) && a->halves[0];
}

#endif
