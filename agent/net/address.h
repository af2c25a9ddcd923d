// SPDX-License-Identifier: Apache-2.0
// An IP address of either family, and a prefix of addresses (CIDR).
//
// 16 bytes in network byte order; IPv4 is held IPv4-mapped (::ffff:a.b.c.d, RFC 4291 2.5.5.2), as
// the kernel side keys it. Parsing follows Kubernetes (netutils.ParseIPSloppy is not followed:
// leading zeros are an error, as in net/netip). An IPv4-mapped text such as ::ffff:1.2.3.4 is the
// IPv4 address.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport::net {

class Address {
 public:
  using Bytes = std::array<uint8_t, 16>;

  // The unspecified IPv6 address, "::".
  constexpr Address() = default;
  constexpr explicit Address(const Bytes& bytes) : bytes_(bytes) {}
  // a.b.c.d from its number in host byte order.
  static Address V4(uint32_t host_order);
  static Result<Address> Parse(std::string_view text);

  bool IsV4() const;
  const Bytes& bytes() const { return bytes_; }
  // Requires IsV4(); host byte order.
  uint32_t v4() const;
  // Canonical text (RFC 5952 for IPv6).
  std::string ToString() const;

  friend constexpr auto operator<=>(const Address&, const Address&) = default;

 private:
  Bytes bytes_{};
};

// A prefix. Canonical: host bits are zero, so equal prefixes compare equal.
class Cidr {
 public:
  Cidr() = default;  // ::/0
  // `length` counts the bits of the address's own family (0..32 or 0..128); host bits are cleared.
  Cidr(const Address& address, int length);
  // "10.0.0.0/8". Host bits in the text are cleared, not an error (as the Kubernetes API accepts).
  static Result<Cidr> Parse(std::string_view text);

  const Address& address() const { return address_; }
  bool IsV4() const { return address_.IsV4() && bits_ >= 96; }
  // In the family's own bits.
  int length() const { return IsV4() ? bits_ - 96 : bits_; }
  // In the 128 bits of the mapped form: 96 + length for IPv4.
  int mapped_length() const { return bits_; }
  bool Contains(const Address& address) const;
  // Every address of `other` is in this one (equal prefixes included).
  bool Contains(const Cidr& other) const;
  std::string ToString() const;

  friend constexpr auto operator<=>(const Cidr&, const Cidr&) = default;

 private:
  Address address_;
  int bits_ = 0;
};

}  // namespace sallyport::net

template <>
struct std::hash<sallyport::net::Address> {
  size_t operator()(const sallyport::net::Address& a) const noexcept;
};
