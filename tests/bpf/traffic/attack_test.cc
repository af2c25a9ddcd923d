// SPDX-License-Identifier: Apache-2.0
// What a pod that is root in its own namespaces may try: around the programs, in another's name,
// through the node's tunnels.
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "base/check.h"
#include "bpf/traffic/traffic.h"

namespace sallyport::test {
namespace {

struct Host {
  const char* v4;
  const char* v6;
};
constexpr Host kStranger = {"192.0.2.1", "2001:db8::1"};

// Family, and ten times the hook.
std::string AttackName(const testing::TestParamInfo<int>& info) {
  return (info.param / 10 ? "ClsactIPv" : "TcxIPv") + std::to_string(info.param % 10);
}

class AttackTest : public TrafficTest {
 protected:
  explicit AttackTest(const KernelOptions& options = {.endpoints = 4096})
      : TrafficTest(options, GetParam() / 10 ? Hook::kClsact : Hook::kTcx) {
    k.AttachNode(outside.ifindex(), GetParam() / 10 ? Hook::kClsact : Hook::kTcx);
  }

  Ip Of(const Host& host) const { return v6() ? host.v6 : host.v4; }
  using TrafficTest::Of;
  Packet Datagram(const net::Address& from, const net::Address& to, uint16_t port) const {
    Packet udp = UDP{.sport = 5000, .dport = port} / Payload(16);
    if (v6()) return IPv6{.src = from, .dst = to} / udp;
    return IPv4{.src = from, .dst = to} / udp;
  }
  // Waits for a drop of this port; its reason.
  std::string Drop(uint16_t port) {
    std::string reason;
    for (int i = 0; i < 500 && reason.empty(); i++) {
      reason = Dropped(port);
      if (reason.empty()) ::poll(nullptr, 0, 10);
    }
    return reason;
  }
  // What becomes of a datagram from web: "passed", or the reason of its drop.
  std::string Try(const Ethernet& frame, const net::Address& from, const net::Address& to) {
    k.TakeEvents();
    SendFrame(In(web), (frame / Datagram(from, to, 80)).bytes());
    std::string reason = Drop(80);
    return reason.empty() ? "passed" : reason;
  }
  // Nothing has come.
  static bool IsQuiet(const UniqueFd& socket) {
    pollfd wait = {.fd = socket.get(), .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, 0) == 0;
  }

  // What the pod sends goes through an ifb device there, and the kernel does not show such packets
  // to the programs where they come in.
  void GoAround(const Pod& pod) {
    pod.Inside([] {
      Shell(
          "ip link add ifb0 type ifb && ip link set ifb0 up && tc qdisc add dev eth0 clsact && "
          // With a mark: no match.
          "tc filter add dev eth0 egress protocol all bpf bytecode "
          "'4,32 0 0 4294963220,21 0 1 0,6 0 0 4294967295,6 0 0 0' "
          "action mirred egress redirect dev ifb0");
    });
    const bpf_insn mark[] = {
        {.code = BPF_ST | BPF_MEM | BPF_W,
         .dst_reg = 1,
         .src_reg = 0,
         .off = offsetof(__sk_buff, mark),
         .imm = 7},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    inside_ = AttachInside(pod, mark, "ifb0");
  }

 private:
  UniqueFd inside_;
};
INSTANTIATE_TEST_SUITE_P(, AttackTest, testing::Values(4, 6, 14, 16), AttackName);

TEST_P(AttackTest, AroundTheProgramAPodIsStillIsolated) {
  UniqueFd far = Listen(In(outside), SOCK_DGRAM, 80), near = Listen(In(db), SOCK_DGRAM, 80);
  UniqueFd far_tcp = Listen(In(outside), SOCK_STREAM, 80);
  k.SetRule(kSet, kDbIdentity, Ports().Tcp(80).Udp(80));
  Enforce({.egress = kSet, .ingress = kNothing}, {});
  // Over IPv6 a pod's kernel speaks of its groups on its own, and does not go around.
  if (!v6()) web.Inside([] { Shell("sysctl -qw net.ipv6.conf.all.disable_ipv6=1"); });
  GoAround(web);
  uint64_t before = k.Counters(web.ifindex()).packets[SP_EGRESS];
  EXPECT_EQ(Ask(In(web), Of(outside), 80, far), "policy");
  EXPECT_EQ(Connect(In(web), Of(outside), 80), "policy");
  EXPECT_EQ(Connect(In(web), Of(db), 81), "policy");
  EXPECT_EQ(Ask(In(web), Of(db), 80, near), "open");
  if (!v6())
    EXPECT_EQ(k.Counters(web.ifindex()).packets[SP_EGRESS], before)
        << "the program was not gone around";
  k.SetRule(kSet, kOutsideIdentity, Ports().Tcp(80).Udp(80));
  Enforce({.egress = kSet, .ingress = kNothing}, {});
  EXPECT_EQ(Ask(In(web), Of(outside), 80, far), "open");
  EXPECT_EQ(Connect(In(web), Of(outside), 80), "open");
}

TEST_P(AttackTest, AroundTheProgramAPodIsStillClosed) {
  UniqueFd far = Listen(In(outside), SOCK_DGRAM, 80), near = Listen(In(db), SOCK_DGRAM, 80);
  GoAround(web);
  Enforce({.flags = 0}, {});
  for (bool entry : {true, false}) {
    SCOPED_TRACE(entry);
    EXPECT_EQ(Try(ToNode(web), Of(web), Of(outside)), "closed");
    EXPECT_EQ(Try(ToNode(web), Of(web), Of(db)), "closed");
    k.NextGeneration();  // without an entry, from here on
  }
  EXPECT_TRUE(IsQuiet(far) && IsQuiet(near));
}

TEST_P(AttackTest, AroundTheProgramAPodIsStillItself) {
  UniqueFd far = Listen(In(outside), SOCK_DGRAM, 80), near = Listen(In(db), SOCK_DGRAM, 80);
  Enforce({}, {});
  GoAround(web);
  for (const net::Address& to : {Of(outside), Of(db)})
    for (const net::Address& from : {net::Address(Of(kStranger)), Of(outside)})
      if (from != to) EXPECT_EQ(Try(ToNode(web), from, to), "spoofed-source") << from.ToString();
  EXPECT_TRUE(IsQuiet(far) && IsQuiet(near));
}

TEST_P(AttackTest, AroundTheProgramAPodIsStillIsolatedOnABridge) {
  Bridge();
  UniqueFd near = Listen(In(db), SOCK_DGRAM, 80);
  GoAround(web);
  Enforce({.egress = kNothing, .ingress = kNothing}, {});
  Ethernet to_db;
  In(db)([&] { to_db.destination = LinkAddress("eth0"); });
  EXPECT_EQ(Try(to_db, Of(web), Of(db)), "policy");
  Enforce({.flags = 0}, {});
  EXPECT_EQ(Try(to_db, Of(web), Of(db)), "closed");
  EXPECT_TRUE(IsQuiet(near));
}

// What the node routes on from a bridge has come in through the bridge.
TEST_P(AttackTest, AroundTheProgramAPodIsStillIsolatedBehindABridge) {
  Bridge();
  Shell("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.sptbr.rp_filter=0");
  UniqueFd far = Listen(In(outside), SOCK_DGRAM, 80);
  GoAround(web);
  Ethernet to_bridge;
  to_bridge.destination = LinkAddress("sptbr");
  Enforce({.egress = kNothing, .ingress = kNothing}, {});
  EXPECT_EQ(Try(to_bridge, Of(web), Of(outside)), "policy");
  Enforce({.flags = 0}, {});
  EXPECT_EQ(Try(to_bridge, Of(web), Of(outside)), "closed");
  EXPECT_TRUE(IsQuiet(far));
}

// The bridge learns where an address of the link is from who sends with it.
TEST_P(AttackTest, WhatIsSteeredToAPodIsNotDelivered) {
  Bridge();
  Enforce({}, {});
  UniqueFd inside;
  In(web)([&] { inside.reset(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL))); });
  Bytes theirs;
  In(db)([&] { theirs = LinkAddress("eth0"); });
  // The other says nothing meanwhile that the bridge could learn from.
  Shell("bridge link set dev " + db.device() + " learning off");
  Ethernet stolen = ToNode(web);
  stolen.source = theirs;
  SendFrame(In(web), (stolen / Datagram(Of(web), Of(outside), 80)).bytes());
  k.TakeEvents();
  Ethernet to_db;
  to_db.destination = theirs;
  SendFrame(OnNode(), (to_db / Datagram(Of(outside), Of(db), 80)).bytes(), "sptbr");
  EXPECT_EQ(Drop(80), "misdelivered");
  pollfd wait = {.fd = inside.get(), .events = POLLIN, .revents = 0};
  while (::poll(&wait, 1, 0) > 0) {
    char frame[2048];
    ssize_t size = ::recv(inside.get(), frame, sizeof frame, 0);
    EXPECT_TRUE(size < 12 || std::string(frame, 6) != std::string(theirs.begin(), theirs.end()));
  }
}

// An interface of the node's that unwraps what pods send to it.
class UnwrappingTest : public AttackTest {
 protected:
  UnwrappingTest() : AttackTest({.endpoints = 4096, .tunnels_from_pods = true}) {
    Shell("ip link add sptvx type vxlan id 8 dstport 8472 local " + Node().ToString() +
          (v6() ? " udp6zerocsumrx" : "") +
          " && ip link set sptvx up && sysctl -qw net.ipv4.conf.sptvx.rp_filter=0");
    k.AttachNode(::if_nametoindex("sptvx"), GetParam() / 10 ? Hook::kClsact : Hook::kTcx);
  }
  ~UnwrappingTest() override { Shell("ip link del sptvx"); }

  void Wrap(const net::Address& from, const net::Address& to) {
    Ethernet ethernet;
    ethernet.destination = LinkAddress("sptvx");
    Bytes vxlan = {8, 0, 0, 0, 0, 0, 8, 0};
    Bytes inner = (ethernet / Datagram(from, to, 80)).bytes();
    vxlan.insert(vxlan.end(), inner.begin(), inner.end());
    UniqueFd socket = Connected(In(web), Node(), 8472, SOCK_DGRAM);
    EXPECT_EQ(::send(socket.get(), vxlan.data(), vxlan.size(), 0),
              static_cast<ssize_t>(vxlan.size()));
  }
};
INSTANTIATE_TEST_SUITE_P(, UnwrappingTest, testing::Values(4, 6, 14, 16), AttackName);

TEST_P(UnwrappingTest, WhatTheNodeUnwrapsIsItsSenders) {
  UniqueFd near = Listen(In(db), SOCK_DGRAM, 80), far = Listen(In(outside), SOCK_DGRAM, 80);
  k.SetRule(kSet, kOutsideIdentity, Ports::All());
  for (bool open : {true, false}) {
    uint32_t flags = open ? SP_ENDPOINT_OPEN : 0;
    Enforce({.egress = kNothing, .ingress = kOpen, .flags = flags},
            {.egress = kOpen, .ingress = kSet});
    for (const net::Address& from : {Of(db), Of(outside), Of(web)}) {
      k.TakeEvents();
      Wrap(from, Of(db));
      // From itself IPv4 knows no packet that came in.
      if (!v6() && from == Of(db)) continue;
      EXPECT_EQ(Drop(80), open ? "policy" : "closed") << from.ToString();
    }
  }
  EXPECT_TRUE(IsQuiet(near) && IsQuiet(far));
}

}  // namespace
}  // namespace sallyport::test
