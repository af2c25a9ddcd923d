// SPDX-License-Identifier: Apache-2.0
// pod_egress for a packet that is another flow's each time: BPF_PROG_TEST_RUN repeats one packet,
// so the ports and the peer are rewritten in the program. `empty` does only that.
#include "../../bpf/pod.bpf.c"

#include <linux/udp.h>

#define BENCH_PORTS 60000

// The flow of the next packet, how many there are in turn, and in how many networks (10.n.n.0/24,
// fd00:n::/32) their peers are.
__u32 bench_next = 0;
__u32 bench_flows = 1;
__u32 bench_networks = 1;

static __always_inline __u32 next_flow(void) {
  __u32 n = bench_next;

  bench_next = n + 1 < bench_flows ? n + 1 : 0;
  return n;
}

// 0 if the packet is not one of UDP over IPv4 or IPv6 without options.
static __always_inline int vary(struct __sk_buff* ctx) {
  void *data = (void*)(long)ctx->data, *end = (void*)(long)ctx->data_end;
  struct ipv6hdr* v6 = data + ETH_HLEN;
  struct iphdr* v4 = data + ETH_HLEN;
  __u32 n = next_flow(), network = n % bench_networks;
  struct udphdr* udp;

  if ((void*)(v6 + 1) + sizeof(*udp) > end) return 0;
  if (ctx->protocol == bpf_htons(ETH_P_IP)) {
    udp = (void*)(v4 + 1);
    v4->daddr = bpf_htonl(0x0a000001 + (network << 8) + n / BENCH_PORTS);
  } else {
    udp = (void*)(v6 + 1);
    v6->daddr.in6_u.u6_addr32[0] = bpf_htonl(0xfd000000 + network);
    v6->daddr.in6_u.u6_addr32[3] = bpf_htonl(1 + n / BENCH_PORTS);
  }
  udp->source = bpf_htons((__u16)(1024 + n % BENCH_PORTS));
  return 1;
}

SEC("tc")
int vary_egress(struct __sk_buff* ctx) { return vary(ctx) ? handle(ctx, SP_EGRESS) : TC_ACT_SHOT; }

SEC("tc")
int vary_empty(struct __sk_buff* ctx) { return vary(ctx) ? TC_ACT_UNSPEC : TC_ACT_SHOT; }
