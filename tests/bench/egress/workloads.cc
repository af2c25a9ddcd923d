// SPDX-License-Identifier: Apache-2.0
#include "egress/workloads.h"

#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <thread>

#include "egress/site.h"
#include "egress/traffic.h"
#include "shared/spaces.h"

namespace sallyport::bench {
namespace {

constexpr int kPorts = 16;                                         // of the outside
constexpr size_t kDatagram = 64 - sizeof(udphdr) - sizeof(iphdr);  // 64 bytes of IP
constexpr size_t kChunk = 1 << 17;

void Reads(int fd) {
  std::vector<char> buffer(2 * kChunk);
  while (::read(fd, buffer.data(), buffer.size()) > 0) {
  }
}

// Reads of one connection count, or writes.
Sample Megabytes(double seconds, int fd, bool reads) {
  std::vector<char> buffer(kChunk, 'x');
  Sample s = Timed(seconds, [&] {
    ssize_t n = reads ? ::read(fd, buffer.data(), buffer.size())
                      : ::send(fd, buffer.data(), buffer.size(), MSG_NOSIGNAL);
    Need(n > 0, reads ? "read" : "write");
    return static_cast<double>(n);
  });
  s.units /= 1e6;
  return s;
}

Sample Upload(const std::string& pod, double seconds) {
  return Measure(
      pod, "outside",
      [](const Ready& ready, const std::atomic<bool>&) {
        UniqueFd listener = Listen(kPort);
        ready();
        UniqueFd fd(::accept(listener.get(), nullptr, nullptr));
        Reads(fd.get());
      },
      [&] { return Megabytes(seconds, Connect(kPort).get(), false); });
}

Sample Download(const std::string& pod, double seconds) {
  return Measure(
      pod, "outside",
      [](const Ready& ready, const std::atomic<bool>&) {
        UniqueFd listener = Listen(kPort);
        ready();
        UniqueFd fd(::accept(listener.get(), nullptr, nullptr));
        std::vector<char> buffer(kChunk, 'x');
        while (::send(fd.get(), buffer.data(), buffer.size(), MSG_NOSIGNAL) > 0) {
        }
      },
      [&] { return Megabytes(seconds, Connect(kPort).get(), true); });
}

void Drain(int fd) {
  std::array<char, 2048> buffer;
  while (::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) {
  }
}

// Takes datagrams to all ports, and counts all packets that have arrived.
Serve Sink(uint64_t* arrived) {
  return [=](const Ready& ready, const std::atomic<bool>& stop) {
    std::vector<UniqueFd> sockets;
    for (int i = 0; i < kPorts; ++i) sockets.push_back(BindUdp(static_cast<uint16_t>(kPort + i)));
    uint64_t before = ReceivedPackets("eth0");
    ready();
    while (!stop) {
      for (const UniqueFd& fd : sockets) Drain(fd.get());
      Readable(sockets.front().get(), 1);
    }
    *arrived = ReceivedPackets("eth0") - before;
  };
}

std::vector<UniqueFd> UdpFlows() {
  std::vector<UniqueFd> flows;
  for (int i = 0; i < 8; ++i) {
    flows.push_back(Socket(SOCK_DGRAM));
    sockaddr_in a = Outside(kPort);
    Need(::connect(flows.back().get(), Of(a), sizeof a) == 0, "connect");
  }
  return flows;
}

Sample SendUdp(const std::string& pod, double seconds) {
  uint64_t arrived = 0;
  Sample s = Measure(pod, "outside", Sink(&arrived), [&] {
    std::vector<UniqueFd> flows = UdpFlows();
    std::array<char, kDatagram> data{};
    return Timed(seconds, [&] {
      for (const UniqueFd& fd : flows) ::send(fd.get(), data.data(), data.size(), 0);
      return 0.0;
    });
  });
  s.units = static_cast<double>(arrived);
  return s;
}

// The outside answers eight datagrams without an end.
Sample ReceiveUdp(const std::string& pod, double seconds) {
  return Measure(
      pod, "outside",
      [](const Ready& ready, const std::atomic<bool>& stop) {
        UniqueFd fd = BindUdp(kPort);
        ready();
        std::vector<sockaddr_in> peers;
        std::array<char, kDatagram> data{};
        while (!stop && peers.size() < 8) {
          sockaddr_in peer{};
          socklen_t length = sizeof peer;
          if (Readable(fd.get()) && ::recvfrom(fd.get(), data.data(), data.size(), 0,
                                               reinterpret_cast<sockaddr*>(&peer), &length) > 0)
            peers.push_back(peer);
        }
        while (!stop) {
          for (const sockaddr_in& peer : peers)
            ::sendto(fd.get(), data.data(), data.size(), 0, Of(peer), sizeof peer);
        }
      },
      [&] {
        std::vector<UniqueFd> flows = UdpFlows();
        std::array<char, kDatagram> data{};
        for (const UniqueFd& fd : flows) ::send(fd.get(), data.data(), data.size(), 0);
        for (const UniqueFd& fd : flows) Need(Readable(fd.get(), 5000), "no answer");
        uint64_t before = ReceivedPackets("eth0");
        Sample s = Timed(seconds, [&] {
          for (const UniqueFd& fd : flows) Drain(fd.get());
          Readable(flows.front().get(), 1);
          return 0.0;
        });
        s.units = static_cast<double>(ReceivedPackets("eth0") - before);
        return s;
      });
}

// Another source port with each packet, and another of the outside's ports once they have all been
// used: each opens a flow. A million before one comes again.
Sample OpenUdp(const std::string& pod, double seconds) {
  uint64_t arrived = 0;
  Sample s = Measure(pod, "outside", Sink(&arrived), [&] {
    UniqueFd fd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP));
    Need(static_cast<bool>(fd), "raw socket");
    sockaddr_in a = Outside(0);
    std::array<char, kDatagram + sizeof(udphdr)> data{};
    udphdr udp{};
    udp.len = htons(static_cast<uint16_t>(data.size()));
    static uint32_t next = 0;
    return Timed(seconds, [&] {
      for (int i = 0; i < 16; ++i, ++next) {
        udp.source = htons(static_cast<uint16_t>(1024 + next % 64000));
        udp.dest = htons(static_cast<uint16_t>(kPort + (next + next / 64000) % kPorts));
        std::memcpy(data.data(), &udp, sizeof udp);
        ::sendto(fd.get(), data.data(), data.size(), 0, Of(a), sizeof a);
      }
      return 0.0;
    });
  });
  s.units = static_cast<double>(arrived);
  return s;
}

void Ask(int fd) {
  char byte = 'x';
  Need(::send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(fd, &byte, 1, 0) == 1, "request");
}

Sample Connections(const std::string& pod, double seconds, Closer first) {
  return Measure(pod, "outside", ServeConnections(first, kPorts), [&] {
    static uint32_t next = 0;
    Sample s = Timed(seconds, [&] {
      UniqueFd fd = Connect(static_cast<uint16_t>(kPort + next++ % kPorts));
      Ask(fd.get());
      char byte;
      if (first == Closer::kOutside) Need(::recv(fd.get(), &byte, 1, 0) == 0, "the other's end");
      return 1.0;
    });
    s.latency_us = s.wall_seconds / s.units * 1e6;
    return s;
  });
}

Sample RequestResponse(const std::string& pod, double seconds) {
  return Measure(pod, "outside", ServeConnections(Closer::kPod, 1), [&] {
    UniqueFd fd = Connect(kPort);
    Sample s = Timed(seconds, [&] {
      Ask(fd.get());
      return 1.0;
    });
    s.latency_us = s.wall_seconds / s.units * 1e6;
    return s;
  });
}

}  // namespace

const std::vector<Workload>& Workloads() {
  auto connections = [](Closer first) {
    return [first](const std::string& pod, double s) { return Connections(pod, s, first); };
  };
  static const std::vector<Workload> all = {
      {"TCP connection, the pod closes first", "connection", connections(Closer::kPod)},
      {"TCP connection, the outside closes first", "connection", connections(Closer::kOutside)},
      {"TCP request-response", "request", RequestResponse},
      {"UDP 64 B, to the outside", "packet", SendUdp},
      {"UDP 64 B, to the pod", "packet", ReceiveUdp},
      {"UDP, a flow per packet", "packet", OpenUdp},
      {"bulk TCP, to the outside", "MB", Upload},
      {"bulk TCP, to the pod", "MB", Download},
  };
  return all;
}

}  // namespace sallyport::bench
