// SPDX-License-Identifier: Apache-2.0
// How many places (peers, trie slots) name an identity: in force, and in the change being prepared.
#pragma once

#include <cstdint>
#include <unordered_map>

namespace sallyport::dataplane {

class IdentityUses {
 public:
  // The change being prepared names `identity` `by` times more (fewer, below zero).
  void Add(uint32_t identity, int64_t by) {
    if (identity == 0) return;
    Bump(next_, identity, by);
    Bump(change_, identity, by);
  }
  // What was prepared is in force.
  void Commit() { change_.clear(); }

  // Identity 0 is every address nobody named.
  bool InForce(uint32_t identity) const {
    return identity == 0 || Get(next_, identity) != Get(change_, identity);
  }
  bool Next(uint32_t identity) const { return identity == 0 || Get(next_, identity) != 0; }

 private:
  using Tally = std::unordered_map<uint32_t, int64_t>;
  static void Bump(Tally& tally, uint32_t identity, int64_t by) {
    auto it = tally.try_emplace(identity, 0).first;
    it->second += by;
    if (it->second == 0) tally.erase(it);
  }
  static int64_t Get(const Tally& tally, uint32_t identity) {
    auto it = tally.find(identity);
    return it == tally.end() ? 0 : it->second;
  }

  Tally next_;
  Tally change_;
};

}  // namespace sallyport::dataplane
