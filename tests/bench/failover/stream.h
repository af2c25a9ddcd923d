// SPDX-License-Identifier: Apache-2.0
// One stream of datagrams each way between a pod and the outside, a packet every two milliseconds,
// and how long nothing arrived.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "net/address.h"

namespace sallyport::bench {

class Stream {
 public:
  using Millis = std::chrono::duration<double, std::milli>;

  Stream(const std::string& pod_netns, const std::string& outside_netns, const net::Address& to,
         const net::Address& seen_as);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // The longest time without a packet, of either way, since the last call. A gap that has not
  // ended counts as far as it has come.
  Millis LongestGap();
  // Until packets arrive both ways that were sent after the call.
  void AwaitBothWays();
  // Came from another address, or port, than that of the first.
  uint64_t strange() const { return strange_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Way {
    Clock::time_point last = Clock::now();
    Clock::duration longest{};
    uint64_t count = 0;
  };
  void Run(const std::stop_token& stop);
  void Hear(int fd, Way& way, bool outside);

  const net::Address seen_as_;
  UniqueFd near_, far_;
  std::string remote_;  // a socket address, in bytes
  std::mutex mutex_;
  Way out_, in_;
  std::atomic<uint64_t> strange_{0};
  std::jthread thread_;
};

}  // namespace sallyport::bench
