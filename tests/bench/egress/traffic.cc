// SPDX-License-Identifier: Apache-2.0
#include "egress/traffic.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <vector>

#include "egress/site.h"

namespace sallyport::bench {
namespace {

void WithoutDelay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

// False: it is over.
bool ServeOne(int fd, Closer first) {
  char byte;
  if (::recv(fd, &byte, 1, 0) != 1) return false;
  return ::send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && first == Closer::kPod;
}

}  // namespace

const sockaddr* Of(const sockaddr_in& a) { return reinterpret_cast<const sockaddr*>(&a); }

sockaddr_in Outside(uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  inet_pton(AF_INET, kOutsideAddress, &a.sin_addr);
  return a;
}

UniqueFd Listen(uint16_t port) {
  UniqueFd fd = Socket(SOCK_STREAM);
  int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in a = Outside(port);
  Need(::bind(fd.get(), Of(a), sizeof a) == 0, "bind");
  Need(::listen(fd.get(), 4096) == 0, "listen");
  WithoutDelay(fd.get());
  return fd;
}

UniqueFd BindUdp(uint16_t port) {
  UniqueFd fd = Socket(SOCK_DGRAM);
  int size = 1 << 22;
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  sockaddr_in a = Outside(port);
  Need(::bind(fd.get(), Of(a), sizeof a) == 0, "bind");
  return fd;
}

UniqueFd Connect(uint16_t port) {
  UniqueFd fd = Socket(SOCK_STREAM);
  sockaddr_in a = Outside(port);
  Need(::connect(fd.get(), Of(a), sizeof a) == 0, "connect");
  WithoutDelay(fd.get());
  return fd;
}

bool Readable(int fd, int milliseconds) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, milliseconds) > 0;
}

Serve ServeConnections(Closer first, int ports) {
  return [=](const Ready& ready, const std::atomic<bool>& stop) {
    const auto listening = static_cast<size_t>(ports);
    std::vector<UniqueFd> open;
    std::vector<pollfd> polls;
    auto add = [&](UniqueFd fd) {
      polls.push_back({fd.get(), POLLIN, 0});
      open.push_back(std::move(fd));
    };
    for (int i = 0; i < ports; ++i) add(Listen(static_cast<uint16_t>(kPort + i)));
    ready();
    while (!stop) {
      if (::poll(polls.data(), polls.size(), 50) <= 0) continue;
      for (size_t i = polls.size(); i-- > 0;) {
        if (polls[i].revents == 0) continue;
        if (i < listening) {
          int accepted = ::accept4(polls[i].fd, nullptr, nullptr, SOCK_CLOEXEC);
          if (accepted >= 0) add(UniqueFd(accepted));
        } else if (!ServeOne(polls[i].fd, first)) {
          open[i] = std::move(open.back());
          open.pop_back();
          polls[i] = polls.back();
          polls.pop_back();
        }
      }
    }
  };
}

std::string SeenAs(const std::string& pod) {
  std::string seen;
  Measure(
      pod, "outside",
      [&](const Ready& ready, const std::atomic<bool>&) {
        UniqueFd listener = Listen(kPort);
        ready();
        if (!Readable(listener.get(), 5000)) return;
        sockaddr_in peer{};
        socklen_t length = sizeof peer;
        UniqueFd fd(::accept(listener.get(), reinterpret_cast<sockaddr*>(&peer), &length));
        std::array<char, INET_ADDRSTRLEN> text{};
        seen = inet_ntop(AF_INET, &peer.sin_addr, text.data(), text.size());
      },
      [] {
        Connect(kPort);
        return Sample{};
      });
  return seen;
}

}  // namespace sallyport::bench
