// SPDX-License-Identifier: Apache-2.0
#include "cli/serve.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "cli/conversation.h"
#include "cli/greeting.h"
#include "cli/sockets.h"

namespace sallyport::probe {
namespace {

constexpr size_t kMostUnsent = 256 * 1024;  // per connection; then reading from it pauses
constexpr int kDatagramsAWake = 64;
constexpr int kAcceptsAWake = 256;
constexpr int kBacklog = 4096;

struct Listener {
  UniqueFd fd;
  Port port;
};

struct Connection {
  UniqueFd fd;
  Conversation conversation;
  uint64_t id = 0;
  bool client_done = false;  // it sent its FIN
  uint32_t events = 0;       // what epoll was last told to wait for
};

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

Status SetOption(int fd, int level, int option, int value) {
  if (setsockopt(fd, level, option, &value, sizeof value) == 0) return Ok();
  return ErrnoError("setsockopt");
}

// A bound socket for both families, or for IPv4 alone where the kernel has no IPv6.
Result<UniqueFd> BindAll(const Port& port) {
  auto fd = OpenSocket(AF_INET6, port.protocol);
  bool v6 = fd.has_value();
  if (!v6 && fd.error().code == EAFNOSUPPORT) fd = OpenSocket(AF_INET, port.protocol);
  if (!fd) return fd;
  if (v6) {
    if (Status s = SetOption(fd->get(), IPPROTO_IPV6, IPV6_V6ONLY, 0); !s) return s.error();
  }
  if (port.protocol == net::Protocol::kUdp) {
    int level = v6 ? static_cast<int>(IPPROTO_IPV6) : static_cast<int>(IPPROTO_IP);
    int option = v6 ? IPV6_RECVPKTINFO : IP_PKTINFO;
    if (Status s = SetOption(fd->get(), level, option, 1); !s) return s.error();
  } else {
    if (Status s = SetOption(fd->get(), SOL_SOCKET, SO_REUSEADDR, 1); !s) return s.error();
  }
  net::Address any = v6 ? net::Address() : net::Address::V4(INADDR_ANY);
  SocketAddress address = ToSocketAddress(any, port.number);
  if (bind(fd->get(), address.data(), address.length) != 0) return ErrnoError("bind");
  if (port.protocol != net::Protocol::kUdp && listen(fd->get(), kBacklog) != 0) {
    return ErrnoError("listen");
  }
  return fd;
}

SocketAddress LocalAddress(int fd) {
  SocketAddress address;
  getsockname(fd, address.data(), &address.length);
  return address;
}

}  // namespace

class Server::Impl {
 public:
  Impl(std::string name, std::vector<Listener> listeners, std::vector<Port> unserved)
      : name_(std::move(name)), unserved_(std::move(unserved)) {
    for (Listener& listener : listeners) {
      served_.push_back(listener.port);
      listeners_.emplace(listener.fd.get(), std::move(listener));
    }
    RaiseFileLimit();
    spare_.reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
  }

  Status Run(int stop_fd);
  const std::vector<Port>& served() const { return served_; }
  const std::vector<Port>& unserved() const { return unserved_; }

 private:
  Status Watch(int fd, uint32_t events, int operation);
  void Handle(const epoll_event& event);
  void Accept(const Listener& listener);
  void Admit(UniqueFd fd, const SocketAddress& peer, const Port& port);
  void RefuseOne(int listener);
  void Talk(Connection& connection, uint32_t events);
  bool Read(Connection& connection);
  bool Write(Connection& connection);
  void AnswerDatagrams(const Listener& listener);
  bool AnswerDatagram(const Listener& listener);
  int UntilSilence() const;
  void GreetTheSilent();

  std::string name_;
  std::vector<Port> served_;
  std::vector<Port> unserved_;
  std::map<int, Listener> listeners_;
  std::unordered_map<int, Connection> connections_;
  std::deque<std::pair<MonotonicTime, std::pair<int, uint64_t>>> undecided_;  // oldest first
  uint64_t next_id_ = 0;
  UniqueFd epoll_;
  UniqueFd spare_;  // closed to accept and refuse a connection when no file is left
};

Status Server::Impl::Watch(int fd, uint32_t events, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), operation, fd, &event) == 0) return Ok();
  return ErrnoError("epoll_ctl");
}

Status Server::Impl::Run(int stop_fd) {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return ErrnoError("epoll_create1");
  if (Status s = Watch(stop_fd, EPOLLIN, EPOLL_CTL_ADD); !s) return s;
  for (const auto& [fd, listener] : listeners_) {
    if (Status s = Watch(fd, EPOLLIN, EPOLL_CTL_ADD); !s) return s;
  }
  std::array<epoll_event, 256> events;
  while (true) {
    int n = epoll_wait(epoll_.get(), events.data(), events.size(), UntilSilence());
    if (n < 0 && errno != EINTR) return ErrnoError("epoll_wait");
    for (int i = 0; i < n; ++i) {
      if (events[static_cast<size_t>(i)].data.fd == stop_fd) return Ok();
      Handle(events[static_cast<size_t>(i)]);
    }
    GreetTheSilent();
  }
}

void Server::Impl::Handle(const epoll_event& event) {
  if (auto listener = listeners_.find(event.data.fd); listener != listeners_.end()) {
    if (listener->second.port.protocol == net::Protocol::kUdp) {
      AnswerDatagrams(listener->second);
    } else {
      Accept(listener->second);
    }
  } else if (auto it = connections_.find(event.data.fd); it != connections_.end()) {
    Talk(it->second, event.events);
  }
}

void Server::Impl::Accept(const Listener& listener) {
  for (int i = 0; i < kAcceptsAWake; ++i) {
    SocketAddress peer;
    UniqueFd fd(
        accept4(listener.fd.get(), peer.data(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      Admit(std::move(fd), peer, listener.port);
    } else if (errno == EMFILE || errno == ENFILE) {
      RefuseOne(listener.fd.get());
    } else if (WouldBlock(errno)) {
      return;
    }
    // Other errors are those of one connection that is gone already: on to the next.
  }
}

// Without a file for it, a waiting connection would wake the loop for ever: close it instead.
void Server::Impl::RefuseOne(int listener) {
  spare_.reset();
  UniqueFd refused(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  refused.reset();
  spare_.reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

void Server::Impl::Admit(UniqueFd fd, const SocketAddress& peer, const Port& port) {
  int key = fd.get();
  std::string here = ToString(LocalAddress(key));
  Connection connection{
      std::move(fd),
      Conversation(Greeting(name_, here, net::ToString(port.protocol), ToString(peer))), next_id_++,
      false, EPOLLIN};
  if (!Watch(key, EPOLLIN, EPOLL_CTL_ADD)) return;
  undecided_.push_back({SystemClock().Now() + kGreetAfter, {key, connection.id}});
  connections_.insert_or_assign(key, std::move(connection));
}

void Server::Impl::Talk(Connection& connection, uint32_t events) {
  int fd = connection.fd.get();
  bool alive = (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0 || Read(connection);
  alive = alive && Write(connection);
  bool all_said = connection.conversation.out().empty() &&
                  (connection.conversation.finished() || connection.client_done);
  if (!alive || all_said) {
    connections_.erase(fd);
    return;
  }
  size_t unsent = connection.conversation.out().size();
  bool listen = !connection.client_done && !connection.conversation.finished();
  uint32_t wanted = (listen && unsent < kMostUnsent ? EPOLLIN : 0u) | (unsent ? EPOLLOUT : 0u);
  if (wanted == connection.events) return;
  connection.events = wanted;
  if (!Watch(fd, wanted, EPOLL_CTL_MOD)) connections_.erase(fd);
}

// False when the connection is broken.
bool Server::Impl::Read(Connection& connection) {
  Conversation& conversation = connection.conversation;
  std::array<char, 16 * 1024> buffer;
  while (!connection.client_done && !conversation.finished() &&
         conversation.out().size() < kMostUnsent) {
    ssize_t n = read(connection.fd.get(), buffer.data(), buffer.size());
    if (n < 0) return WouldBlock(errno) || errno == EINTR;
    if (n == 0) {
      connection.client_done = true;
      conversation.Silence();
      return true;
    }
    conversation.Receive({buffer.data(), static_cast<size_t>(n)});
  }
  return true;
}

// False when the connection is broken.
bool Server::Impl::Write(Connection& connection) {
  std::string& out = connection.conversation.out();
  while (!out.empty()) {
    ssize_t n = send(connection.fd.get(), out.data(), out.size(), MSG_NOSIGNAL);
    if (n < 0) return WouldBlock(errno) || errno == EINTR;
    out.erase(0, static_cast<size_t>(n));
  }
  return true;
}

void Server::Impl::AnswerDatagrams(const Listener& listener) {
  for (int i = 0; i < kDatagramsAWake; ++i) {
    if (!AnswerDatagram(listener)) return;
  }
}

namespace {

// The address that a datagram was sent to, from its control messages.
std::optional<net::Address> SentTo(msghdr& message) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      net::Address::Bytes bytes;
      std::memcpy(bytes.data(), CMSG_DATA(c), 16);
      return net::Address(bytes);
    }
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      return net::Address::V4(ntohl(info.ipi_addr.s_addr));
    }
  }
  return std::nullopt;
}

}  // namespace

// False when none is left. The answer leaves from the address that was asked: the control message
// goes back as it came, which the kernel takes as the source to use.
bool Server::Impl::AnswerDatagram(const Listener& listener) {
  std::array<char, 60 * 1024> buffer;
  alignas(cmsghdr) std::array<char, 256> control;
  SocketAddress peer;
  iovec in{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_name = peer.data();
  message.msg_namelen = peer.length;
  message.msg_iov = &in;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t n = recvmsg(listener.fd.get(), &message, 0);
  if (n < 0) return !WouldBlock(errno);
  std::string_view datagram(buffer.data(), static_cast<size_t>(n));
  // Two servers must not answer each other's answers for ever.
  if (datagram.starts_with(kGreetingStart)) return true;
  net::Address to = SentTo(message).value_or(net::Address());
  std::string here = ToString(ToSocketAddress(to, listener.port.number));
  std::string answer =
      Greeting(name_, here, net::ToString(listener.port.protocol), ToString(peer)) +
      std::string(datagram);
  iovec out{answer.data(), answer.size()};
  message.msg_iov = &out;
  message.msg_flags = 0;
  sendmsg(listener.fd.get(), &message, MSG_NOSIGNAL);  // lost, as datagrams may be
  return true;
}

// Milliseconds until the next connection is to be greeted unasked; -1: none waits.
int Server::Impl::UntilSilence() const {
  if (undecided_.empty()) return -1;
  auto left =
      std::chrono::ceil<std::chrono::milliseconds>(undecided_.front().first - SystemClock().Now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

void Server::Impl::GreetTheSilent() {
  MonotonicTime now = SystemClock().Now();
  while (!undecided_.empty() && undecided_.front().first <= now) {
    auto [fd, id] = undecided_.front().second;
    undecided_.pop_front();
    auto it = connections_.find(fd);
    if (it == connections_.end() || it->second.id != id) continue;
    it->second.conversation.Silence();
    Talk(it->second, 0);
  }
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&&) noexcept = default;
Server::~Server() = default;

Result<Server> Server::Listen(std::string name, const std::vector<Port>& ports) {
  std::vector<Listener> listeners;
  std::vector<Port> unserved;
  for (const Port& port : ports) {
    if (!net::HasPorts(port.protocol)) {
      return Error{port.ToString() + " needs no server: the kernel answers it"};
    }
    auto fd = BindAll(port);
    if (fd) {
      listeners.push_back({std::move(*fd), port});
    } else if (fd.error().code == EPROTONOSUPPORT || fd.error().code == ESOCKTNOSUPPORT) {
      unserved.push_back(port);
    } else {
      return std::move(fd).error().Context("listen on " + port.ToString());
    }
  }
  return Server(std::make_unique<Impl>(std::move(name), std::move(listeners), std::move(unserved)));
}

const std::vector<Port>& Server::served() const { return impl_->served(); }
const std::vector<Port>& Server::unserved() const { return impl_->unserved(); }
Status Server::Run(int stop_fd) { return impl_->Run(stop_fd); }

}  // namespace sallyport::probe
