// SPDX-License-Identifier: Apache-2.0
// Every store into the tables goes through a Pen: one atomic word at a time, in program order.
//
// Tests watch the stores to stop after any one of them, as a kill would.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

namespace sallyport::dataplane {

class Pen {
 public:
  Pen() = default;
  explicit Pen(std::function<void()> after_each_store) : observer_(std::move(after_each_store)) {}

  // A release store: whoever sees it, sees what was stored before.
  template <typename Word>
  void Store(Word& word, std::type_identity_t<Word> value) const {
    static_assert(sizeof(Word) == 4 || sizeof(Word) == 8);
    std::atomic_ref<Word>(word).store(value, std::memory_order_release);
    if (observer_) observer_();
  }
  // The same, left out if the word says so already.
  template <typename Word>
  void Update(Word& word, std::type_identity_t<Word> value) const {
    if (word != value) Store(word, value);
  }

 private:
  std::function<void()> observer_;
};

}  // namespace sallyport::dataplane
