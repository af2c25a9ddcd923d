// SPDX-License-Identifier: Apache-2.0
#include "observe/web.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <list>
#include <map>
#include <thread>

#include "base/log.h"
#include "base/unique_fd.h"

namespace sallyport::observe {
namespace {

constexpr size_t kMostRequest = 4096;  // bytes, head included; there is no body
constexpr int kBacklog = 32;
// How long nobody is let in where there is no descriptor to let them in with.
constexpr auto kOutOfDescriptors = std::chrono::milliseconds(100);

const char* Reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

std::string Response(const Page& page, bool head) {
  std::string out = "HTTP/1.1 " + std::to_string(page.status) + " " + Reason(page.status) +
                    "\r\nContent-Type: " + page.type +
                    "\r\nContent-Length: " + std::to_string(page.body.size()) +
                    "\r\nConnection: close\r\nCache-Control: no-store\r\n\r\n";
  return head ? out : out + page.body;
}

Request Bad(int status) { return {Request::State::kBad, status, "", false}; }

// A socket's address; `size` is what the family needs of it.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

SocketAddress ToSocketAddress(const Listen& listen, int family) {
  SocketAddress out;
  if (family == AF_INET) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(listen.port);
    v4->sin_addr.s_addr = htonl(listen.address.IsV4() ? listen.address.v4() : INADDR_ANY);
    out.size = sizeof(*v4);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(listen.port);
    std::copy(listen.address.bytes().begin(), listen.address.bytes().end(), v6->sin6_addr.s6_addr);
    out.size = sizeof(*v6);
  }
  return out;
}

net::Address PeerOf(const sockaddr_storage& peer) {
  if (peer.ss_family == AF_INET) {
    return net::Address::V4(ntohl(reinterpret_cast<const sockaddr_in*>(&peer)->sin_addr.s_addr));
  }
  net::Address::Bytes bytes{};
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&peer);
  std::copy_n(v6->sin6_addr.s6_addr, bytes.size(), bytes.begin());
  return net::Address(bytes);
}

bool IsLoopback(const net::Address& address) {
  static const net::Address kV6 = *net::Address::Parse("::1");
  return address.IsV4() ? address.v4() >> 24 == 127 : address == kV6;
}

std::string ToString(const Listen& listen) {
  std::string address = listen.address.ToString();
  bool v4 = listen.address.IsV4();
  return (v4 ? address : "[" + address + "]") + ":" + std::to_string(listen.port);
}

Result<UniqueFd> OpenListener(const Listen& listen) {
  bool any = listen.address == net::Address();
  int family = listen.address.IsV4() ? AF_INET : AF_INET6;
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd && any && errno == EAFNOSUPPORT) {  // a node without IPv6
    family = AF_INET;
    fd.reset(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  }
  if (!fd) return ErrnoError("socket");
  int on = 1, off = 0;
  (void)setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (family == AF_INET6) {
    (void)setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, any ? &off : &on, sizeof(on));
  }
  SocketAddress address = ToSocketAddress(listen, family);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0 ||
      ::listen(fd.get(), kBacklog) != 0) {
    return ErrnoError("listening on " + ToString(listen));
  }
  return fd;
}

uint16_t PortOf(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.ss_family == AF_INET ? reinterpret_cast<sockaddr_in*>(&address)->sin_port
                                            : reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
}

}  // namespace

Result<Listen> ParseListen(std::string_view text) {
  constexpr std::string_view kRight =
      "give ADDRESS:PORT, e.g. 127.0.0.1:9469, [::1]:9469, or [::]:9469 for every address";
  Error wrong{"'" + std::string(text) + "' is no address to listen on; " + std::string(kRight)};
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong;
  std::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
  Listen out;
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc() || end != port.data() + port.size()) return wrong;
  if (host.empty()) return out;
  bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  auto address = net::Address::Parse(bracketed ? host.substr(1, host.size() - 2) : host);
  if (!address || address->IsV4() == bracketed) return wrong;
  out.address = *address;
  return out;
}

Request ParseRequest(std::string_view bytes) {
  size_t end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos && bytes.size() < kMostRequest) return {};
  // The same for who sends it in pieces, which are given up on at so many bytes.
  if (end == std::string_view::npos || end + 4 > kMostRequest) return Bad(431);
  std::string_view line = bytes.substr(0, bytes.find("\r\n"));
  size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return Bad(400);
  std::string_view method = line.substr(0, first), version = line.substr(last + 1);
  std::string_view target = line.substr(first + 1, last - first - 1);
  if (!version.starts_with("HTTP/1.")) return Bad(version.starts_with("HTTP/") ? 505 : 400);
  if (method != "GET" && method != "HEAD") return Bad(405);
  bool plain = std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < 127; });
  if (!target.starts_with('/') || !plain) return Bad(400);
  Request out;
  out.state = Request::State::kComplete;
  out.path = target.substr(0, target.find('?'));
  out.head = method == "HEAD";
  return out;
}

size_t WhoMakesRoom(const std::vector<net::Address>& peers) {
  std::map<net::Address, size_t> held;
  for (const net::Address& peer : peers) ++held[peer];
  auto rank = [&held](const net::Address& peer) {
    return std::pair(held.at(peer), !IsLoopback(peer));
  };
  auto first = std::max_element(
      peers.begin(), peers.end(),
      [&rank](const net::Address& a, const net::Address& b) { return rank(a) < rank(b); });
  return static_cast<size_t>(first - peers.begin());
}

class Web::Impl {
 public:
  Impl(const Listen& listen, Pages pages, const Limits& limits)
      : listen_(listen),
        pages_(std::move(pages)),
        limits_(limits),
        stop_(eventfd(0, EFD_CLOEXEC)),
        thread_([this](const std::stop_token& stop) { Run(stop); }) {}
  ~Impl() {
    thread_.request_stop();
    uint64_t one = 1;
    (void)!write(stop_.get(), &one, sizeof(one));
  }
  uint16_t port() const { return port_; }

 private:
  struct Connection {
    UniqueFd fd;
    net::Address peer;
    MonotonicTime end;
    std::string in, out;  // `out` not empty: the answer, or what is left of it
  };

  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (!listener_) TryToListen();
      Turn();
    }
  }

  void TryToListen() {
    MonotonicTime now = std::chrono::steady_clock::now();
    if (now < retry_at_) return;
    auto opened = OpenListener(listen_);
    if (opened) {
      listener_ = std::move(*opened);
      port_ = PortOf(listener_.get());
      if (failing_) LogInfo("metrics and health are served on " + ToString(listen_));
      failing_ = false;
      return;
    }
    if (!failing_) {
      LogError("metrics and health: " + opened.error().message +
               "; it is tried again, and policy is enforced meanwhile");
    }
    failing_ = true;
    retry_at_ = now + std::chrono::duration_cast<MonotonicTime::duration>(limits_.retry);
  }

  // Waits for whatever comes first, and does it.
  void Turn() {
    bool lets_in = listener_ && std::chrono::steady_clock::now() >= accept_at_;
    std::vector<pollfd> polled{{stop_.get(), POLLIN, 0},
                               {lets_in ? listener_.get() : -1, POLLIN, 0}};
    for (const Connection& connection : connections_) {
      short events = connection.out.empty() ? POLLIN : POLLOUT;
      polled.push_back({connection.fd.get(), events, 0});
    }
    int ready = poll(polled.data(), polled.size(), Patience());
    auto connection = connections_.begin();
    for (size_t i = 2; i < polled.size(); ++i) {
      bool alive = polled[i].revents == 0 || ready <= 0 || Serve(*connection);
      connection = alive ? std::next(connection) : connections_.erase(connection);
    }
    MonotonicTime now = std::chrono::steady_clock::now();
    connections_.remove_if([now](const Connection& c) { return c.end <= now; });
    if (ready > 0 && (polled[1].revents & POLLIN) != 0) Accept();
  }

  // Milliseconds, for poll.
  int Patience() const {
    MonotonicTime now = std::chrono::steady_clock::now();
    MonotonicTime next = listener_ ? MonotonicTime::max() : retry_at_;
    if (listener_ && accept_at_ > now) next = accept_at_;
    for (const Connection& connection : connections_) next = std::min(next, connection.end);
    if (next == MonotonicTime::max()) return -1;
    auto left = std::chrono::ceil<std::chrono::milliseconds>(next - now);
    return static_cast<int>(std::max<int64_t>(left.count(), 0));
  }

  void Accept() {
    sockaddr_storage peer{};
    socklen_t size = sizeof(peer);
    UniqueFd fd(accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer), &size,
                        SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
      if (errno == EMFILE || errno == ENFILE) WithoutDescriptor();
      return;
    }
    if (connections_.size() >= limits_.connections) MakeRoom();
    MonotonicTime end = std::chrono::steady_clock::now() +
                        std::chrono::duration_cast<MonotonicTime::duration>(limits_.time);
    connections_.push_back({std::move(fd), PeerOf(peer), end, "", ""});
  }

  // A connection that ends gives one back. Without any, whoever waits stays in the backlog, and the
  // listener stays readable: it is not asked for a moment.
  void WithoutDescriptor() {
    if (!connections_.empty()) return MakeRoom();
    accept_at_ = std::chrono::steady_clock::now() + kOutOfDescriptors;
  }

  void MakeRoom() {
    std::vector<net::Address> peers;
    peers.reserve(connections_.size());
    for (const Connection& connection : connections_) peers.push_back(connection.peer);
    connections_.erase(
        std::next(connections_.begin(), static_cast<std::ptrdiff_t>(WhoMakesRoom(peers))));
  }

  // False: it is over.
  bool Serve(Connection& connection) {
    if (connection.out.empty() && !Read(connection)) return false;
    return connection.out.empty() || Write(connection);
  }

  bool Read(Connection& connection) {
    char buffer[kMostRequest];
    ssize_t got = recv(connection.fd.get(), buffer, sizeof(buffer), 0);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    connection.in.append(buffer, static_cast<size_t>(got));
    Request request = ParseRequest(connection.in);
    if (request.state == Request::State::kIncomplete) return true;
    Page page = request.state == Request::State::kBad
                    ? Page{request.status, std::string(Reason(request.status)) + "\n"}
                    : pages_(request.path);
    connection.out = Response(page, request.head);
    return true;
  }

  // True: some is left.
  bool Write(Connection& connection) {
    ssize_t sent =
        send(connection.fd.get(), connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    connection.out.erase(0, static_cast<size_t>(sent));
    if (!connection.out.empty()) return true;
    (void)shutdown(connection.fd.get(), SHUT_WR);
    return false;
  }

  const Listen listen_;
  const Pages pages_;
  const Limits limits_;
  UniqueFd stop_, listener_;
  bool failing_ = false;
  MonotonicTime retry_at_{}, accept_at_{};
  std::list<Connection> connections_;  // in the order they came
  std::atomic<uint16_t> port_ = 0;
  std::jthread thread_;  // last: it uses the others
};

Web::Web(const Listen& listen, Pages pages, const Limits& limits)
    : impl_(std::make_unique<Impl>(listen, std::move(pages), limits)) {}
Web::~Web() = default;
uint16_t Web::port() const { return impl_->port(); }

}  // namespace sallyport::observe
