// SPDX-License-Identifier: Apache-2.0
// Packets cut at every byte and with every byte changed, and every length field at all its values.
//
// What must hold for each of them:
// - At an isolated endpoint without rules nothing passes but ARP and neighbour discovery.
// - At an isolated endpoint with one rule (TCP to port 80 of one peer) nothing passes but those and
//   what an independent reading of the frame (support/reading.h) takes for that.
// - At an endpoint that is not isolated a packet passes, or it is dropped because its source is not
//   the endpoint's, or it speaks for others than the endpoint in another way. Nothing else happens.
// Frames shorter than an IP header are sent over real interfaces, in traffic_test.cc: the kernel
// does not take them for a test run.
#include <algorithm>
#include <functional>

#include "bpf/packets/world.h"
#include "support/reading.h"

namespace sallyport::test {
namespace {

constexpr size_t kEthernet = 14, kV4 = 20, kV6 = 40;

// Frames from kWeb to kStranger; addresses that no single changed byte makes equal.
std::vector<Packet> Specimens() {
  Packet v4 = Ethernet() / IPv4{.src = kWeb.v4, .dst = kStranger.v4};
  Packet v6 = Ethernet() / IPv6{.src = kWeb.v6, .dst = kStranger.v6};
  Packet back4 = Ethernet() / IPv4{.src = kStranger.v4, .dst = kWeb.v4} / UDP{} / Payload(4);
  Packet back6 = Ethernet() / IPv6{.src = kStranger.v6, .dst = kWeb.v6} / UDP{} / Payload(4);
  std::vector<Packet> all;
  for (const Packet& ip : {v4, v6}) {
    all.push_back(ip / TCP{});
    all.push_back(ip / TCP{.dport = 81, .flags = kAck} / Payload(9));
    all.push_back(ip / UDP{} / Payload(5));
    all.push_back(ip / SCTP{} / Payload(16));
    all.push_back(ip / Payload(8));
  }
  all.push_back(v4 / ICMP{} / Payload(8));
  all.push_back(v4 / ICMP{.type = kUnreachable} / Quote(back4));
  all.push_back(Ethernet() / IPv4{.src = kWeb.v4, .dst = kStranger.v4, .options = Bytes(12, 1)} /
                TCP{});
  all.push_back(Ethernet() / IPv4{.src = kWeb.v4, .dst = kStranger.v4, .more = true} / TCP{});
  all.push_back(Ethernet() / IPv4{.src = kWeb.v4, .dst = kStranger.v4, .protocol = 6, .offset = 9} /
                Payload(24));
  all.push_back(v6 / ICMPv6{} / Payload(8));
  all.push_back(v6 / ICMPv6{.type = kPacketTooBig6} / Quote(back6));
  all.push_back(v6 / HopByHop{} / Routing{} / DestinationOptions{} / TCP{});
  all.push_back(v6 / AuthHeader{} / Mobility{} / UDP{});
  all.push_back(v6 / Fragment{.more = true} / TCP{} / Payload(4));
  all.push_back(v6 / Fragment{.offset = 9, .next = 6} / Payload(24));
  all.push_back(Ethernet() / IPv6{.src = kWeb.v6, .dst = kStranger.v6, .hop_limit = 255} /
                ICMPv6{.type = kNeighbourAdvertisement} / Payload(16));
  all.push_back(Ethernet() / IPv6{.src = kWeb.v6, .dst = "ff02::16", .hop_limit = 1} / HopByHop{} /
                ICMPv6{.type = kListenerReport2} / Payload(20));
  all.push_back(Ethernet() / Arp{});
  all.push_back(Ethernet() / Vlan{} / IPv4{.src = kWeb.v4, .dst = kStranger.v4} / TCP{});
  return all;
}

// The kernel takes no IP frame for a test run that is shorter than this.
size_t Shortest(const Bytes& f) {
  unsigned type = U16(f, 12);
  return kEthernet + (type == 0x0800 ? kV4 : type == 0x86dd ? kV6 : 0);
}

// Each specimen cut at every byte and with each byte of it changed.
std::vector<Bytes> Variants(const Packet& specimen) {
  const Bytes whole = specimen.bytes();
  std::vector<Bytes> all = {whole};
  for (size_t size = Shortest(whole); size < whole.size(); size++)
    all.emplace_back(whole.begin(), whole.begin() + static_cast<long>(size));
  for (size_t at = 0; at < whole.size(); at++)
    for (uint8_t value :
         std::initializer_list<uint8_t>{0, 0xff, static_cast<uint8_t>(whole[at] ^ 1),
                                        static_cast<uint8_t>(whole[at] ^ 0x80)}) {
      Bytes changed = whole;
      changed[at] = value;
      if (changed.size() >= Shortest(changed)) all.push_back(std::move(changed));
    }
  return all;
}

// From pod to stranger as it is; swapped, from stranger to pod.
Bytes Swapped(Bytes f) {
  if (U16(f, 12) == 0x0800 && f.size() >= kEthernet + kV4)
    std::swap_ranges(f.begin() + 26, f.begin() + 30, f.begin() + 30);
  if (U16(f, 12) == 0x86dd && f.size() >= kEthernet + kV6)
    std::swap_ranges(f.begin() + 22, f.begin() + 38, f.begin() + 38);
  return f;
}

class MalformedTest : public PodTest {
 protected:
  MalformedTest() : PodTest({.flow_buckets = 4096}) {
    k.SetPeer(kStranger.v4, kFarIdentity);
    k.SetPeer(kStranger.v6, kFarIdentity);
    k.SetRule(kSet, kFarIdentity, Ports().Tcp(80));
  }

  void Isolated(const Bytes& frame) {
    for (const Bytes& f : {frame, Swapped(frame)})
      for (sp_direction direction : {SP_EGRESS, SP_INGRESS}) {
        if (k.Run(direction, web, f).action == Action::kDrop) continue;
        EXPECT_EQ(Read(f).kind, Reading::kAlways) << Hex(f);
      }
  }

  void OneRule(const Bytes& frame) {
    if (k.Run(SP_EGRESS, web, frame).action == Action::kDrop) return;
    Reading r = Read(frame);
    if (r.kind == Reading::kAlways) return;
    // A first fragment with its identifier was allowed before.
    if (r.kind != Reading::kLaterFragment) {
      EXPECT_EQ(r.kind, Reading::kTransport) << Hex(frame);
      EXPECT_EQ(r.protocol, 6) << Hex(frame);
      EXPECT_EQ(r.port, 80u) << Hex(frame);
    }
    bool v4 = r.source.size() == 4;
    EXPECT_EQ(r.source, AddressBytes(v4 ? kWeb.v4 : kWeb.v6)) << Hex(frame);
    EXPECT_EQ(r.destination, AddressBytes(v4 ? kStranger.v4 : kStranger.v6)) << Hex(frame);
  }

  void NotIsolated(const Bytes& frame) {
    Outcome out = k.Run(SP_EGRESS, web, frame);
    if (out.action != Action::kPass) {
      EXPECT_TRUE(IsNotThePods(frame, out.reason)) << out.reason << " " << Hex(frame);
    }
    Bytes to_pod = Swapped(frame);
    out = k.Run(SP_INGRESS, web, to_pod);
    if (out.action != Action::kPass) {
      EXPECT_TRUE(IsNotForThePod(to_pod, out.reason)) << out.reason << " " << Hex(to_pod);
    }
  }

  // What even a pod that is not isolated may not send.
  static bool IsNotThePods(const Bytes& f, const std::string& reason) {
    bool arp = U16(f, 12) == 0x0806, v6 = U16(f, 12) == 0x86dd;
    if (reason == "spoofed-source") return true;
    if (reason == "malformed") return arp || v6;  // or too many headers
    return reason == "icmp-error" || reason == "tunnel";
  }
  static bool IsNotForThePod(const Bytes& f, const std::string& reason) {
    if (reason == "malformed") return U16(f, 12) == 0x0806;
    return reason == "misdelivered" &&
           Destination(f) != AddressBytes(U16(f, 12) == 0x86dd ? kWeb.v6 : kWeb.v4);
  }
  static Bytes Destination(const Bytes& f) {
    return U16(f, 12) == 0x86dd ? Bytes(f.begin() + 38, f.begin() + 54)
                                : Bytes(f.begin() + 30, f.begin() + 34);
  }

  static Bytes AddressBytes(const char* text) {
    const Ip address(text);
    const auto& all = address.bytes();
    return Bytes(all.begin() + (address.IsV4() ? 12 : 0), all.end());
  }
};

TEST_F(MalformedTest, NothingPassesWhereNothingIsAllowed) {
  Web(kNothing, kNothing);
  for (const Packet& specimen : Specimens())
    for (const Bytes& frame : Variants(specimen)) Isolated(frame);
  EXPECT_EQ(k.Flows().size(), 0u);
}

TEST_F(MalformedTest, OnlyWhatIsAllowedPassesWhereOneThingIs) {
  Web(kSet, kNothing);
  for (const Packet& specimen : Specimens())
    for (const Bytes& frame : Variants(specimen)) OneRule(frame);
}

TEST_F(MalformedTest, AnOpenEndpointIsNotHarmed) {
  for (const Packet& specimen : Specimens()) {
    Web(kOpen, kOpen);
    for (const Bytes& frame : Variants(specimen)) NotIsolated(frame);
    k.Age(SP_LIFE_ESTABLISHED + 2);
  }
}

// All values of one or two bytes at `at`, or each of `step` of them.
void ForAllValues(Bytes frame, size_t at, size_t bytes, unsigned step,
                  const std::function<void(Bytes&)>& run) {
  for (unsigned value = 0; value < (bytes == 2 ? 65536u : 256u); value += step) {
    frame[at] = static_cast<uint8_t>(bytes == 2 ? value >> 8 : value);
    if (bytes == 2) frame[at + 1] = static_cast<uint8_t>(value);
    run(frame);
  }
}

struct Field {
  const char* name;
  Packet packet;
  size_t at, bytes;
};

std::vector<Field> LengthFields() {
  Packet v4 = Ethernet() / IPv4{.src = kWeb.v4, .dst = kStranger.v4};
  Packet v6 = Ethernet() / IPv6{.src = kWeb.v6, .dst = kStranger.v6};
  return {{"IPv4 version and header length", v4 / TCP{} / Payload(64), 14, 1},
          {"IPv4 total length", v4 / TCP{} / Payload(8), 16, 2},
          {"IPv4 fragment", v4 / TCP{} / Payload(8), 20, 2},
          {"IPv4 protocol", v4 / TCP{} / Payload(8), 23, 1},
          {"IPv6 payload length", v6 / TCP{} / Payload(8), 18, 2},
          {"IPv6 next header", v6 / TCP{} / Payload(64), 20, 1},
          {"extension header length", v6 / HopByHop{} / TCP{} / Payload(64), 55, 1},
          {"routing header length", v6 / Routing{} / TCP{} / Payload(64), 55, 1},
          {"routing segments left", v6 / Routing{} / TCP{} / Payload(64), 57, 1},
          {"authentication header length", v6 / AuthHeader{} / TCP{} / Payload(64), 55, 1},
          {"IPv6 fragment", v6 / Fragment{} / TCP{} / Payload(64), 56, 2},
          {"TCP header length over IPv4", v4 / TCP{} / Payload(64), 46, 1},
          {"TCP header length over IPv6", v6 / TCP{} / Payload(64), 66, 1}};
}

TEST_F(MalformedTest, EveryValueOfEveryLengthField) {
  for (const Field& field : LengthFields()) {
    SCOPED_TRACE(field.name);
    const unsigned step = field.bytes == 2 ? 13 : 1;
    auto all = [&](unsigned every, auto run) {
      ForAllValues(field.packet.bytes(), field.at, field.bytes, every, run);
    };
    Web(kSet, kNothing);
    all(1, [&](Bytes& frame) { OneRule(frame); });
    Web(kNothing, kNothing);
    all(step, [&](Bytes& frame) { Isolated(frame); });
    Web(kOpen, kOpen);
    all(step, [&](Bytes& frame) { NotIsolated(frame); });
  }
}

}  // namespace
}  // namespace sallyport::test
