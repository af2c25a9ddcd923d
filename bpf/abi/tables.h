/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The tables between agent and kernel: arrays, mapped into the agent's memory, written with plain
 * stores, read by the programs without a helper call.
 *
 * Two halves. What a change of policy touches exists twice, and the lowest bit of
 * control.generation says which half is in force. The agent writes the other half, then stores the
 * next generation: the whole node goes from one complete policy to the next with one word. Before
 * it writes the half that was in force, it waits until no program can still read it (an RCU grace
 * period). Whatever is not reachable from the half in force may be garbage at any time.
 *
 * An entry's key is written while the entry is free, and a freed entry gets another key only after
 * a grace period: a reader sees a key with its own values, or with none. (A rule that never was in
 * force may go at once: its key is one word, and its values follow no reader that does not see it.)
 *
 * Words of 32 or 64 bits in host byte order and naturally aligned, so each load and store is atomic.
 * Addresses: 16 bytes, network byte order, IPv4 as ::ffff:a.b.c.d. Ports in network byte order in
 * flows and events; in host byte order as an index into port sets.
 */
#ifndef SALLYPORT_ABI_TABLES_H
#define SALLYPORT_ABI_TABLES_H

#include <linux/types.h>

#include "limits.h"
#include "verdict.h"

#ifdef __cplusplus
#define SP_STATIC_ASSERT static_assert
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic" /* anonymous structs: C11, and every C++ compiler */
#else
#define SP_STATIC_ASSERT _Static_assert
#endif

struct sp_address {
	union {
		__u8 bytes[16];
		__u32 words[4];
		__u64 halves[2];
	};
};

/* In home_length: "entrances" has them all, so what has come in elsewhere is a pod's. */
#define SP_ENCLOSED (1u << 16)

/*
 * map "control", one entry. In every version: abi_version, generation, hash_seed and mark are where
 * they are here.
 */
struct sp_control {
	__u32 abi_version;  /* SP_ABI_VERSION; 0: no agent has filled the tables yet */
	__u32 generation;   /* lowest bit: the half in force; flows of another are judged afresh */
	__u32 trie[2][2];   /* [half][0: IPv4, 1: IPv6] root of the prefixes, as a trie slot */
	__u32 hash_seed;    /* as in sp_config, for the next user of the maps; before abi_version */
	__u32 mark;         /* the same */
	__u32 deferring[2]; /* [half] 1: every way out of the node carries its programs */
	__u32 former; /* under this generation gates still lead to an older version's programs */
	/*
	 * Addresses that only guarded interfaces have, in host byte order: from another one such a
	 * source is that of a pod that nobody has seen yet. [0] of IPv4, [1] to [3] the first 96 bits
	 * of IPv6. Whatever the generation.
	 */
	__u32 home[4];
	__u32 home_length; /* bits 0 to 7 of IPv4, up to 32; 8 to 15 of IPv6, up to 96; 0: none;
			      and SP_ENCLOSED */
};

/*
 * map "endpoints": one per pod interface, in the first place sp_endpoint_place(), i <
 * SP_ENDPOINT_PROBES, that holds its ifindex. An interface that has none is closed. In every version:
 * an array that can be mapped, of entries that begin with the ifindex.
 */
#define SP_ENDPOINT_OPEN 1u   /* pod and policy are known; else closed */
#define SP_ENDPOINT_DIRECT 2u /* nothing else on the interface needs its packets: hand them over */
/* << enum sp_direction: connections that were established stay, whatever the set says by now */
#define SP_ENDPOINT_KEEP 4u
/* Upper bits of the flags: the number of its pin set, 0: nothing is pinned. */
#define SP_ENDPOINT_PINS_SHIFT 16
struct sp_endpoint {
	__u32 ifindex;   /* host side; 0: free */
	__u32 flags[2];  /* [half] SP_ENDPOINT_* */
	__u32 set[2][2]; /* [half][enum sp_direction] policy set, 0: not isolated; SP_SET_FULL */
	__u32 reserved;
	struct sp_address address[2]; /* IPv4, IPv6; all zero: none */
#ifdef SP_NEXT
	__u64 more[8];
#endif
};

/*
 * map "peers": addresses that are known one by one, in bucket sp_bucket() or sp_other_bucket() of
 * sp_hash_peer(). A place whose identity[half] is 0 holds nothing in that half, whatever its address
 * says: look on. Else identity[half] & SP_PEER_IDENTITY: 0: ask the prefixes; SP_PEER_NONE: has none.
 */
#define SP_PEER_NODE 0x80000000u       /* this node's own address */
#define SP_PEER_ENDPOINT 0x40000000u   /* of an endpoint here: `ifindex` says which */
#define SP_PEER_SERVICE 0x20000000u    /* a Service's: judged when it has been translated */
#define SP_PEER_OTHER_NODE 0x10000000u /* another node's */
#define SP_PEER_IDENTITY 0x0fffffffu
#define SP_PEER_NONE 0x0fffffffu
struct sp_peer {
	struct sp_address address;
	__u32 identity[2]; /* [half] */
	__u32 ifindex; /* of the local endpoint with this address, else 0; a hint to be checked */
	__u32 reserved;
};
struct sp_peer_bucket {
	struct sp_peer peer[SP_PEER_WAYS];
};

/*
 * map "rules": (policy set, identity) to port set, in bucket sp_bucket() or sp_other_bucket() of
 * sp_hash_rule(). No policy set number means two things at once, so rules need no halves.
 * Identity 0 is the set's any-peer entry; every set in force has one.
 */
#define SP_SET_FULL 0xffffffffu /* a set whose rules found no place: denies everything */
#define SP_PORTS_NONE 0u
#define SP_PORTS_ALL 1u /* every port of every protocol, ICMP included */
struct sp_rule {
	union {
		struct {
			__u32 set, identity;
		};
		__u64 key; /* the same as one word, read and written whole: sp_rule_key(); 0: free */
	};
	__u32 port_set;
	__u32 reserved;
};
struct sp_rule_bucket {
	struct sp_rule rule[SP_RULE_WAYS];
};

/* map "port_sets": page numbers, [protocol][port / SP_PAGE_PORTS]. Immutable while in use. */
#define SP_PROTOCOL_TCP 0
#define SP_PROTOCOL_UDP 1
#define SP_PROTOCOL_SCTP 2
#define SP_PROTOCOLS 3
struct sp_port_set {
	__u32 page[SP_PROTOCOLS][SP_PAGES_PER_PROTOCOL];
};

/* map "port_pages": one bit per port: bit p % 64 of word p / 64. Immutable while in use. */
#define SP_PAGE_NONE 0u
#define SP_PAGE_ALL 1u
struct sp_port_page {
	__u64 bits[SP_PAGE_PORTS / 64];
};

/*
 * map "prefixes": a trie of 4 bits a step over the 32 bits of an IPv4 or the 128 of an IPv6
 * address, leaf-pushed. A slot is SP_TRIE_NODE | index of the next node, or an identity.
 * Immutable while in use; node 0 is not used.
 */
#define SP_TRIE_NODE 0x80000000u
struct sp_trie_node {
	__u32 slot[16];
};

/*
 * map "flows": one entry per connection on a node, under the ordered pair of its ends: `low` is the
 * smaller end. The state is one word, read once and written whole.
 */
struct sp_flow_key {
	struct sp_address low, high;
	union {
		struct {
			__be16 low_port, high_port; /* ICMP echo: the identifier; none: 0 */
			__u8 protocol;
			__u8 outside; /* 1: a flow as the outside sees it, from an egress IP (egress.h) */
			__u8 pad[2];
		};
		__u64 tail; /* the same as one word */
	};
};
#define SP_FLOW_FROM_HIGH 0x0001u /* `high` opened it, else `low` */
#define SP_FLOW_EGRESS 0x0002u    /* the opener's endpoint allows it, under this generation */
#define SP_FLOW_INGRESS 0x0004u   /* the other end's endpoint allows it, under this generation */
#define SP_FLOW_ANSWERED 0x0008u  /* a packet came back */
#define SP_FLOW_FIN_OPENER 0x0010u
#define SP_FLOW_FIN_OTHER 0x0020u
#define SP_FLOW_RESET 0x0040u
#define SP_FLOW_CUT 0x0080u    /* policy has ended it, until it allows it or it is opened anew */
#define SP_FLOW_DIRECT 0x0100u /* both ends are endpoints here that may be handed packets */
#define SP_FLOW_PINNED \
	0x0100u /* nobody here is the other end: leaves through an egress IP (egress.h) */
#define SP_FLOW_CARRIED 0x0200u  /* the opener's packets leave it with SP_TAG_UNJUDGED */
#define SP_FLOW_DEFERRED 0x0400u /* EGRESS only says: may leave the opener's interface */
#define SP_FLOW_JOINT 0x0800u    /* judged for both ends where the other end is, as the opener's */
#define SP_FLOW_BRIEF 0x1000u    /* datagrams with a node's address, as seen here */
#define SP_FLOW_WAS_CUT 0x1000u  /* connections: ended by policy before, if not opened anew since */
/* The opener sent more than an opening; datagrams: more after an answer. With ANSWERED: both talk */
#define SP_FLOW_CONFIRMED 0x2000u
#define SP_FLOW_KEPT 0x4000u /* policy allows no new one like it: see SP_ENDPOINT_KEEP */
/* state: generation << 32 | tag << 16 | flags; tag: 16 bits of the key's hash, never 0. 0: free */
struct sp_flow {
	struct sp_flow_key key;
	__u64 state;
	__u32 seen;       /* tick of the last packet */
	__u32 ifindex[2]; /* of the endpoints here, [0] low, [1] high; 0: none. Set when judged */
	__u32 owner;      /* ifindex of the endpoint whose share it counts to */
};
struct sp_flow_bucket {
	union {
		__u16 tag[16]; /* [i]: the tag of flow[i], a hint; [15] is not used */
		__u64 lanes[4];
	};
	__u64 overflowed; /* 1: flows whose first bucket this is may stand in their second one */
	__u64 reserved[3];
	struct sp_flow flow[SP_FLOW_WAYS];
};

/*
 * skb->tc_index of a packet that left an endpoint, worth something with config.mark in skb->mark
 * only: the endpoint's place in "endpoints" plus one, and whether its egress is still to be judged
 * for what the packet has become.
 */
#define SP_TAG_SENDER 0x7fffu
#define SP_TAG_CLOSED 0x7fffu /* as a sender: an interface without an endpoint */
#define SP_TAG_UNJUDGED 0x8000u
#define SP_TAG_BACK 0xffffu /* an answer to a pinned flow that the node has to translate back */

/* The places in map "gates": one version's program for a hook, and the one that comes after it. */
#define SP_GATES_FORMER 0
#define SP_GATES_NEXT 1
#define SP_GATE(role, direction, which) (((role)*2 + (direction)) * 2 + (which))
#define SP_GATES 16

/* map "fragments" (LRU hash): first fragments that were allowed. */
struct sp_fragment_key {
	struct sp_address source, destination;
	__u32 id;       /* network byte order; IPv4: its 16 bits */
	__u32 ifindex;  /* of the endpoint */
	__u8 protocol;  /* IPv6: 0 */
	__u8 direction; /* enum sp_direction */
	__u8 pad[6];
};
struct sp_fragment {
	__u32 seen;                           /* tick */
	__be16 source_port, destination_port; /* of its flow */
	__u8 protocol;
	__u8 covered; /* by its headers, ports and flags, in units of 8 bytes */
	__u8 pad[2];
};

/* map "counters" (per CPU), by place in "endpoints"; one entry more, for interfaces that have none. */
struct sp_counters {
	__u64 packets[2]; /* [enum sp_direction] passed */
	__u64 bytes[2];
	__u64 dropped[2][SP_DROP_SLOTS]; /* [enum sp_direction][enum sp_drop] */
	__u32 event_tick;                /* the tick that event_count counts in */
	__u32 event_count;
	__u64 events_suppressed; /* drops without an event: rate limit or full ring buffer */
};

/* ring buffer "events" */
struct sp_event {
	__u64 time_ns;  /* CLOCK_MONOTONIC_COARSE */
	__u32 ifindex;  /* interface that the packet was seen on */
	__u32 endpoint; /* ifindex of the endpoint that denies; maybe the other end's */
	__u32 generation;
	__u16 length;                          /* of the packet, capped */
	__u8 reason;                           /* enum sp_drop */
	__u8 direction;                        /* enum sp_direction, of the endpoint that denies */
	struct sp_address source, destination; /* zero where not parsed */
	__be16 source_port, destination_port;
	__u8 protocol;
	__u8 icmp_type;
	__be16 ethertype;
	__u32 set;        /* policy set that denied, 0 if it was not policy */
	__u32 suppressed; /* events of this endpoint not sent so far on this CPU, capped */
};

/* Offsets in the running kernel's struct sk_buff, in bytes. */
struct sp_skb_layout {
	__u16 known;                /* 0: the others say nothing */
	__u16 summed, summed_shift; /* ip_summed: two bits of this byte, from this bit on */
	__u16 csum_start, csum_offset, network_header;
};

/* Read-only data of the programs, set at load. Masks are capacities (powers of two) less one. */
struct sp_config {
	__u32 endpoint_mask;
	__u32 peer_mask;
	__u32 rule_mask;
	__u32 flow_mask;
	__u32 mark;          /* bits of skb->mark: this packet left an endpoint of this node */
	__u32 anti_spoofing; /* 0 or 1 */
	__u32 fast_path;     /* 0 or 1: hand packets between local endpoints over directly */
	__u32 events_per_tick;
	__u32 hash_seed;         /* secret; the same for all users of the pinned maps */
	__u32 tunnels_from_pods; /* 0 or 1: pods may send nodes what these may unwrap */
	struct sp_skb_layout skb;
};

SP_STATIC_ASSERT(SP_ENDPOINTS_MOST + 1 < SP_TAG_CLOSED, "a tag for each endpoint");
SP_STATIC_ASSERT(sizeof(struct sp_address) == 16, "address");
SP_STATIC_ASSERT(sizeof(struct sp_control) == 64, "control");
SP_STATIC_ASSERT(__builtin_offsetof(struct sp_control, abi_version) == 0, "in every version");
SP_STATIC_ASSERT(__builtin_offsetof(struct sp_control, generation) == 4, "in every version");
SP_STATIC_ASSERT(__builtin_offsetof(struct sp_control, hash_seed) == 24, "in every version");
SP_STATIC_ASSERT(__builtin_offsetof(struct sp_control, mark) == 28, "in every version");
SP_STATIC_ASSERT(__builtin_offsetof(struct sp_endpoint, ifindex) == 0, "in every version");
#ifndef SP_NEXT
SP_STATIC_ASSERT(sizeof(struct sp_endpoint) == 64, "endpoint");
#endif
SP_STATIC_ASSERT(sizeof(struct sp_peer_bucket) == 32 * SP_PEER_WAYS, "peer bucket");
SP_STATIC_ASSERT(sizeof(struct sp_rule_bucket) == 64, "rule bucket");
SP_STATIC_ASSERT(sizeof(struct sp_rule) == 16, "rule");
SP_STATIC_ASSERT(sizeof(struct sp_port_set) == 12 * SP_PAGES_PER_PROTOCOL, "port set");
SP_STATIC_ASSERT(sizeof(struct sp_port_page) == SP_PAGE_PORTS / 8, "port page");
SP_STATIC_ASSERT(sizeof(struct sp_trie_node) == 64, "trie node");
SP_STATIC_ASSERT(sizeof(struct sp_flow_key) == 40, "flow key");
SP_STATIC_ASSERT(sizeof(struct sp_flow) == 64, "flow");
SP_STATIC_ASSERT(sizeof(struct sp_flow_bucket) == 1024, "flow bucket");
SP_STATIC_ASSERT(sizeof(struct sp_fragment_key) == 48, "fragment key");
SP_STATIC_ASSERT(sizeof(struct sp_fragment) == 12, "fragment");
SP_STATIC_ASSERT(SP_DROP_COUNT <= SP_DROP_SLOTS, "a slot for each reason");
SP_STATIC_ASSERT(sizeof(struct sp_event) == 72, "event");

#ifdef __cplusplus
#pragma GCC diagnostic pop
#endif

#endif
