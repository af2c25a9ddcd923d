// SPDX-License-Identifier: Apache-2.0
#include "gateway/heartbeat_socket.h"

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>

#include "egress/heartbeat.h"
#include "support/sandbox.h"

namespace sallyport::gateway {
namespace {

using testing::HasSubstr;

constexpr uint16_t kPort = 4791;
constexpr Duration kForEver = std::chrono::minutes(1);

// Two gateways: this namespace and a pod.
class HeartbeatSocketTest : public testing::Test {
 protected:
  void SetUp() override { test::EnterSandbox(); }

  static HeartbeatSocket Open(const std::vector<net::Address>& own, HeartbeatKey key = {}) {
    auto opened = HeartbeatSocket::Open(own, kPort, std::move(key));
    CHECK(opened) << opened.error().message;
    return std::move(*opened);
  }
  static HeartbeatSocket OpenIn(const test::Pod& pod, HeartbeatKey key = {}) {
    std::optional<HeartbeatSocket> out;
    pod.Inside([&] { out = Open({pod.v4(), pod.v6()}, std::move(key)); });
    return std::move(*out);
  }
  static std::string Beat(uint64_t sequence) {
    return egress::Encode({.node = "a", .incarnation = 1, .sequence = sequence, .holds = {}});
  }
  static std::vector<uint64_t> Sequences(HeartbeatSocket& socket, size_t count,
                                         const net::Address& from) {
    std::vector<uint64_t> out;
    while (out.size() < count) {
      auto got = socket.Receive(kForEver);
      CHECK(got && !got->empty()) << "nothing comes";
      for (const ReceivedHeartbeat& one : *got) {
        EXPECT_EQ(one.from, from);
        out.push_back(egress::Decode(one.datagram).value().sequence);
      }
    }
    return out;
  }
  static void UseNodesAddresses() {
    test::Shell("ip addr replace 10.98.0.1/32 dev lo && ip addr replace fd98::1/128 dev lo nodad");
  }
  const net::Address v4_ = *net::Address::Parse("10.98.0.1");
  const net::Address v6_ = *net::Address::Parse("fd98::1");
};

TEST_F(HeartbeatSocketTest, BothFamiliesBothWays) {
  UseNodesAddresses();
  test::Pod pod(8);
  HeartbeatSocket here = Open({v4_, v6_});
  HeartbeatSocket there = OpenIn(pod);
  EXPECT_EQ(here.Send(Beat(1), {pod.v4()}), 0u);
  EXPECT_EQ(Sequences(there, 1, v4_), std::vector<uint64_t>{1});
  EXPECT_EQ(here.Send(Beat(2), {pod.v6()}), 0u);
  EXPECT_EQ(Sequences(there, 1, v6_), std::vector<uint64_t>{2});
  EXPECT_EQ(there.Send(Beat(3), {v4_}), 0u);
  EXPECT_EQ(Sequences(here, 1, pod.v4()), std::vector<uint64_t>{3});
}

TEST_F(HeartbeatSocketTest, SendsToTheRestWhereSomeCannotBeReached) {
  UseNodesAddresses();
  test::Pod pod(8);
  HeartbeatSocket here = Open({v4_});
  HeartbeatSocket there = OpenIn(pod);
  net::Address nowhere = *net::Address::Parse("198.51.100.9");
  EXPECT_EQ(here.Send(Beat(1), {nowhere, pod.v6(), pod.v4()}), 2u);
  EXPECT_EQ(Sequences(there, 1, v4_), std::vector<uint64_t>{1});
}

TEST_F(HeartbeatSocketTest, WhatIsNotSealedIsLeftOut) {
  UseNodesAddresses();
  test::Pod pod(8);
  const std::string old_key = "an old key of some length", new_key = "a new key of some length";
  HeartbeatSocket strict = OpenIn(pod, HeartbeatKey({new_key, old_key}));
  for (const HeartbeatKey& key : {HeartbeatKey(), HeartbeatKey({"a key of somebody else's"})})
    EXPECT_EQ(Open({v4_}, key).Send(Beat(1), {pod.v4()}), 0u);
  EXPECT_EQ(Open({v4_}, HeartbeatKey({old_key})).Send(Beat(2), {pod.v4()}), 0u);
  EXPECT_EQ(Open({v4_}, HeartbeatKey({new_key})).Send(Beat(3), {pod.v4()}), 0u);
  EXPECT_EQ(Sequences(strict, 2, v4_), (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(strict.refused(), 2u);
}

TEST_F(HeartbeatSocketTest, WhatIsTooLongIsLeftOut) {
  UseNodesAddresses();
  test::Pod pod(8);
  HeartbeatSocket there = OpenIn(pod);
  int plain = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  test::Send(plain, pod.v4(), kPort, std::string(egress::kHeartbeatBytes + 1, '\0'));
  test::Send(plain, pod.v4(), kPort, "");
  test::Send(plain, pod.v4(), kPort, std::string(egress::kHeartbeatBytes, '\0'));
  auto got = there.Receive(kForEver);
  ASSERT_TRUE(got);
  while (got->empty()) got = there.Receive(kForEver);
  EXPECT_EQ(got->at(0).datagram.size(), egress::kHeartbeatBytes) << "the third";
  EXPECT_EQ(there.refused(), 2u);
  close(plain);
}

TEST_F(HeartbeatSocketTest, AFloodIsTakenInParts) {
  UseNodesAddresses();
  test::Pod pod(8);
  HeartbeatSocket here = Open({v4_});
  HeartbeatSocket there = OpenIn(pod);
  for (uint64_t i = 0; i < 70; ++i) EXPECT_EQ(here.Send(Beat(i), {pod.v4()}), 0u);
  auto first = there.Receive(kForEver);
  ASSERT_TRUE(first);
  EXPECT_LE(first->size(), 64u);
  EXPECT_EQ(Sequences(there, 70 - first->size(), v4_).back(), 69u);
}

TEST_F(HeartbeatSocketTest, GoesAheadOfOthers) {
  UseNodesAddresses();
  test::Pod pod(8);
  HeartbeatSocket here = Open({v4_, v6_});
  for (const net::Address& to : {pod.v4(), pod.v6()}) {
    int there = pod.UdpSocket(to, kPort);
    const int on = 1;
    if (to.IsV4()) {
      setsockopt(there, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    } else {
      setsockopt(there, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
    }
    EXPECT_EQ(here.Send(Beat(1), {to}), 0u);
    char bytes[1500];
    alignas(cmsghdr) char control[64];
    iovec part{bytes, sizeof bytes};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    pollfd wait{.fd = there, .events = POLLIN, .revents = 0};
    ASSERT_EQ(poll(&wait, 1, 60'000), 1);
    ASSERT_GT(recvmsg(there, &message, 0), 0);
    cmsghdr* first = CMSG_FIRSTHDR(&message);
    ASSERT_NE(first, nullptr);
    EXPECT_EQ(*CMSG_DATA(first), 0xc0);
    close(there);
  }
}

TEST_F(HeartbeatSocketTest, SaysWhyItCannotBeOpened) {
  UseNodesAddresses();
  HeartbeatSocket first = Open({v4_});
  auto second = HeartbeatSocket::Open({v4_}, kPort);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EADDRINUSE);
  EXPECT_THAT(second.error().message, HasSubstr("10.98.0.1, UDP port 4791: "));
  EXPECT_EQ(HeartbeatSocket::Open({*net::Address::Parse("192.0.2.1")}, kPort).error().code,
            EADDRNOTAVAIL);
  EXPECT_FALSE(HeartbeatSocket::Open({}, kPort));
}

}  // namespace
}  // namespace sallyport::gateway
