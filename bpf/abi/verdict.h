/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Verdicts: zero or above, an action; below zero, minus a drop reason.
 * The list is the one place that names reasons, for the kernel, the agent and the documents.
 */
#ifndef SALLYPORT_ABI_VERDICT_H
#define SALLYPORT_ABI_VERDICT_H

/* X(number, NAME, "name in logs and metrics", "what happened, for a person") */
#define SP_DROP_REASONS(X)                                                                         \
	X(1, CLOSED, "closed", "the endpoint is not open yet: its pod or its policy is not known") \
	X(2, SPOOFED, "spoofed-source", "the source address is not the endpoint's own")            \
	X(3, POLICY, "policy", "isolated by policy, and no rule allows it")                        \
	X(4, CUT, "cut", "part of a connection that policy does not allow any more")               \
	X(5, MALFORMED, "malformed", "the packet cannot be parsed")                                \
	X(6, FRAGMENT, "fragment", "a fragment whose first part was not seen or not allowed")      \
	X(7, ETHERTYPE, "ethertype", "neither IPv4, IPv6 nor ARP, at an isolated endpoint")        \
	X(8, ICMP_ERROR, "icmp-error", "an ICMP error about a flow that is not known")             \
	X(9, FLOWS_FULL, "flows-full", "no place for a new flow in the table")                     \
	X(10, INTERNAL, "internal", "a table refers to an entry that does not exist")              \
	X(11, SENDER, "sender", "left a pod of this node, and which one was lost on the way")      \
	X(12, FLOW_SHARE, "flow-share", "the endpoint holds its share of the table of flows")      \
	X(13, TUNNEL, "tunnel", "a tunnel to a node, which would unwrap it as its own")            \
	X(14, MISDELIVERED, "misdelivered", "for another address than the endpoint's own")         \
	X(15, NO_ROOM, "no-room", "the rules of the endpoint found no place in a full table")      \
	X(16, NO_EGRESS_IP, "no-egress-ip", "pinned, and to no address of this family")            \
	X(17, NO_GATEWAY, "no-gateway", "pinned, and no gateway that lives is known")              \
	X(18, NO_PORT, "no-port", "pinned, and no port of this node's blocks is free")             \
	X(19, OTHER_ADDRESS, "other-address",                                                      \
	  "part of a connection that has another address outside")                                 \
	X(20, UNTRANSLATABLE, "untranslatable", "pinned, and of a kind that cannot be translated") \
	X(21, TOO_BIG, "too-big", "pinned, and larger than the tunnel takes; the sender was told") \
	X(22, STRANGER, "stranger", "to an egress IP, and of nothing that a pod has opened")       \
	X(23, NOT_A_NODE, "not-a-node", "in the tunnel, and not from a node whose ports these are")

enum sp_drop {
#define SP_X(number, name, text, help) SP_DROP_##name = number,
	SP_DROP_REASONS(SP_X)
#undef SP_X
		SP_DROP_COUNT = 24, /* one above the last */
};
#define SP_DROP_SLOTS 32 /* places for counters, a power of two */

enum sp_verdict {
	SP_PASS = 0,   /* on with the kernel's own forwarding */
	SP_DIRECT = 1, /* judged for both ends: hand over to the other endpoint's interface */
	SP_PINNED = 2, /* leaves the node's cluster through an egress IP */
};

enum sp_direction {
	SP_EGRESS = 0,  /* from the pod */
	SP_INGRESS = 1, /* to the pod */
};

#endif
