// SPDX-License-Identifier: Apache-2.0
#include "lab/agent/conversation.h"

#include <linux/tcp.h>  // netinet/tcp.h has half of tcp_info
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace sallyport::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Longer than a busy machine lets anybody wait.
constexpr int kForever = 60'000;

socklen_t Fill(const net::Address& address, uint16_t port, sockaddr_storage& out) {
  out = {};
  if (address.IsV4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(out);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    v4.sin_addr.s_addr = htonl(address.v4());
    return sizeof v4;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, address.bytes().data(), 16);
  return sizeof v6;
}

UniqueFd TcpSocket(const net::Address& own) {
  int family = own.IsV4() ? AF_INET : AF_INET6;
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return fd;
}

bool Readable(int fd) {
  pollfd wait{fd, POLLIN, 0};
  return poll(&wait, 1, kForever) == 1;
}

tcp_info InfoOf(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
  return info;
}

uint16_t NextPort() {
  static uint16_t port = 30000;
  return ++port;
}

}  // namespace

Conversation::Conversation(const Pod& from, const Pod& to, int type, bool v6)
    : is_tcp_(type == SOCK_STREAM),
      name_(from.device() + " to " + to.device() + (is_tcp_ ? " TCP" : " UDP") +
            (v6 ? " IPv6" : " IPv4")),
      opener_{{}, v6 ? from.v6() : from.v4(), NextPort()},
      other_{{}, v6 ? to.v6() : to.v4(), is_tcp_ ? kTalkPort : NextPort()} {
  if (!is_tcp_) {
    opener_.socket.reset(from.UdpSocket(opener_.address, opener_.port));
    other_.socket.reset(to.UdpSocket(other_.address, other_.port));
  } else {
    sockaddr_storage there, own;
    socklen_t size = Fill(other_.address, other_.port, there);
    UniqueFd listener;
    to.Inside([&] {
      listener = TcpSocket(other_.address);
      CHECK(bind(listener.get(), reinterpret_cast<sockaddr*>(&there), size) == 0 &&
            listen(listener.get(), 1) == 0)
          << name_ << ": " << std::strerror(errno);
    });
    from.Inside([&] {
      opener_.socket = TcpSocket(opener_.address);
      Fill(opener_.address, opener_.port, own);
      CHECK(bind(opener_.socket.get(), reinterpret_cast<sockaddr*>(&own), size) == 0 &&
            connect(opener_.socket.get(), reinterpret_cast<sockaddr*>(&there), size) == 0)
          << name_ << ": " << std::strerror(errno);
    });
    other_.socket.reset(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  CHECK(Carries()) << name_ << ": nothing arrives";
}

bool Conversation::Pass(Side& from, Side& to) {
  if (!is_tcp_) {
    Send(from.socket.get(), to.address, to.port, "a");
    return Receive(to.socket.get()) == "a";
  }
  char letter = 'a';
  return send(from.socket.get(), &letter, 1, MSG_NOSIGNAL) == 1 && Readable(to.socket.get()) &&
         recv(to.socket.get(), &letter, 1, 0) == 1;
}

bool Conversation::Carries() {
  for (auto [from, to] : {std::pair(&opener_, &other_), std::pair(&other_, &opener_)}) {
    if (!Pass(*from, *to)) return false;
    ++carried_;
  }
  return true;
}

void Conversation::Say() {
  for (auto [from, to] : {std::pair(&opener_, &other_), std::pair(&other_, &opener_)}) {
    if (is_tcp_) {
      // Each time it waits twice as long.
      uint32_t more = from->waiting > 0 ? 1 : 2;
      from->tries = InfoOf(from->socket.get()).tcpi_total_retrans + more;
      from->waiting += send(from->socket.get(), "b", 1, MSG_NOSIGNAL) == 1 ? 1 : 0;
    } else {
      Send(from->socket.get(), to->address, to->port, "b");
    }
  }
}

bool Conversation::WasTried(const Side& side) const {
  auto end = steady_clock::now() + milliseconds(kForever);
  while (InfoOf(side.socket.get()).tcpi_total_retrans < side.tries) {
    if (steady_clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(2));  // between two questions
  }
  return true;
}

bool Conversation::HasGotNothing(const Side& side) const {
  if (!is_tcp_) return Arrived(side.socket.get(), side.address, side.port).empty();
  int bytes = -1;
  return ioctl(side.socket.get(), FIONREAD, &bytes) == 0 && bytes == 0;
}

bool Conversation::IsCut() {
  if (is_tcp_ && !(WasTried(opener_) && WasTried(other_))) return false;
  return HasGotNothing(opener_) && HasGotNothing(other_);
}

bool Conversation::Revives() {
  for (auto [from, to] : {std::pair(&opener_, &other_), std::pair(&other_, &opener_)}) {
    for (; from->waiting > 0; --from->waiting) {
      char letter = 0;
      if (!Readable(to->socket.get()) || recv(to->socket.get(), &letter, 1, 0) != 1) return false;
      if (letter != 'b') return false;
    }
  }
  return true;
}

// A busy machine makes TCP try again what did arrive: the other side says so.
uint32_t Conversation::lost() const {
  uint32_t out = 0;
  if (!is_tcp_) return out;
  for (const Side* side : {&opener_, &other_}) {
    tcp_info info = InfoOf(side->socket.get());
    out += info.tcpi_total_retrans - std::min(info.tcpi_dsack_dups, info.tcpi_total_retrans);
  }
  return out;
}

Conversations Talk(const Pod& from, const Pod& to, std::vector<int> types) {
  Conversations out;
  for (int type : types)
    for (bool v6 : {false, true}) out.push_back(std::make_unique<Conversation>(from, to, type, v6));
  return out;
}

Conversations Talk(const Pod& a, const Pod& b) {
  Conversations out = Talk(a, b, {SOCK_STREAM, SOCK_DGRAM});
  for (auto& other : Talk(b, a, {SOCK_STREAM, SOCK_DGRAM})) out.push_back(std::move(other));
  return out;
}

bool AreCut(const Conversations& conversations) {
  for (const auto& one : conversations) one->Say();
  bool out = true;
  for (const auto& one : conversations) {
    if (one->IsCut()) continue;
    std::fprintf(stderr, "not cut: %s\n", one->name().c_str());
    out = false;
  }
  return out;
}

bool Carry(const Conversations& conversations) {
  bool out = true;
  for (const auto& one : conversations) {
    if (one->Carries()) continue;
    std::fprintf(stderr, "carries nothing: %s\n", one->name().c_str());
    out = false;
  }
  return out;
}

Bystanders::Bystanders(Conversations conversations)
    : conversations_(std::move(conversations)), thread_([this](const std::stop_token& stop) {
        while (!stop.stop_requested() && lost_.empty()) {
          for (const auto& one : conversations_)
            if (!one->Carries()) lost_ += one->name() + " ended; ";
          ++rounds_;
        }
      }) {}

std::string Bystanders::End() {
  // The round that is on its way may have begun before the call.
  uint64_t wanted = rounds_ + 2;
  auto end = steady_clock::now() + milliseconds(2 * kForever);
  while (rounds_ < wanted && steady_clock::now() < end)
    std::this_thread::sleep_for(milliseconds(1));
  thread_ = {};
  for (const auto& one : conversations_) {
    if (uint32_t lost = one->lost(); lost > 0)
      lost_ += one->name() + " lost " + std::to_string(lost) + " of " +
               std::to_string(one->carried()) + "; ";
  }
  return lost_;
}

}  // namespace sallyport::test
