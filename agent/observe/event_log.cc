// SPDX-License-Identifier: Apache-2.0
#include "observe/event_log.h"

#include <algorithm>

namespace sallyport::observe {

void EventLog::Add(EventView event) {
  auto shared = std::make_shared<const EventView>(std::move(event));
  {
    std::lock_guard lock(mutex_);
    events_.push_back(std::move(shared));
    if (events_.size() > capacity_) events_.pop_front();
    ++end_;
  }
  added_.notify_all();
}

EventLog::Batch EventLog::Read(uint64_t from, size_t limit, Duration timeout) const {
  std::unique_lock lock(mutex_);
  added_.wait_for(lock, timeout, [&] { return closed_ || end_ > std::max<uint64_t>(from, 1); });
  Batch batch;
  uint64_t oldest = end_ - events_.size();
  if (from == 0) from = oldest;
  batch.lost = from < oldest ? oldest - from : 0;
  uint64_t first = std::min(std::max(from, oldest), end_);
  uint64_t last = std::min<uint64_t>(end_, first + limit);
  auto begin = events_.begin() + static_cast<std::ptrdiff_t>(first - oldest);
  batch.events.assign(begin, begin + static_cast<std::ptrdiff_t>(last - first));
  batch.next = last;
  return batch;
}

uint64_t EventLog::End() const {
  std::lock_guard lock(mutex_);
  return end_;
}

void EventLog::Close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  added_.notify_all();
}

bool EventLog::closed() const {
  std::lock_guard lock(mutex_);
  return closed_;
}

}  // namespace sallyport::observe
