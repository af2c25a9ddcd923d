// SPDX-License-Identifier: Apache-2.0
#include "egress/lease.h"

#include <algorithm>

#include "egress/address_leases.h"

namespace sallyport::egress {
namespace {

constexpr std::string_view kAddressPrefix = "address-";

}  // namespace

std::string NamePart(const net::Address& address) {
  if (address.IsV4()) return address.ToString();
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < 16; ++i) {
    if (i > 0 && i % 2 == 0) out += '-';
    out += kDigits[address.bytes()[i] >> 4];
    out += kDigits[address.bytes()[i] & 15];
  }
  return out;
}

std::optional<net::Address> ParseNamePart(std::string_view text) {
  std::string colons(text);
  std::replace(colons.begin(), colons.end(), '-', ':');
  auto address = net::Address::Parse(colons);
  if (!address || NamePart(*address) != text) return std::nullopt;
  return *address;
}

std::string NameOf(const net::Address& address) {
  return std::string(kAddressPrefix) + NamePart(address);
}

std::optional<net::Address> ParseAddressName(std::string_view name) {
  if (name.substr(0, kAddressPrefix.size()) != kAddressPrefix) return std::nullopt;
  return ParseNamePart(name.substr(kAddressPrefix.size()));
}

}  // namespace sallyport::egress
