// SPDX-License-Identifier: Apache-2.0
#include "failover/stream.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "lab/netns.h"

namespace sallyport::bench {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr uint16_t kPort = 7000;
constexpr microseconds kPace(2000);
constexpr auto kStreamPatience = std::chrono::seconds(60);

sockaddr_in SocketAddress(const net::Address& address) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(kPort);
  out.sin_addr.s_addr = htonl(address.v4());
  return out;
}

UniqueFd Open(const std::string& netns, const net::Address& at, bool binds) {
  UniqueFd fd;
  Status done = lab::InNetns(netns, [&] {
    fd.reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in there = SocketAddress(at);
    auto* address = reinterpret_cast<sockaddr*>(&there);
    bool well = (binds ? bind : connect)(fd.get(), address, sizeof there) == 0;
    return well ? Ok() : Status(ErrnoError("socket"));
  });
  if (!done) throw std::runtime_error(done.error().message);
  return fd;
}

}  // namespace

Stream::Stream(const std::string& pod_netns, const std::string& outside_netns,
               const net::Address& to, const net::Address& seen_as)
    : seen_as_(seen_as), near_(Open(pod_netns, to, false)), far_(Open(outside_netns, to, true)) {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  AwaitBothWays();
  LongestGap();
}

Stream::~Stream() = default;

void Stream::Hear(int fd, Way& way, bool outside) {
  char bytes[64];
  sockaddr_in from{};
  socklen_t size = sizeof from;
  while (recvfrom(fd, bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&from), &size) > 0) {
    std::string remote(reinterpret_cast<char*>(&from), size);
    size = sizeof from;
    if (outside) {
      if (remote_.empty()) remote_ = remote;
      if (remote != remote_ || ntohl(from.sin_addr.s_addr) != seen_as_.v4()) {
        ++strange_;
        continue;
      }
    }
    Clock::time_point now = Clock::now();
    std::lock_guard lock(mutex_);
    if (way.count++ > 0) way.longest = std::max(way.longest, now - way.last);
    way.last = now;
  }
}

void Stream::Run(const std::stop_token& stop) {
  const char word[32] = "a packet of a stream";
  for (Clock::time_point next = Clock::now(); !stop.stop_requested();) {
    pollfd both[] = {{near_.get(), POLLIN, 0}, {far_.get(), POLLIN, 0}};
    timespec wait{0, std::max<int64_t>(0, (next - Clock::now()).count())};
    ppoll(both, 2, &wait, nullptr);
    if (both[0].revents) Hear(near_.get(), in_, false);
    if (both[1].revents) Hear(far_.get(), out_, true);
    if (Clock::now() < next) continue;
    next = std::max(next + kPace, Clock::now() - milliseconds(10));
    (void)send(near_.get(), word, sizeof word, MSG_DONTWAIT);
    if (!remote_.empty())
      (void)sendto(far_.get(), word, sizeof word, MSG_DONTWAIT,
                   reinterpret_cast<const sockaddr*>(remote_.data()),
                   static_cast<socklen_t>(remote_.size()));
  }
}

Stream::Millis Stream::LongestGap() {
  std::lock_guard lock(mutex_);
  Clock::duration out{};
  for (Way* way : {&out_, &in_})
    out = std::max({out, std::exchange(way->longest, {}), Clock::now() - way->last});
  return out;
}

void Stream::AwaitBothWays() {
  auto counts = [this] {
    std::lock_guard lock(mutex_);
    return std::pair(out_.count, in_.count);
  };
  // What arrives next may have been sent before.
  auto [out, in] = counts();
  for (auto end = Clock::now() + kStreamPatience;; std::this_thread::sleep_for(milliseconds(2))) {
    auto [now_out, now_in] = counts();
    if (now_out >= out + 20 && now_in >= in + 20) return;
    if (Clock::now() > end) throw std::runtime_error("the stream has stopped");
  }
}

}  // namespace sallyport::bench
