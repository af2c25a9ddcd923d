// SPDX-License-Identifier: Apache-2.0
// Services: what leaves the node otherwise than as its rules for Services mean it to: without its
// mark, in a form that cannot be judged, as an error, through an overlay or a tunnel.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "bpf/traffic/service_fixture.h"

namespace sallyport::test {
namespace {

// Of this protocol, with something in it.
void SendRaw(const Pod& from, const net::Address& to, int protocol) {
  const bool v6 = !to.IsV4();
  In(from)([&] {
    UniqueFd raw(::socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, protocol));
    sockaddr_storage there{};
    if (v6) {
      auto* in6 = reinterpret_cast<sockaddr_in6*>(&there);
      in6->sin6_family = AF_INET6;
      std::memcpy(&in6->sin6_addr, to.bytes().data(), 16);
    } else {
      auto* in = reinterpret_cast<sockaddr_in*>(&there);
      in->sin_family = AF_INET;
      in->sin_addr.s_addr = htonl(to.v4());
    }
    const char text[64] = {};
    CHECK(::sendto(raw.get(), text, sizeof text, 0, reinterpret_cast<sockaddr*>(&there),
                   v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in)) == sizeof text)
        << std::strerror(errno);
  });
}

// Somebody sets marks as a whole, in between.
TEST_P(ServiceTest, WhatLostItsMarkIsJudgedAllTheSame) {
  UniqueFd near = Listen(In(db), SOCK_STREAM, kTarget);
  UniqueFd far = Listen(In(outside), SOCK_STREAM, kTarget);
  Translate(false);
  Allow({kDbIdentity, kOutsideIdentity});
  Shell(
      "nft 'add table inet sptmark; add chain inet sptmark forward "
      "{ type filter hook forward priority 0; }; add rule inet sptmark forward meta mark set 0'");
  EXPECT_EQ(Try(Service(), kToDb), "open");
  EXPECT_EQ(Try(Service(), kToFar), "open");
  Allow({});
  EXPECT_EQ(Try(Service(), kToDb), "policy");
  EXPECT_EQ(Try(Service(), kToFar), "policy");
  Enforce({.egress = kOpen, .ingress = kNothing}, {});
  EXPECT_EQ(Connect(In(web), Service(), kToDb), "open");
  EXPECT_EQ(Try(Service(), kToFar), "open");
  Shell("nft delete table inet sptmark");
}

// With the node's address, as if the node had encrypted it, or put it into a tunnel, on its way.
TEST_P(ServiceTest, WhatCannotBeSeenIsNotLetOut) {
  const std::string there = v6() ? "fd98::9" : "10.98.0.9", family = v6() ? "ip -6 " : "ip ";
  Shell(family + "route add " + there + " dev " + outside.device() + " && " + family +
        "neigh add " + there + " lladdr 02:00:00:00:00:09 dev " + outside.device() +
        " && nft 'add table inet sptesp; add chain inet sptesp post "
        "{ type nat hook postrouting priority 90; }; "
        "add rule inet sptesp post meta l4proto { esp, gre, 4, 41 } masquerade'");
  k.SetPrefix((there + (v6() ? "/128" : "/32")).c_str(), 20);
  k.SetRule(kSet, 20, Ports::All());
  Allow({});
  for (int protocol : {IPPROTO_ESP, IPPROTO_GRE, IPPROTO_IPIP, IPPROTO_IPV6}) {
    SCOPED_TRACE(protocol);
    k.TakeEvents();
    SendRaw(web, Ip(there.c_str()), protocol);
    std::vector<sp_event> events;
    while (events.empty()) events = k.TakeEvents();
    EXPECT_EQ(int{events[0].reason}, SP_DROP_SENDER);
    EXPECT_EQ(int{events[0].protocol}, protocol);
  }
  Shell("nft delete table inet sptesp; " + family + "route del " + there);
}

TEST_P(ServiceTest, AnIsolatedPodTellsWhoCameThroughItsServiceOfErrors) {
  for (bool masquerade : {false, true}) {
    SCOPED_TRACE(masquerade);
    Translate(masquerade);
    Enforce({.egress = kNothing, .ingress = kOpen}, {});
    UniqueFd client = Connected(In(outside), NodeAddress(), kNodePorts + kToWeb, SOCK_DGRAM);
    Write(client, "anybody?");
    EXPECT_EQ(Read(client), std::strerror(ECONNREFUSED));
  }
}

// Judged as it goes in; what it is wrapped in is not judged again.
TEST_P(ServiceTest, WhatAnOverlayCarriesIsJudged) {
  const std::string here = v6() ? "fd97::1" : "10.97.1.1", there = v6() ? "fd97::3" : "10.97.1.3";
  const std::string length = v6() ? "/64 nodad" : "/24";
  auto overlay = [&](const net::Address& local, const net::Address& remote,
                     const std::string& address) {
    Shell("ip link add sptvx type vxlan id 8 dstport 4789 local " + local.ToString() + " remote " +
          remote.ToString() + " && ip link set sptvx up && ip addr add " + address + length +
          " dev sptvx");
  };
  overlay(NodeAddress(), Of(outside), here);
  outside.Inside([&] { overlay(Of(outside), NodeAddress(), there); });
  k.AttachNode(::if_nametoindex("sptvx"), HookOf(GetParam()));
  k.SetPeer(Ip(there.c_str()), kDbIdentity, 0);
  TranslateTo(there);
  UniqueFd tcp = Listen(In(outside), SOCK_STREAM, kTarget);
  UniqueFd udp = Listen(In(outside), SOCK_DGRAM, kTarget);
  outside.Inside(
      [&] { Shell("ip route replace " + Of(web).ToString() + " via " + here + " dev sptvx"); });
  Allow({kOutsideIdentity});
  EXPECT_EQ(Try(Service(), kToFar), "policy");
  Allow({kDbIdentity});
  EXPECT_EQ(Try(Service(), kToFar), "open");
  EXPECT_EQ(Ask(In(web), Service(), kToFar, udp), "open");
  Shell("ip link del sptvx");
  outside.Inside([&] { Shell("ip link del sptvx"); });
}

// Frames there begin with the IP header. What comes out of the other end is what passed.
TEST_P(ServiceTest, WhatATunnelCarriesIsJudged) {
  UniqueFd tunnel(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  ifreq request{};
  std::strcpy(request.ifr_name, "spttun");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  ASSERT_EQ(::ioctl(tunnel.get(), TUNSETIFF, &request), 0) << std::strerror(errno);
  const std::string there = v6() ? "fd98::3" : "10.98.0.3";
  Shell("ip link set spttun up && ip " + std::string(v6() ? "-6 " : "") + "route add " + there +
        " dev spttun");
  k.AttachNode(::if_nametoindex("spttun"), HookOf(GetParam()), /*tunnel=*/true);
  k.SetPeer(Ip(there.c_str()), kOutsideIdentity, 0);
  TranslateTo(there);
  Allow({});
  EXPECT_EQ(Try(Service(), kToFar), "policy");
  Allow({kOutsideIdentity});
  UniqueFd client = Connected(In(web), Service(), kToFar, SOCK_DGRAM);
  Write(client, "through");
  std::string heard;
  while (heard.find("through") == std::string::npos) {
    pollfd wait = {.fd = tunnel.get(), .events = POLLIN, .revents = 0};
    ASSERT_GT(::poll(&wait, 1, 20000), 0);
    char frame[2048];
    ssize_t n = ::read(tunnel.get(), frame, sizeof frame);
    heard.assign(frame, n < 0 ? 0 : static_cast<size_t>(n));
  }
  EXPECT_EQ(k.TakeEvents().size(), 0u);
}

}  // namespace
}  // namespace sallyport::test
