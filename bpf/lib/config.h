/* SPDX-License-Identifier: GPL-2.0-only */
/* Configuration, the control word, time. Included first by every program. */
#ifndef SALLYPORT_LIB_CONFIG_H
#define SALLYPORT_LIB_CONFIG_H

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../abi/hash.h"

/*
 * A function of its own for the verifier: checked once, for any arguments, instead of once per path
 * that leads to it. Pointers may be NULL there, and nothing but scalars comes back.
 */
#define GLOBAL __attribute__((noinline))
/* From a part of a program that answers for some packets only: this is none of them. */
#define NO_OPINION -2
#define barrier() asm volatile("" ::: "memory")
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))

/* Set by the loader before the programs are loaded; the verifier sees constants. */
const volatile struct sp_config config;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sp_control);
} control SEC(".maps");

static __always_inline __u32 tick_now(void)
{
	return (__u32)(bpf_ktime_get_coarse_ns() >> SP_TICK_SHIFT);
}

/* Is `seen` more than `life` ticks ago? It may be ahead: on another processor the tick has begun. */
static __always_inline int is_past(__u32 seen, __u32 life, __u32 now)
{
	return (__s32)(now - seen) > (__s32)life;
}

static __always_inline int same_address(const struct sp_address *a, const struct sp_address *b)
{
	return a->halves[0] == b->halves[0] && a->halves[1] == b->halves[1];
}

/* ::ffff:0:0/96 */
static __always_inline int is_v4(const struct sp_address *a)
{
	return a->halves[0] == 0 && a->words[2] == bpf_htonl(0xffff);
}

#endif
