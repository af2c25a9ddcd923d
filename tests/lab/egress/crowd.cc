// SPDX-License-Identifier: Apache-2.0
#include "lab/egress/crowd.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "lab/netns.h"

namespace sallyport::lab {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kPause{50};   // between two numbers
constexpr milliseconds kAgain{100};  // until a datagram is sent again
constexpr milliseconds kTick{10};
constexpr auto kForever = std::chrono::seconds(60);
constexpr uint64_t kFarEnd = uint64_t{1} << 32, kDatagrams = uint64_t{1} << 33;

struct Datagram {
  uint32_t id = 0, unused = 0;
  uint64_t number = 0;
};

void Must(bool done, const char* what) { CHECK(done) << what << ": " << std::strerror(errno); }

std::pair<sockaddr_in6, socklen_t> SocketAddressOf(const net::Address& address, uint16_t port) {
  sockaddr_in6 v6{};
  if (address.IsV4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    v4.sin_addr.s_addr = htonl(address.v4());
    std::memcpy(&v6, &v4, sizeof v4);
    return {v6, sizeof v4};
  }
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, address.bytes().data(), 16);
  return {v6, sizeof v6};
}

// Of TCP: listening.
UniqueFd Bound(int type, const net::Address& at, uint16_t port) {
  UniqueFd fd(socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int on = 1, room = 8 << 20;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  sockaddr_in6 own{};
  own.sin6_family = AF_INET6;
  own.sin6_port = htons(port);
  std::memcpy(&own.sin6_addr, at.bytes().data(), 16);
  Must(bind(fd.get(), reinterpret_cast<sockaddr*>(&own), sizeof own) == 0, "bind");
  if (type == SOCK_STREAM) Must(listen(fd.get(), 4096) == 0, "listen");
  return fd;
}

void SendNumber(int fd, uint64_t number) {
  // What the socket does not take now it would not send either: the next try is soon.
  (void)send(fd, &number, sizeof number, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

Crowd::Crowd(const std::string& outside_netns, const std::vector<net::Address>& at, uint16_t port)
    : port_(port) {
  Status opened = InNetns(outside_netns, [&] {
    listener_ = Bound(SOCK_STREAM, net::Address(), port_);
    for (const net::Address& address : at) datagrams_.push_back(Bound(SOCK_DGRAM, address, port_));
    return Ok();
  });
  CHECK(opened.ok()) << opened.error().message;
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  for (size_t i = 0; i < datagrams_.size(); ++i) Watch(datagrams_[i].get(), kDatagrams + i);
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

Crowd::~Crowd() = default;

void Crowd::Watch(int fd, uint64_t key) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = key;
  Must(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

UniqueFd Crowd::Connect(const std::string& netns, const net::Address& to, bool tcp, uint32_t id,
                        Millis patience, UniqueFd& accepted) {
  UniqueFd near;
  Status opened = InNetns(netns, [&] {
    near.reset(
        socket(to.IsV4() ? AF_INET : AF_INET6, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
    return near ? Ok() : Status(ErrnoError("socket"));
  });
  CHECK(opened.ok()) << opened.error().message;
  timeval limit{patience.count() / 1000, (patience.count() % 1000) * 1000};
  int on = 1;
  setsockopt(near.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (tcp) setsockopt(near.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  auto [there, size] = SocketAddressOf(to, port_);
  if (connect(near.get(), reinterpret_cast<sockaddr*>(&there), size) != 0) return UniqueFd();
  if (!tcp) return near;
  // Of those who connect one after the other the next is this one; one that gave up may come
  // before.
  pollfd wait{listener_.get(), POLLIN, 0};
  sockaddr_in6 peer{};
  do {
    if (poll(&wait, 1, 60'000) != 1) return UniqueFd();
    socklen_t length = sizeof peer;
    accepted.reset(accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer), &length,
                           SOCK_NONBLOCK | SOCK_CLOEXEC));
    uint32_t said = 0;
    send(near.get(), &id, sizeof id, MSG_NOSIGNAL);
    pollfd word{accepted.get(), POLLIN, 0};
    if (accepted && poll(&word, 1, 2000) == 1 &&
        recv(accepted.get(), &said, sizeof said, 0) == sizeof said && said == id)
      break;
  } while (true);
  setsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return near;
}

size_t Crowd::Open(const std::string& netns, const net::Address& to, bool tcp, size_t count,
                   Millis patience) {
  size_t opened = 0;
  for (size_t i = 0; i < count; ++i) {
    Talk talk;
    talk.id = next_++;
    talk.tcp = tcp;
    talk.near = Connect(netns, to, tcp, talk.id, patience, talk.far);
    if (!talk.near) continue;
    if (tcp) {
      sockaddr_in6 peer{};
      socklen_t size = sizeof peer;
      getpeername(talk.far.get(), reinterpret_cast<sockaddr*>(&peer), &size);
      talk.remote.assign(reinterpret_cast<char*>(&peer), size);
    }
    ++opened;
    std::lock_guard lock(mutex_);
    Watch(talk.near.get(), talk.id);
    if (tcp) Watch(talk.far.get(), talk.id | kFarEnd);
    uint32_t id = talk.id;
    talks_.emplace(id, std::move(talk));
  }
  return opened;
}

void Crowd::Close(size_t count) {
  std::lock_guard lock(mutex_);
  while (count-- > 0 && !talks_.empty()) talks_.erase(std::prev(talks_.end()));
}

size_t Crowd::size() const {
  std::lock_guard lock(mutex_);
  return talks_.size();
}

void Crowd::Complain(const Talk& talk, const std::string& what) {
  if (trouble_.size() > 2000) return;
  trouble_ += std::string(talk.tcp ? "TCP " : "UDP ") + std::to_string(talk.id) + ": " + what +
              " after " + std::to_string(talk.out.got) + " numbers\n";
}

void Crowd::Got(Talk& talk, Way& way, uint64_t number) {
  if (!talk.tcp && number <= way.got) return;
  if (number != way.got + 1 || number != way.sent)
    return Complain(talk, "number " + std::to_string(number) + " is out of order");
  Clock::time_point now = Clock::now();
  longest_ = std::max(longest_, now - way.sent_at);
  way.got = number;
  way.got_at = now;
}

void Crowd::Speak(Talk& talk, Way& way) {
  Clock::time_point now = Clock::now();
  bool next = way.sent == way.got && now - way.got_at >= kPause;
  bool again = !talk.tcp && way.sent > way.got && now - way.tried_at >= kAgain;
  if (!next && !again) return;
  bool to_pod = &way == &talk.in;
  if (!talk.tcp && to_pod && talk.remote.empty()) return;
  if (next) {
    ++way.sent;
    way.sent_at = now;
  }
  way.tried_at = now;
  if (talk.tcp) return SendNumber(to_pod ? talk.far.get() : talk.near.get(), way.sent);
  Datagram datagram{talk.id, 0, way.sent};
  if (to_pod) {
    (void)sendto(talk.heard_at, &datagram, sizeof datagram, MSG_DONTWAIT,
                 reinterpret_cast<const sockaddr*>(talk.remote.data()),
                 static_cast<socklen_t>(talk.remote.size()));
  } else {
    (void)send(talk.near.get(), &datagram, sizeof datagram, MSG_DONTWAIT);
  }
}

void Crowd::HearTcp(Talk& talk, Way& way, int fd) {
  char bytes[4096];
  ssize_t size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    return Complain(talk, size == 0 ? "ended" : std::strerror(errno));
  }
  way.rest.append(bytes, static_cast<size_t>(size));
  while (way.rest.size() >= sizeof(uint64_t)) {
    uint64_t number = 0;
    std::memcpy(&number, way.rest.data(), sizeof number);
    way.rest.erase(0, sizeof number);
    Got(talk, way, number);
  }
}

void Crowd::HearUdp(int fd) {
  Datagram datagram;
  sockaddr_in6 from{};
  socklen_t length = sizeof from;
  while (recvfrom(fd, &datagram, sizeof datagram, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from),
                  &length) == sizeof datagram) {
    std::string remote(reinterpret_cast<char*>(&from), length);
    auto it = talks_.find(datagram.id);
    if (it == talks_.end()) continue;
    if (it->second.remote.empty()) {
      it->second.remote = remote;
      it->second.heard_at = fd;
    }
    if (it->second.remote != remote) Complain(it->second, "comes from another port or address");
    Got(it->second, it->second.out, datagram.number);
    length = sizeof from;
  }
}

void Crowd::Hear(uint64_t key) {
  if (key >= kDatagrams) return HearUdp(datagrams_[key - kDatagrams].get());
  auto it = talks_.find(static_cast<uint32_t>(key));
  if (it == talks_.end()) return;
  Talk& talk = it->second;
  if (talk.tcp) {
    bool far = key & kFarEnd;
    return HearTcp(talk, far ? talk.out : talk.in, far ? talk.far.get() : talk.near.get());
  }
  Datagram datagram;
  ssize_t size = recv(talk.near.get(), &datagram, sizeof datagram, MSG_DONTWAIT);
  if (size == sizeof datagram) return Got(talk, talk.in, datagram.number);
  if (size < 0 && errno != EAGAIN) Complain(talk, std::strerror(errno));
}

void Crowd::Run(const std::stop_token& stop) {
  std::array<epoll_event, 256> events;
  Clock::time_point tick = Clock::now();
  while (!stop.stop_requested()) {
    int n = epoll_wait(epoll_.get(), events.data(), events.size(), static_cast<int>(kTick.count()));
    std::lock_guard lock(mutex_);
    for (int i = 0; i < n; ++i) Hear(events[static_cast<size_t>(i)].data.u64);
    if (Clock::now() - tick < kTick) continue;
    tick = Clock::now();
    for (auto& [id, talk] : talks_) {
      Speak(talk, talk.out);
      Speak(talk, talk.in);
    }
  }
}

std::string Crowd::Trouble() const {
  std::lock_guard lock(mutex_);
  return trouble_;
}

std::string Crowd::AwaitPasses(uint64_t passes) {
  std::map<uint32_t, std::pair<uint64_t, uint64_t>> wanted;
  {
    std::lock_guard lock(mutex_);
    // What is on its way may have been sent before the call.
    for (const auto& [id, talk] : talks_)
      wanted[id] = {talk.out.got + passes + 1, talk.in.got + passes + 1};
  }
  for (auto end = Clock::now() + kForever;; std::this_thread::sleep_for(milliseconds(5))) {
    std::lock_guard lock(mutex_);
    if (!trouble_.empty()) return trouble_;
    std::erase_if(wanted, [&](const auto& want) {
      auto it = talks_.find(want.first);
      return it == talks_.end() ||
             (it->second.out.got >= want.second.first && it->second.in.got >= want.second.second);
    });
    if (wanted.empty()) return "";
    if (Clock::now() < end) continue;
    Complain(talks_.at(wanted.begin()->first),
             "is silent, and " + std::to_string(wanted.size() - 1) + " others");
    return trouble_;
  }
}

std::set<net::Address> Crowd::Sources() const {
  std::set<net::Address> out;
  std::lock_guard lock(mutex_);
  for (const auto& [id, talk] : talks_) {
    if (talk.remote.size() < sizeof(sockaddr_in6)) continue;
    sockaddr_in6 remote{};
    std::memcpy(&remote, talk.remote.data(), sizeof remote);
    net::Address::Bytes bytes;
    std::memcpy(bytes.data(), &remote.sin6_addr, bytes.size());
    out.insert(net::Address(bytes));
  }
  return out;
}

Crowd::Millis Crowd::LongestSilence() {
  std::lock_guard lock(mutex_);
  return std::chrono::duration_cast<Millis>(std::exchange(longest_, {}));
}

}  // namespace sallyport::lab
