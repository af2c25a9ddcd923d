// SPDX-License-Identifier: Apache-2.0
#include "bpf/traffic/traffic.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace sallyport::test {
namespace {

// A wait is repeated this often before a test says that nothing happens at all.
constexpr int kTries = 2000, kTryMilliseconds = 10;

struct SocketAddress {
  SocketAddress(const net::Address& address, uint16_t port) {
    if (address.IsV4()) {
      v4.sin_family = AF_INET;
      v4.sin_port = htons(port);
      v4.sin_addr.s_addr = htonl(address.v4());
      return;
    }
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address.bytes().data(), sizeof(v6.sin6_addr));
  }
  const sockaddr* get() const { return &any; }
  socklen_t size() const { return any.sa_family == AF_INET ? sizeof(v4) : sizeof(v6); }
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6 = {};
  };
};

UniqueFd Socket(const Place& place, int family, int type, int protocol = 0) {
  UniqueFd fd;
  place([&] { fd.reset(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol)); });
  CHECK(fd) << "cannot make a socket: " << std::strerror(errno);
  return fd;
}

bool Ready(int fd, short events) {
  pollfd wait = {.fd = fd, .events = events, .revents = 0};
  return ::poll(&wait, 1, kTryMilliseconds) > 0;
}

int FamilyOf(const net::Address& address) { return address.IsV4() ? AF_INET : AF_INET6; }

}  // namespace

Place In(const Pod& pod) {
  return [&pod](const std::function<void()>& body) { pod.Inside(body); };
}

Place OnNode() {
  return [](const std::function<void()>& body) { body(); };
}

namespace {

// The node tells its groups to each new interface, some time within the first seconds, where tests
// count packets.
void KeepGroupsQuiet() {
  static const bool done = [] {
    Shell(
        "nft 'table ip6 sptmld { chain out { type filter hook output priority 0; "
        "icmpv6 type { mld-listener-report, mld2-listener-report } drop; }; }'");
    return true;
  }();
  (void)done;
}

}  // namespace

TrafficTest::TrafficTest(const KernelOptions& options, Hook hook) : k(options) {
  KeepGroupsQuiet();
  Shell(std::string("ip addr replace ") + kNodeV4 + "/32 dev lo && ip addr replace " + kNodeV6 +
        "/128 dev lo nodad");
  for (const char* node : {kNodeV4, kNodeV6, "169.254.1.1", "fe80::1"})
    k.SetPeer(node, SP_PEER_NODE | SP_PEER_NONE);
  auto peer = [&](const Pod& pod, uint32_t identity, bool local) {
    for (const net::Address& address : {pod.v4(), pod.v6()})
      k.SetPeer(address, identity, local ? pod.ifindex() : 0);
  };
  peer(web, kWebIdentity, true);
  peer(db, kDbIdentity, true);
  peer(outside, kOutsideIdentity, false);
  k.Attach(web.ifindex(), hook);
  k.Attach(db.ifindex(), hook);
}

void TrafficTest::Enforce(const Endpoint& web_policy, const Endpoint& db_policy) {
  auto state = [&](const Pod& pod, Endpoint endpoint, std::string& v4, std::string& v6_text) {
    v4 = pod.v4().ToString();
    v6_text = pod.v6().ToString();
    endpoint.ifindex = pod.ifindex();
    endpoint.v4 = v4.c_str();
    endpoint.v6 = v6_text.c_str();
    k.SetEndpoint(endpoint);
  };
  std::string text[4];
  state(web, web_policy, text[0], text[1]);
  state(db, db_policy, text[2], text[3]);
  k.NextGeneration();
  k.RemoveEndpoint(web.ifindex());
  k.RemoveEndpoint(db.ifindex());
}

UniqueFd TrafficTest::Listen(const Place& place, int type, uint16_t port,
                             std::optional<net::Address> address) const {
  UniqueFd fd = Socket(place, v6() ? AF_INET6 : AF_INET, type);
  SocketAddress own(address.value_or(Ip(v6() ? "::" : "0.0.0.0")), port);
  const int yes = 1;  // also while connections of an earlier one are ending
  CHECK(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0);
  CHECK(::bind(fd.get(), own.get(), own.size()) == 0) << std::strerror(errno);
  CHECK(type != SOCK_STREAM || ::listen(fd.get(), 16) == 0) << std::strerror(errno);
  return fd;
}

std::string TrafficTest::Dropped(uint16_t port) {
  for (const sp_event& e : k.TakeEvents()) {
    bool icmp = e.protocol == IPPROTO_ICMP || e.protocol == IPPROTO_ICMPV6;
    bool ours = port ? ntohs(e.source_port) == port || ntohs(e.destination_port) == port : icmp;
    if (ours) return ReasonText(e.reason);
  }
  return "";
}

std::string TrafficTest::Connect(const Place& from, const net::Address& to, uint16_t port,
                                 uint16_t translated) {
  k.TakeEvents();
  UniqueFd fd = Socket(from, FamilyOf(to), SOCK_STREAM);
  SocketAddress there(to, port);
  if (::connect(fd.get(), there.get(), there.size()) == 0) return "open";
  for (int i = 0; i < kTries; i++) {
    if (Ready(fd.get(), POLLOUT)) {
      int error = 0;
      socklen_t size = sizeof(error);
      ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      return error == 0 ? "open" : error == ECONNREFUSED ? "refused" : std::strerror(error);
    }
    std::string reason = Dropped(translated ? translated : port);
    if (!reason.empty()) return reason;
  }
  return "nothing happens";
}

UniqueFd TrafficTest::Connected(const Place& from, const net::Address& to, uint16_t port,
                                int type) {
  UniqueFd fd = Socket(from, FamilyOf(to), type);
  SocketAddress there(to, port);
  (void)::connect(fd.get(), there.get(), there.size());
  for (int i = 0; i < kTries && !Ready(fd.get(), POLLOUT); i++) {
  }
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  EXPECT_EQ(error, 0) << std::strerror(error);
  return fd;
}

std::string TrafficTest::Ask(const Place& from, const net::Address& to, uint16_t port,
                             const UniqueFd& server, size_t size) {
  k.TakeEvents();
  UniqueFd client = Socket(from, FamilyOf(to), SOCK_DGRAM);
  SocketAddress there(to, port);
  std::string text(size, 'q'), heard(size + 1, 0);
  CHECK(::connect(client.get(), there.get(), there.size()) == 0) << std::strerror(errno);
  if (::send(client.get(), text.data(), size, 0) < 0) return std::strerror(errno);
  for (int i = 0; i < kTries; i++) {
    sockaddr_storage who;
    socklen_t who_size = sizeof(who);
    if (Ready(server.get(), POLLIN)) {
      ssize_t n = ::recvfrom(server.get(), heard.data(), heard.size(), 0,
                             reinterpret_cast<sockaddr*>(&who), &who_size);
      EXPECT_EQ(n, static_cast<ssize_t>(size));
      ::sendto(server.get(), heard.data(), size, 0, reinterpret_cast<sockaddr*>(&who), who_size);
    }
    ssize_t n = ::recv(client.get(), heard.data(), heard.size(), 0);
    if (n >= 0) return n == static_cast<ssize_t>(size) ? "open" : "cut short";
    if (errno == ECONNREFUSED) return "refused";
    if (std::string reason = Dropped(port); !reason.empty()) return reason;
  }
  return "nothing happens";
}

std::string TrafficTest::Ping(const Place& from, const net::Address& to) {
  k.TakeEvents();
  bool v4 = to.IsV4();
  UniqueFd fd = Socket(from, FamilyOf(to), SOCK_RAW, v4 ? 1 : 58);
  Packet ping = v4 ? Packet(ICMP{.id = 77}) : Packet(ICMPv6{.id = 77});
  Bytes bytes = ping.bytes();
  SocketAddress there(to, 0);
  CHECK(::sendto(fd.get(), bytes.data(), bytes.size(), 0, there.get(), there.size()) >= 0)
      << std::strerror(errno);
  for (int i = 0; i < kTries; i++) {
    uint8_t heard[200] = {};
    while (Ready(fd.get(), POLLIN) && ::recv(fd.get(), heard, sizeof(heard), 0) > 0) {
      uint8_t type = v4 ? heard[20] : heard[0];
      if (type == (v4 ? kEchoReply : kEchoReply6)) return "open";
    }
    if (std::string reason = Dropped(0); !reason.empty()) return reason;
  }
  return "nothing happens";
}

Bytes LinkAddress(const std::string& device) {
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  device.copy(request.ifr_name, sizeof request.ifr_name - 1);
  CHECK(::ioctl(socket.get(), SIOCGIFHWADDR, &request) == 0) << std::strerror(errno);
  Bytes out(6);
  std::memcpy(out.data(), request.ifr_hwaddr.sa_data, out.size());
  return out;
}

Ethernet ToNode(const Pod& pod) {
  Ethernet ethernet;
  ethernet.destination = LinkAddress(pod.device());
  return ethernet;
}

void TrafficTest::SendFrame(const Place& from, const Bytes& frame, const char* device) const {
  SendFrames(from, {&frame, 1}, device);
}

void TrafficTest::SendFrames(const Place& from, std::span<const Bytes> frames,
                             const char* device) const {
  UniqueFd fd = Socket(from, AF_PACKET, SOCK_RAW);
  sockaddr_ll to = {};
  to.sll_family = AF_PACKET;
  from([&] { to.sll_ifindex = static_cast<int>(if_nametoindex(device)); });
  for (const Bytes& frame : frames) {
    to.sll_protocol = htons(static_cast<uint16_t>(frame[12] << 8 | frame[13]));
    CHECK(::sendto(fd.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&to),
                   sizeof(to)) == static_cast<ssize_t>(frame.size()))
        << std::strerror(errno);
  }
}

namespace {

void Neighbour(const std::string& here, const std::string& there, const Pod& peer) {
  std::string in = "ip -n " + here + " ";
  Shell("p=$(ip -n " + there + " -o link show eth0 | sed 's/.*ether \\([^ ]*\\).*/\\1/'); " + in +
        "route replace " + peer.v4().ToString() + " dev eth0 && " + in + "-6 route replace " +
        peer.v6().ToString() + " dev eth0 && " + in + "neigh replace " + peer.v4().ToString() +
        " lladdr $p dev eth0 nud permanent && " + in + "neigh replace " + peer.v6().ToString() +
        " lladdr $p dev eth0 nud permanent");
}

}  // namespace

void TrafficTest::Bridge() {
  Shell(
      "ip link del sptbr 2>/dev/null; ip link add sptbr type bridge && ip link set sptbr up && "
      "ip link set " +
      web.device() + " master sptbr && ip link set " + db.device() + " master sptbr");
  Neighbour("spt1", "spt2", db);
  Neighbour("spt2", "spt1", web);
}

void TrafficTest::TearDown() { Shell("ip link del sptbr 2>/dev/null || true"); }

UniqueFd AttachInside(const Pod& pod, std::span<const bpf_insn> program,
                      const std::string& device) {
  constexpr auto kTcxEgress = 47u;
  UniqueFd loaded = LoadTcProgram(program), link;
  pod.Inside([&] {
    union bpf_attr create {};
    create.link_create.prog_fd = static_cast<uint32_t>(loaded.get());
    create.link_create.target_ifindex = ::if_nametoindex(device.c_str());
    create.link_create.attach_type = kTcxEgress;
    link.reset(static_cast<int>(::syscall(SYS_bpf, BPF_LINK_CREATE, &create, sizeof create)));
  });
  CHECK(link) << "cannot attach: " << std::strerror(errno);
  return link;
}

}  // namespace sallyport::test
