// SPDX-License-Identifier: Apache-2.0
// A pod that is pinned, its egress IPs and a partner outside: the world of the tests of pinned
// packets.
#pragma once

#include <cstring>

#include "bpf/packets/world.h"

namespace sallyport::test {

inline constexpr Host kEgress = {"203.0.113.10", "2001:db8:ffff::10"};
inline constexpr Host kPartner = {"198.51.100.20", "2001:db8:100::20"};
inline constexpr uint32_t kPins = 5;       // pin set
inline constexpr uint32_t kFirst = 20480;  // of this node's block
inline constexpr uint32_t kBlock = 64;
inline constexpr uint32_t kOtherNode = 2;
inline constexpr uint16_t kMtu = 1400;

class PinTest : public FamilyTest {
 protected:
  explicit PinTest(const KernelOptions& options = {}) : FamilyTest(options) {
    const EgressTables& e = k.egress();
    *e.tunnel = {.ifindex = Interface(4), .vni = 7, .mtu = kMtu, .egress_ips = 2};
    e.tunnel_nodes[SP_NODE_SELF].address = Abi(kNode.v4);
    e.tunnel_nodes[kOtherNode].address = Abi("10.0.0.253");
    k.SetOutside("10.0.0.253", SP_OUTSIDE_NODE | kOtherNode);
    for (uint32_t number : {1u, 2u}) {
      const char* address = number == 1 ? kEgress.v4 : kEgress.v6;
      sp_egress_ip& ip = e.egress_ips[number];
      ip = {.address = Abi(address), .gateway = kOtherNode, .blocks = 1, .block_ports = kBlock};
      e.port_blocks[number].first[0] = kFirst;
      e.port_owners[number].node[kFirst / SP_PORT_GROUP] = SP_NODE_SELF;
      k.SetOutside(address, SP_OUTSIDE_EGRESS | number);
    }
    k.SetPin(kPins, "198.51.100.0/24", 1);
    k.SetPin(kPins, "2001:db8:100::/48", 2);
    Pinned();
  }
  static sp_address Abi(Ip address) {
    sp_address out;
    std::memcpy(out.bytes, address.bytes().data(), sizeof out.bytes);
    return out;
  }
  void Pinned(uint32_t set = kPins, uint32_t egress = kOpen) {
    k.SetEndpoint({.ifindex = web, .v4 = kWeb.v4, .v6 = kWeb.v6, .egress = egress, .pins = set});
    k.NextGeneration();
  }
  uint32_t number() const { return v6() ? 2 : 1; }
  sp_egress_ip& ip() { return k.egress().egress_ips[number()]; }
  Outcome FromPartner(const Packet& packet) { return k.ToNode(Interface(6), packet); }

  // The frame but for its Ethernet header, which is not ours to say.
  static Bytes Inside(const Bytes& frame) { return {frame.begin() + 14, frame.end()}; }
  static void ExpectBecomes(const Outcome& outcome, const Packet& expected) {
    EXPECT_DIRECT(outcome);
    EXPECT_EQ(Inside(outcome.frame), Inside(expected.bytes())) << expected.ToString();
  }
  // From the egress IP's next port.
  uint16_t Port(uint32_t i = 0) const { return static_cast<uint16_t>(kFirst + i); }
};

}  // namespace sallyport::test
