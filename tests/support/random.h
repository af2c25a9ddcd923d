// SPDX-License-Identifier: Apache-2.0
// Random choices that are the same for one seed on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sallyport::testing {

// splitmix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  // 0..n-1. Requires n > 0.
  size_t Below(size_t n) { return static_cast<size_t>(Next() % n); }
  // from..to, both included.
  int Between(int from, int to) {
    return from + static_cast<int>(Below(static_cast<size_t>(to - from) + 1));
  }
  bool Chance(int percent) { return Between(0, 99) < percent; }
  template <typename T>
  const T& Pick(const std::vector<T>& items) {
    return items[Below(items.size())];
  }

 private:
  uint64_t state_;
};

}  // namespace sallyport::testing
