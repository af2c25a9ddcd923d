// SPDX-License-Identifier: Apache-2.0
#include "net/address.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

namespace sallyport::net {
namespace {

constexpr Address::Bytes kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool IsMapped(const Address::Bytes& b) {
  return std::memcmp(b.data(), kMappedPrefix.data(), 12) == 0;
}

bool SamePrefix(const Address& a, const Address& b, int bits) {
  auto whole = static_cast<size_t>(bits / 8);
  if (std::memcmp(a.bytes().data(), b.bytes().data(), whole) != 0) return false;
  if (bits % 8 == 0) return true;
  int shift = 8 - bits % 8;
  return (a.bytes()[whole] >> shift) == (b.bytes()[whole] >> shift);
}

Address::Bytes Masked(Address::Bytes bytes, int bits) {
  for (int i = 0; i < 16; ++i) {
    int keep = bits - i * 8;
    if (keep >= 8) continue;
    uint8_t mask = keep <= 0 ? 0 : static_cast<uint8_t>(0xff << (8 - keep));
    bytes[static_cast<size_t>(i)] &= mask;
  }
  return bytes;
}

}  // namespace

Address Address::V4(uint32_t host_order) {
  Bytes b = kMappedPrefix;
  for (size_t i = 0; i < 4; ++i) b[12 + i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
  return Address(b);
}

Result<Address> Address::Parse(std::string_view text) {
  std::string copy(text);
  Bytes bytes{};
  if (text.find('\0') == std::string_view::npos) {
    in_addr v4{};
    if (inet_pton(AF_INET, copy.c_str(), &v4) == 1) return V4(ntohl(v4.s_addr));
    if (inet_pton(AF_INET6, copy.c_str(), bytes.data()) == 1) return Address(bytes);
  }
  return Error{"\"" + copy + "\" is not an IPv4 or IPv6 address"};
}

bool Address::IsV4() const { return IsMapped(bytes_); }

uint32_t Address::v4() const {
  CHECK(IsV4()) << ToString();
  uint32_t v = 0;
  for (size_t i = 0; i < 4; ++i) v = v << 8 | bytes_[12 + i];
  return v;
}

std::string Address::ToString() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (IsV4()) {
    inet_ntop(AF_INET, bytes_.data() + 12, text, sizeof text);
  } else {
    inet_ntop(AF_INET6, bytes_.data(), text, sizeof text);
  }
  return text;
}

Cidr::Cidr(const Address& address, int length) : bits_(address.IsV4() ? length + 96 : length) {
  CHECK(length >= 0 && bits_ <= 128) << address.ToString() << "/" << length;
  address_ = Address(Masked(address.bytes(), bits_));
}

Result<Cidr> Cidr::Parse(std::string_view text) {
  Error bad{"\"" + std::string(text) + "\" is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32"};
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) return bad;
  auto address = Address::Parse(text.substr(0, slash));
  std::string_view digits = text.substr(slash + 1);
  bool leading_zero = digits.size() > 1 && digits[0] == '0';
  if (!address || digits.empty() || digits.size() > 3 || leading_zero) return bad;
  int length = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error != std::errc() || end != digits.data() + digits.size()) return bad;
  bool mapped_text = address->IsV4() && text.substr(0, slash).find(':') != std::string_view::npos;
  if (length < 0 || length > (address->IsV4() ? 32 : 128) || mapped_text || digits[0] == '+')
    return bad;
  return Cidr(*address, length);
}

bool Cidr::Contains(const Address& address) const {
  return address.IsV4() == IsV4() && SamePrefix(address_, address, bits_);
}

bool Cidr::Contains(const Cidr& other) const {
  return other.IsV4() == IsV4() && other.bits_ >= bits_ &&
         SamePrefix(address_, other.address_, bits_);
}

std::string Cidr::ToString() const { return address_.ToString() + "/" + std::to_string(length()); }

}  // namespace sallyport::net

size_t std::hash<sallyport::net::Address>::operator()(
    const sallyport::net::Address& a) const noexcept {
  uint64_t words[2];
  std::memcpy(words, a.bytes().data(), sizeof words);
  uint64_t h = words[0] * 0x9e3779b97f4a7c15u ^ words[1];
  h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
  return h ^ h >> 32;
}
