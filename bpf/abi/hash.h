/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The hash functions that agent and kernel must agree on, and the two buckets a key may stand in.
 *
 * Multiply and xor-shift over 64-bit words, seeded with a secret, so that nobody outside can aim
 * at one bucket.
 */
#ifndef SALLYPORT_ABI_HASH_H
#define SALLYPORT_ABI_HASH_H

#include "tables.h"

#ifdef __cplusplus
#define SP_INLINE static inline
#else
#define SP_INLINE static __attribute__((always_inline)) inline
#endif

SP_INLINE __u64 sp_mix(__u64 h, __u64 word)
{
	h = (h ^ word) * 0x9fb21c651e98df25ULL;
	return h ^ (h >> 32);
}

SP_INLINE __u64 sp_finish(__u64 h)
{
	h *= 0xd6e8feb86659fd93ULL;
	return h ^ (h >> 32);
}

SP_INLINE __u32 sp_hash_peer(__u32 seed, const struct sp_address *address)
{
	return (__u32)sp_finish(sp_mix(sp_mix(seed, address->halves[0]), address->halves[1]));
}

SP_INLINE __u64 sp_rule_key(__u32 set, __u32 identity)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__u64)identity << 32 | set;
#else
	return (__u64)set << 32 | identity;
#endif
}

SP_INLINE __u32 sp_hash_rule(__u32 seed, __u32 set, __u32 identity)
{
	return (__u32)sp_finish(sp_mix(seed, (__u64)set << 32 | identity));
}

/*
 * Low half: buckets. Upper 16 bits: the tag. Sums of independent products rather than a chain: it
 * is computed for every packet.
 */
SP_INLINE __u64 sp_hash_flow(__u32 seed, const struct sp_flow_key *key)
{
	__u64 secret = (__u64)seed << 32 | seed;
	__u64 a = (key->low.halves[0] ^ secret) * 0x9fb21c651e98df25ULL;
	__u64 b = (key->low.halves[1] ^ secret) * 0xa0761d6478bd642fULL;
	__u64 c = (key->high.halves[0] ^ secret) * 0xe7037ed1a0b428dbULL;
	__u64 d = (key->high.halves[1] ^ secret) * 0x8ebc6af09c88c6e3ULL;
	__u64 e = (key->tail ^ secret) * 0x589965cc75374cc3ULL;
	__u64 h = ((a ^ a >> 32) + (b ^ b >> 29)) + ((c ^ c >> 31) + (d ^ d >> 30)) + (e ^ e >> 32);

	return sp_finish(h);
}

SP_INLINE __u32 sp_bucket(__u32 hash, __u32 mask)
{
	return hash & mask;
}

/*
 * The i-th place an endpoint may stand in, i < SP_ENDPOINT_PROBES; all differ while mask >= 7. The
 * first is plain: programs look there first. The kernel numbers interfaces in a row, so the next
 * places are scattered: else a row of pods would keep the row 2^n interfaces later from all of its
 * places.
 */
SP_INLINE __u32 sp_endpoint_place(__u32 ifindex, __u32 i, __u32 mask)
{
	return (ifindex + i * ((__u32)sp_finish(ifindex) | 1)) & mask;
}

/* Never the same as sp_bucket() while mask > 0. */
SP_INLINE __u32 sp_other_bucket(__u32 hash, __u32 mask)
{
	return (hash ^ ((hash >> 16) | 1)) & mask;
}

#endif
