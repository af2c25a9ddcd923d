// SPDX-License-Identifier: Apache-2.0
// Random choices: from a seed, the same ones on every machine; or from bytes that a fuzzer made up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sallyport::test {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  // Each choice takes a byte or two; when they are used up, every choice is the first one.
  Random(const uint8_t* bytes, size_t size) : bytes_(bytes), left_(size) {}

  // 0..n-1. Requires n > 0.
  size_t Below(size_t n) { return static_cast<size_t>((bytes_ ? NextBytes(n) : Next()) % n); }
  // from..to, both included.
  int Between(int from, int to) {
    return from + static_cast<int>(Below(static_cast<size_t>(to - from) + 1));
  }
  bool Chance(int percent) { return Between(0, 99) < percent; }
  template <typename T>
  const T& Pick(const std::vector<T>& items) {
    return items[Below(items.size())];
  }
  // No bytes are left. Never for a seed.
  bool exhausted() const { return bytes_ && left_ == 0; }

 private:
  // splitmix64.
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }

  uint64_t NextBytes(size_t n) {
    uint64_t value = 0;
    for (size_t covered = 1; covered < n && left_ > 0; covered *= 256) {
      value = value << 8 | *bytes_++;
      --left_;
    }
    return value;
  }

  uint64_t state_ = 0;
  const uint8_t* bytes_ = nullptr;
  size_t left_ = 0;
};

}  // namespace sallyport::test
