// SPDX-License-Identifier: Apache-2.0
// What a test run of one packet cannot show: whose packets are the node's own, packets that cross a
// bridge, fragments and segments as the kernel makes them, frames that it would never make, and the
// way of a packet that is handed over.
#include "bpf/traffic/traffic.h"

#include <poll.h>
#include <sys/socket.h>

#include <fstream>

namespace sallyport::test {
namespace {

class NodeTest : public TrafficTest {};
INSTANTIATE_TEST_SUITE_P(, NodeTest, testing::Values(4, 6), FamilyName);

TEST_P(NodeTest, TheNodeReachesIsolatedAndClosedPods) {
  UniqueFd tcp = Listen(In(web), SOCK_STREAM, 80), udp = Listen(In(web), SOCK_DGRAM, 80);
  for (uint32_t flags : {0u, SP_ENDPOINT_OPEN, SP_ENDPOINT_OPEN | SP_ENDPOINT_DIRECT}) {
    SCOPED_TRACE(flags);
    Enforce({.egress = kNothing, .ingress = kNothing, .flags = flags}, {});
    EXPECT_EQ(Connect(OnNode(), Of(web), 80), "open");
    EXPECT_EQ(Connect(OnNode(), Of(web), 81), "refused");
    EXPECT_EQ(Ask(OnNode(), Of(web), 80, udp), "open");
    EXPECT_EQ(Ask(OnNode(), Of(web), 81, udp), "refused");
    EXPECT_EQ(Ping(OnNode(), Of(web)), "open");
  }
}

TEST_P(NodeTest, IsolatedAndClosedPodsReachTheirNode) {
  UniqueFd tcp = Listen(OnNode(), SOCK_STREAM, 80), udp = Listen(OnNode(), SOCK_DGRAM, 80, Node());
  for (uint32_t flags : {0u, SP_ENDPOINT_OPEN, SP_ENDPOINT_OPEN | SP_ENDPOINT_DIRECT}) {
    SCOPED_TRACE(flags);
    Enforce({.egress = kNothing, .ingress = kNothing, .flags = flags}, {});
    EXPECT_EQ(Connect(In(web), Node(), 80), "open");
    EXPECT_EQ(Connect(In(web), Node(), 81), "refused");
    EXPECT_EQ(Ask(In(web), Node(), 80, udp), "open");
    EXPECT_EQ(Ask(In(web), Node(), 81, udp), "refused");
    EXPECT_EQ(Ping(In(web), Node()), "open");
  }
}

TEST_P(NodeTest, TheNodesErrorsAboutAPodsPacketsArrive) {
  Shell(v6() ? "ip route add unreachable fd99:dead::/64" : "ip route add unreachable 10.98.0.0/24");
  Enforce({.egress = kOpen, .ingress = kNothing}, {});
  std::string error = Connect(In(web), Ip(v6() ? "fd99:dead::1" : "10.98.0.1"), 80);
  Shell(v6() ? "ip route del unreachable fd99:dead::/64" : "ip route del unreachable 10.98.0.0/24");
  EXPECT_EQ(error, v6() ? "Network is unreachable" : "No route to host");
}

TEST_P(NodeTest, ForwardedTrafficIsJudged) {
  UniqueFd tcp = Listen(In(web), SOCK_STREAM, 80), udp = Listen(In(web), SOCK_DGRAM, 80);
  Enforce({.egress = kNothing, .ingress = kNothing}, {});
  EXPECT_EQ(Connect(In(outside), Of(web), 80), "policy");
  EXPECT_EQ(Ask(In(outside), Of(web), 80, udp), "policy");
  EXPECT_EQ(Ping(In(outside), Of(web)), "policy");
  k.SetRule(kSet, kOutsideIdentity, Ports().Tcp(80).Udp(80));
  Enforce({.egress = kNothing, .ingress = kSet}, {});
  EXPECT_EQ(Connect(In(outside), Of(web), 80), "open");
  EXPECT_EQ(Ask(In(outside), Of(web), 80, udp), "open");
  EXPECT_EQ(Connect(In(outside), Of(web), 81), "policy");
  Enforce({.flags = 0}, {});
  EXPECT_EQ(Connect(In(outside), Of(web), 80), "closed");
}

TEST_P(NodeTest, PodsAreJudgedOnTheirWayOut) {
  UniqueFd tcp = Listen(In(outside), SOCK_STREAM, 80), udp = Listen(In(outside), SOCK_DGRAM, 80);
  k.SetRule(kSet, kOutsideIdentity, Ports().Tcp(80));
  Enforce({.egress = kSet, .ingress = kNothing}, {});
  EXPECT_EQ(Connect(In(web), Of(outside), 80), "open");
  EXPECT_EQ(Ask(In(web), Of(outside), 80, udp), "policy");
  EXPECT_EQ(Connect(In(db), Of(outside), 80), "open");
}

TEST_P(NodeTest, LiveConnectionsObeyAChangeOfPolicy) {
  UniqueFd server = Listen(In(outside), SOCK_STREAM, 80);
  k.SetRule(kSet, kOutsideIdentity, Ports().Tcp(80));
  Enforce({.egress = kSet, .ingress = kNothing}, {});
  UniqueFd client = Connected(In(web), Of(outside), 80);
  Enforce({.egress = kSet, .ingress = kNothing}, {});
  k.TakeEvents();
  EXPECT_EQ(::send(client.get(), "still", 5, MSG_NOSIGNAL), 5);
  EXPECT_EQ(Dropped(80), "");
  Enforce({.egress = kNothing, .ingress = kNothing}, {});
  EXPECT_EQ(::send(client.get(), "no more", 7, MSG_NOSIGNAL), 7);
  std::string reason;
  while (reason.empty()) reason = Dropped(80);
  EXPECT_EQ(reason, "policy");
}

class PodToPodTest : public TrafficTest {
 protected:
  explicit PodToPodTest(const KernelOptions& options = {.endpoints = 4096}) : TrafficTest(options) {
    k.SetRule(kSet, kWebIdentity, Ports().Tcp(80).Udp(80));
  }
  // Sends a megabyte through a connection to port 80 of db, and reads it back.
  void Transfer(const Place& from) {
    UniqueFd server = Listen(In(db), SOCK_STREAM, 80);
    UniqueFd client = Connected(from, Of(db), 80);
    UniqueFd accepted(::accept(server.get(), nullptr, nullptr));
    ASSERT_TRUE(accepted);
    constexpr size_t kMegabyte = 1 << 20;
    std::string out(kMegabyte, 'x'), in(kMegabyte, 0);
    size_t sent = 0, read = 0;
    for (int i = 0; read < kMegabyte && i < 100000; i++) {
      ssize_t n =
          ::send(client.get(), out.data() + sent, kMegabyte - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) sent += static_cast<size_t>(n);
      pollfd wait = {.fd = accepted.get(), .events = POLLIN, .revents = 0};
      ::poll(&wait, 1, 1000);
      n = ::recv(accepted.get(), in.data() + read, kMegabyte - read, MSG_DONTWAIT);
      if (n > 0) read += static_cast<size_t>(n);
    }
    EXPECT_EQ(read, kMegabyte);
    EXPECT_EQ(in, out);
  }
};
INSTANTIATE_TEST_SUITE_P(, PodToPodTest, testing::Values(4, 6), FamilyName);

TEST_P(PodToPodTest, HandedOverPacketsArrive) {
  UniqueFd udp = Listen(In(db), SOCK_DGRAM, 80);
  Enforce({.egress = kOpen, .ingress = kNothing}, {.egress = kNothing, .ingress = kSet});
  Transfer(In(web));
  EXPECT_EQ(Ask(In(web), Of(db), 80, udp), "open");
  EXPECT_EQ(Connect(In(web), Of(db), 81), "policy");
  // Not one packet went the long way.
  EXPECT_EQ(k.Counters(db.ifindex()).packets[SP_INGRESS], 0u);
  EXPECT_EQ(k.Counters(web.ifindex()).packets[SP_INGRESS], 0u);
  EXPECT_GT(k.Counters(web.ifindex()).packets[SP_EGRESS], 0u);
  EXPECT_GT(k.Counters(db.ifindex()).packets[SP_EGRESS], 0u);
}

TEST_P(PodToPodTest, HandedOverPacketsArriveFromABridge) {
  Bridge();
  UniqueFd udp = Listen(In(db), SOCK_DGRAM, 80);
  Enforce({.egress = kOpen, .ingress = kNothing}, {.egress = kNothing, .ingress = kSet});
  Transfer(In(web));
  EXPECT_EQ(Ask(In(web), Of(db), 80, udp), "open");
  EXPECT_EQ(Connect(In(web), Of(db), 81), "policy");
}

TEST_P(PodToPodTest, DatagramsInFragmentsArrive) {
  UniqueFd udp = Listen(In(db), SOCK_DGRAM, 80);
  Enforce({.egress = kOpen, .ingress = kNothing}, {.egress = kNothing, .ingress = kSet});
  EXPECT_EQ(Ask(In(web), Of(db), 80, udp, 8000), "open");
  EXPECT_EQ(Ask(In(outside), Of(db), 80, udp, 8000), "policy");
  k.SetRule(kSet, kOutsideIdentity, Ports().Udp(80));
  Enforce({.egress = kOpen, .ingress = kNothing}, {.egress = kNothing, .ingress = kSet});
  EXPECT_EQ(Ask(In(outside), Of(db), 80, udp, 8000), "open");
}

class LongWayTest : public PodToPodTest {
 protected:
  LongWayTest() : PodToPodTest({.endpoints = 4096, .fast_path = false}) {}
};
INSTANTIATE_TEST_SUITE_P(, LongWayTest, testing::Values(4, 6), FamilyName);

TEST_P(LongWayTest, BothEndsJudge) {
  UniqueFd udp = Listen(In(db), SOCK_DGRAM, 80);
  Enforce({.egress = kOpen, .ingress = kNothing}, {.egress = kNothing, .ingress = kSet});
  Transfer(In(web));
  EXPECT_EQ(Ask(In(web), Of(db), 80, udp), "open");
  EXPECT_EQ(Connect(In(web), Of(db), 81), "policy");
  EXPECT_GT(k.Counters(db.ifindex()).packets[SP_INGRESS], 0u);
  EXPECT_EQ(k.Counters(db.ifindex()).dropped[SP_INGRESS][SP_DROP_POLICY], 1u);
}

// Across a bridge a packet keeps the socket of the pod that sent it: it is not the node's own.
TEST_P(LongWayTest, APacketAcrossABridgeIsNotTheNodes) {
  Bridge();
  UniqueFd tcp = Listen(In(db), SOCK_STREAM, 80), udp = Listen(In(db), SOCK_DGRAM, 80);
  Enforce({.egress = kOpen, .ingress = kOpen}, {.egress = kOpen, .ingress = kNothing});
  EXPECT_EQ(Connect(In(web), Of(db), 80), "policy");
  EXPECT_EQ(Ask(In(web), Of(db), 80, udp), "policy");
  EXPECT_EQ(Ping(In(web), Of(db)), "policy");
  Enforce({}, {.flags = 0});
  EXPECT_EQ(Connect(In(web), Of(db), 80), "closed");
}

// A bridge may be told to show its packets to the node's firewall; they stay the pod's.
TEST_P(LongWayTest, ConnectionsAcrossABridgeObeyPolicy) {
  Bridge();
  Enforce({.egress = kOpen, .ingress = kNothing}, {.egress = kNothing, .ingress = kSet});
  Transfer(In(web));
  EXPECT_EQ(Connect(In(web), Of(db), 81), "policy");
}

class FrameTest : public TrafficTest {
 protected:
  explicit FrameTest(const KernelOptions& options = {.endpoints = 4096}) : TrafficTest(options) {}

  uint64_t Drops(sp_direction direction) {
    uint64_t sum = 0;
    for (uint64_t each : k.Counters(web.ifindex()).dropped[direction]) sum += each;
    return sum;
  }
  Packet Frame() const {
    Packet udp = UDP{.dport = 80} / Payload(16);
    if (v6()) return Ethernet() / IPv6{.src = web.v6(), .dst = outside.v6()} / udp;
    return Ethernet() / IPv4{.src = web.v4(), .dst = outside.v4()} / udp;
  }
  // Sends the frame cut at every byte from the Ethernet header on; all are to be dropped.
  void SendCuts() {
    Bytes whole = Frame().bytes();
    size_t headers = 14 + (v6() ? 40 : 20) + 8;
    uint64_t before = Drops(SP_EGRESS);
    for (size_t size = 14; size < headers; size++)
      SendFrame(In(web), Bytes(whole.begin(), whole.begin() + static_cast<long>(size)));
    for (int i = 0; i < 1000 && Drops(SP_EGRESS) < before + headers - 14; i++) {
      // A packet crosses the pair of interfaces before its sender goes on, or soon after.
      Ping(OnNode(), Of(web));
    }
    EXPECT_EQ(Drops(SP_EGRESS), before + headers - 14);
  }
};
INSTANTIATE_TEST_SUITE_P(, FrameTest, testing::Values(4, 6), FamilyName);

TEST_P(FrameTest, FramesCutInTheirHeadersAreDropped) {
  k.SetRule(kSet, kOutsideIdentity, Ports::All());
  Enforce({.egress = kSet, .ingress = kNothing}, {});
  SendCuts();
  EXPECT_EQ(k.Flows().size(), 0u);
}

// The kernel takes a VLAN tag out of the frame and keeps it aside: the rest looks like any packet.
TEST_P(FrameTest, TaggedFramesAreNotReadAtAnIsolatedEndpoint) {
  k.SetRule(kSet, kOutsideIdentity, Ports::All());
  Enforce({.egress = kSet, .ingress = kNothing}, {});
  Bytes frame = Frame().bytes();
  const Bytes tag = {0x81, 0x00, 0x00, 0x05};
  SendFrame(In(web), frame);  // of a known flow, then, but for its tag
  EXPECT_EQ(Ping(OnNode(), Of(web)), "open");
  EXPECT_EQ(k.Flows().size(), 1u);
  frame.insert(frame.begin() + 12, tag.begin(), tag.end());
  for (uint64_t tagged = 1; tagged <= 2; tagged++) {
    SendFrame(In(web), frame);
    EXPECT_EQ(Ping(OnNode(), Of(web)), "open");
    EXPECT_EQ(k.Counters(web.ifindex()).dropped[SP_EGRESS][SP_DROP_ETHERTYPE], tagged);
  }
}

class NoAntiSpoofingFrameTest : public FrameTest {
 protected:
  NoAntiSpoofingFrameTest() : FrameTest({.endpoints = 4096, .anti_spoofing = false}) {}
};
INSTANTIATE_TEST_SUITE_P(, NoAntiSpoofingFrameTest, testing::Values(4, 6), FamilyName);

// Without its addresses a packet is not the pod's to itself either.
TEST_P(NoAntiSpoofingFrameTest, FramesCutInTheirHeadersAreMalformed) {
  k.SetRule(kSet, kOutsideIdentity, Ports::All());
  Enforce({.egress = kSet, .ingress = kNothing}, {});
  uint64_t before = k.Counters(web.ifindex()).dropped[SP_EGRESS][SP_DROP_MALFORMED];
  SendCuts();
  EXPECT_GT(k.Counters(web.ifindex()).dropped[SP_EGRESS][SP_DROP_MALFORMED], before + 20);
  EXPECT_EQ(k.Flows().size(), 0u);
}

// Of a frame of more than a page, only the Ethernet header is in the linear part.
TEST_P(FrameTest, HeadersOutsideTheLinearPartAreRead) {
  for (const Pod* pod : {&web, &outside}) {
    Shell("ip link set " + pod->device() + " mtu 9000");
    pod->Inside([] { Shell("ip link set eth0 mtu 9000"); });
  }
  UniqueFd udp = Listen(In(outside), SOCK_DGRAM, 80), other = Listen(In(outside), SOCK_DGRAM, 81);
  k.SetRule(kSet, kOutsideIdentity, Ports().Udp(80));
  Enforce({.egress = kSet, .ingress = kNothing}, {});
  std::string mac;
  std::ifstream("/sys/class/net/" + web.device() + "/address") >> mac;
  Ethernet ethernet;
  for (size_t i = 0; i < 6; i++)
    ethernet.destination[i] = static_cast<uint8_t>(std::stoi(mac.substr(3 * i, 2), nullptr, 16));
  auto big = [&](uint16_t port) -> Packet {
    Packet datagram = UDP{.sport = 5000, .dport = port} / Payload(7000);
    if (v6()) return ethernet / IPv6{.src = web.v6(), .dst = outside.v6()} / datagram;
    return ethernet / IPv4{.src = web.v4(), .dst = outside.v4()} / datagram;
  };
  for (int i = 0; i < 3; i++) {  // a new flow, and packets of a known one
    SendFrame(In(web), big(80).bytes());
    EXPECT_EQ(Receive(udp.get()).size(), 2048u);
  }
  k.TakeEvents();
  SendFrame(In(web), big(81).bytes());
  std::string reason;
  pollfd arrived = {.fd = other.get(), .events = POLLIN, .revents = 0};
  for (int i = 0; i < 1000 && reason.empty() && ::poll(&arrived, 1, 10) == 0; i++)
    reason = Dropped(81);
  EXPECT_EQ(reason, "policy");
}

}  // namespace
}  // namespace sallyport::test
