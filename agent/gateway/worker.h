// SPDX-License-Identifier: Apache-2.0
// A thread that does one thing after another, so that nobody else waits for a server.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

namespace sallyport::gateway {

// Thread-safe. What waits when it ends is not done.
template <typename Job>
class Worker {
 public:
  using Do = std::function<void(const Job&, const std::stop_token&)>;
  Worker(size_t most, Do work)
      : most_(most),
        work_(std::move(work)),
        thread_([this](const std::stop_token& stop) { Run(stop); }) {}
  ~Worker() { Stop(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Returns when the thread has ended; what is pushed later waits for ever.
  void Stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }

  // False: so many wait already.
  bool Push(Job job) {
    {
      std::lock_guard lock(mutex_);
      if (jobs_.size() >= most_) return false;
      jobs_.push_back(std::move(job));
    }
    ready_.notify_one();
    return true;
  }

 private:
  void Run(const std::stop_token& stop) {
    while (true) {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, stop, [this] { return !jobs_.empty(); });
      if (stop.stop_requested()) return;
      Job job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      work_(job, stop);
    }
  }

  const size_t most_;
  const Do work_;
  std::mutex mutex_;
  std::condition_variable_any ready_;
  std::deque<Job> jobs_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace sallyport::gateway
