// SPDX-License-Identifier: Apache-2.0
#include "support/packet.h"

#include <algorithm>
#include <sstream>

#include "base/check.h"

namespace sallyport::test {
namespace {

constexpr size_t kEthernetHeader = 14;
constexpr uint8_t kNoNextHeader = 59;

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <typename... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

// A header while it is written: numbers in network byte order.
class Writer {
 public:
  Writer& U8(size_t value) {
    bytes_.push_back(static_cast<uint8_t>(value));
    return *this;
  }
  Writer& U16(size_t value) { return U8(value >> 8).U8(value); }
  Writer& U32(uint32_t value) { return U16(value >> 16).U16(value & 0xffff); }
  Writer& Raw(const Bytes& bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Writer& Address(const net::Address& address) {
    const auto& all = address.bytes();
    bytes_.insert(bytes_.end(), all.begin() + (address.IsV4() ? 12 : 0), all.end());
    return *this;
  }
  Writer& Zeros(size_t count) {
    bytes_.insert(bytes_.end(), count, 0);
    return *this;
  }
  Bytes Take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

uint16_t InternetChecksum(const Bytes& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2)
    sum += static_cast<uint32_t>(bytes[i] << 8) + (i + 1 < bytes.size() ? bytes[i + 1] : 0u);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

uint32_t Crc32c(const Bytes& bytes) {
  uint32_t crc = 0xffffffff;
  for (uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

Bytes Join(Bytes head, const Bytes& rest) {
  head.insert(head.end(), rest.begin(), rest.end());
  return head;
}

uint16_t EtherType(const Layer* following) {
  if (!following) return 0x88b5;  // for experiments (IEEE 802)
  return std::visit(Overloaded{[](const Vlan&) -> uint16_t { return 0x8100; },
                               [](const Arp&) -> uint16_t { return 0x0806; },
                               [](const IPv4&) -> uint16_t { return 0x0800; },
                               [](const IPv6&) -> uint16_t { return 0x86dd; },
                               [](const auto&) -> uint16_t { return 0x88b5; }},
                    *following);
}

uint8_t Protocol(const Layer* following) {
  if (!following) return kNoNextHeader;
  return std::visit(
      Overloaded{[](const HopByHop&) -> uint8_t { return 0; },
                 [](const ICMP&) -> uint8_t { return 1; }, [](const IPv4&) -> uint8_t { return 4; },
                 [](const TCP&) -> uint8_t { return 6; }, [](const UDP&) -> uint8_t { return 17; },
                 [](const IPv6&) -> uint8_t { return 41; },
                 [](const Routing&) -> uint8_t { return 43; },
                 [](const Fragment&) -> uint8_t { return 44; },
                 [](const AuthHeader&) -> uint8_t { return 51; },
                 [](const ICMPv6&) -> uint8_t { return 58; },
                 [](const DestinationOptions&) -> uint8_t { return 60; },
                 [](const SCTP&) -> uint8_t { return 132; },
                 [](const Mobility&) -> uint8_t { return 135; },
                 [](const auto&) -> uint8_t { return kNoNextHeader; }},
      *following);
}

// Puts the checksum over pseudo header and `segment` at `at` in it.
Bytes WithChecksum(Bytes segment, size_t at, uint8_t protocol, const Layer* ip) {
  Writer pseudo;
  auto add = [&](const Ip& src, const Ip& dst) {
    pseudo.Address(src).Address(dst).U32(static_cast<uint32_t>(segment.size())).U32(protocol);
  };
  if (ip) {
    if (const auto* v4 = std::get_if<IPv4>(ip)) add(v4->src, v4->dst);
    if (const auto* v6 = std::get_if<IPv6>(ip)) add(v6->src, v6->dst);
  }
  uint16_t sum = InternetChecksum(Join(pseudo.Take(), segment));
  segment[at] = static_cast<uint8_t>(sum >> 8);
  segment[at + 1] = static_cast<uint8_t>(sum);
  return segment;
}

// One layer in front of `rest`, the bytes of all that follow it.
class Builder {
 public:
  Builder(const Layer* following, const Layer* ip, const Bytes& rest)
      : following_(following), ip_(ip), rest_(rest) {}

  Bytes operator()(const Ethernet& e) const {
    return Writer().Raw(e.destination).Raw(e.source).U16(Type(e.type)).Raw(rest_).Take();
  }
  Bytes operator()(const Vlan& v) const {
    return Writer().U16(v.id).U16(Type(v.type)).Raw(rest_).Take();
  }
  Bytes operator()(const Arp& a) const {
    Writer w;
    w.U16(1).U16(0x0800).U8(6).U8(4).U16(a.operation);
    w.Raw({2, 0, 0, 0, 0, 1}).Address(a.sender).Zeros(6).Address(a.target);
    return w.Raw(rest_).Take();
  }
  Bytes operator()(const IPv4& ip) const {
    size_t header = 20 + ip.options.size();
    Writer w;
    w.U8(ip.version << 4 | ip.ihl.value_or(header / 4)).U8(0);
    w.U16(ip.length.value_or(header + rest_.size())).U16(ip.id);
    w.U16((ip.more ? 0x2000 : 0) | ip.offset).U8(ip.ttl).U8(Next(ip.protocol)).U16(0);
    Bytes bytes = w.Address(ip.src).Address(ip.dst).Raw(ip.options).Take();
    uint16_t sum = InternetChecksum(bytes);
    bytes[10] = static_cast<uint8_t>(sum >> 8);
    bytes[11] = static_cast<uint8_t>(sum);
    return Join(std::move(bytes), rest_);
  }
  Bytes operator()(const IPv6& ip) const {
    Writer w;
    w.U8(ip.version << 4).U8(0).U16(0).U16(ip.length.value_or(rest_.size()));
    w.U8(Next(ip.next)).U8(ip.hop_limit).Address(ip.src).Address(ip.dst);
    return w.Raw(rest_).Take();
  }
  Bytes operator()(const HopByHop& h) const { return Options(h); }
  Bytes operator()(const DestinationOptions& h) const { return Options(h); }
  Bytes operator()(const Routing& r) const {
    Writer w;
    w.U8(Next(r.next)).U8(r.length.value_or(0)).U8(r.type).U8(r.segments_left).U32(0);
    return w.Raw(rest_).Take();
  }
  Bytes operator()(const Fragment& f) const {
    Writer w;
    w.U8(Next(f.next)).U8(0).U16(f.offset << 3 | (f.more ? 1 : 0)).U32(f.id);
    return w.Raw(rest_).Take();
  }
  // 24 bytes: the usual one, with a check value of 96 bits.
  Bytes operator()(const AuthHeader& a) const {
    return Writer().U8(Next(a.next)).U8(a.length.value_or(4)).Zeros(22).Raw(rest_).Take();
  }
  Bytes operator()(const Mobility& m) const {
    return Writer().U8(Next(m.next)).U8(m.length.value_or(0)).Zeros(6).Raw(rest_).Take();
  }
  Bytes operator()(const TCP& t) const {
    Writer w;
    w.U16(t.sport).U16(t.dport).U32(1).U32(t.flags & kAck ? 1 : 0);
    w.U8(t.doff << 4).U8(t.flags).U16(0xffff).U32(0);
    return WithChecksum(w.Raw(rest_).Take(), 16, 6, ip_);
  }
  Bytes operator()(const UDP& u) const {
    Writer w;
    w.U16(u.sport).U16(u.dport).U16(u.length.value_or(8 + rest_.size())).U16(0);
    return WithChecksum(w.Raw(rest_).Take(), 6, 17, ip_);
  }
  Bytes operator()(const SCTP& s) const {
    Writer w;
    w.U16(s.sport).U16(s.dport).U32(s.chunk == kSctpInit ? 0 : 7).U32(0);
    Bytes bytes = w.U8(s.chunk).U8(0).U16(4 + rest_.size()).Raw(rest_).Take();
    uint32_t sum = Crc32c(bytes);
    for (size_t i = 0; i < 4; i++) bytes[8 + i] = static_cast<uint8_t>(sum >> (8 * i));
    return bytes;
  }
  Bytes operator()(const ICMP& i) const { return WithChecksum(Icmp(i), 2, 1, nullptr); }
  Bytes operator()(const ICMPv6& i) const { return WithChecksum(Icmp(i), 2, 58, ip_); }
  Bytes operator()(const Payload& p) const { return Join(p.bytes, rest_); }

 private:
  unsigned Type(const std::optional<uint16_t>& given) const {
    return given ? *given : EtherType(following_);
  }
  unsigned Next(const std::optional<uint8_t>& given) const {
    return given ? *given : Protocol(following_);
  }
  template <typename H>
  Bytes Options(const H& h) const {
    CHECK(h.options.size() % 8 == 6) << "an extension header is a multiple of 8 bytes";
    return Writer()
        .U8(Next(h.next))
        .U8(h.length.value_or((h.options.size() + 2) / 8 - 1))
        .Raw(h.options)
        .Raw(rest_)
        .Take();
  }
  template <typename I>
  Bytes Icmp(const I& i) const {
    return Writer().U8(i.type).U8(i.code).U16(0).U16(i.id).U16(i.sequence).Raw(rest_).Take();
  }

  const Layer* following_;
  const Layer* ip_;
  const Bytes& rest_;
};

bool IsIp(const Layer& layer) {
  return std::holds_alternative<IPv4>(layer) || std::holds_alternative<IPv6>(layer);
}

std::string Describe(const Layer& layer) {
  std::ostringstream out;
  auto fragment = [&](uint16_t offset, bool more) {
    if (offset || more) out << " fragment at " << offset * 8 << (more ? "+" : ", last");
  };
  auto ports = [&](const char* name, const auto& l) {
    out << name << " " << l.sport << " > " << l.dport;
  };
  std::visit(
      Overloaded{
          [&](const Ethernet&) { out << "Ethernet"; },
          [&](const Vlan& v) { out << "Vlan " << v.id; }, [&](const Arp&) { out << "Arp"; },
          [&](const IPv4& l) {
            out << "IPv4 " << l.src.ToString() << " > " << l.dst.ToString();
            if (!l.options.empty()) out << " options";
            fragment(l.offset, l.more);
          },
          [&](const IPv6& l) { out << "IPv6 " << l.src.ToString() << " > " << l.dst.ToString(); },
          [&](const HopByHop&) { out << "HopByHop"; },
          [&](const DestinationOptions&) { out << "DestinationOptions"; },
          [&](const Routing& r) { out << "Routing left " << +r.segments_left; },
          [&](const Fragment& f) {
            out << "Fragment";
            fragment(f.offset, f.more);
          },
          [&](const AuthHeader&) { out << "AuthHeader"; },
          [&](const Mobility&) { out << "Mobility"; },
          [&](const TCP& l) {
            ports("TCP", l);
            out << " flags " << +l.flags;
          },
          [&](const UDP& l) { ports("UDP", l); },
          [&](const SCTP& l) {
            ports("SCTP", l);
            out << " chunk " << +l.chunk;
          },
          [&](const ICMP& l) { out << "ICMP " << +l.type << " id " << l.id; },
          [&](const ICMPv6& l) { out << "ICMPv6 " << +l.type << " id " << l.id; },
          [&](const Payload& p) { out << "Payload " << p.bytes.size(); }},
      layer);
  return out.str();
}

}  // namespace

Ip::Ip(const char* text) {
  auto parsed = net::Address::Parse(text);
  CHECK(parsed.has_value()) << text << " is no address";
  static_cast<net::Address&>(*this) = *parsed;
}

Packet& Packet::operator/=(const Packet& inner) {
  layers_.insert(layers_.end(), inner.layers_.begin(), inner.layers_.end());
  return *this;
}

Bytes Packet::bytes() const {
  Bytes rest;
  for (size_t i = layers_.size(); i-- > 0;) {
    const Layer* ip = nullptr;
    for (size_t outer = 0; outer < i; outer++)
      if (IsIp(layers_[outer])) ip = &layers_[outer];
    const Layer* following = i + 1 < layers_.size() ? &layers_[i + 1] : nullptr;
    rest = std::visit(Builder(following, ip, rest), layers_[i]);
  }
  return rest;
}

std::string Packet::ToString() const {
  std::string text;
  for (const Layer& layer : layers_) text += (text.empty() ? "" : " / ") + Describe(layer);
  return text;
}

Payload Quote(const Packet& packet, size_t limit) {
  Bytes bytes = packet.bytes();
  CHECK(bytes.size() >= kEthernetHeader) << "only a whole frame can be quoted";
  bytes.erase(bytes.begin(), bytes.begin() + kEthernetHeader);
  bytes.resize(std::min(bytes.size(), limit));
  return Payload(std::move(bytes));
}

}  // namespace sallyport::test
