// SPDX-License-Identifier: Apache-2.0
// Hashes of the compiler's contents. Good enough for tables; equality is always checked.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace sallyport::policy {

// `seed` with one more word in it.
inline uint64_t Mix(uint64_t seed, uint64_t word) {
  uint64_t h = (seed ^ word) * 0x9e3779b97f4a7c15u;
  return h ^ h >> 29;
}

inline uint64_t HashText(std::string_view text) { return std::hash<std::string_view>{}(text); }

// Of a label; differs from HashText(key), which stands for the key alone.
inline uint64_t HashLabel(std::string_view key, std::string_view value) {
  return Mix(HashText(key), HashText(value) | 1);
}

template <typename Iterable, typename HashItem>
uint64_t HashItems(const Iterable& items, HashItem hash) {
  uint64_t seed = items.size();
  for (const auto& item : items) seed = Mix(seed, hash(item));
  return seed;
}

inline uint64_t HashNumbers(const std::vector<uint32_t>& numbers) {
  return HashItems(numbers, [](uint32_t n) { return uint64_t{n}; });
}

}  // namespace sallyport::policy
