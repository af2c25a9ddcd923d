// SPDX-License-Identifier: Apache-2.0
// The latest events, for any number of readers at their own pace. Thread-safe.
//
// Bounded: a reader that falls behind loses the oldest and is told how many.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "observe/views.h"

namespace sallyport::observe {

class EventLog {
 public:
  explicit EventLog(size_t capacity = 1024) : capacity_(capacity) {}

  void Add(EventView event);

  struct Batch {
    std::vector<std::shared_ptr<const EventView>> events;
    uint64_t next = 0;  // where to read on
    uint64_t lost = 0;  // events since `from` that are not kept any more
  };
  // From the event with number `from` on; at most `limit`. 0: the oldest that is kept, none lost.
  // Waits up to `timeout` for one.
  Batch Read(uint64_t from, size_t limit, Duration timeout) const;
  // The number that the next event will get.
  uint64_t End() const;

  // Wakes every reader, now and from now on.
  void Close();
  bool closed() const;

 private:
  const size_t capacity_;
  mutable std::mutex mutex_;
  mutable std::condition_variable added_;
  std::deque<std::shared_ptr<const EventView>> events_;
  uint64_t end_ = 1;
  bool closed_ = false;
};

}  // namespace sallyport::observe
