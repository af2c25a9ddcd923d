/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Egress IPs: which one a flow is pinned to, whose its ports are, and the way of what is translated:
 * through the tunnel to another node, or out of this one.
 */
#ifndef SALLYPORT_LIB_EGRESS_H
#define SALLYPORT_LIB_EGRESS_H

#include "../abi/egress.h"
#include "endpoint.h"
#include "packet.h"
#include "sender.h"

#define EGRESS_ARRAY(name, entries, shape)         \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);  \
		__uint(map_flags, BPF_F_MMAPABLE); \
		__uint(max_entries, entries);      \
		__type(key, __u32);                \
		__type(value, shape);              \
	} name SEC(".maps")

EGRESS_ARRAY(pin_sets, SP_PIN_SETS, struct sp_pin_set);
EGRESS_ARRAY(pin_prefixes, SP_PIN_NODES, struct sp_trie_node);
EGRESS_ARRAY(egress_ips, SP_EGRESS_IPS, struct sp_egress_ip);
EGRESS_ARRAY(port_blocks, SP_EGRESS_IPS, struct sp_port_blocks);
EGRESS_ARRAY(port_owners, SP_EGRESS_IPS, struct sp_port_owners);
EGRESS_ARRAY(tunnel_nodes, SP_TUNNEL_NODES, struct sp_tunnel_node);
EGRESS_ARRAY(tunnel, 1, struct sp_tunnel);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SP_TUNNEL_NODES + SP_EGRESS_IPS);
	__type(key, struct sp_address);
	__type(value, __u32);
} outside SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SP_EGRESS_IPS);
	__type(key, __u32);
	__type(value, struct sp_egress_counters);
} egress_counters SEC(".maps");

static __always_inline __u32 endpoint_pins(const struct sp_endpoint *e, __u32 half)
{
	return READ_ONCE(e->flags[half & 1]) >> SP_ENDPOINT_PINS_SHIFT;
}

/*
 * What flows of this pin set to this address are pinned to: the number of an egress IP, or
 * SP_PIN_NOWHERE. 0: not pinned.
 */
GLOBAL __u32 pin_target(__u32 set, const struct sp_address *to)
{
	struct sp_pin_set *pins = bpf_map_lookup_elem(&pin_sets, &set);
	__u64 high, low;
	__u32 slot;

	if (!set || !to)
		return 0;
	if (!pins)
		return SP_PIN_NOWHERE;
	high = bpf_be64_to_cpu(to->halves[0]);
	low = bpf_be64_to_cpu(to->halves[1]);
	slot = READ_ONCE(pins->trie[is_v4(to) ? 0 : 1]);
	if (is_v4(to))
		high = low << 32;
	for (int i = 0; i < 32; i++) {
		struct sp_trie_node *node;
		__u32 index = slot & ~SP_TRIE_NODE;

		if (!(slot & SP_TRIE_NODE))
			return slot;
		node = bpf_map_lookup_elem(&pin_prefixes, &index);
		if (!node)
			return SP_PIN_NOWHERE;
		slot = READ_ONCE(node->slot[high >> 60]);
		high = high << 4 | low >> 60;
		low <<= 4;
	}
	return slot & SP_TRIE_NODE ? SP_PIN_NOWHERE : slot;
}

static __always_inline struct sp_tunnel *tunnel_word(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&tunnel, &zero);
}

static __always_inline struct sp_egress_ip *egress_ip_at(__u32 number)
{
	return bpf_map_lookup_elem(&egress_ips, &number);
}

/* `port`: in host byte order. */
static __always_inline __u32 *port_owner(__u32 number, __u32 port)
{
	struct sp_port_owners *owners = bpf_map_lookup_elem(&port_owners, &number);

	return owners ? &owners->node[port / SP_PORT_GROUP % SP_PORT_GROUPS] : NULL;
}

static __always_inline void count_egress(__u32 number, int from_outside, __u64 bytes)
{
	struct sp_egress_counters *c = bpf_map_lookup_elem(&egress_counters, &number);

	if (!c)
		return;
	c->packets[from_outside & 1]++;
	c->bytes[from_outside & 1] += bytes;
}

static __always_inline void count_opened(__u32 number)
{
	struct sp_egress_counters *c = bpf_map_lookup_elem(&egress_counters, &number);

	if (c)
		c->opened++;
}

/* What has been judged here, and is on its way: no program of ours on the way out asks again. */
static __always_inline void mark_settled(struct __sk_buff *ctx)
{
	ctx->mark |= config.mark;
	tag_packet(ctx, 0);
}

/* Through the tunnel to a node. */
GLOBAL int send_to_node(struct __sk_buff *ctx, __u32 node)
{
	struct sp_tunnel_node *n = bpf_map_lookup_elem(&tunnel_nodes, &node);
	struct sp_tunnel *t = tunnel_word();
	struct bpf_tunnel_key key = {};
	__u64 flags = BPF_F_ZERO_CSUM_TX;

	if (!n || !t || !READ_ONCE(t->ifindex) || !n->address.halves[1])
		return -SP_DROP_NO_GATEWAY;
	key.tunnel_id = READ_ONCE(t->vni);
	key.tunnel_ttl = 64;
	if (is_v4(&n->address)) {
		key.remote_ipv4 = bpf_ntohl(n->address.words[3]);
	} else {
		__builtin_memcpy(key.remote_ipv6, n->address.words, sizeof(key.remote_ipv6));
		flags = BPF_F_TUNINFO_IPV6;
	}
	if (bpf_skb_set_tunnel_key(ctx, &key, sizeof(key), flags))
		return -SP_DROP_NO_GATEWAY;
	mark_settled(ctx);
	return (int)bpf_redirect(READ_ONCE(t->ifindex), 0);
}

#define FAMILY_INET 2
#define FAMILY_INET6 10

/* Out of this node, as a router does: by the route to the destination, or the interface that is named. */
GLOBAL int send_outside(struct __sk_buff *ctx, __u32 number, const struct sp_address *to,
			__u32 protocol)
{
	struct sp_egress_ip *e = egress_ip_at(number);
	struct bpf_fib_lookup fib = {};
	struct bpf_redir_neigh neigh = {};
	int found;

	if (!e || !to)
		return -SP_DROP_NO_GATEWAY;
	mark_settled(ctx);
	if (READ_ONCE(e->uplink))
		return (int)bpf_redirect_neigh(READ_ONCE(e->uplink), NULL, 0, 0);
	fib.ifindex = ctx->ifindex;
	fib.l4_protocol = (__u8)protocol;
	if (is_v4(to)) {
		fib.family = FAMILY_INET;
		fib.ipv4_src = e->address.words[3];
		fib.ipv4_dst = to->words[3];
	} else {
		fib.family = FAMILY_INET6;
		__builtin_memcpy(fib.ipv6_src, e->address.words, 16);
		__builtin_memcpy(fib.ipv6_dst, to->words, 16);
	}
	found = (int)bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH)
		return -SP_DROP_NO_GATEWAY;
	if (is_guarded(fib.ifindex)) /* to a pod, past its policy: no way out */
		return -SP_DROP_NO_GATEWAY;
	neigh.nh_family = fib.family;
	if (fib.family == FAMILY_INET)
		neigh.ipv4_nh = fib.ipv4_dst;
	else
		__builtin_memcpy(neigh.ipv6_nh, fib.ipv6_dst, 16);
	return (int)bpf_redirect_neigh(fib.ifindex, &neigh, sizeof(neigh), 0);
}

#endif
