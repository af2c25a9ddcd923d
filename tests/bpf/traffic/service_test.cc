// SPDX-License-Identifier: Apache-2.0
// Services: what a pod sends to an address that the node translates is judged for what it has
// become, wherever the backend is, and whoever it then seems to be from. The rules are those that
// kube-proxy writes, in iptables and in nftables form; `outside` stands for whatever is on other
// nodes, behind an interface of the node's own.
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/check.h"
#include "bpf/traffic/traffic.h"

namespace sallyport::test {
namespace {

// Ports of the Service, at its own addresses and, plus kNodePorts, at the node's.
constexpr uint16_t kToDb = 80, kToFar = 81, kToWeb = 82, kNodePorts = 30000, kTarget = 8080;

enum Form { kNftables = 0, kIptables = 10, kNftablesClsact = 20, kIptablesClsact = 30 };

std::string FormName(const testing::TestParamInfo<int>& info) {
  const char* forms[] = {"Nftables", "Iptables", "NftablesClsact", "IptablesClsact"};
  return forms[info.param / 10] + ("IPv" + std::to_string(info.param % 10));
}

class ServiceTest : public TrafficTest {
 protected:
  ServiceTest() : TrafficTest({.endpoints = 4096}, HookOf(GetParam())) {
    for (const char* address : {"10.96.0.10", "fd00:10:96::10"})
      k.SetPeer(address, SP_PEER_SERVICE);
    k.AttachNode(outside.ifindex(), HookOf(GetParam()));
  }
  ~ServiceTest() override {
    Shell(
        "nft delete table inet sptsvc 2>/dev/null; nft delete table ip nat 2>/dev/null; "
        "nft delete table ip6 nat 2>/dev/null; true");
  }

  static Hook HookOf(int form) { return form >= kNftablesClsact ? Hook::kClsact : Hook::kTcx; }
  bool iptables() const { return GetParam() / 10 % 2 == 1; }
  net::Address Service() const { return Ip(v6() ? "fd00:10:96::10" : "10.96.0.10"); }
  // An address that nobody said is a Service's.
  net::Address Untold() const { return Ip(v6() ? "fd00:10:97::10" : "10.97.0.10"); }
  // Not the one that pods have a route to.
  net::Address NodeAddress() const { return Node(); }

  // Translates the Service's ports, and the node's; from `masquerade` on, sources too.
  void Translate(bool masquerade) {
    std::string rules = iptables() ? "" : "table inet sptsvc\ndelete table inet sptsvc\n" + Head();
    for (auto [port, pod] :
         {std::pair(kToDb, &db), std::pair(kToFar, &outside), std::pair(kToWeb, &web)}) {
      bool mark = masquerade || pod == &web;  // hairpin: kube-proxy always does
      for (const net::Address& at : {Service(), Untold()}) rules += Rule(at, port, *pod, mark);
      rules += Rule(NodeAddress(), static_cast<uint16_t>(kNodePorts + port), *pod, mark);
    }
    if (iptables()) {
      std::string table = v6() ? "ip6tables" : "iptables";
      Shell(table +
            "-restore <<'END'\n*nat\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\n"
            ":POSTROUTING ACCEPT\n:KUBE-MARK-MASQ -\n"
            "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n" +
            rules +
            "-A POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n"
            "-A POSTROUTING -j MARK --set-xmark 0x4000/0x0\n"
            "-A POSTROUTING -j MASQUERADE\nCOMMIT\nEND");
    } else {
      Shell("nft -f - <<'END'\n" + rules + "}\n}\nEND");
    }
  }
  static std::string Head() {
    return "table inet sptsvc {\nchain post { type nat hook postrouting priority 100; "
           "meta mark & 0x4000 == 0 return; meta mark set meta mark ^ 0x4000; masquerade; }\n"
           "chain services { type nat hook prerouting priority -100;\n";
  }
  std::string Rule(const net::Address& at, uint16_t port, const Pod& pod, bool mark) const {
    std::string out, to = Of(pod).ToString();
    std::string target = (v6() ? "[" + to + "]" : to) + ":" + std::to_string(kTarget);
    for (const char* protocol : {"tcp", "udp"}) {
      std::string p = protocol, dport = std::to_string(port);
      if (iptables()) {
        std::string match = "-A PREROUTING -d " + at.ToString() + " -p " + p + " --dport " + dport;
        if (mark) out += match + " -j KUBE-MARK-MASQ\n";
        out += match + " -j DNAT --to-destination " + target + "\n";
      } else {
        std::string family = v6() ? "ip6" : "ip";
        out += family + " daddr " + at.ToString() + " " + p + " dport " + dport +
               (mark ? " meta mark set meta mark | 0x4000" : "") + " dnat " + family + " to " +
               target + "\n";
      }
    }
    return out;
  }

  // Web may send to these at their target port, and no more.
  void Allow(std::initializer_list<uint32_t> identities) {
    for (uint32_t identity : {kWebIdentity, kDbIdentity, kOutsideIdentity})
      k.RemoveRule(kSet, identity);
    for (uint32_t identity : identities)
      k.SetRule(kSet, identity, Ports().Tcp(kTarget).Udp(kTarget));
    Enforce({.egress = kSet, .ingress = kNothing}, {});
  }
  std::string Try(const net::Address& at, uint16_t port) {
    return Connect(In(web), at, port, kTarget);
  }
  // Waits for a drop of the Service's target port; its reason.
  std::string Drop() {
    std::string reason;
    while (reason.empty()) reason = Dropped(kTarget);
    return reason;
  }
  static std::string Read(const UniqueFd& socket) {
    pollfd wait = {.fd = socket.get(), .events = POLLIN, .revents = 0};
    ::poll(&wait, 1, 20000);
    char text[64];
    ssize_t n = ::recv(socket.get(), text, sizeof text, MSG_DONTWAIT);
    return n < 0 ? std::strerror(errno) : std::string(text, static_cast<size_t>(n));
  }
  static void Write(const UniqueFd& socket, const std::string& text) {
    CHECK(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(text.size()));
  }
  // Only the Service's port kToFar, to this address.
  void TranslateTo(const std::string& to) {
    Translate(false);
    std::string target = (v6() ? "[" + to + "]:" : to + ":") + std::to_string(kTarget);
    std::string port = std::to_string(kToFar);
    for (const std::string p : {"tcp", "udp"})
      if (iptables()) {
        Shell((v6() ? "ip6tables" : "iptables") + std::string(" -t nat -I PREROUTING -d ") +
              Service().ToString() + " -p " + p + " --dport " + port +
              " -j DNAT --to-destination " + target);
      } else {
        std::string family = v6() ? "ip6" : "ip";
        Shell("nft insert rule inet sptsvc services " + family + " daddr " + Service().ToString() +
              " " + p + " dport " + port + " dnat " + family + " to '" + target + "'");
      }
  }
  // A program that sees what the pod sends, on its side.
  static UniqueFd AttachInside(const Pod& pod, const bpf_insn* program, size_t count) {
    constexpr auto kTcxEgress = 47u;
    union bpf_attr attr {};
    attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
    attr.insns = reinterpret_cast<uintptr_t>(program);
    attr.insn_cnt = static_cast<uint32_t>(count);
    attr.license = reinterpret_cast<uintptr_t>("GPL");
    UniqueFd loaded(static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr)));
    CHECK(loaded) << "cannot load: " << std::strerror(errno);
    UniqueFd link;
    pod.Inside([&] {
      union bpf_attr create {};
      create.link_create.prog_fd = static_cast<uint32_t>(loaded.get());
      create.link_create.target_ifindex = ::if_nametoindex("eth0");
      create.link_create.attach_type = kTcxEgress;
      link.reset(static_cast<int>(::syscall(SYS_bpf, BPF_LINK_CREATE, &create, sizeof create)));
    });
    CHECK(link) << "cannot attach: " << std::strerror(errno);
    return link;
  }
  UniqueFd Accept(const UniqueFd& server) {
    pollfd wait = {.fd = server.get(), .events = POLLIN, .revents = 0};
    ::poll(&wait, 1, 20000);
    return UniqueFd(::accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
};
INSTANTIATE_TEST_SUITE_P(, ServiceTest,
                         testing::Values(kNftables + 4, kNftables + 6, kIptables + 4, kIptables + 6,
                                         kNftablesClsact + 4, kIptablesClsact + 6),
                         FormName);

TEST_P(ServiceTest, EgressIsThatToTheBackend) {
  UniqueFd near = Listen(In(db), SOCK_STREAM, kTarget),
           far = Listen(In(outside), SOCK_STREAM, kTarget);
  UniqueFd near_udp = Listen(In(db), SOCK_DGRAM, kTarget);
  UniqueFd far_udp = Listen(In(outside), SOCK_DGRAM, kTarget);
  for (bool masquerade : {false, true}) {
    Translate(masquerade);
    for (auto [at, shift] : {std::pair(Service(), 0), std::pair(NodeAddress(), int{kNodePorts})}) {
      SCOPED_TRACE(at.ToString() + (masquerade ? " masqueraded" : ""));
      auto to_db = static_cast<uint16_t>(kToDb + shift);
      auto to_far = static_cast<uint16_t>(kToFar + shift);
      Allow({kDbIdentity});
      EXPECT_EQ(Connect(In(web), at, to_db), "open");
      EXPECT_EQ(Ask(In(web), at, to_db, near_udp), "open");
      EXPECT_EQ(Try(at, to_far), "policy");
      Allow({kOutsideIdentity});
      EXPECT_EQ(Try(at, to_db), "policy");
      EXPECT_EQ(Connect(In(web), at, to_far), "open");
      EXPECT_EQ(Ask(In(web), at, to_far, far_udp), "open");
      Allow({});
      EXPECT_EQ(Try(at, to_far), "policy");
      Enforce({.egress = kOpen, .ingress = kNothing}, {});
      EXPECT_EQ(Connect(In(web), at, to_db), "open");
      EXPECT_EQ(Connect(In(web), at, to_far), "open");
    }
  }
}

TEST_P(ServiceTest, TranslationThatNobodyToldOfIsJudgedAsWell) {
  UniqueFd near = Listen(In(db), SOCK_STREAM, kTarget);
  UniqueFd far = Listen(In(outside), SOCK_STREAM, kTarget);
  k.SetPrefix(v6() ? "fd00:10:97::/48" : "10.97.0.0/16", 20);
  k.SetRule(kSet, 20, Ports().Tcp(1, 100));
  Translate(false);
  Allow({kDbIdentity});
  EXPECT_EQ(Connect(In(web), Untold(), kToDb), "open");
  EXPECT_EQ(Try(Untold(), kToFar), "policy");
  Allow({kOutsideIdentity});
  EXPECT_EQ(Try(Untold(), kToDb), "policy");
  EXPECT_EQ(Connect(In(web), Untold(), kToFar), "open");
  k.RemoveRule(kSet, 20);
  Allow({kOutsideIdentity});
  EXPECT_EQ(Connect(In(web), Untold(), kToFar), "policy");  // at once
}

TEST_P(ServiceTest, IngressKnowsTheTrueSource) {
  UniqueFd tcp = Listen(In(db), SOCK_STREAM, kTarget), udp = Listen(In(db), SOCK_DGRAM, kTarget);
  for (bool masquerade : {false, true}) {
    SCOPED_TRACE(masquerade);
    Translate(masquerade);
    Enforce({.egress = kNothing, .ingress = kNothing}, {.egress = kOpen, .ingress = kSet});
    auto allow = [&](uint32_t identity) {
      for (uint32_t other : {kWebIdentity, kDbIdentity, kOutsideIdentity})
        k.RemoveRule(kSet, other);
      k.SetRule(kSet, identity, Ports().Tcp(kTarget).Udp(kTarget));
      Enforce({.egress = kOpen, .ingress = kNothing}, {.egress = kNothing, .ingress = kSet});
    };
    allow(kWebIdentity);
    EXPECT_EQ(Connect(In(web), Service(), kToDb), "open");
    EXPECT_EQ(Ask(In(web), Service(), kToDb, udp), "open");
    EXPECT_EQ(Connect(In(outside), NodeAddress(), kNodePorts + kToDb, kTarget), "policy");
    allow(kOutsideIdentity);
    EXPECT_EQ(Try(Service(), kToDb), "policy");
    // From outside, masqueraded: a stranger with the node's address, never the node.
    EXPECT_EQ(Connect(In(outside), NodeAddress(), kNodePorts + kToDb, kTarget),
              masquerade ? "policy" : "open");
  }
}

TEST_P(ServiceTest, APodReachesItselfThroughItsService) {
  UniqueFd tcp = Listen(In(web), SOCK_STREAM, kTarget), udp = Listen(In(web), SOCK_DGRAM, kTarget);
  Translate(false);
  Enforce({.egress = kNothing, .ingress = kNothing}, {.egress = kNothing, .ingress = kNothing});
  for (auto [at, port] :
       {std::pair(Service(), int{kToWeb}), std::pair(NodeAddress(), kNodePorts + kToWeb)}) {
    EXPECT_EQ(Connect(In(web), at, static_cast<uint16_t>(port)), "open");
    EXPECT_EQ(Ask(In(web), at, static_cast<uint16_t>(port), udp), "open");
  }
  EXPECT_EQ(Connect(In(db), Service(), kToWeb, kTarget), "policy");
}

TEST_P(ServiceTest, LiveConnectionsObeyInBothDirections) {
  for (bool masquerade : {false, true}) {
    for (const Pod* backend : {&db, &outside}) {
      SCOPED_TRACE(backend->device() + (masquerade ? " masqueraded" : ""));
      uint32_t identity = backend == &db ? kDbIdentity : kOutsideIdentity;
      UniqueFd server = Listen(In(*backend), SOCK_STREAM, kTarget);
      Translate(masquerade);
      Allow({identity});
      UniqueFd client = Connected(In(web), Service(), backend == &db ? kToDb : kToFar);
      UniqueFd accepted = Accept(server);
      Allow({kWebIdentity, identity});
      Write(accepted, "still");
      EXPECT_EQ(Read(client), "still");
      Write(client, "here");
      EXPECT_EQ(Read(accepted), "here");
      k.TakeEvents();
      Allow({});
      Write(accepted, "no more");
      EXPECT_EQ(Drop(), "policy");
      Write(client, "neither");
      EXPECT_EQ(Drop(), "cut");
    }
  }
}

TEST_P(ServiceTest, DatagramsObeyInBothDirections) {
  for (const Pod* backend : {&db, &outside}) {
    SCOPED_TRACE(backend->device());
    uint32_t identity = backend == &db ? kDbIdentity : kOutsideIdentity;
    UniqueFd server = Listen(In(*backend), SOCK_DGRAM, kTarget);
    Translate(true);
    Allow({identity});
    UniqueFd client = Connected(In(web), Service(), backend == &db ? kToDb : kToFar, SOCK_DGRAM);
    Write(client, "hello");
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    pollfd wait = {.fd = server.get(), .events = POLLIN, .revents = 0};
    ::poll(&wait, 1, 20000);
    char text[16];
    ASSERT_EQ(
        ::recvfrom(server.get(), text, sizeof text, 0, reinterpret_cast<sockaddr*>(&from), &size),
        5);
    ASSERT_EQ(::connect(server.get(), reinterpret_cast<sockaddr*>(&from), size), 0);
    Allow({kWebIdentity, identity});
    Write(server, "stream");
    EXPECT_EQ(Read(client), "stream");
    k.TakeEvents();
    Allow({});
    Write(server, "stream");
    EXPECT_EQ(Drop(), "policy");
    Write(server, "stream");
    EXPECT_EQ(Drop(), "cut");
    Write(client, "hello");
    EXPECT_EQ(Drop(), "cut");
  }
}

TEST_P(ServiceTest, AClosedPodReachesNobodyThroughItsNode) {
  UniqueFd near = Listen(In(db), SOCK_STREAM, kTarget);
  UniqueFd far = Listen(In(outside), SOCK_STREAM, kTarget);
  Translate(false);
  Enforce({.flags = 0}, {});
  EXPECT_EQ(Try(NodeAddress(), kNodePorts + kToDb), "closed");
  EXPECT_EQ(Try(NodeAddress(), kNodePorts + kToFar), "closed");
  EXPECT_EQ(Connect(In(web), Service(), kToDb), "closed");
  k.RemoveEndpoint(web.ifindex());
  k.NextGeneration();
  k.NextGeneration();
  EXPECT_EQ(Try(NodeAddress(), kNodePorts + kToFar), "closed");
}

// Whatever a pod writes into its packets' tc_index, inside.
TEST_P(ServiceTest, APodCannotSayThatItIsAnother) {
  UniqueFd near = Listen(In(db), SOCK_STREAM, kTarget);
  UniqueFd far = Listen(In(outside), SOCK_STREAM, kTarget);
  for (int tag : {0, 1, 2, 0x7fff, static_cast<int>(db.ifindex() % 4096) + 1}) {
    SCOPED_TRACE(tag);
    bpf_insn program[] = {
        {.code = BPF_ST | BPF_MEM | BPF_W,
         .dst_reg = 1,
         .src_reg = 0,
         .off = offsetof(__sk_buff, tc_index),
         .imm = tag},
        {.code = BPF_ST | BPF_MEM | BPF_W,
         .dst_reg = 1,
         .src_reg = 0,
         .off = offsetof(__sk_buff, mark),
         .imm = 0x100},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = -1},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    UniqueFd inside = AttachInside(web, program, std::size(program));
    Translate(false);
    Allow({});
    EXPECT_EQ(Try(Service(), kToDb), "policy");
    EXPECT_EQ(Try(Service(), kToFar), "policy");
    Allow({kDbIdentity, kOutsideIdentity});
    EXPECT_EQ(Connect(In(web), Service(), kToDb), "open");
    EXPECT_EQ(Connect(In(web), Service(), kToFar), "open");
  }
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
