// SPDX-License-Identifier: Apache-2.0
// Checksums that a pod leaves to the kernel, to be written over something else.
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <cstring>
#include <fstream>

#include "base/check.h"
#include "bpf/traffic/traffic.h"

namespace sallyport::test {
namespace {

constexpr uint16_t kAllowed = 80, kWanted = 9999;
constexpr size_t kL3 = 14;

// As struct virtio_net_hdr of <linux/virtio_net.h>, which is not C++.
struct VirtioHeader {
  uint8_t flags = 1;  // NEEDS_CSUM
  uint8_t gso_type = 0;
  uint16_t hdr_len = 0, gso_size = 0, csum_start = 0, csum_offset = 0;
};
static_assert(sizeof(VirtioHeader) == 10);

// As the kernel sums, from `at` on.
uint16_t SumOf(const Bytes& frame, size_t at) {
  uint32_t sum = 0;
  for (; at + 1 < frame.size(); at += 2)
    sum += static_cast<uint32_t>(frame[at] << 8 | frame[at + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}
void Put(Bytes& frame, size_t at, uint16_t value) {
  frame[at] = static_cast<uint8_t>(value >> 8);
  frame[at + 1] = static_cast<uint8_t>(value);
}

class ChecksumTest : public TrafficTest {
 protected:
  void SetUp() override {
    // The way out has no hardware that does it: the kernel writes when it hands the packet over.
    ethtool_value off{.cmd = ETHTOOL_STXCSUM, .data = 0};
    ifreq request{};
    std::strncpy(request.ifr_name, outside.device().c_str(), IFNAMSIZ - 1);
    request.ifr_data = reinterpret_cast<char*>(&off);
    UniqueFd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::ioctl(any.get(), SIOCETHTOOL, &request), 0) << std::strerror(errno);
    allowed_ = Listen(In(outside), SOCK_DGRAM, kAllowed);
    wanted_ = Listen(In(outside), SOCK_DGRAM, kWanted);
    k.SetRule(kSet, kOutsideIdentity, Ports().Udp(kAllowed));
    Enforce({.egress = kSet, .ingress = kNothing}, {});
  }
  size_t L4() const { return kL3 + (v6() ? 40 : 20); }

  // A datagram to the allowed port.
  Bytes Datagram(uint16_t sport, uint16_t port = kAllowed) const {
    std::string mac;
    std::ifstream("/sys/class/net/" + web.device() + "/address") >> mac;
    Ethernet ethernet;
    for (size_t i = 0; i < 6; i++)
      ethernet.destination[i] = static_cast<uint8_t>(std::stoi(mac.substr(3 * i, 2), nullptr, 16));
    Packet udp = UDP{.sport = sport, .dport = port} / Payload(16);
    if (v6()) return (ethernet / IPv6{.src = web.v6(), .dst = outside.v6()} / udp).bytes();
    return (ethernet / IPv4{.src = web.v4(), .dst = outside.v4()} / udp).bytes();
  }
  // One whose checksum, from `start` on, is `sum`.
  Bytes Crafted(uint16_t sport, size_t start, uint16_t sum) const {
    Bytes frame = Datagram(sport);
    if (!v6()) Put(frame, L4() + 6, 0);  // none of its own: whatever is written, it is taken
    Put(frame, frame.size() - 2, 0);
    uint32_t missing = static_cast<uint16_t>(~sum) + 0xffffu - SumOf(frame, start);
    Put(frame, frame.size() - 2, static_cast<uint16_t>(missing % 0xffff));
    CHECK(static_cast<uint16_t>(~SumOf(frame, start)) == sum);
    return frame;
  }
  void Send(const Bytes& frame, size_t start, size_t offset) const {
    UniqueFd fd;
    sockaddr_ll to{};
    In(web)([&] {
      fd.reset(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
      to.sll_ifindex = static_cast<int>(::if_nametoindex("eth0"));
    });
    to.sll_family = AF_PACKET;
    to.sll_protocol = htons(v6() ? ETH_P_IPV6 : ETH_P_IP);
    int yes = 1;
    CHECK(::setsockopt(fd.get(), SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof yes) == 0);
    VirtioHeader header;
    header.csum_start = static_cast<uint16_t>(start);
    header.csum_offset = static_cast<uint16_t>(offset);
    Bytes whole(sizeof header);
    std::memcpy(whole.data(), &header, sizeof header);
    whole.insert(whole.end(), frame.begin(), frame.end());
    CHECK(::sendto(fd.get(), whole.data(), whole.size(), 0, reinterpret_cast<sockaddr*>(&to),
                   sizeof to) == static_cast<ssize_t>(whole.size()))
        << std::strerror(errno);
  }
  uint64_t Malformed() { return k.Counters(web.ifindex()).dropped[SP_EGRESS][SP_DROP_MALFORMED]; }
  // "allowed" or "wanted": where the next datagram arrives; "dropped" if it is, as malformed.
  std::string Fate(uint64_t malformed_before) {
    for (int i = 0; i < 1000; i++) {
      pollfd wait[] = {{.fd = allowed_.get(), .events = POLLIN, .revents = 0},
                       {.fd = wanted_.get(), .events = POLLIN, .revents = 0}};
      ::poll(wait, 2, 10);
      char text[64];
      if (wait[0].revents && ::recv(allowed_.get(), text, sizeof text, 0) >= 0) return "allowed";
      if (wait[1].revents && ::recv(wanted_.get(), text, sizeof text, 0) >= 0) return "wanted";
      if (Malformed() > malformed_before) return "dropped";
    }
    return "nothing happens";
  }
  std::string FateOf(const Bytes& frame, size_t start, size_t offset) {
    uint64_t before = Malformed();
    Send(frame, start, offset);
    return Fate(before);
  }

  UniqueFd allowed_, wanted_;
};
INSTANTIATE_TEST_SUITE_P(, ChecksumTest, testing::Values(4, 6),
                         [](const auto& i) { return "IPv" + std::to_string(i.param); });

TEST_P(ChecksumTest, WhereItBelongsItIsLeft) {
  Bytes frame = Datagram(5000);
  // In its place stands the sum of what is summed beside it (RFC 768, RFC 8200 8.1).
  size_t addresses = v6() ? kL3 + 8 : kL3 + 12;
  Bytes beside(frame.begin() + static_cast<long>(addresses),
               frame.begin() + static_cast<long>(L4()));
  auto length = static_cast<uint16_t>(frame.size() - L4());
  for (uint16_t word : {uint16_t{IPPROTO_UDP}, length}) {
    beside.push_back(static_cast<uint8_t>(word >> 8));
    beside.push_back(static_cast<uint8_t>(word));
  }
  Put(frame, L4() + 6, SumOf(beside, 0));
  for (int i = 0; i < 3; i++) EXPECT_EQ(FateOf(frame, L4(), 6), "allowed");
}

TEST_P(ChecksumTest, OverThePortItIsDropped) {
  Bytes crafted = Crafted(5000, L4(), kWanted);
  EXPECT_EQ(FateOf(crafted, L4(), 2), "dropped") << "of no flow";
  Bytes plain = Datagram(5000);
  for (int i = 0; i < 2; i++) {
    uint64_t before = Malformed();
    SendFrame(In(web), plain);
    EXPECT_EQ(Fate(before), "allowed");
    EXPECT_EQ(FateOf(crafted, L4(), 2), "dropped") << "of a known flow";
  }
}

TEST_P(ChecksumTest, OverAnAddressOrFromBeforeTheTransportHeaderItIsDropped) {
  Bytes frame = Datagram(5000);
  // The kernel itself refuses what lies before the first of these.
  for (size_t at : {size_t{v6() ? 40u : 20u}, L4() - 2, L4()})
    EXPECT_EQ(FateOf(frame, at, 0), "dropped") << at;
  EXPECT_EQ(FateOf(frame, L4() - 4, 10), "dropped") << "what is cut into segments is counted there";
}

}  // namespace
}  // namespace sallyport::test
