// SPDX-License-Identifier: Apache-2.0
// Connections from pods to the outside that never rest, both ends in this program: TCP and UDP,
// each end telling the other one number after the other. A connection that ends, a number that
// comes out of order or from another address than before is trouble; one that is late is not.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "net/address.h"

namespace sallyport::lab {

class Crowd {
 public:
  using Millis = std::chrono::milliseconds;

  // The far end, in that network namespace, at these addresses, on that port of TCP and UDP.
  Crowd(const std::string& outside_netns, const std::vector<net::Address>& at, uint16_t port);
  ~Crowd();
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  // Opens `count` connections from a pod's network namespace. Returns how many came about within
  // `patience` each; those that did not are forgotten.
  size_t Open(const std::string& netns, const net::Address& to, bool tcp, size_t count,
              Millis patience = std::chrono::seconds(60));
  // Ends those that were opened last; as a pod does it.
  void Close(size_t count);
  size_t size() const;

  // Until each connection has passed so many more numbers both ways, after the call. "", or what
  // went wrong: also if it takes a minute.
  std::string AwaitPasses(uint64_t passes);
  std::string Trouble() const;
  // The address of each connection that the far end sees; nothing of UDP before its first pass.
  std::set<net::Address> Sources() const;
  // How long the longest wait for a number was since the last call.
  Millis LongestSilence();

 private:
  using Clock = std::chrono::steady_clock;
  struct Way {
    uint64_t sent = 0, got = 0;
    Clock::time_point sent_at, tried_at, got_at;  // the last number: first, last; the one before
    std::string rest;                             // the beginning of a number, of TCP
  };
  struct Talk {
    uint32_t id = 0;
    bool tcp = false;
    UniqueFd near, far;  // `far`: of TCP
    int heard_at = -1;   // that end of UDP
    std::string remote;  // as the far end sees it: a socket address, in bytes
    Way out, in;         // from the pod, to the pod
  };

  UniqueFd Connect(const std::string& netns, const net::Address& to, bool tcp, uint32_t id,
                   Millis patience, UniqueFd& accepted);
  void Run(const std::stop_token& stop);
  void Speak(Talk& talk, Way& way);
  void Hear(uint64_t key);
  void HearTcp(Talk& talk, Way& way, int fd);
  void HearUdp(int fd);
  void Got(Talk& talk, Way& way, uint64_t number);
  void Complain(const Talk& talk, const std::string& what);
  void Watch(int fd, uint64_t key);

  const uint16_t port_;
  UniqueFd listener_, epoll_;
  std::vector<UniqueFd> datagrams_;
  mutable std::mutex mutex_;
  std::map<uint32_t, Talk> talks_;
  std::string trouble_;
  Clock::duration longest_{};
  uint32_t next_ = 1;
  std::jthread thread_;
};

}  // namespace sallyport::lab
