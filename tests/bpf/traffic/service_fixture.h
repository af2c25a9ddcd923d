// SPDX-License-Identifier: Apache-2.0
// A node that translates a Service's addresses, and its own, by the rules that kube-proxy writes,
// in iptables and in nftables form; `outside` stands for whatever is on other nodes, behind an
// interface of the node's own.
#pragma once

#include <gtest/gtest.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/unique_fd.h"
#include "bpf/traffic/traffic.h"

namespace sallyport::test {

// Ports of the Service, at its own addresses and, plus kNodePorts, at the node's.
inline constexpr uint16_t kToDb = 80, kToFar = 81, kToWeb = 82, kNodePorts = 30000, kTarget = 8080;

enum Form { kNftables = 0, kIptables = 10, kNftablesClsact = 20, kIptablesClsact = 30 };

inline std::string FormName(const testing::TestParamInfo<int>& info) {
  const char* forms[] = {"Nftables", "Iptables", "NftablesClsact", "IptablesClsact"};
  return forms[info.param / 10] + ("IPv" + std::to_string(info.param % 10));
}

class ServiceTest : public TrafficTest {
 protected:
  ServiceTest() : TrafficTest({.endpoints = 4096, .tunnels_from_pods = true}, HookOf(GetParam())) {
    ForgetConnections();
    for (const char* address : {"10.96.0.10", "fd00:10:96::10"})
      k.SetPeer(address, SP_PEER_SERVICE);
    k.AttachNode(outside.ifindex(), HookOf(GetParam()));
  }
  ~ServiceTest() override {
    Shell(
        "nft delete table inet sptsvc 2>/dev/null; nft delete table ip nat 2>/dev/null; "
        "nft delete table ip6 nat 2>/dev/null; true");
  }

  // Of the tests before: conntrack goes on translating them for days, and a port may be used again.
  static void ForgetConnections() {
    struct {
      nlmsghdr head;
      nfgenmsg family;
    } flush{};
    flush.head.nlmsg_len = sizeof flush;
    flush.head.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
    flush.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    UniqueFd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
    struct {
      nlmsghdr head;
      nlmsgerr error;
    } answer{};
    CHECK(::send(netlink.get(), &flush, sizeof flush, 0) == sizeof flush &&
          ::recv(netlink.get(), &answer, sizeof answer, 0) > 0 && answer.error.error == 0)
        << "cannot forget connections: " << std::strerror(-answer.error.error);
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
  // The connection's packets and answers pass.
  void ExpectBothWays(const UniqueFd& client, const UniqueFd& accepted) {
    Write(accepted, "still");
    EXPECT_EQ(Read(client), "still");
    Write(client, "here");
    EXPECT_EQ(Read(accepted), "here");
  }
  UniqueFd Accept(const UniqueFd& server) {
    pollfd wait = {.fd = server.get(), .events = POLLIN, .revents = 0};
    ::poll(&wait, 1, 20000);
    return UniqueFd(::accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
};

}  // namespace sallyport::test
