/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A gateway: forwards what was translated already, between the tunnel and the outside, and remembers
 * no flow. So it does not matter which gateway it is, nor for how long it was one.
 *
 *   from the tunnel, of a node   from an egress IP, of a port that is the node's   -> outside
 *                                to an egress IP, of a port that is ours           -> the pod
 *   from outside                 to an egress IP, of a port that is a node's       -> the tunnel
 *                                                                that is ours      -> the pod
 *   anything else to or from an egress IP: dropped, without an answer
 */
#ifndef SALLYPORT_LIB_GATEWAY_H
#define SALLYPORT_LIB_GATEWAY_H

#include "onward.h"
#include "unpin.h"

/* The number of what this address is of: SP_OUTSIDE_EGRESS or _NODE; 0: of something else. */
static __always_inline __u32 outside_number(const struct sp_address *a, __u32 what)
{
	__u32 *word = bpf_map_lookup_elem(&outside, a);
	__u32 found = word ? READ_ONCE(*word) : 0;

	return found & what ? found & SP_OUTSIDE_NUMBER : 0;
}

/* The addresses of an IP packet; 0: it is none. */
static __always_inline int read_addresses(struct __sk_buff *ctx, struct sp_address *source,
					  struct sp_address *destination)
{
	struct in6_addr v6[2];
	__be32 v4[2];

	if (ctx->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(ctx, ETH_HLEN + 12, v4, sizeof(v4)))
			return 0;
		set_v4(source, v4[0]);
		set_v4(destination, v4[1]);
		return 1;
	}
	if (ctx->protocol != bpf_htons(ETH_P_IPV6) ||
	    bpf_skb_load_bytes(ctx, ETH_HLEN + 8, v6, sizeof(v6)))
		return 0;
	set_v6(source, &v6[0]);
	set_v6(destination, &v6[1]);
	return 1;
}

/* From egress_port(): neighbour discovery, the node's own, which has the address on its interface. */
#define PORT_NEIGHBOUR 0x10000

/*
 * The port of the egress IP that a packet comes from, or goes to, in host byte order; minus a reason.
 * ICMP errors go by what they quote, later fragments by the first one.
 */
GLOBAL int egress_port(struct __sk_buff *ctx, int from_outside, __u32 mtu)
{
	struct packet p = {}, quoted = {};
	struct end egress, remote;

	parse_packet(ctx, &p, ETH_HLEN);
	if (p.kind == PACKET_NEIGHBOUR)
		return PORT_NEIGHBOUR;
	if (settle_fragment(ctx, &p, from_outside ? SP_INGRESS : SP_EGRESS))
		return -SP_DROP_FRAGMENT;
	if (ends_of(ctx, &p, &quoted, &egress, &remote, from_outside))
		return -SP_DROP_MALFORMED;
	if (mtu && is_too_big(ctx, &p, mtu) && p.kind == PACKET_TRANSPORT)
		return -SP_DROP_TOO_BIG;
	return bpf_ntohs(egress.port);
}

/* Counts what a gateway drops. It says so to nobody, and knocks at all ports of the world do not fill
 * the log. */
GLOBAL int drop_at_gateway(__u32 number, __u32 direction, __u32 reason)
{
	struct sp_egress_counters *e = bpf_map_lookup_elem(&egress_counters, &number);
	__u32 place = config.endpoint_mask + 1;
	struct sp_counters *c = bpf_map_lookup_elem(&counters, &place);

	if (c)
		count_drop(c, direction, reason);
	if (e && reason == SP_DROP_NOT_A_NODE)
		e->foreign++;
	else if (e)
		e->strangers++;
	return TC_ACT_SHOT;
}

/* Who sends from ports that are nobody's yet, as far as is known here, has them. */
static __always_inline int may_send_from(__u32 number, __u32 port, __u32 node)
{
	__u32 *owner = port_owner(number, port);

	if (!owner)
		return 0;
	if (READ_ONCE(*owner) == 0)
		__sync_val_compare_and_swap(owner, 0, node);
	return READ_ONCE(*owner) == node;
}

/* Translated at another node, on its way out here. `usual`: all ends are known. */
static __always_inline int forward_out(struct __sk_buff *ctx, __u32 number, __u32 node,
				       const struct ends *e, int usual)
{
	int port = usual ? bpf_ntohs(e->source_port) : egress_port(ctx, 0, 0);
	__u8 protocol = e->protocol;
	__u64 length = ctx->len;
	int action;

	if (port < 0 || port == PORT_NEIGHBOUR)
		return -SP_DROP_NOT_A_NODE;
	if (!may_send_from(number, (__u32)port, node))
		return -SP_DROP_NOT_A_NODE;
	if (!usual)
		bpf_skb_load_bytes(ctx, ETH_HLEN + (is_v4(&e->destination) ? 9 : 6), &protocol, 1);
	action = send_outside(ctx, number, &e->destination, protocol);
	if (action >= 0)
		count_egress(number, 0, length);
	return action;
}

GLOBAL int answer_outside(struct __sk_buff *ctx, __u32 mtu)
{
	struct packet p = {};

	parse_packet(ctx, &p, ETH_HLEN);
	return answer_too_big(ctx, &p, mtu);
}

/* From outside, for who has the port. */
static __always_inline int forward_in(struct __sk_buff *ctx, __u32 number, int port, __u32 mtu)
{
	__u64 length = ctx->len;
	__u32 *owner;
	int action;

	if (port == -SP_DROP_TOO_BIG)
		return answer_outside(ctx, mtu);
	if (port < 0)
		return -SP_DROP_STRANGER;
	owner = port_owner(number, (__u32)port);
	if (!owner || !READ_ONCE(*owner))
		return -SP_DROP_STRANGER;
	action = READ_ONCE(*owner) == SP_NODE_SELF ? (int)FOR_US(number)
						   : send_to_node(ctx, READ_ONCE(*owner));
	if (action >= 0)
		count_egress(number, 1, length);
	return action;
}

/* Another node's tunnel, to this node's own address: nobody's but the tunnel's. */
static __always_inline int is_for_tunnel(const struct ends *e, const struct sp_tunnel *t)
{
	__u32 self = SP_NODE_SELF;
	struct sp_tunnel_node *n;

	if (e->protocol != IPPROTO_UDP ||
	    e->destination_port != bpf_htons((__u16)READ_ONCE(t->port)))
		return 0;
	n = bpf_map_lookup_elem(&tunnel_nodes, &self);
	return n && same_address(&n->address, &e->destination);
}

/*
 * Where frames come from outside: is it to an egress IP, of this number, or (0) to this node's end of
 * the tunnel? Only then are the numbers written.
 */
static __always_inline int is_for_outside(struct __sk_buff *ctx, __u32 *number, __u32 *usual_end)
{
	struct sp_tunnel *t = tunnel_word();
	struct ends e = {};

	if (!t || !READ_ONCE(t->egress_ips) || was_brought_in(ctx))
		return 0;
	if (parse_usual(ctx, &e, ETH_HLEN)) {
		if (is_for_tunnel(&e, t))
			return 1;
		*usual_end = USUAL_END(e.destination_port, e.protocol);
	} else if (!read_addresses(ctx, &e.source, &e.destination)) {
		return 0;
	}
	*number = outside_number(&e.destination, SP_OUTSIDE_EGRESS);
	return !!*number;
}

/* Such a packet. An action, FOR_US, PORT_NEIGHBOUR, or minus a reason. */
GLOBAL int from_outside(struct __sk_buff *ctx, __u32 number, __u32 usual_end)
{
	struct sp_tunnel *t = tunnel_word();
	__u32 mtu = t ? READ_ONCE(t->mtu) : 0;
	int port;

	if (usual_end && surely_fits(ctx, (__u8)(usual_end >> 16), mtu))
		port = (int)(usual_end & 0xffff);
	else
		port = egress_port(ctx, 1, mtu);
	return port == PORT_NEIGHBOUR ? port : forward_in(ctx, number, port, mtu);
}

/* The node at the other end of the tunnel; 0: none that is known. */
static __always_inline __u32 tunnel_sender(struct __sk_buff *ctx, __u32 vni)
{
	struct bpf_tunnel_key key = {};
	struct sp_address from;

	if (!bpf_skb_get_tunnel_key(ctx, &key, sizeof(key), 0)) {
		set_v4(&from, bpf_htonl(key.remote_ipv4));
	} else {
		if (bpf_skb_get_tunnel_key(ctx, &key, sizeof(key), BPF_F_TUNINFO_IPV6))
			return 0;
		__builtin_memcpy(from.words, key.remote_ipv6, sizeof(from.words));
	}
	if (key.tunnel_id != vni)
		return 0;
	return outside_number(&from, SP_OUTSIDE_NODE);
}

/* What comes out of the tunnel: an action, FOR_US, or minus a reason. `number`: of its egress IP. */
GLOBAL int from_tunnel(struct __sk_buff *ctx, __u32 *number)
{
	struct sp_tunnel *t = tunnel_word();
	struct ends e = {};
	__u32 node;
	int usual;

	if (!t || !number)
		return -SP_DROP_NOT_A_NODE;
	node = tunnel_sender(ctx, READ_ONCE(t->vni));
	if (!node || ctx->vlan_present)
		return -SP_DROP_NOT_A_NODE;
	usual = parse_usual(ctx, &e, ETH_HLEN);
	if (!usual && !read_addresses(ctx, &e.source, &e.destination))
		return -SP_DROP_NOT_A_NODE;
	*number = outside_number(&e.source, SP_OUTSIDE_EGRESS);
	if (*number)
		return forward_out(ctx, *number, node, &e, usual);
	*number = outside_number(&e.destination, SP_OUTSIDE_EGRESS);
	if (!*number)
		return -SP_DROP_NOT_A_NODE;
	return (int)FOR_US(*number);
}

/* Into the tunnel goes what was sent there, and nothing that the node itself thinks of. */
static __always_inline int into_tunnel(struct __sk_buff *ctx)
{
	return left_endpoint(ctx) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

/* What is to an egress IP, from outside, or came out of the tunnel. NO_OPINION: is the node's own. */
static __always_inline int gateway_way(struct __sk_buff *ctx, __u32 way, __u32 generation,
				       __u32 number, __u32 usual_end)
{
	__u32 direction = way == WAY_FROM_OUTSIDE ? SP_INGRESS : SP_EGRESS;
	int action = way == WAY_FROM_OUTSIDE ? from_outside(ctx, number, usual_end)
					     : from_tunnel(ctx, &number);

	if (action == PORT_NEIGHBOUR)
		return NO_OPINION;
	if (is_for_us(action))
		action = give_back(ctx, generation);
	return action < 0 ? drop_at_gateway(number, direction, (__u32)-action) : action;
}

#endif
