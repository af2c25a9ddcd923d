// SPDX-License-Identifier: Apache-2.0
// Short stable names out of long ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport::lab {

// `length` (at most 13) characters of the alphabet that Kubernetes uses for generated names: it
// spells no words. The same text gives the same characters, everywhere and always (FNV-1a).
inline std::string ShortHash(std::string_view text, size_t length) {
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  std::string out;
  for (size_t i = 0; i < length; ++i, hash /= kAlphabet.size())
    out.push_back(kAlphabet[hash % kAlphabet.size()]);
  return out;
}

}  // namespace sallyport::lab
