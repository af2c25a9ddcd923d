// SPDX-License-Identifier: Apache-2.0
// Socket addresses and socket types for the protocols of a probe.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cli/ports.h"
#include "net/address.h"

namespace sallyport::probe {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);
  sockaddr* data() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// An AF_INET address for IPv4, an AF_INET6 address for IPv6.
SocketAddress ToSocketAddress(const net::Address& address, uint16_t port);
// The IP address of an AF_INET or AF_INET6 address.
net::Address AddressOf(const SocketAddress& address);
// "10.0.0.1:80", "[2001:db8::1]:80"
std::string ToString(const SocketAddress& address);

// A non-blocking socket for the protocol: stream for TCP and SCTP, datagram for UDP, raw for ICMP.
// Family is AF_INET or AF_INET6. The error says what is missing in words.
Result<UniqueFd> OpenSocket(int family, net::Protocol protocol);

// Lets this process open as many files as it is allowed to; returns how many that is.
size_t RaiseFileLimit();

}  // namespace sallyport::probe
