// SPDX-License-Identifier: Apache-2.0
// Services: what a pod sends to an address that the node translates is judged for what it has
// become, wherever the backend is, and whoever it then seems to be from. The rules are those that
// kube-proxy writes, in iptables and in nftables form; `outside` stands for whatever is on other
// nodes, behind an interface of the node's own.
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

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
  static UniqueFd AttachInside(const Pod& pod, std::span<const bpf_insn> program) {
    constexpr auto kTcxEgress = 47u;
    UniqueFd loaded = LoadTcProgram(program), link;
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
  // The connection's packets and answers pass.
  void ExpectBothWays(const UniqueFd& client, const UniqueFd& accepted) {
    Write(accepted, "still");
    EXPECT_EQ(Read(client), "still");
    Write(client, "here");
    EXPECT_EQ(Read(accepted), "here");
  }
  // From web, of this protocol, with something in it.
  void SendRaw(const net::Address& to, int protocol) {
    In(web)([&] {
      UniqueFd raw(::socket(v6() ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, protocol));
      sockaddr_storage there{};
      if (v6()) {
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
                     v6() ? sizeof(sockaddr_in6) : sizeof(sockaddr_in)) == sizeof text)
          << std::strerror(errno);
    });
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
      ExpectBothWays(client, accepted);
      k.TakeEvents();
      Allow({});
      Write(accepted, "no more");
      EXPECT_EQ(Drop(), "policy");
      Write(client, "neither");
      EXPECT_EQ(Drop(), "cut");
    }
  }
}

// The node goes on translating what is established.
TEST_P(ServiceTest, ConnectionsOutliveTheirService) {
  UniqueFd server = Listen(In(outside), SOCK_STREAM, kTarget);
  Translate(false);
  Allow({kOutsideIdentity});
  UniqueFd client = Connected(In(web), Service(), kToFar);
  UniqueFd accepted = Accept(server);
  ExpectBothWays(client, accepted);
  k.SetPeer(Service(), 0);
  k.control()->deferring[0] = k.control()->deferring[1] = 1;
  Allow({kOutsideIdentity});
  ExpectBothWays(client, accepted);
  EXPECT_EQ(Connect(In(web), Service(), kToFar), "policy") << "no Service's: an address";
  k.control()->deferring[0] = k.control()->deferring[1] = 0;
  Allow({kWebIdentity, kOutsideIdentity});
  k.TakeEvents();
  Write(client, "no more");
  std::string reason;
  while (reason.empty()) reason = Dropped(kToFar);
  EXPECT_EQ(reason, "policy");
}

// Somebody sets marks as a whole, in between.
TEST_P(ServiceTest, WhatLostItsMarkIsNotLetOut) {
  UniqueFd near = Listen(In(db), SOCK_STREAM, kTarget);
  UniqueFd far = Listen(In(outside), SOCK_STREAM, kTarget);
  Translate(false);
  Allow({kDbIdentity, kOutsideIdentity});
  Shell(
      "nft 'add table inet sptmark; add chain inet sptmark forward "
      "{ type filter hook forward priority 0; }; add rule inet sptmark forward meta mark set 0'");
  EXPECT_EQ(Try(Service(), kToDb), "sender");
  EXPECT_EQ(Try(Service(), kToFar), "sender");
  Enforce({.egress = kOpen, .ingress = kNothing}, {});
  EXPECT_EQ(Connect(In(web), Service(), kToDb), "open");
  EXPECT_EQ(Connect(In(web), Service(), kToFar), "open");
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
    SendRaw(Ip(there.c_str()), protocol);
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

// What a pod here had opened as the node, and left, is a stranger's now.
TEST_P(ServiceTest, AFlowOfAPodIsAStrangersOnceOneSendsInIt) {
  UniqueFd server = Listen(In(db), SOCK_STREAM, kTarget);
  Translate(true);
  auto enforce = [&] {
    Enforce({.egress = kNothing, .ingress = kNothing}, {.egress = kNothing, .ingress = kOpen});
  };
  enforce();
  UniqueFd client = Connected(In(outside), NodeAddress(), kNodePorts + kToDb);
  UniqueFd accepted = Accept(server);
  for (sp_flow* flow : k.Flows()) {
    flow->state |= SP_FLOW_JOINT | SP_FLOW_EGRESS;
    for (uint32_t& end : flow->ifindex)
      if (end != db.ifindex()) end = web.ifindex();
  }
  enforce();
  Write(client, "it is me");
  EXPECT_EQ(Read(accepted), "it is me");
  enforce();
  Write(accepted, "hello");
  EXPECT_EQ(Read(client), "hello");
  ExpectBothWays(client, accepted);
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
    UniqueFd inside = AttachInside(web, program);
    Translate(false);
    Allow({});
    EXPECT_EQ(Try(Service(), kToDb), "policy");
    EXPECT_EQ(Try(Service(), kToFar), "policy");
    Allow({kDbIdentity, kOutsideIdentity});
    EXPECT_EQ(Connect(In(web), Service(), kToDb), "open");
    EXPECT_EQ(Connect(In(web), Service(), kToFar), "open");
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
  EXPECT_EQ(Connect(In(web), Service(), kToFar), "open");
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
