// SPDX-License-Identifier: Apache-2.0
// Which packets pass, and since when.
#pragma once

#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "api/world.h"

namespace sallyport::bench {

// Datagrams from one pod to another all the time, each with the moment it was sent at.
class Stream {
 public:
  Stream(const test::Pod& from, const test::Pod& to)
      : out_(from.UdpSocket(from.v4(), kPort)),
        in_(to.UdpSocket(to.v4(), kPort)),
        to_(to.v4()),
        sender_([this](const std::stop_token& stop) { SendAll(stop); }),
        receiver_([this](const std::stop_token& stop) { ReceiveAll(stop); }) {}
  ~Stream() {
    sender_ = {};
    receiver_ = {};
    ::close(out_);
    ::close(in_);
  }

  // When the latest datagram that arrived was sent.
  double last() const { return last_; }
  // When the first one that arrived after Mark() was sent; 0: none yet.
  void Mark() { first_ = 0; }
  double first() const { return first_; }
  double sent() const { return sent_; }

 private:
  static constexpr uint16_t kPort = 5000;
  static constexpr long kPauseNs = 100'000;

  void SendAll(const std::stop_token& stop) {
    timespec pause{0, kPauseNs};
    while (!stop.stop_requested()) {
      double now = NowSeconds();
      test::Send(out_, to_, kPort, std::string(reinterpret_cast<const char*>(&now), sizeof now));
      sent_ = now;
      ::nanosleep(&pause, nullptr);
    }
  }
  void ReceiveAll(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      double at = 0;
      if (::recv(in_, &at, sizeof at, MSG_DONTWAIT) != sizeof at) {
        ::usleep(50);
        continue;
      }
      last_ = at;
      if (first_ == 0) first_ = at;
    }
  }

  int out_, in_;
  net::Address to_;
  std::atomic<double> last_ = 0, first_ = 0, sent_ = 0;
  std::jthread sender_, receiver_;
};

}  // namespace sallyport::bench
