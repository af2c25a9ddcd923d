// SPDX-License-Identifier: Apache-2.0
// From a content's hash to the numbers of entries that may hold it: a chained hash table over
// numbers below a fixed capacity. The contents stay where they are.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "abi/hash.h"

namespace sallyport::dataplane {

class ContentIndex {
 public:
  static constexpr uint32_t kNone = ~0u;

  explicit ContentIndex(size_t capacity)
      : heads_(std::bit_ceil(capacity), kNone), next_(capacity, kNone) {}

  // The first number under `hash` for which same(number).
  template <typename Same>
  uint32_t Find(uint64_t hash, const Same& same) const {
    for (uint32_t i = heads_[Bucket(hash)]; i != kNone; i = next_[i])
      if (same(i)) return i;
    return kNone;
  }
  void Insert(uint64_t hash, uint32_t number) {
    uint32_t& head = heads_[Bucket(hash)];
    next_[number] = head;
    head = number;
  }
  // Requires that `number` was inserted under `hash`.
  void Erase(uint64_t hash, uint32_t number) {
    uint32_t* link = &heads_[Bucket(hash)];
    while (*link != number) link = &next_[*link];
    *link = next_[number];
  }

 private:
  size_t Bucket(uint64_t hash) const { return hash & (heads_.size() - 1); }

  std::vector<uint32_t> heads_;
  std::vector<uint32_t> next_;
};

// Of an entry whose size is a multiple of 8 bytes.
template <typename Entry>
uint64_t HashContent(const Entry& entry) {
  static_assert(sizeof(Entry) % 8 == 0);
  uint64_t h = 0;
  for (size_t i = 0; i < sizeof(Entry); i += 8) {
    uint64_t word;
    std::memcpy(&word, reinterpret_cast<const char*>(&entry) + i, 8);
    h = sp_mix(h, word);
  }
  return sp_finish(h);
}

}  // namespace sallyport::dataplane
