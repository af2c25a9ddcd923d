// SPDX-License-Identifier: Apache-2.0
// Hashes that all nodes must agree on: the same on every machine and in every version.
#pragma once

#include <cstdint>
#include <string_view>

#include "net/address.h"

namespace sallyport::egress {

// Of bytes: FNV-1a, stirred once more so that names that differ in their last letter are far apart.
inline uint64_t HashBytes(const void* bytes, size_t size, uint64_t seed = 0xcbf29ce484222325u) {
  const auto* at = static_cast<const uint8_t*>(bytes);
  for (size_t i = 0; i < size; ++i) seed = (seed ^ at[i]) * 0x100000001b3u;
  seed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9u;
  seed = (seed ^ seed >> 27) * 0x94d049bb133111ebu;
  return seed ^ seed >> 31;
}

inline uint64_t HashName(std::string_view name) { return HashBytes(name.data(), name.size()); }

// Rendezvous hashing: of several, the one with the highest score is taken. One more or one less
// moves only what it gets, or had.
inline uint64_t Score(std::string_view name, const net::Address& address) {
  return HashBytes(address.bytes().data(), address.bytes().size(), HashName(name));
}

}  // namespace sallyport::egress
