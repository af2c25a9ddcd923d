// SPDX-License-Identifier: Apache-2.0
// Large transfers and large datagrams through the tunnel: all of it arrives, in both directions.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "lab/egress/egress_fixture.h"
#include "lab/layout.h"
#include "lab/netns.h"
#include "lab/process.h"

namespace sallyport::lab {
namespace {

constexpr size_t kBulk = 16 << 20;
constexpr int kLong = 60'000;

char ByteAt(size_t at) { return static_cast<char>((at * 2654435761u) >> 13); }

class Sizes : public EgressTest {
 protected:
  // A socket in this network namespace: at the outside bound to the partner, in the pod connected.
  UniqueFd Open(const std::string& netns, const net::Address& partner, int type, bool listens) {
    sockaddr_storage there{};
    socklen_t size = 0;
    if (partner.IsV4()) {
      auto& v4 = reinterpret_cast<sockaddr_in&>(there);
      v4 = {AF_INET, htons(kPort), {htonl(partner.v4())}, {}};
      size = sizeof v4;
    } else {
      auto& v6 = reinterpret_cast<sockaddr_in6&>(there);
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(kPort);
      std::memcpy(&v6.sin6_addr, partner.bytes().data(), 16);
      size = sizeof v6;
    }
    UniqueFd fd;
    Status done = InNetns(netns, [&] {
      fd.reset(socket(there.ss_family, type | SOCK_CLOEXEC, 0));
      int on = 1;
      setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      auto* address = reinterpret_cast<sockaddr*>(&there);
      bool well = listens ? bind(fd.get(), address, size) == 0 &&
                                (type == SOCK_DGRAM || listen(fd.get(), 1) == 0)
                          : connect(fd.get(), address, size) == 0;
      return well ? Ok() : Status(ErrnoError("socket"));
    });
    EXPECT_TRUE(done.ok()) << done.error().message;
    return fd;
  }
};

// Sends it all on a thread, and compares what arrives.
void Transfer(int from, int to) {
  std::jthread sender([from] {
    std::string part(1 << 16, 0);
    for (size_t at = 0; at < kBulk; at += part.size()) {
      for (size_t i = 0; i < part.size(); ++i) part[i] = ByteAt(at + i);
      for (size_t sent = 0; sent < part.size();) {
        ssize_t n = send(from, part.data() + sent, part.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) return;
        sent += static_cast<size_t>(n);
      }
    }
  });
  std::string part(1 << 16, 0);
  size_t got = 0;
  while (got < kBulk) {
    pollfd wait{to, POLLIN, 0};
    ASSERT_EQ(poll(&wait, 1, kLong), 1) << "nothing comes after " << got << " bytes";
    ssize_t n = recv(to, part.data(), std::min(part.size(), kBulk - got), 0);
    ASSERT_GT(n, 0) << std::strerror(errno) << " after " << got << " bytes";
    for (size_t i = 0; i < static_cast<size_t>(n); ++i)
      ASSERT_EQ(part[i], ByteAt(got + i)) << "at byte " << got + i;
    got += static_cast<size_t>(n);
  }
}

std::string Datagram(size_t size) {
  std::string out(size, 0);
  for (size_t i = 0; i < size; ++i) out[i] = ByteAt(i + size);
  return out;
}

// Again and again until it arrives: the first that is too large is answered, not delivered.
void Pass(const std::function<bool(const std::string&)>& send_it, int to, size_t size,
          sockaddr_storage* from, socklen_t* length) {
  std::string text = Datagram(size), got(size + 1, 0);
  for (int tries = 0; tries < 100; ++tries) {
    bool sent = send_it(text);
    pollfd wait{to, POLLIN, 0};
    if (!sent || poll(&wait, 1, 200) != 1) continue;
    ssize_t n = recvfrom(to, got.data(), got.size(), 0, reinterpret_cast<sockaddr*>(from), length);
    if (n < 0) continue;  // what was said about the last one
    // One that was late is of the size before.
    if (static_cast<size_t>(n) == size && got.compare(0, size, text) == 0) return;
  }
  ADD_FAILURE() << "no datagram of " << size << " bytes gets through";
}

// Datagrams of all sizes, and much of TCP, both ways.
class AllArrive : public Sizes {
 protected:
  void Try(const char* pod, const net::Address& partner) {
    UniqueFd listener = Open(OutsideNetns(), partner, SOCK_STREAM, true);
    UniqueFd datagrams = Open(OutsideNetns(), partner, SOCK_DGRAM, true);
    UniqueFd near = Open(PodNetns(pod), partner, SOCK_STREAM, false);
    UniqueFd far(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(far);
    Transfer(near.get(), far.get());
    Transfer(far.get(), near.get());
    UniqueFd asker = Open(PodNetns(pod), partner, SOCK_DGRAM, false);
    for (size_t size : {1000u, 1400u, 1450u, 1472u, 2000u, 3000u}) {
      sockaddr_storage peer{};
      socklen_t length = sizeof peer;
      Pass(
          [&](const std::string& text) {
            return send(asker.get(), text.data(), text.size(), 0) >= 0;
          },
          datagrams.get(), size, &peer, &length);
      sockaddr_storage ignored{};
      socklen_t size_of = sizeof ignored;
      Pass(
          [&](const std::string& text) {
            return sendto(datagrams.get(), text.data(), text.size(), 0,
                          reinterpret_cast<sockaddr*>(&peer), length) >= 0;
          },
          asker.get(), size, &ignored, &size_of);
    }
  }
  // What the pod's socket has heard of the way there, after much of TCP.
  int MtuAfter(const char* pod, const net::Address& partner) {
    UniqueFd listener = Open(OutsideNetns(), partner, SOCK_STREAM, true);
    UniqueFd near = Open(PodNetns(pod), partner, SOCK_STREAM, false);
    UniqueFd far(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(far);
    Transfer(near.get(), far.get());
    int mtu = 0;
    socklen_t size = sizeof mtu;
    bool v4 = partner.IsV4();
    getsockopt(near.get(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &mtu, &size);
    return mtu;
  }
};

TEST_F(AllArrive, AndTheSmallestLinkIsHeardOf) {
  UpEgress({"n1", "gw1"}, Sleeper("a", "n1") + Sleeper("b", "gw1") + Gateway());
  AwaitOtherHolder(kEgressV4, "");
  AwaitOtherHolder(kEgressV6, "");
  for (const net::Address& partner : Partners())
    for (const char* pod : {"a", "b"}) {
      SCOPED_TRACE(pod + (" to " + partner.ToString()));
      Try(pod, partner);
    }
  // A link far behind the gateway takes less than the tunnel: the router there says so to the
  // egress IP, and the pod hears of it.
  Command shrink;
  shrink.argv = {FindProgram("ip", getenv("PATH")),
                 "-n",
                 Layout(name()).fabric_netns(),
                 "link",
                 "set",
                 "dev",
                 "out",
                 "mtu",
                 "1300"};
  ASSERT_EQ(RunCommand(shrink).value().exit_code, 0);
  for (const net::Address& partner : Partners())
    for (const char* pod : {"a", "b"})
      EXPECT_EQ(MtuAfter(pod, partner), 1300) << pod << " to " << partner.ToString();
}

}  // namespace
}  // namespace sallyport::lab
