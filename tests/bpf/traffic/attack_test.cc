// SPDX-License-Identifier: Apache-2.0
// What a pod that is root in its own namespaces may try: around the programs, in another's name,
// through the node's tunnels.
#include <linux/bpf.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstddef>
#include <fstream>
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
  // To the interface that the pod's own leads to.
  static Ethernet ToNode(const Pod& pod) {
    Ethernet ethernet;
    ethernet.destination = AddressOf(pod.device());
    return ethernet;
  }
  static Bytes AddressOf(const std::string& device) {
    std::string text;
    std::ifstream("/sys/class/net/" + device + "/address") >> text;
    Bytes out(6);
    for (size_t i = 0; i < out.size(); i++)
      out[i] = static_cast<uint8_t>(std::stoi(text.substr(3 * i, 2), nullptr, 16));
    return out;
  }
  // Waits for a drop of this port; its reason.
  std::string Drop(uint16_t port) {
    std::string reason;
    for (int i = 0; i < 2000 && reason.empty(); i++) {
      reason = Dropped(port);
      if (reason.empty()) ::poll(nullptr, 0, 10);
    }
    return reason;
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
  GoAround(web);
  EXPECT_EQ(Ask(In(web), Of(outside), 80, far), "policy");
  EXPECT_EQ(Connect(In(web), Of(outside), 80), "policy");
  EXPECT_EQ(Connect(In(web), Of(db), 81), "policy");
  EXPECT_EQ(Ask(In(web), Of(db), 80, near), "open");
  EXPECT_EQ(k.Counters(web.ifindex()).packets[SP_EGRESS], 0u) << "the program was not gone around";
  k.SetRule(kSet, kOutsideIdentity, Ports().Tcp(80).Udp(80));
  Enforce({.egress = kSet, .ingress = kNothing}, {});
  EXPECT_EQ(Ask(In(web), Of(outside), 80, far), "open");
  EXPECT_EQ(Connect(In(web), Of(outside), 80), "open");
}

TEST_P(AttackTest, AroundTheProgramAPodIsStillClosed) {
  UniqueFd far = Listen(In(outside), SOCK_DGRAM, 80), near = Listen(In(db), SOCK_DGRAM, 80);
  GoAround(web);
  Enforce({.flags = 0}, {});
  EXPECT_EQ(Ask(In(web), Of(outside), 80, far), "closed");
  EXPECT_EQ(Ask(In(web), Of(db), 80, near), "closed");
  k.NextGeneration();  // without an entry, from here on
  EXPECT_EQ(Ask(In(web), Of(outside), 80, far), "closed");
  EXPECT_EQ(Ask(In(web), Of(db), 80, near), "closed");
}

TEST_P(AttackTest, AroundTheProgramAPodIsStillItself) {
  UniqueFd far = Listen(In(outside), SOCK_DGRAM, 80), near = Listen(In(db), SOCK_DGRAM, 80);
  Enforce({}, {});
  GoAround(web);
  for (const net::Address& to : {Of(outside), Of(db)}) {
    for (const net::Address& from :
         {static_cast<const net::Address&>(Of(kStranger)), Of(outside)}) {
      if (from == to) continue;
      k.TakeEvents();
      SendFrame(In(web), (ToNode(web) / Datagram(from, to, 80)).bytes());
      EXPECT_EQ(Drop(80), "spoofed-source") << from.ToString() << " to " << to.ToString();
    }
  }
  EXPECT_TRUE(IsQuiet(far) && IsQuiet(near));
}

TEST_P(AttackTest, AroundTheProgramAPodIsStillIsolatedOnABridge) {
  Bridge();
  UniqueFd near = Listen(In(db), SOCK_DGRAM, 80);
  GoAround(web);
  Enforce({.egress = kNothing, .ingress = kNothing}, {});
  EXPECT_EQ(Ask(In(web), Of(db), 80, near), "policy");
  Enforce({.flags = 0}, {});
  EXPECT_EQ(Ask(In(web), Of(db), 80, near), "closed");
}

}  // namespace
}  // namespace sallyport::test
