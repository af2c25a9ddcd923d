// SPDX-License-Identifier: Apache-2.0
#include "lab/relay.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "kube/access.h"
#include "lab/daemons.h"
#include "lab/netns.h"

namespace sallyport::lab {
namespace {

using AddressList = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

Result<AddressList> Resolve(const std::string& host, uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) return Error{host + ": " + gai_strerror(error), 0};
  return AddressList(found, freeaddrinfo);
}

Result<UniqueFd> Listen(const net::Address& address) {
  auto found = Resolve(address.ToString(), kApiPort, AI_NUMERICHOST | AI_PASSIVE);
  if (!found) return std::move(found).error();
  const addrinfo& where = **found;
  UniqueFd fd(socket(where.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int one = 1;
  if (fd) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (!fd || bind(fd.get(), where.ai_addr, where.ai_addrlen) != 0 || listen(fd.get(), 64) != 0)
    return ErrnoError("listen on " + address.ToString());
  return fd;
}

UniqueFd Connect(const std::string& host, uint16_t port) {
  auto found = Resolve(host, port, 0);
  if (!found) return UniqueFd();
  for (const addrinfo* where = found->get(); where; where = where->ai_next) {
    UniqueFd fd(socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd && connect(fd.get(), where->ai_addr, where->ai_addrlen) == 0) return fd;
  }
  return UniqueFd();
}

bool WriteAll(int fd, const char* data, ssize_t length) {
  for (ssize_t done = 0; done < length;) {
    ssize_t count = send(fd, data + done, static_cast<size_t>(length - done), MSG_NOSIGNAL);
    if (count <= 0) return false;
    done += count;
  }
  return true;
}

// Both ways until both have ended; either end's reset ends all.
void Carry(UniqueFd client, UniqueFd server) {
  std::array<pollfd, 2> waits = {{{client.get(), POLLIN, 0}, {server.get(), POLLIN, 0}}};
  std::array<char, 16384> chunk;
  for (int open = 2; open > 0;) {
    if (poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return;
    for (size_t side : {0u, 1u}) {
      if (waits[side].fd < 0 || !waits[side].revents) continue;
      int to = (side == 0 ? server : client).get();
      ssize_t count = recv(waits[side].fd, chunk.data(), chunk.size(), 0);
      if (count < 0 || (count > 0 && !WriteAll(to, chunk.data(), count))) return;
      if (count > 0) continue;
      shutdown(to, SHUT_WR);
      waits[side].fd = -1;
      --open;
    }
  }
}

}  // namespace

Status RunRelay(const std::string& lab) {
  auto state = LoadState(lab);
  if (!state) return std::move(state).error();
  auto access = kube::ReadKubeconfig(state->joined);
  if (!access) return std::move(access).error();
  std::vector<UniqueFd> listeners;
  Status opened = Ok();
  // A socket stays in the namespace that its thread was in.
  std::thread([&] {
    opened = EnterNetns(NetnsPath(Layout(lab).fabric_netns()));
    for (const net::Address& address : ApiAddresses(*state)) {
      if (!opened) return;
      auto fd = Listen(address);
      if (fd)
        listeners.push_back(*std::move(fd));
      else
        opened = std::move(fd).error();
    }
  }).join();
  if (!opened) return opened;
  std::vector<pollfd> waits;
  for (const UniqueFd& listener : listeners) waits.push_back({listener.get(), POLLIN, 0});
  for (;;) {
    if (poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return ErrnoError("poll");
    for (const pollfd& wait : waits) {
      if (!wait.revents) continue;
      UniqueFd client(accept4(wait.fd, nullptr, nullptr, SOCK_CLOEXEC));
      if (!client) continue;
      std::thread([host = access->host, port = access->port, client = std::move(client)]() mutable {
        UniqueFd server = Connect(host, port);
        if (server) Carry(std::move(client), std::move(server));
      }).detach();
    }
  }
}

}  // namespace sallyport::lab
