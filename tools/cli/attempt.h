// SPDX-License-Identifier: Apache-2.0
// One probe on its way: a socket, what was sent, what came back. The loop around it is probe.cc's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "cli/probe.h"

namespace sallyport::probe {

class Attempt {
 public:
  // `number` tells this probe's ICMP echoes from others'.
  Attempt(const Target& target, const Options& options, uint16_t number)
      : target_(target), options_(&options), number_(number) {}

  // Opens the socket in the calling thread's network namespace and sends the first packet. True:
  // there is an answer already (a failure).
  bool Start(MonotonicTime now);
  // The socket has become readable or writable (see epoll_events). True: answered.
  bool Advance(MonotonicTime now);
  // wake() has come. True: answered.
  bool Wake(MonotonicTime now);

  int fd() const { return fd_.get(); }
  uint32_t epoll_events() const;
  // When to call Wake().
  MonotonicTime wake() const { return wake_; }
  const Answer& answer() const { return answer_; }
  void Close() { fd_.reset(); }

 private:
  bool IsStream() const;
  bool Finish(Outcome outcome, std::string detail, MonotonicTime now);
  bool FinishWithErrno(int code, std::string_view doing, MonotonicTime now);
  bool Connected(MonotonicTime now);
  bool ReadGreeting(MonotonicTime now);
  bool ReadAnswer(MonotonicTime now);
  bool IsOurEcho(const char* data, size_t size) const;
  bool Send(MonotonicTime now);
  std::string Packet() const;

  Target target_;
  const Options* options_;
  uint16_t number_;
  UniqueFd fd_;
  bool connected_ = false;  // streams: only the greeting is still to come
  MonotonicTime started_{};
  MonotonicTime deadline_{};
  MonotonicTime wake_{};
  Duration again_ = std::chrono::milliseconds(200);  // datagrams: until the next repetition
  Answer answer_;
};

}  // namespace sallyport::probe
