/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The tables of egress IPs: what pods are pinned to, which ports this node may use, and where packets
 * go. Arrays that the agent has mapped, as those of tables.h, and words in host byte order like there.
 *
 * A pinned flow has two entries in "flows": one between the pod and the remote, as the pod sees it,
 * and one between the egress IP and the remote, as the outside does (key.outside is 1). They name each
 * other in "pins", so each is found from the other without a look-up, and no two pods ever have the
 * same port to the same remote: that is the second entry's key.
 */
#ifndef SALLYPORT_ABI_EGRESS_H
#define SALLYPORT_ABI_EGRESS_H

#include "tables.h"

/*
 * map "pin_sets": what the flows that an endpoint opens are pinned to, by destination. The roots, IPv4
 * and IPv6, are slots of map "pin_prefixes" (as "prefixes"); its leaves are numbers of egress IPs, 0
 * for what is not pinned, or SP_PIN_NOWHERE: pinned, and dropped. Both are immutable while in use.
 */
#define SP_PIN_NOWHERE 0x0fffffffu
#define SP_PIN_SET_FULL 0xffffu /* for which there is no place: all but the cluster is dropped */
struct sp_pin_set {
	__u32 trie[2];
};

/* map "pins": beside each flow, by its place (bucket * 16 + way). */
struct sp_pin {
	__u32 partner; /* place of the other entry of the pair */
	__u32 ifindex; /* pod's entry: where it was pinned: at the pod's interface or where it left */
	__u32 egress; /* number of the egress IP */
	__u32 reserved;
};
struct sp_pin_bucket {
	struct sp_pin pin[16];
};

/* map "egress_ips", by number. */
struct sp_egress_ip {
	struct sp_address address; /* all zero: free */
	__u32 gateway;     /* node it leaves through now, as "tunnel_nodes" has it; 0: none */
	__u32 uplink;      /* ifindex, where this node is the gateway; 0: found by the route */
	__u32 blocks;      /* of this node, in "port_blocks"; 0: none */
	__u32 block_ports; /* ports of each, a power of two */
	__u32 cursor;  /* the programs': the last port that was tried, counted through all blocks */
	__u32 refused; /* the programs': flows that found no port, modulo 2^32 */
	__u32 hurried; /* the programs': ports given again while the last remote may still wait */
	__u32 use_until; /* ticks: then no more ports are given, 0: never; the node has lost its Leases */
	__u32 keep_until; /* then nothing leaves through it either */
	__u32 reserved[3];
};

/* map "port_blocks", by number: i < blocks: the first port of a block; 0: none. */
struct sp_port_blocks {
	__u32 first[SP_PORT_GROUPS];
};

/*
 * map "port_owners", by number: the node whose flows a group of ports is for, as "tunnel_nodes" has
 * it. 0: not known: who sends from there first. The agent's word counts more.
 */
struct sp_port_owners {
	__u32 node[SP_PORT_GROUPS];
};

/* map "tunnel_nodes", by number. */
#define SP_NODE_SELF 1u
struct sp_tunnel_node {
	struct sp_address address; /* where its tunnel ends; all zero: free */
};

/* map "outside" (hash): addresses that packets from outside or from the tunnel are told by. */
#define SP_OUTSIDE_EGRESS 0x10000u /* | number of an egress IP */
#define SP_OUTSIDE_NODE 0x20000u   /* | number of a node */
#define SP_OUTSIDE_NUMBER 0xffffu

/* map "tunnel", one entry. */
struct sp_tunnel {
	__u32 ifindex; /* of the VXLAN device; 0: there is none */
	__u32 vni;
	__u32 mtu;            /* the largest IP packet that goes through the tunnel whole */
	__u32 egress_ips;     /* in "outside"; 0: nothing that comes from outside is for us */
	__u32 port;           /* UDP */
	__u32 heartbeat_port; /* UDP: what gateways tell each other, and who may not say it */
	__u32 reserved[10];
};

/* map "egress_counters" (per CPU), by number of the egress IP; 0: of none that is known */
struct sp_egress_counters {
	__u64 opened;     /* flows that got a port here */
	__u64 packets[2]; /* this node as the gateway: [0] to the outside, [1] from there */
	__u64 bytes[2];
	__u64 strangers; /* from outside, dropped: of no flow */
	__u64 foreign;   /* from the tunnel, dropped: not from a node whose ports they are */
	__u64 reserved;
};

SP_STATIC_ASSERT(sizeof(struct sp_pin_bucket) == 256, "pin bucket");
SP_STATIC_ASSERT(sizeof(struct sp_egress_ip) == 64, "egress IP");
SP_STATIC_ASSERT(sizeof(struct sp_tunnel) == 64, "tunnel");
SP_STATIC_ASSERT(sizeof(struct sp_egress_counters) == 64, "egress counters");

#endif
