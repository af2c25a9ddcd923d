// SPDX-License-Identifier: Apache-2.0
#include "lab/egress/capture.h"

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <optional>

#include "base/check.h"
#include "lab/netns.h"

namespace sallyport::lab {
namespace {

constexpr int kRoom = 64 << 20;
constexpr size_t kMostText = 4000;
constexpr size_t kEthernet = 14;
constexpr uint16_t kTimeExceeded = 11 << 8;  // type and code

uint16_t Number(std::span<const uint8_t> bytes, size_t at) {
  return at + 2 <= bytes.size() ? static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]) : 0;
}

net::Address AddressAt(std::span<const uint8_t> bytes, size_t at, bool v4) {
  if (v4)
    return net::Address::V4(uint32_t(bytes[at]) << 24 | uint32_t(bytes[at + 1]) << 16 |
                            uint32_t(bytes[at + 2]) << 8 | bytes[at + 3]);
  std::array<uint8_t, 16> out{};
  std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(at), 16, out.begin());
  return net::Address(out);
}

std::optional<Sighting> Read(std::span<const uint8_t> frame, size_t length) {
  uint16_t type = Number(frame, 12);
  bool v4 = type == ETHERTYPE_IP;
  if ((!v4 && type != ETHERTYPE_IPV6) || frame.size() < kEthernet + (v4 ? 20 : 40)) return {};
  Sighting out;
  out.length = length;
  out.from = AddressAt(frame, kEthernet + (v4 ? 12 : 8), v4);
  out.to = AddressAt(frame, kEthernet + (v4 ? 16 : 24), v4);
  out.protocol = frame[kEthernet + (v4 ? 9 : 6)];
  size_t ports = kEthernet + (v4 ? size_t(frame[kEthernet] & 15) * 4 : 40);
  out.source_port = Number(frame, ports);
  out.destination_port = Number(frame, ports + 2);
  return out;
}

std::string ProtocolName(uint8_t number) {
  switch (number) {
    case IPPROTO_TCP:
      return "TCP";
    case IPPROTO_UDP:
      return "UDP";
    case IPPROTO_ICMP:
      return "ICMP";
    case IPPROTO_ICMPV6:
      return "ICMPv6";
    default:
      return "protocol " + std::to_string(number);
  }
}

}  // namespace

std::string Sighting::ToString() const {
  return from.ToString() + " port " + std::to_string(source_port) + " -> " + to.ToString() +
         " port " + std::to_string(destination_port) + ", " + ProtocolName(protocol) + ", " +
         std::to_string(length) + " bytes";
}

Capture::Capture(const std::string& netns, const std::string& device, Rules rules)
    : rules_(std::move(rules)) {
  Status opened = InNetns(netns, [&] {
    socket_.reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    if (!socket_) return Status(ErrnoError("packet socket"));
    int room = kRoom, on = 1;
    setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(socket_.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
    if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      return Status(ErrnoError("bind " + device));
    return Ok();
  });
  CHECK(opened.ok()) << opened.error().message;
  thread_ = std::jthread([this](const std::stop_token& stop) { Watch(stop); });
}

Capture::~Capture() = default;

void Capture::Watch(const std::stop_token& stop) {
  std::array<uint8_t, 256> frame;
  while (!stop.stop_requested()) {
    ssize_t length = recv(socket_.get(), frame.data(), frame.size(), MSG_TRUNC | MSG_DONTWAIT);
    if (length < 0) {
      {
        std::lock_guard lock(mutex_);
        ++idle_;
      }
      pollfd wait{socket_.get(), POLLIN, 0};
      poll(&wait, 1, 10);
      continue;
    }
    auto size = static_cast<size_t>(length);
    Take(std::span(frame).first(std::min(size, frame.size())), size);
  }
}

bool Capture::MayBe(const Sighting& seen) const {
  if (rules_.egress_ips.contains(seen.from)) return true;
  bool inner = std::any_of(rules_.inner.begin(), rules_.inner.end(),
                           [&](const net::Cidr& cidr) { return cidr.Contains(seen.from); });
  // A router's word on a packet that goes in circles: to an address that was given up.
  if (seen.protocol == IPPROTO_ICMP && seen.source_port == kTimeExceeded) return true;
  if (inner && !rules_.free.contains(seen.from)) return false;
  if (!rules_.reserved.contains(seen.to)) return true;
  // Neighbour discovery, and what a router on the way has to say.
  return !inner && (seen.protocol == IPPROTO_ICMP || seen.protocol == IPPROTO_ICMPV6);
}

void Capture::Take(std::span<const uint8_t> frame, size_t length) {
  std::optional<Sighting> seen = Read(frame, length);
  if (!seen) return;
  std::lock_guard lock(mutex_);
  ++seen_[seen->from];
  if (!MayBe(*seen) && trouble_.size() < kMostText) trouble_ += seen->ToString() + "\n";
}

void Capture::AllowEgress(const net::Address& address) {
  std::lock_guard lock(mutex_);
  rules_.egress_ips.insert(address);
}
void Capture::AllowFree(const net::Address& address) {
  std::lock_guard lock(mutex_);
  rules_.free.insert(address);
}

uint64_t Capture::SeenFrom(const net::Address& source) const {
  std::lock_guard lock(mutex_);
  auto it = seen_.find(source);
  return it == seen_.end() ? 0 : it->second;
}

std::string Capture::Trouble() {
  auto idle = [this] {
    std::lock_guard lock(mutex_);
    return idle_;
  };
  for (uint64_t before = idle(); idle() <= before + 1;)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::lock_guard lock(mutex_);
  tpacket_stats stats{};
  socklen_t size = sizeof stats;
  getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &size);
  if (stats.tp_drops > 0)
    trouble_ += "the capture missed " + std::to_string(stats.tp_drops) + " packets\n";
  return trouble_;
}

}  // namespace sallyport::lab
