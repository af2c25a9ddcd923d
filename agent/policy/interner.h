// SPDX-License-Identifier: Apache-2.0
// Numbers for contents: equal contents have one number, and a number never comes to mean something
// else.
//
// References are counted. A content that nothing refers to keeps its number until Sweep, so that
// what is given up and taken again within one change does not move.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"

namespace sallyport::policy {

// Key: the content. Hash: a functor. Data: what the owner keeps with it.
template <typename Key, typename Hash, typename Data>
class Interner {
 public:
  explicit Interner(uint32_t first) : next_(first) {}
  Interner(const Interner&) = delete;
  Interner& operator=(const Interner&) = delete;

  // Takes a reference. second: the content is new.
  std::pair<uint32_t, bool> Acquire(const Key& key) {
    auto it = by_key_.find(key);
    if (it != by_key_.end()) {
      ++it->second.references;
      return {it->second.id, false};
    }
    CHECK(next_ != 0) << "numbers are used up";
    it = by_key_.try_emplace(key).first;
    it->second.id = next_++;
    it->second.references = 1;
    by_id_.emplace(it->second.id, &*it);
    return {it->second.id, true};
  }

  void Retain(uint32_t id) { ++At(id).second.references; }

  void Release(uint32_t id) {
    Entry& entry = At(id).second;
    CHECK(entry.references > 0) << "number " << id;
    if (--entry.references == 0) unused_.push_back(id);
  }

  // Drops what has no reference; `last` sees each before it goes, as (id, key, data). It must not
  // call this interner.
  template <typename Last>
  void Sweep(Last last) {
    for (uint32_t id : unused_) {
      auto it = by_id_.find(id);
      if (it == by_id_.end() || it->second->second.references > 0) continue;
      last(id, it->second->first, it->second->second.data);
      const Key& key = it->second->first;
      auto position = by_key_.find(key);
      by_id_.erase(it);
      by_key_.erase(position);
    }
    unused_.clear();
  }

  bool Contains(uint32_t id) const { return by_id_.count(id) > 0; }
  // Requires that the number is in use, or was until the next Sweep.
  const Key& key(uint32_t id) const { return At(id).first; }
  Data& data(uint32_t id) { return At(id).second.data; }
  const Data& data(uint32_t id) const { return At(id).second.data; }
  uint32_t references(uint32_t id) const { return At(id).second.references; }
  // The number of a content, or 0.
  uint32_t Find(const Key& key) const {
    auto it = by_key_.find(key);
    return it == by_key_.end() ? 0 : it->second.id;
  }
  size_t size() const { return by_key_.size(); }

 private:
  struct Entry {
    uint32_t id = 0;
    uint32_t references = 0;
    Data data;
  };
  using ByKey = std::unordered_map<Key, Entry, Hash>;

  typename ByKey::value_type& At(uint32_t id) const {
    auto it = by_id_.find(id);
    CHECK(it != by_id_.end()) << "number " << id << " is not in use";
    return *it->second;
  }

  ByKey by_key_;
  std::unordered_map<uint32_t, typename ByKey::value_type*> by_id_;
  std::vector<uint32_t> unused_;
  uint32_t next_;
};

// For contents that carry nothing else.
struct NoData {};

}  // namespace sallyport::policy
