/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Policy: may an endpoint, in one direction, talk to this identity on that port?
 *
 * (policy set, identity), else the set's any-peer entry, names a port set; a port set is one bit
 * for each port of each protocol, in interned pages. The work is the same for one rule and for ten
 * thousand.
 */
#ifndef SALLYPORT_LIB_POLICY_H
#define SALLYPORT_LIB_POLICY_H

#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SP_RULE_BUCKETS);
	__type(key, __u32);
	__type(value, struct sp_rule_bucket);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SP_PORT_SETS);
	__type(key, __u32);
	__type(value, struct sp_port_set);
} port_sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SP_PORT_PAGES);
	__type(key, __u32);
	__type(value, struct sp_port_page);
} port_pages SEC(".maps");

static __always_inline struct sp_rule *rule_in(__u32 bucket, __u64 key)
{
	struct sp_rule_bucket *b = bpf_map_lookup_elem(&rules, &bucket);

	if (!b)
		return NULL;
#pragma unroll
	for (int i = 0; i < SP_RULE_WAYS; i++)
		if (READ_ONCE(b->rule[i].key) == key)
			return &b->rule[i];
	return NULL;
}

static __always_inline struct sp_rule *rule_find(__u32 set, __u32 identity)
{
	__u32 hash = sp_hash_rule(config.hash_seed, set, identity);
	__u64 key = sp_rule_key(set, identity);
	struct sp_rule *rule = rule_in(sp_bucket(hash, config.rule_mask), key);

	return rule ? rule : rule_in(sp_other_bucket(hash, config.rule_mask), key);
}

static __always_inline int port_allowed(__u32 port_set, __u8 protocol, __u16 port)
{
	struct sp_port_set *ports = bpf_map_lookup_elem(&port_sets, &port_set);
	struct sp_port_page *page;
	__u32 number, index = protocol == IPPROTO_TCP    ? SP_PROTOCOL_TCP
			      : protocol == IPPROTO_UDP  ? SP_PROTOCOL_UDP
			      : protocol == IPPROTO_SCTP ? SP_PROTOCOL_SCTP
							 : SP_PROTOCOLS;

	if (index == SP_PROTOCOLS)
		return -SP_DROP_POLICY;
	if (!ports)
		return -SP_DROP_INTERNAL;
	number = READ_ONCE(ports->page[index][port / SP_PAGE_PORTS]);
	page = bpf_map_lookup_elem(&port_pages, &number);
	if (!page)
		return -SP_DROP_INTERNAL;
	return page->bits[port % SP_PAGE_PORTS / 64] >> (port % 64) & 1 ? SP_PASS : -SP_DROP_POLICY;
}

/* `port` in network byte order: that of the flow's destination. */
GLOBAL int policy_allows(__u32 set, __u32 identity, __u8 protocol, __be16 port)
{
	struct sp_rule *rule;
	__u32 port_set;

	if (set == 0)
		return SP_PASS;
	if (set == SP_SET_FULL)
		return -SP_DROP_NO_ROOM;
	rule = identity ? rule_find(set, identity) : NULL;
	if (!rule)
		rule = rule_find(set, 0);
	if (!rule)
		return -SP_DROP_INTERNAL;
	port_set = READ_ONCE(rule->port_set);
	if (port_set == SP_PORTS_NONE)
		return -SP_DROP_POLICY;
	if (port_set == SP_PORTS_ALL)
		return SP_PASS;
	return port_allowed(port_set, protocol, bpf_ntohs(port));
}

#endif
