// SPDX-License-Identifier: Apache-2.0
#include "egress/few_ports.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <exception>
#include <thread>
#include <vector>

#include "shared/spaces.h"

namespace sallyport::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kAtATime = 64;

struct Counts {
  uint64_t done = 0, waited = 0, failed = 0;
};

// One connection: connecting until it can be written, then waiting for the answer, and for the
// other's end where that closes first.
class Client {
 public:
  explicit Client(Closer first) : first_(first) { Begin(); }
  pollfd Poll() const { return {fd_.get(), static_cast<short>(asked_ ? POLLIN : POLLOUT), 0}; }
  // Its socket can be read or written, or is broken.
  void Step(Counts* counts) {
    if (!asked_) {
      char byte = 'x';
      asked_ = true;
      if (::send(fd_.get(), &byte, 1, MSG_NOSIGNAL) != 1) End(counts, false);
      return;
    }
    char byte;
    ssize_t n = ::recv(fd_.get(), &byte, 1, 0);
    if (n == 1 && first_ == Closer::kOutside) {
      answered_ = true;
    } else {
      End(counts, n == 1 || (n == 0 && answered_));
    }
  }
  void Check(Counts* counts) {
    if (SteadyClock::now() - begun_ > std::chrono::seconds(10)) End(counts, false);
  }

 private:
  void Begin() {
    asked_ = answered_ = false;
    begun_ = SteadyClock::now();
    fd_ = Socket(SOCK_STREAM | SOCK_NONBLOCK);
    sockaddr_in a = Outside(kPort);
    int failed = ::connect(fd_.get(), Of(a), sizeof a);
    Need(failed == 0 || errno == EINPROGRESS, "connect");
  }
  void End(Counts* counts, bool well) {
    ++(well ? counts->done : counts->failed);
    counts->waited += SteadyClock::now() - begun_ >= std::chrono::milliseconds(900);
    Begin();
  }

  const Closer first_;
  UniqueFd fd_;
  bool asked_ = false, answered_ = false;
  SteadyClock::time_point begun_;
};

// Until the time is up; counts what ends in its second half.
void Connects(Closer first, double seconds, Counts* out) {
  auto start = SteadyClock::now();
  auto elapsed = [&] { return std::chrono::duration<double>(SteadyClock::now() - start).count(); };
  std::vector<Client> clients;
  for (int i = 0; i < kAtATime; ++i) clients.emplace_back(first);
  Counts before;
  while (elapsed() < seconds) {
    Counts* counts = elapsed() < seconds / 2 ? &before : out;
    std::vector<pollfd> polls;
    for (const Client& client : clients) polls.push_back(client.Poll());
    ::poll(polls.data(), polls.size(), 50);
    for (size_t i = 0; i < polls.size(); ++i) {
      if (polls[i].revents != 0) {
        clients[i].Step(counts);
      } else {
        clients[i].Check(counts);
      }
    }
  }
}

}  // namespace

PortUse Exhaust(Closer first, double seconds) {
  std::array<Counts, 2> counts;
  Measure("pod", "outside", ServeConnections(first, 1), [&] {
    std::exception_ptr failure;
    std::thread second([&] {
      try {
        EnterSpace("pod2");
        Connects(first, seconds, &counts[1]);
      } catch (...) {
        failure = std::current_exception();
      }
    });
    Connects(first, seconds, &counts[0]);
    second.join();
    if (failure) std::rethrow_exception(failure);
    return Sample{};
  });
  Counts sum;
  for (const Counts& one : counts) {
    sum.done += one.done;
    sum.waited += one.waited;
    sum.failed += one.failed;
  }
  PortUse use;
  auto all = static_cast<double>(sum.done + sum.failed);
  use.per_second = static_cast<double>(sum.done) / (seconds / 2);
  use.waited = all > 0 ? static_cast<double>(sum.waited) / all : 0;
  use.failed = sum.failed;
  return use;
}

}  // namespace sallyport::bench
