// SPDX-License-Identifier: Apache-2.0
// Services: what a pod sends to an address that the node translates is judged for what it has
// become, wherever the backend is, and whoever it then seems to be from.
#include <linux/bpf.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/check.h"
#include "bpf/traffic/service_fixture.h"

namespace sallyport::test {
namespace {

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

// What was established stays, where its sender asks for it; nothing new passes by that.
TEST_P(ServiceTest, KeptConnectionsThroughServices) {
  const Endpoint keeping = {.egress = kSet,
                            .ingress = kNothing,
                            .flags = SP_ENDPOINT_OPEN | SP_ENDPOINT_KEEP << SP_EGRESS};
  for (bool masquerade : {false, true}) {
    for (const Pod* backend : {&db, &outside}) {
      SCOPED_TRACE(backend->device() + (masquerade ? " masqueraded" : ""));
      uint32_t identity = backend == &db ? kDbIdentity : kOutsideIdentity;
      uint16_t port = backend == &db ? kToDb : kToFar;
      UniqueFd server = Listen(In(*backend), SOCK_STREAM, kTarget);
      Translate(masquerade);
      Allow({identity});
      UniqueFd client = Connected(In(web), Service(), port);
      UniqueFd accepted = Accept(server);
      ExpectBothWays(client, accepted);
      k.RemoveRule(kSet, identity);
      Enforce(keeping, {});
      ExpectBothWays(client, accepted);
      EXPECT_EQ(Try(Service(), port), "policy");
      Enforce(keeping, {});
      ExpectBothWays(client, accepted);
      k.TakeEvents();
      Allow({});
      Write(client, "no more");
      EXPECT_EQ(Drop(), "policy");
      Enforce(keeping, {});
      Write(accepted, "neither");
      while (Drop() != "policy") {  // what was cut, and tries again, is judged again
      }
      char letter;
      EXPECT_LT(::recv(client.get(), &letter, 1, MSG_DONTWAIT), 0);
      EXPECT_LT(::recv(accepted.get(), &letter, 1, MSG_DONTWAIT), 0);
      // It tries no more, nor is its drop taken for that of the next one.
      for (const UniqueFd* end : {&client, &accepted}) {
        linger at_once{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(end->get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      }
    }
  }
}

// A pod that asks for much through a Service fills its own share, not the backend's.
TEST_P(ServiceTest, AFlowCountsForWhoSentIt) {
  UniqueFd near = Listen(In(db), SOCK_STREAM, kTarget),
           far = Listen(In(outside), SOCK_STREAM, kTarget);
  for (bool masquerade : {false, true}) {
    Translate(masquerade);
    Allow({kWebIdentity, kDbIdentity, kOutsideIdentity});
    EXPECT_EQ(Connect(In(web), Service(), kToDb), "open");
    EXPECT_EQ(Connect(In(web), Service(), kToFar), "open");
  }
  ASSERT_GE(k.Flows().size(), 4u);
  for (const sp_flow* flow : k.Flows()) EXPECT_EQ(flow->owner, web.ifindex());
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
  k.TakeEvents();
  Allow({kWebIdentity, kOutsideIdentity});
  Write(client, "no more");
  std::string reason;
  while (reason.empty()) reason = Dropped(kToFar);
  EXPECT_EQ(reason, "policy");
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

}  // namespace
}  // namespace sallyport::test
