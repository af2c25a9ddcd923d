// SPDX-License-Identifier: Apache-2.0
#include "lab/workload_names.h"

#include <cstdint>

namespace sallyport::lab {
namespace {

// What Kubernetes leaves of a name in front of a generated suffix (63 - 5).
constexpr size_t kLongestGeneratedBase = 58;

uint64_t Fnv1a(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

std::string Letters(std::string_view seed, size_t length) {
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  uint64_t hash = Fnv1a(seed);
  for (size_t i = 0; i < length; ++i) {
    out.push_back(kAlphabet[hash % kAlphabet.size()]);
    hash = hash / kAlphabet.size() ^ Fnv1a(std::to_string(hash));
  }
  return out;
}

std::string GeneratedName(const std::string& base, const std::string& seed,
                          std::set<std::string>* taken) {
  std::string stem = base.substr(0, kLongestGeneratedBase);
  for (int salt = 0;; ++salt) {
    std::string name = stem + Letters(base + "/" + seed + "/" + std::to_string(salt), 5);
    if (taken->insert(name).second) return name;
  }
}

}  // namespace sallyport::lab
