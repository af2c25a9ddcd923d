/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What stands on the interfaces while an agent takes over from an older version, whose tables its
 * programs cannot read. A gate leads to the older version's program for its hook, and from the first
 * generation of the new tables on to the new one's: one word moves the whole node. Nothing is judged
 * here. A gate calls no function, so it may end in another program on every processor.
 */
#include "lib/config.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SP_GATES);
	__type(key, __u32);
	__type(value, __u32);
} gates SEC(".maps");

/* Roles: enum class Role in agent/dataplane/dataplane.h. */
#define ROLE_POD 0
#define ROLE_NODE 1
#define ROLE_TUNNEL 2
#define ROLE_EGRESS 3

/* `without`: what a hook does that the older version had no program for. */
#define GATE(name, role, direction, without)                                                   \
	SEC("tc")                                                                              \
	int name(struct __sk_buff *ctx)                                                        \
	{                                                                                      \
		__u32 zero = 0;                                                                \
		struct sp_control *word = bpf_map_lookup_elem(&control, &zero);                \
                                                                                               \
		if (!word)                                                                     \
			return TC_ACT_SHOT;                                                    \
		if (READ_ONCE(word->generation) == READ_ONCE(word->former)) {                  \
			bpf_tail_call(ctx, &gates, SP_GATE(role, direction, SP_GATES_FORMER)); \
			return without;                                                        \
		}                                                                              \
		bpf_tail_call(ctx, &gates, SP_GATE(role, direction, SP_GATES_NEXT));           \
		return TC_ACT_SHOT;                                                            \
	}

/* By the interface's hook; from a pod's comes in what the pod sends. */
GATE(pod_gate_in, ROLE_POD, SP_EGRESS, TC_ACT_SHOT)
GATE(pod_gate_out, ROLE_POD, SP_INGRESS, TC_ACT_SHOT)
GATE(node_gate_in, ROLE_NODE, SP_EGRESS, TC_ACT_UNSPEC)
GATE(node_gate_out, ROLE_NODE, SP_INGRESS, TC_ACT_UNSPEC)
GATE(tunnel_gate_in, ROLE_TUNNEL, SP_EGRESS, TC_ACT_UNSPEC)
GATE(tunnel_gate_out, ROLE_TUNNEL, SP_INGRESS, TC_ACT_UNSPEC)
GATE(egress_gate_in, ROLE_EGRESS, SP_EGRESS, TC_ACT_SHOT)
GATE(egress_gate_out, ROLE_EGRESS, SP_INGRESS, TC_ACT_SHOT)

char LICENSE[] SEC("license") = "GPL";
