// SPDX-License-Identifier: Apache-2.0
// Servers in pods that say who they are and whom they see, and clients that ask them.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "net/address.h"
#include "support/sandbox.h"

namespace sallyport::test {

inline sockaddr_in6 ToSocket(const net::Address& address, uint16_t port) {
  sockaddr_in6 out{};  // IPv4 as the mapped address
  out.sin6_family = AF_INET6;
  out.sin6_port = htons(port);
  std::memcpy(&out.sin6_addr, address.bytes().data(), 16);
  return out;
}

inline std::string AddressText(const sockaddr_in6& from) {
  net::Address::Bytes bytes;
  std::memcpy(bytes.data(), &from.sin6_addr, 16);
  return net::Address(bytes).ToString();
}

// Answers "NAME CLIENT" on a TCP and a UDP port of both families, until destroyed.
class Backend {
 public:
  Backend(const Pod& pod, uint16_t port, std::string name) : name_(std::move(name)) {
    pod.Inside([&] {
      tcp_ = Bound(SOCK_STREAM, port);
      EXPECT_EQ(listen(tcp_.get(), 64), 0);
      udp_ = Bound(SOCK_DGRAM, port);
    });
    thread_ = std::thread([this] { Run(); });
  }
  ~Backend() {
    uint64_t one = 1;
    EXPECT_EQ(write(stop_.get(), &one, sizeof one), 8);
    thread_.join();
  }

 private:
  static UniqueFd Bound(int type, uint16_t port) {
    UniqueFd fd(socket(AF_INET6, type | SOCK_CLOEXEC, 0));
    sockaddr_in6 any = ToSocket(net::Address(), port);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    return fd;
  }
  void Run() {
    for (;;) {
      pollfd waits[] = {{stop_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}, {udp_.get(), POLLIN, 0}};
      poll(waits, 3, -1);
      if (waits[0].revents) return;
      sockaddr_in6 from{};
      socklen_t size = sizeof from;
      if (waits[1].revents) {
        UniqueFd client(accept(tcp_.get(), reinterpret_cast<sockaddr*>(&from), &size));
        std::string text = name_ + " " + AddressText(from);
        if (client) send(client.get(), text.data(), text.size(), MSG_NOSIGNAL);
      } else if (waits[2].revents) {
        char ignored[64];
        recvfrom(udp_.get(), ignored, sizeof ignored, 0, reinterpret_cast<sockaddr*>(&from), &size);
        std::string text = name_ + " " + AddressText(from);
        sendto(udp_.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
      }
    }
  }

  std::string name_;
  UniqueFd stop_{eventfd(0, EFD_CLOEXEC)};
  UniqueFd tcp_, udp_;
  std::thread thread_;
};

// A client socket in a pod, or in the node where there is none. Each has a port that none had
// before: for a port that was used, the node may remember where its packets went in an earlier
// test.
class Client {
 public:
  Client(const Pod* pod, int type) {
    auto open = [&] {
      fd_ = UniqueFd(socket(AF_INET6, type | SOCK_CLOEXEC, 0));
      sockaddr_in6 own = ToSocket(net::Address(), NextPort());
      EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&own), sizeof own), 0);
    };
    pod ? pod->Inside(open) : open();
  }
  // "NAME CLIENT", or "refused", or what else the kernel said.
  std::string Ask(const std::string& address, uint16_t port) {
    sockaddr_in6 to = ToSocket(*net::Address::Parse(address), port);
    if (connect(fd_.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return Failure();
    if (send(fd_.get(), "?", 1, MSG_NOSIGNAL) < 0) return Failure();
    return Answer();
  }
  // Sends without waiting for anything.
  void Tell(const std::string& address, uint16_t port) {
    sockaddr_in6 to = ToSocket(*net::Address::Parse(address), port);
    sendto(fd_.get(), "?", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
  }
  std::string Answer() {
    constexpr int kForever = 60'000;
    pollfd wait{fd_.get(), POLLIN, 0};
    if (poll(&wait, 1, kForever) == 0) return "nothing";
    char text[128];
    ssize_t size = recv(fd_.get(), text, sizeof text, 0);
    return size < 0 ? Failure() : std::string(text, static_cast<size_t>(size));
  }
  // Bytes that came and were not read.
  int Pending() const {
    int bytes = -1;
    ioctl(fd_.get(), FIONREAD, &bytes);
    return bytes;
  }

 private:
  static uint16_t NextPort() {
    constexpr int kFirst = 32768;  // above what is served
    static int count = 0;
    return static_cast<uint16_t>(kFirst + count++ % (65536 - kFirst));
  }
  static std::string Failure() {
    return errno == ECONNREFUSED ? "refused" : std::string(std::strerror(errno));
  }
  UniqueFd fd_;
};

inline std::string Ask(const Pod* from, int type, const std::string& address, uint16_t port) {
  return Client(from, type).Ask(address, port);
}

}  // namespace sallyport::test
