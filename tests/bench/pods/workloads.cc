// SPDX-License-Identifier: Apache-2.0
#include "pods/workloads.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/unique_fd.h"
#include "shared/spaces.h"

namespace sallyport::bench {
namespace {

sockaddr_in Server(uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  inet_pton(AF_INET, kServerAddress, &a.sin_addr);
  return a;
}

UniqueFd Listen(uint16_t port) {
  UniqueFd fd = Socket(SOCK_STREAM);
  int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in a = Server(port);
  Need(::bind(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0, "bind");
  Need(::listen(fd.get(), 4096) == 0, "listen");
  return fd;
}

UniqueFd Connect(uint16_t port) {
  UniqueFd fd = Socket(SOCK_STREAM);
  sockaddr_in a = Server(port);
  Need(::connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0, "connect");
  int one = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

Sample Between(const Serve& serve, const std::function<Sample()>& work) {
  return Measure("client", "server", serve, work);
}

bool Readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, 50) > 0;
}

Sample Bulk(double seconds, size_t chunk) {
  return Between(
      [](const Ready& ready, const std::atomic<bool>&) {
        UniqueFd listener = Listen(kBulkPort);
        ready();
        UniqueFd connection(::accept(listener.get(), nullptr, nullptr));
        std::vector<char> buffer(1 << 18);
        while (::read(connection.get(), buffer.data(), buffer.size()) > 0) {
        }
      },
      [&] {
        UniqueFd fd = Connect(kBulkPort);
        std::vector<char> buffer(chunk, 'x');
        return Timed(seconds, [&] {
          ssize_t n = ::write(fd.get(), buffer.data(), buffer.size());
          Need(n > 0, "write");
          return static_cast<double>(n);
        });
      });
}

Sample BulkTcp(double seconds) {
  Sample s = Bulk(seconds, 1 << 17);
  s.units /= 1e6;
  return s;
}

// Segmentation off: one packet on the wire for each MSS.
Sample MssTcp(double seconds) {
  constexpr double kMss = 1448;
  RunIn("client", "ethtool -K eth0 tso off gso off gro off >/dev/null");
  RunIn("server", "ethtool -K eth0 tso off gso off gro off >/dev/null");
  Sample s = Bulk(seconds, 1448 * 32);
  RunIn("client", "ethtool -K eth0 tso on gso on >/dev/null");
  RunIn("server", "ethtool -K eth0 tso on gso on >/dev/null");
  s.units /= kMss;
  return s;
}

void SinkUdp(const Ready& ready, const std::atomic<bool>& stop, uint16_t port) {
  UniqueFd fd = Socket(SOCK_DGRAM);
  int size = 1 << 22;
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  sockaddr_in a = Server(port);
  Need(::bind(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0, "bind");
  ready();
  std::array<char, 2048> buffer;
  while (!stop) {
    if (!Readable(fd.get())) continue;
    while (::recv(fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) {
    }
  }
}

constexpr size_t kDatagram = 64 - sizeof(udphdr) - sizeof(iphdr);  // 64 bytes of IP

Sample SendUdp(double seconds, uint16_t port) {
  return Between(
      [&](const Ready& ready, const std::atomic<bool>& stop) { SinkUdp(ready, stop, port); },
      [&] {
        std::array<UniqueFd, 8> flows;
        for (UniqueFd& fd : flows) {
          fd = Socket(SOCK_DGRAM);
          sockaddr_in a = Server(port);
          Need(::connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0, "connect");
        }
        std::array<char, kDatagram> data{};
        return Timed(seconds, [&] {
          for (UniqueFd& fd : flows) ::send(fd.get(), data.data(), data.size(), 0);
          return static_cast<double>(flows.size());
        });
      });
}

// Another source port with each packet: each opens a flow. Some 60,000 flows in turn, so every
// packet meets a table that is as full as flows live.
Sample NewFlows(double seconds) {
  return Between(
      [&](const Ready& ready, const std::atomic<bool>& stop) { SinkUdp(ready, stop, kUdpPort); },
      [&] {
        UniqueFd fd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP));
        Need(static_cast<bool>(fd), "raw socket");
        sockaddr_in a = Server(0);
        std::array<char, kDatagram + sizeof(udphdr)> data{};
        udphdr udp{};
        udp.dest = htons(kUdpPort);
        udp.len = htons(static_cast<uint16_t>(data.size()));
        static uint32_t next = 0;
        return Timed(seconds, [&] {
          for (int i = 0; i < 16; ++i) {
            udp.source = htons(static_cast<uint16_t>(1024 + next++ % 64000));
            std::memcpy(data.data(), &udp, sizeof udp);
            ::sendto(fd.get(), data.data(), data.size(), 0, reinterpret_cast<sockaddr*>(&a),
                     sizeof a);
          }
          return 16.0;
        });
      });
}

// Answers one byte on each connection and waits for the client to close it.
void ServeConnections(const Ready& ready, const std::atomic<bool>& stop) {
  std::vector<UniqueFd> listeners;
  std::vector<pollfd> polls;
  for (uint16_t i = 0; i < kConnectPorts; ++i) {
    listeners.push_back(Listen(static_cast<uint16_t>(kConnectPort + i)));
    polls.push_back({listeners.back().get(), POLLIN, 0});
  }
  ready();
  while (!stop) {
    if (::poll(polls.data(), polls.size(), 50) <= 0) continue;
    for (size_t i = 0; i < polls.size(); ++i) {
      if (polls[i].revents == 0) continue;
      int fd = polls[i].fd;
      if (i < kConnectPorts) {
        int accepted = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
        if (accepted >= 0) polls.push_back({accepted, POLLIN, 0});
        continue;
      }
      char byte;
      if (::recv(fd, &byte, 1, 0) == 1 && ::send(fd, &byte, 1, MSG_NOSIGNAL) == 1) continue;
      ::close(fd);
      polls[i] = polls.back();
      polls.pop_back();
      --i;
    }
  }
  for (size_t i = kConnectPorts; i < polls.size(); ++i) ::close(polls[i].fd);
}

void ConnectRequestClose(uint16_t port) {
  UniqueFd fd = Connect(port);
  char byte = 'x';
  Need(::send(fd.get(), &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(fd.get(), &byte, 1, 0) == 1,
       "request");
}

Sample Connections(double seconds, int at_a_time) {
  return Between(ServeConnections, [&] {
    static std::atomic<uint32_t> next = 0;
    auto port = [] { return static_cast<uint16_t>(kConnectPort + next++ % kConnectPorts); };
    if (at_a_time == 1) {
      Sample s = Timed(seconds, [&] {
        ConnectRequestClose(port());
        return 1.0;
      });
      s.latency_us = s.wall_seconds / s.units * 1e6;
      return s;
    }
    std::atomic<uint64_t> done = 0;
    std::atomic<bool> stop = false;
    std::vector<std::thread> workers;
    for (int i = 0; i < at_a_time; ++i) {
      workers.emplace_back([&] {
        while (!stop) {
          ConnectRequestClose(port());
          ++done;
        }
      });
    }
    Sample s = Timed(seconds, [] {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      return 0.0;
    });
    s.units = static_cast<double>(done);
    stop = true;
    for (std::thread& w : workers) w.join();
    return s;
  });
}

Sample RequestResponse(double seconds) {
  return Between(
      [](const Ready& ready, const std::atomic<bool>&) {
        UniqueFd listener = Listen(kEchoPort);
        ready();
        UniqueFd fd(::accept(listener.get(), nullptr, nullptr));
        int one = 1;
        setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        char byte;
        while (::recv(fd.get(), &byte, 1, 0) == 1) {
          if (::send(fd.get(), &byte, 1, MSG_NOSIGNAL) != 1) break;
        }
      },
      [&] {
        UniqueFd fd = Connect(kEchoPort);
        char byte = 'x';
        Sample s = Timed(seconds, [&] {
          Need(::send(fd.get(), &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(fd.get(), &byte, 1, 0) == 1,
               "request");
          return 1.0;
        });
        s.latency_us = s.wall_seconds / s.units * 1e6;
        return s;
      });
}

}  // namespace

const std::vector<Workload>& Workloads() {
  static const std::vector<Workload> all = {
      {"bulk TCP", "MB", BulkTcp},
      {"TCP, one MSS a packet", "packet", MssTcp},
      {"UDP 64 B, established", "packet", [](double s) { return SendUdp(s, kUdpPort); }},
      {"UDP, a flow per packet", "packet", NewFlows},
      {"UDP, denied", "packet", [](double s) { return SendUdp(s, kDeniedPort); }},
      {"TCP connect-request-close", "connection", [](double s) { return Connections(s, 1); }},
      {"the same, 16 at a time", "connection", [](double s) { return Connections(s, 16); }},
      {"TCP request-response", "request", RequestResponse},
  };
  return all;
}

}  // namespace sallyport::bench
