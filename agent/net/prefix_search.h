// SPDX-License-Identifier: Apache-2.0
// Longest prefix match in an ordered map: no structure beside the map itself.
//
// Cidr orders by address, then by length: a prefix stands before everything inside it, and what is
// inside it follows without a gap. So the last entry at or before an address either contains it, or
// shares fewer leading bits with it than any entry that does.
#pragma once

#include <bit>
#include <map>

#include "net/address.h"

namespace sallyport::net {

// Leading bits, of 128, that two addresses share.
inline int CommonBits(const Address& a, const Address& b) {
  for (size_t i = 0; i < 16; ++i) {
    auto differ = static_cast<uint8_t>(a.bytes()[i] ^ b.bytes()[i]);
    if (differ != 0) return static_cast<int>(i) * 8 + std::countl_zero(differ);
  }
  return 128;
}

// The longest prefix in `map` that contains the address and has at most `bits` bits (of 128), or
// map.end(). Prefixes of both families may be in the map; those of one say nothing about addresses
// of the other. Map: std::map<net::Cidr, ...>.
template <typename Map>
auto LongestPrefix(Map& map, const Address& address, int bits = 128) {
  const int family_bits = address.IsV4() ? 96 : 0;
  while (bits >= family_bits) {
    auto it = map.upper_bound(Cidr(address, bits - family_bits));
    if (it == map.begin()) break;
    --it;
    if (it->first.Contains(address)) return it;
    int common = CommonBits(it->first.address(), address);
    // An entry of the other family may share every bit it has.
    bits = common < bits ? common : bits - 1;
  }
  return map.end();
}

}  // namespace sallyport::net
