// SPDX-License-Identifier: Apache-2.0
// The small world that packet tests play in: two pods of this node, a pod elsewhere, a stranger,
// the node itself; each with an address of both families.
#pragma once

#include <gtest/gtest.h>

#include "support/kernel.h"
#include "support/packet.h"

namespace sallyport::test {

struct Host {
  const char* v4;
  const char* v6;
};
inline constexpr Host kWeb = {"10.0.0.1", "fd00::1"};
inline constexpr Host kDb = {"10.0.0.2", "fd00::2"};
inline constexpr Host kFar = {"10.0.1.1", "fd00:1::1"};
inline constexpr Host kStranger = {"192.0.2.1", "2001:db8::1"};
inline constexpr Host kNode = {"10.0.0.254", "fd00::fe"};

// Policy sets and identities. A set that no rule was stated for allows nothing.
inline constexpr uint32_t kOpen = 0, kNothing = 1, kSet = 2, kOtherSet = 3;
inline constexpr uint32_t kFarIdentity = 11, kWebIdentity = 12, kDbIdentity = 13;

class PodTest : public testing::Test {
 protected:
  explicit PodTest(const KernelOptions& options = {}) : k(options) {
    for (const char* address : {kNode.v4, kNode.v6})
      k.SetPeer(address, SP_PEER_NODE | SP_PEER_NONE);
    for (const char* address : {kFar.v4, kFar.v6}) k.SetPeer(address, kFarIdentity);
  }

  // States kWeb's endpoint and puts all that was stated in force.
  void Web(uint32_t egress, uint32_t ingress,
           uint32_t flags = SP_ENDPOINT_OPEN | SP_ENDPOINT_DIRECT) {
    k.SetEndpoint({web, kWeb.v4, kWeb.v6, egress, ingress, flags});
    k.NextGeneration();
  }
  // Both pods, known to each other as endpoints of this node.
  void WebAndDb(const Endpoint& web_policy, const Endpoint& db_policy) {
    k.SetEndpoint({web, kWeb.v4, kWeb.v6, web_policy.egress, web_policy.ingress, web_policy.flags});
    k.SetEndpoint({db, kDb.v4, kDb.v6, db_policy.egress, db_policy.ingress, db_policy.flags});
    for (const char* address : {kWeb.v4, kWeb.v6}) k.SetPeer(address, kWebIdentity, web);
    for (const char* address : {kDb.v4, kDb.v6}) k.SetPeer(address, kDbIdentity, db);
    k.NextGeneration();
  }

  Outcome FromWeb(const Packet& packet) { return k.FromPod(web, packet); }
  Outcome ToWeb(const Packet& packet) { return k.ToPod(web, packet); }
  Outcome FromDb(const Packet& packet) { return k.FromPod(db, packet); }
  Outcome ToDb(const Packet& packet) { return k.ToPod(db, packet); }

  Kernel k;
  const uint32_t web = Interface(0), db = Interface(1);
};

// Tests that hold for IPv4 and IPv6 alike.
class FamilyTest : public PodTest, public testing::WithParamInterface<int> {
 protected:
  explicit FamilyTest(const KernelOptions& options = {}) : PodTest(options) {}

  bool v6() const { return GetParam() == 6; }
  const char* Of(const Host& host) const { return v6() ? host.v6 : host.v4; }
  Packet Between(const Host& from, const Host& to, uint8_t hop_limit = 64) const {
    if (v6()) return Ethernet() / IPv6{.src = from.v6, .dst = to.v6, .hop_limit = hop_limit};
    return Ethernet() / IPv4{.src = from.v4, .dst = to.v4, .ttl = hop_limit};
  }
  Packet Tcp(const Host& from, uint16_t sport, const Host& to, uint16_t dport,
             uint8_t flags = kSyn) const {
    return Between(from, to) / TCP{.sport = sport, .dport = dport, .flags = flags};
  }
  Packet Udp(const Host& from, uint16_t sport, const Host& to, uint16_t dport) const {
    return Between(from, to) / UDP{.sport = sport, .dport = dport} / Payload(16);
  }
  Packet Sctp(const Host& from, uint16_t sport, const Host& to, uint16_t dport,
              uint8_t chunk = kSctpInit) const {
    return Between(from, to) / SCTP{.sport = sport, .dport = dport, .chunk = chunk};
  }
  Packet Icmp(uint8_t type4, uint8_t type6, uint16_t id = 1, uint8_t code = 0) const {
    if (v6()) return ICMPv6{.type = type6, .code = code, .id = id};
    return ICMP{.type = type4, .code = code, .id = id};
  }
  Packet Ping(const Host& from, const Host& to, uint16_t id = 7) const {
    return Between(from, to) / Icmp(kEchoRequest, kEchoRequest6, id) / Payload(8);
  }
  Packet Pong(const Host& from, const Host& to, uint16_t id = 7) const {
    return Between(from, to) / Icmp(kEchoReply, kEchoReply6, id) / Payload(8);
  }
  // "Cannot be delivered", about `quoted`.
  Packet Error(const Host& from, const Host& to, const Packet& quoted, size_t limit = 1280) const {
    return Between(from, to) / Icmp(kUnreachable, kUnreachable6, 0) / Quote(quoted, limit);
  }
};

inline std::string FamilyName(const testing::TestParamInfo<int>& info) {
  return "IPv" + std::to_string(info.param);
}
#define BOTH_FAMILIES(suite) \
  INSTANTIATE_TEST_SUITE_P(, suite, testing::Values(4, 6), sallyport::test::FamilyName)

}  // namespace sallyport::test
