// SPDX-License-Identifier: Apache-2.0
#include "lab/egress/mass_ends.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/unique_fd.h"
#include "lab/netns.h"

namespace sallyport::lab {
namespace {

using Clock = std::chrono::steady_clock;
using Bytes = std::array<uint8_t, 16>;

constexpr size_t kAtOnce = 1000;  // on their way
constexpr auto kPassWithin = std::chrono::seconds(120);

// What the far end says to a number.
struct Word {
  uint64_t number = 0;
  Bytes seen{};  // whom it sees
};

sockaddr_in6 SocketAddress(const uint8_t* address, uint16_t port) {
  sockaddr_in6 out{};
  out.sin6_family = AF_INET6;
  out.sin6_port = htons(port);
  std::memcpy(&out.sin6_addr, address, 16);
  return out;
}

void Join(const UniqueFd& epoll, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  CHECK(epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0) << std::strerror(errno);
}

// The descriptors that are ready.
std::vector<int> Ready(const UniqueFd& epoll, int milliseconds) {
  std::array<epoll_event, 256> events;
  int n = epoll_wait(epoll.get(), events.data(), events.size(), milliseconds);
  std::vector<int> out;
  for (int i = 0; i < n; ++i) out.push_back(events[static_cast<size_t>(i)].data.fd);
  return out;
}

bool IsLater(ssize_t size) { return size < 0 && (errno == EAGAIN || errno == EINTR); }

class NearEnd {
 public:
  MassAnswer Do(const MassOrder& order) {
    MassAnswer out;
    if (order.verb == MassVerb::kOpen) out.count = Open(order);
    if (order.verb == MassVerb::kClose)
      open_.resize(open_.size() - std::min<size_t>(open_.size(), order.count));
    if (order.verb == MassVerb::kPass) Pass(out);
    return out;
  }

 private:
  using Going = std::map<int, UniqueFd>;

  void Begin(const MassOrder& order, size_t count, Going& going) {
    sockaddr_in6 there = SocketAddress(order.to, order.port);
    Status begun = InNetns(order.netns, [&] {
      for (size_t i = 0; i < count; ++i) {
        UniqueFd fd(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!fd) return Status(ErrnoError("socket"));
        if (connect(fd.get(), reinterpret_cast<sockaddr*>(&there), sizeof there) != 0 &&
            errno != EINPROGRESS)
          return Status(ErrnoError("connect"));
        Join(epoll_, fd.get(), EPOLLOUT);
        int number = fd.get();
        going[number] = std::move(fd);
      }
      return Ok();
    });
    CHECK(begun.ok()) << begun.error().message;
  }

  uint32_t Open(const MassOrder& order) {
    const auto patience = std::chrono::seconds(order.patience_seconds);
    Going going;
    size_t left = order.count, before = open_.size();
    for (auto end = Clock::now() + patience; (left > 0 || !going.empty()) && Clock::now() < end;) {
      size_t more = std::min(left, kAtOnce - going.size());
      if (more > 0) Begin(order, more, going);
      left -= more;
      for (int fd : Ready(epoll_, 20)) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
        if (error == 0) {
          open_.push_back(std::move(going.at(fd)));
          end = Clock::now() + patience;
        }
        going.erase(fd);
      }
    }
    return static_cast<uint32_t>(open_.size() - before);
  }

  void Pass(MassAnswer& out) {
    ++number_;
    std::set<int> missing;
    std::set<Bytes> seen;
    for (const UniqueFd& fd : open_) {
      Join(epoll_, fd.get(), EPOLLIN);
      missing.insert(fd.get());
      (void)send(fd.get(), &number_, sizeof number_, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    std::string trouble;
    for (auto end = Clock::now() + kPassWithin; !missing.empty() && trouble.empty();) {
      for (int fd : Ready(epoll_, 100)) {
        Word word;
        ssize_t size = recv(fd, &word, sizeof word, MSG_DONTWAIT);
        if (IsLater(size)) continue;
        if (size != sizeof word || word.number != number_)
          trouble = size < 0 ? std::strerror(errno) : "a connection ended, or said something else";
        seen.insert(word.seen);
        missing.erase(fd);
        epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
      }
      if (Clock::now() > end)
        trouble = std::to_string(missing.size()) + " of " + std::to_string(open_.size()) +
                  " connections are silent";
    }
    out.count = static_cast<uint32_t>(open_.size());
    for (const Bytes& one : seen)
      if (out.sources < std::size(out.source))
        std::memcpy(out.source[out.sources++], one.data(), one.size());
    std::strncpy(out.trouble, trouble.c_str(), sizeof out.trouble - 1);
  }

  UniqueFd epoll_{epoll_create1(EPOLL_CLOEXEC)};
  std::vector<UniqueFd> open_;
  uint64_t number_ = 0;
};

class FarEnd {
 public:
  explicit FarEnd(int control) : control_(control) { Join(epoll_, control_, EPOLLIN); }

  // Until nobody gives orders any more.
  void Run() {
    while (true) {
      for (int fd : Ready(epoll_, -1)) {
        if (fd == control_ && !Obey()) return;
        if (fd == listener_.get()) Accept();
        if (far_.contains(fd)) Answer(fd);
      }
    }
  }

 private:
  bool Obey() {
    MassOrder order;
    if (recv(control_, &order, sizeof order, 0) != sizeof order) return false;
    Status opened = InNetns(order.netns, [&] {
      listener_.reset(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      int on = 1;
      setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
      sockaddr_in6 own = SocketAddress(order.to, order.port);
      bool well = bind(listener_.get(), reinterpret_cast<sockaddr*>(&own), sizeof own) == 0 &&
                  listen(listener_.get(), 4096) == 0;
      return well ? Ok() : Status(ErrnoError("listen"));
    });
    CHECK(opened.ok()) << opened.error().message;
    Join(epoll_, listener_.get(), EPOLLIN);
    MassAnswer answer;
    return send(control_, &answer, sizeof answer, 0) > 0;
  }

  void Accept() {
    sockaddr_in6 peer{};
    socklen_t size = sizeof peer;
    while (true) {
      UniqueFd fd(accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer), &size,
                          SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!fd) return;
      Join(epoll_, fd.get(), EPOLLIN);
      int number = fd.get();
      Bytes& seen = far_[number].second;
      std::memcpy(seen.data(), &peer.sin6_addr, seen.size());
      far_[number].first = std::move(fd);
    }
  }

  void Answer(int fd) {
    Word word;
    ssize_t size = recv(fd, &word.number, sizeof word.number, MSG_DONTWAIT);
    if (IsLater(size)) return;
    if (size != sizeof word.number) {
      far_.erase(fd);
      return;
    }
    word.seen = far_.at(fd).second;
    (void)send(fd, &word, sizeof word, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  const int control_;
  UniqueFd epoll_{epoll_create1(EPOLL_CLOEXEC)};
  UniqueFd listener_;
  std::map<int, std::pair<UniqueFd, Bytes>> far_;
};

}  // namespace

void RunNearEnd(int control) {
  NearEnd end;
  MassOrder order;
  while (recv(control, &order, sizeof order, 0) == sizeof order) {
    MassAnswer answer = end.Do(order);
    if (send(control, &answer, sizeof answer, 0) < 0) return;
  }
}

void RunFarEnd(int control) { FarEnd(control).Run(); }

}  // namespace sallyport::lab
