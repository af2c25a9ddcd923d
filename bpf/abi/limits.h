/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What things cost and how long they live. Shared by the kernel side and the agent.
 *
 * Capacities are defaults: the loader may set others (powers of two where said so). A full table
 * answers deny; the agent reports use against capacity for each.
 */
#ifndef SALLYPORT_ABI_LIMITS_H
#define SALLYPORT_ABI_LIMITS_H

/*
 * Layout of all pinned maps, but for what tables.h says is the same in every version. An agent takes
 * over from older ones (agent/dataplane/upgrade.h); a newer one's are not ours to touch.
 */
#ifndef SP_NEXT
#define SP_ABI_VERSION 6
#else /* tests only: the version after this one, with other layouts */
#define SP_ABI_VERSION 7
#endif
/*
 * The first version from which on a map can be taken over as it is: its layout and its meaning are
 * the same. Older ones' flows lack SP_FLOW_CONFIRMED, which they get.
 */
#define SP_SAME_FLOWS_SINCE 4
#define SP_SAME_EVENTS_SINCE 4
#define SP_SAME_FRAGMENTS_SINCE 5
#define SP_SAME_GUARDED_SINCE 5
#define SP_SAME_EGRESS_SINCE 6
#define SP_CONFIRMS_SINCE 5

/* Endpoints of a node; power of two. 64 bytes each. Filled to at most half. */
#define SP_ENDPOINTS 4096
/* Places an endpoint may stand in: sp_endpoint_place(). */
#define SP_ENDPOINT_PROBES 8
/* The most there may be: a packet names its sender's place in 15 bits. */
#define SP_ENDPOINTS_MOST 16384
/* Interfaces with the programs for pods, endpoints or not (hash, grows as it is needed). */
#define SP_GUARDED 32768
/* Interfaces through which comes what no pod here has sent (hash, grows as it is needed). */
#define SP_ENTRANCES 32768

/* Buckets of peers (pods in policies): 4 peers, 128 bytes each; power of two. */
#define SP_PEER_BUCKETS 32768
#ifndef SP_NEXT
#define SP_PEER_WAYS 4
#else
#define SP_PEER_WAYS 8
#endif
/* Buckets of rules (policy set, identity): 4 rules, 64 bytes each; power of two. */
#define SP_RULE_BUCKETS 65536
#define SP_RULE_WAYS 4

/* Port sets, 384 bytes each, and the pages of 2,048 ports they refer to, 256 bytes each. */
#define SP_PORT_SETS 8192
#define SP_PORT_PAGES 8192
#ifndef SP_NEXT
#define SP_PAGE_PORTS 2048
#else
#define SP_PAGE_PORTS 1024
#endif
#define SP_PAGES_PER_PROTOCOL (65536 / SP_PAGE_PORTS)

/* Nodes of the prefix trie: 16 slots (4 bits of address), 64 bytes each. */
#define SP_TRIE_NODES 131072

/*
 * Buckets of flows: 15 flows, 1,024 bytes each; power of two. A flow may stand in one of two
 * buckets, so the table serves to about 3/4 of its 245,760 places. 16 MiB.
 */
#define SP_FLOW_BUCKETS 16384
#define SP_FLOW_WAYS 15
/* A bucket that holds as many is nearly full. The most that flows of one endpoint may then hold. */
#define SP_FLOW_SHARE 8

/* First fragments that later ones are placed by (LRU). */
#define SP_FRAGMENTS 8192
/* IPv6 extension headers walked in a packet. */
#define SP_MAX_EXT_HEADERS 8

/*
 * Egress IPs that this node sends through or forwards for, less one: number 0 is none. Pin sets, and
 * the trie nodes of their destinations.
 */
#define SP_EGRESS_IPS 256
#define SP_PIN_SETS 4096
#define SP_PIN_NODES 32768
/* Ports of an egress IP have owners in groups of so many: the smallest port block. */
#define SP_PORT_GROUP 64
#define SP_PORT_GROUPS (65536 / SP_PORT_GROUP)
/* Nodes that the tunnel leads to, less one: number 0 is none. */
#define SP_TUNNEL_NODES 8192
/* Ports that are tried for a new translation. */
#define SP_PORT_TRIES 64
/*
 * How far apart two ports are that are tried one after the other: what is taken lies together, and the
 * few that are tried for one flow are to be of all. A prime beyond the number of blocks: each port
 * comes once.
 */
#define SP_PORT_STRIDE 40507u

/* Ring buffer of drop events, bytes; power of two, multiple of the page size. */
#define SP_EVENTS_BYTES (1 << 18)
/* Drop events that one endpoint may cause in one tick on one CPU. */
#define SP_EVENTS_PER_TICK 16

/*
 * Time is counted in ticks of 2^30 ns (1.07 s) of CLOCK_MONOTONIC_COARSE. How long a flow lives
 * without a packet, in ticks:
 */
#define SP_TICK_SHIFT 30
#define SP_LIFE_SYN 60            /* TCP, SCTP: not answered yet, or not confirmed */
#define SP_LIFE_ESTABLISHED 21600 /* TCP, SCTP: answered and confirmed */
#define SP_LIFE_HALF_CLOSED 600   /* TCP: one side sent FIN */
#define SP_LIFE_CLOSING 60        /* TCP: both sides sent FIN; SCTP: SHUTDOWN COMPLETE */
#define SP_LIFE_RESET 10          /* TCP: RST; SCTP: ABORT */
#define SP_LIFE_DATAGRAM 60       /* UDP and others: one way only so far */
#define SP_LIFE_ANSWERED_ONCE 30  /* UDP and others: a question and its answers */
#define SP_LIFE_CONVERSATION 180  /* UDP and others: answered, and the opener went on */
#define SP_LIFE_BRIEF 26    /* either, with the node: below conntrack's 30 s by a whole tick */
#define SP_LIFE_FRAGMENT 30 /* as the kernel's own reassembly (ipfrag_time) */

#endif
