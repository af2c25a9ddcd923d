// SPDX-License-Identifier: Apache-2.0
#include "gateway/heartbeat_socket.h"

#include <linux/pkt_sched.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "egress/heartbeat.h"

namespace sallyport::gateway {
namespace {

constexpr int kTrafficClass = IPTOS_CLASS_CS6;
constexpr int kPriority = TC_PRIO_INTERACTIVE;
constexpr size_t kAtOnce = 64;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress SocketAddressOf(const net::Address& address, uint16_t port) {
  SocketAddress out;
  if (address.IsV4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    v4.sin_addr.s_addr = htonl(address.v4());
    memcpy(&out.storage, &v4, out.size = sizeof v4);
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    memcpy(&v6.sin6_addr, address.bytes().data(), sizeof v6.sin6_addr);
    memcpy(&out.storage, &v6, out.size = sizeof v6);
  }
  return out;
}

net::Address AddressFrom(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    sockaddr_in v4;
    memcpy(&v4, &storage, sizeof v4);
    return net::Address::V4(ntohl(v4.sin_addr.s_addr));
  }
  sockaddr_in6 v6;
  memcpy(&v6, &storage, sizeof v6);
  net::Address::Bytes bytes;
  memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
  return net::Address(bytes);
}

// The priority last: the traffic class sets one of its own.
Status PutAhead(int socket, bool v4) {
  int done =
      v4 ? setsockopt(socket, IPPROTO_IP, IP_TOS, &kTrafficClass, sizeof kTrafficClass)
         : setsockopt(socket, IPPROTO_IPV6, IPV6_TCLASS, &kTrafficClass, sizeof kTrafficClass);
  if (done == 0) done = setsockopt(socket, SOL_SOCKET, SO_PRIORITY, &kPriority, sizeof kPriority);
  if (done != 0) return ErrnoError("setting its priority");
  return Ok();
}

}  // namespace

Result<HeartbeatSocket> HeartbeatSocket::Open(const std::vector<net::Address>& own, uint16_t port,
                                              HeartbeatKey key) {
  if (own.empty()) return Error{"heartbeats need an address of this node, and there is none"};
  std::vector<One> sockets;
  for (const net::Address& address : own) {
    const std::string what =
        "heartbeats on " + address.ToString() + ", UDP port " + std::to_string(port);
    One one{UniqueFd(socket(address.IsV4() ? AF_INET : AF_INET6,
                            SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
            address.IsV4()};
    if (!one.socket) return ErrnoError(what);
    if (Status ahead = PutAhead(one.socket.get(), one.v4); !ahead)
      return std::move(ahead).error().Context(what);
    SocketAddress at = SocketAddressOf(address, port);
    if (bind(one.socket.get(), at.get(), at.size) != 0) {
      Error error = ErrnoError(what);
      if (error.code == EADDRINUSE) error.message += "; give all agents another --heartbeat-port";
      return error;
    }
    sockets.push_back(std::move(one));
  }
  return HeartbeatSocket(std::move(sockets), port, std::move(key));
}

size_t HeartbeatSocket::Send(std::string datagram, const std::vector<net::Address>& to) {
  CHECK(datagram.size() <= egress::kHeartbeatBytes)
      << "a heartbeat of " << datagram.size() << " bytes";
  key_.Seal(datagram);
  size_t failed = 0;
  for (const net::Address& address : to) {
    auto by = std::find_if(sockets_.begin(), sockets_.end(),
                           [&](const One& one) { return one.v4 == address.IsV4(); });
    SocketAddress there = SocketAddressOf(address, port_);
    bool sent = by != sockets_.end() &&
                sendto(by->socket.get(), datagram.data(), datagram.size(), MSG_DONTWAIT,
                       there.get(), there.size) == static_cast<ssize_t>(datagram.size());
    failed += !sent;
  }
  return failed;
}

void HeartbeatSocket::Drain(const One& one, std::vector<ReceivedHeartbeat>& out) {
  // Of a flood of bad ones too, so many at a time.
  for (size_t i = 0; i < kAtOnce && out.size() < kAtOnce; ++i) {
    char bytes[egress::kHeartbeatBytes];
    sockaddr_storage from{};
    socklen_t from_size = sizeof from;
    ssize_t size = recvfrom(one.socket.get(), bytes, sizeof bytes, MSG_DONTWAIT | MSG_TRUNC,
                            reinterpret_cast<sockaddr*>(&from), &from_size);
    if (size < 0) return;  // none waits; what else there may be shows at the next one
    auto length = static_cast<size_t>(size);
    std::string_view datagram(bytes, std::min(length, sizeof bytes));
    if (length > sizeof bytes || !key_.Check(datagram)) {
      ++refused_;
      continue;
    }
    out.push_back({AddressFrom(from), std::string(datagram)});
  }
}

Result<std::vector<ReceivedHeartbeat>> HeartbeatSocket::Receive(Duration wait) {
  std::vector<pollfd> polls;
  for (const One& one : sockets_)
    polls.push_back({.fd = one.socket.get(), .events = POLLIN, .revents = 0});
  auto whole = std::chrono::duration_cast<std::chrono::seconds>(wait);
  timespec until{whole.count(), (wait - whole).count()};
  int ready = ppoll(polls.data(), polls.size(), &until, nullptr);
  if (ready < 0 && errno != EINTR) return ErrnoError("waiting for heartbeats");
  std::vector<ReceivedHeartbeat> out;
  for (const One& one : sockets_) Drain(one, out);
  return out;
}

}  // namespace sallyport::gateway
