// SPDX-License-Identifier: Apache-2.0
// Connections between a pod and the outside, for what is measured.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "shared/measure.h"

namespace sallyport::bench {

inline constexpr uint16_t kPort = 7000;

sockaddr_in Outside(uint16_t port);
// As the system's calls take it.
const sockaddr* Of(const sockaddr_in& a);
// Of the outside.
UniqueFd Listen(uint16_t port);
UniqueFd BindUdp(uint16_t port);
// To the outside; without delay for small writes.
UniqueFd Connect(uint16_t port);
bool Readable(int fd, int milliseconds = 50);

enum class Closer { kPod, kOutside };

// Serves connections to `ports` ports from kPort on: a byte for a byte, and then the one who is to
// close first does.
Serve ServeConnections(Closer first, int ports);

// Whom the outside sees when this pod connects; it is also the first packet of a way, so both ends
// know their neighbours then.
std::string SeenAs(const std::string& pod);

}  // namespace sallyport::bench
