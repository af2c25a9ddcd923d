// SPDX-License-Identifier: Apache-2.0
// A hash table in which each key may stand in one of two buckets, and readers never wait.
//
// Where both buckets of a new key are full, entries move to their other bucket to make room. An
// entry that may be in force is copied first and taken away after a grace period, so that a reader,
// who looks in one bucket and then in the other, always finds it. A place that was given up gets
// another key only after a further grace period.
//
// Traits say how an entry is hashed, compared and written:
//   Entry, Bucket, kWays, kName, Places(Bucket&), Hash(seed, entry), SameKey(entry, entry),
//   Write(pen, place, entry)  key (and values) into a free place, not yet valid for readers in
//   force Copy(pen, to, from)       a valid entry, as it is, into a free place Clear(pen, place)
//   makes the place hold nothing for any reader
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "dataplane/tables.h"

namespace sallyport::dataplane {

template <typename Traits>
class BucketTable {
 public:
  using Entry = typename Traits::Entry;
  using Bucket = typename Traits::Bucket;
  static constexpr uint32_t kNowhere = ~0u;

  // `around` outlives the table.
  BucketTable(std::span<Bucket> buckets, uint32_t seed, const Surroundings& around)
      : buckets_(buckets),
        mask_(static_cast<uint32_t>(buckets.size() - 1)),
        seed_(seed),
        around_(around),
        states_(buckets.size() * Traits::kWays, State::kFree) {}

  // Keeps the entries for which in_force(entry), clears all others. No reader of what is not in
  // force may still run. A grace period must pass before the next Place().
  template <typename InForce>
  void Adopt(const InForce& in_force) {
    for (uint32_t i = 0; i < states_.size(); ++i) {
      if (in_force(at(i)) && FirstOf(at(i), in_force) == i) {
        states_[i] = State::kUsed;
        ++used_;
      } else {
        Traits::Clear(around_.pen, at(i));
      }
    }
  }

  // Where the key stands, or kNowhere.
  uint32_t Find(const Entry& key) const {
    return FindIf(key, [this](uint32_t i) {
      return states_[i] == State::kUsed || states_[i] == State::kFresh;
    });
  }
  Entry& at(uint32_t place) { return Traits::Places(buckets_[place / kWays])[place % kWays]; }
  const Entry& at(uint32_t place) const {
    return Traits::Places(buckets_[place / kWays])[place % kWays];
  }
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    for (uint32_t i = 0; i < states_.size(); ++i)
      if (states_[i] == State::kUsed || states_[i] == State::kFresh) visit(at(i));
  }

  struct Wish {
    Entry entry;
    bool in_force = false;  // readers may use it at once: Undo() leaves it
  };
  // Writes entries whose keys are not there yet, in this order, until `limit` places are used.
  // Returns those that found no place. On failure (a grace period), call Undo().
  Result<std::vector<Entry>> Place(const std::vector<Wish>& wishes, size_t limit);
  Result<std::vector<Entry>> Place(const std::vector<Entry>& entries) {
    std::vector<Wish> wishes;
    for (const Entry& entry : entries) wishes.push_back({entry});
    return Place(wishes, capacity());
  }
  // What was placed since the last Commit() or Undo() is now in force (was never): keep (remove)
  // it.
  void Commit() {
    for (const Entry& entry : fresh_) states_[Find(entry)] = State::kUsed;
    fresh_.clear();
  }
  void Undo() {
    for (const Entry& entry : fresh_) {
      uint32_t place = Find(entry);
      Traits::Clear(around_.pen, at(place));
      states_[place] = State::kFree;
      --used_;
    }
    fresh_.clear();
  }
  // Takes out an entry that no reader looks for any more.
  void Remove(uint32_t place) {
    Traits::Clear(around_.pen, at(place));
    states_[place] = State::kLeft;
    left_.push_back(place);
    --used_;
  }
  // A grace period has passed since the last Remove().
  void AfterGrace() {
    for (uint32_t place : left_) states_[place] = State::kFree;
    left_.clear();
  }

  size_t used() const { return used_; }
  size_t capacity() const { return states_.size(); }
  // What leaves some places to those that must have one.
  size_t most() const { return capacity() - capacity() / 16; }

 private:
  static constexpr uint32_t kWays = Traits::kWays;
  static constexpr size_t kSearched = 512;  // places looked at for room
  static constexpr int kRounds = 32;        // grace periods spent on making room
  static constexpr int kFruitless = 32;     // searches for room that find none, in one go
  enum class State : uint8_t { kFree, kFresh, kUsed, kMoved, kLeft };
  enum class Room { kNow, kLater, kNever };
  struct Step {
    uint32_t place;
    size_t before;  // index of the step that wants this place
  };

  uint32_t First(const Entry& key) const { return sp_bucket(Traits::Hash(seed_, key), mask_); }
  uint32_t Other(const Entry& key) const {
    return sp_other_bucket(Traits::Hash(seed_, key), mask_);
  }

  // In the order in which readers look.
  template <typename Accept>
  uint32_t FindIf(const Entry& key, const Accept& accept) const {
    for (uint32_t bucket : {First(key), Other(key)})
      for (uint32_t i = bucket * kWays; i < (bucket + 1) * kWays; ++i)
        if (Traits::SameKey(at(i), key) && accept(i)) return i;
    return kNowhere;
  }
  template <typename InForce>
  uint32_t FirstOf(const Entry& key, const InForce& in_force) const {
    return FindIf(key, [&](uint32_t i) { return in_force(at(i)); });
  }
  uint32_t FreeIn(uint32_t bucket) const {
    for (uint32_t i = bucket * kWays; i < (bucket + 1) * kWays; ++i)
      if (states_[i] == State::kFree) return i;
    return kNowhere;
  }
  uint32_t CountFree(uint32_t bucket) const {
    auto first = states_.begin() + bucket * kWays;
    return static_cast<uint32_t>(std::count(first, first + kWays, State::kFree));
  }

  bool PlaceDirectly(const Wish& wish) {
    const Entry& entry = wish.entry;
    uint32_t first = First(entry), other = Other(entry);
    uint32_t place = FreeIn(CountFree(other) > CountFree(first) ? other : first);
    if (place == kNowhere) return false;
    Traits::Write(around_.pen, at(place), entry);
    states_[place] = wish.in_force ? State::kUsed : State::kFresh;
    if (!wish.in_force) fresh_.push_back(entry);
    ++used_;
    return true;
  }

  // Moves the entry at `from` into the free place `to`. False: `from` is free after grace periods.
  bool Move(uint32_t from, uint32_t to) {
    Traits::Copy(around_.pen, at(to), at(from));
    states_[to] = states_[from];
    if (states_[from] == State::kFresh) {  // no reader in force looks for it
      Traits::Clear(around_.pen, at(from));
      states_[from] = State::kFree;
      return true;
    }
    states_[from] = State::kMoved;
    moved_.push_back(from);
    return false;
  }

  Room MakeRoom(const Entry& entry);
  Room MoveAlong(const std::vector<Step>& steps, size_t last, uint32_t to);
  Status FinishMoves();

  std::span<Bucket> buckets_;
  const uint32_t mask_;
  const uint32_t seed_;
  const Surroundings& around_;
  std::vector<State> states_;
  std::vector<Entry> fresh_;     // keys placed in the change being prepared
  std::vector<uint32_t> moved_;  // copied elsewhere, still valid here
  std::vector<uint32_t> left_;   // cleared, wait for a grace period
  size_t used_ = 0;
};

template <typename Traits>
auto BucketTable<Traits>::Place(const std::vector<Wish>& wishes, size_t limit)
    -> Result<std::vector<Entry>> {
  // Of a change that failed under way: two copies of an entry would part ways with the next edit.
  if (!moved_.empty())
    if (Status status = FinishMoves(); !status.ok()) return std::move(status).error();
  std::vector<Entry> without;
  std::vector<Wish> waiting;
  for (const Wish& wish : wishes) {
    if (used_ >= limit) {
      without.push_back(wish.entry);
    } else if (!PlaceDirectly(wish)) {
      waiting.push_back(wish);
    }
  }
  int fruitless = 0;
  for (int round = 0; !waiting.empty(); ++round) {
    std::vector<Wish> still;
    for (const Wish& wish : waiting) {
      Room room = Room::kNever;
      if (used_ < limit) {
        if (PlaceDirectly(wish)) continue;
        if (round < kRounds && fruitless < kFruitless) room = MakeRoom(wish.entry);
        if (room == Room::kNow) PlaceDirectly(wish);
      }
      if (room == Room::kLater) still.push_back(wish);
      if (room != Room::kNever) continue;
      ++fruitless;
      without.push_back(wish.entry);
    }
    if (Status status = FinishMoves(); !status.ok()) return std::move(status).error();
    waiting = std::move(still);
  }
  return without;
}

// Breadth first from the entry's two buckets to the nearest free place.
template <typename Traits>
typename BucketTable<Traits>::Room BucketTable<Traits>::MakeRoom(const Entry& entry) {
  std::vector<Step> steps;
  bool later = false;
  auto add = [&](uint32_t bucket, size_t before) {
    for (uint32_t i = bucket * kWays; i < (bucket + 1) * kWays; ++i) {
      bool known = std::any_of(steps.begin(), steps.end(), [i](Step s) { return s.place == i; });
      if (known || steps.size() == kSearched) continue;
      if (states_[i] == State::kMoved || states_[i] == State::kLeft) {
        later = true;
      } else {
        steps.push_back({i, before});
      }
    }
  };
  add(First(entry), kSearched);
  add(Other(entry), kSearched);
  if (later) return Room::kLater;
  for (size_t s = 0; s < steps.size(); ++s) {
    const Entry& occupant = at(steps[s].place);
    uint32_t here = steps[s].place / kWays;
    uint32_t there = First(occupant) == here ? Other(occupant) : First(occupant);
    if (uint32_t to = FreeIn(there); to != kNowhere) return MoveAlong(steps, s, to);
    add(there, s);
  }
  return later ? Room::kLater : Room::kNever;
}

template <typename Traits>
typename BucketTable<Traits>::Room BucketTable<Traits>::MoveAlong(const std::vector<Step>& steps,
                                                                  size_t last, uint32_t to) {
  for (size_t s = last; s != kSearched; s = steps[s].before) {
    if (!Move(steps[s].place, to)) return Room::kLater;
    to = steps[s].place;
  }
  return Room::kNow;
}

template <typename Traits>
Status BucketTable<Traits>::FinishMoves() {
  if (moved_.empty() && left_.empty()) return Ok();
  if (Status status = around_.grace_period(); !status.ok()) return status;
  AfterGrace();
  if (moved_.empty()) return Ok();
  for (uint32_t place : moved_) {
    Traits::Clear(around_.pen, at(place));
    states_[place] = State::kLeft;
    left_.push_back(place);
  }
  moved_.clear();
  if (Status status = around_.grace_period(); !status.ok()) return status;
  AfterGrace();
  return Ok();
}

}  // namespace sallyport::dataplane
