// SPDX-License-Identifier: Apache-2.0
#include "lab/bell.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace sallyport::lab {
namespace {

std::optional<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return std::nullopt;
  memcpy(address.sun_path, path.data(), path.size());
  return address;
}

}  // namespace

Result<UniqueFd> OpenBell(const std::string& path) {
  auto address = AddressOf(path);
  if (!address) return Error{path + ": too long for a socket", 0};
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoError("socket");
  unlink(path.c_str());
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return ErrnoError("bind " + path);
  return fd;
}

void RingBell(const std::string& path, const model::ObjectName& pod) {
  auto address = AddressOf(path);
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!address || !fd) return;
  // Blocks where the node has not read the last few yet; fails where there is none.
  timeval patience{1, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  std::string name = pod.ToString();
  sendto(fd.get(), name.data(), name.size(), MSG_NOSIGNAL,
         reinterpret_cast<const sockaddr*>(&*address), sizeof *address);
}

std::optional<model::ObjectName> HearBell(const UniqueFd& bell) {
  std::array<char, 512> text;
  ssize_t length = recv(bell.get(), text.data(), text.size(), 0);
  if (length < 0) return std::nullopt;
  std::string name(text.data(), static_cast<size_t>(length));
  size_t slash = name.find('/');
  if (slash == std::string::npos) return std::nullopt;
  return model::ObjectName{name.substr(0, slash), name.substr(slash + 1)};
}

}  // namespace sallyport::lab
