// SPDX-License-Identifier: Apache-2.0
#include "cli/sockets.h"

#include <arpa/inet.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sallyport::probe {

SocketAddress ToSocketAddress(const net::Address& address, uint16_t port) {
  SocketAddress out;
  if (address.IsV4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    v4.sin_addr.s_addr = htonl(address.v4());
    out.length = sizeof v4;
    std::memcpy(&out.storage, &v4, sizeof v4);
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address.bytes().data(), 16);
    out.length = sizeof v6;
    std::memcpy(&out.storage, &v6, sizeof v6);
  }
  return out;
}

net::Address AddressOf(const SocketAddress& address) {
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.storage, sizeof v4);
    return net::Address::V4(ntohl(v4.sin_addr.s_addr));
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address.storage, sizeof v6);
  net::Address::Bytes bytes;
  std::memcpy(bytes.data(), &v6.sin6_addr, 16);
  return net::Address(bytes);
}

std::string ToString(const SocketAddress& address) {
  net::Address ip = AddressOf(address);
  in_port_t port = 0;  // at the same place in both families
  std::memcpy(&port, reinterpret_cast<const char*>(&address.storage) + sizeof(sa_family_t),
              sizeof port);
  std::string host = ip.IsV4() ? ip.ToString() : "[" + ip.ToString() + "]";
  return host + ":" + std::to_string(ntohs(port));
}

Result<UniqueFd> OpenSocket(int family, net::Protocol protocol) {
  bool icmp = protocol == net::Protocol::kIcmp || protocol == net::Protocol::kIcmpV6;
  int type = protocol == net::Protocol::kUdp ? SOCK_DGRAM : icmp ? SOCK_RAW : SOCK_STREAM;
  int number = static_cast<int>(protocol);
  if (icmp) number = family == AF_INET ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6};
  UniqueFd fd(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, number));
  if (fd) return fd;
  std::string name = net::ToString(protocol);
  if (errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT) {
    return Error{"this kernel has no " + name + " sockets", errno};
  }
  if (errno == EAFNOSUPPORT) return Error{"this kernel has no IPv6", errno};
  if (icmp && errno == EPERM) return Error{"ICMP needs root (CAP_NET_RAW)", errno};
  return ErrnoError("open a socket for " + name);
}

size_t RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  rlimit raised{limit.rlim_max, limit.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &raised) != 0) return limit.rlim_cur;
  return raised.rlim_cur;
}

}  // namespace sallyport::probe
