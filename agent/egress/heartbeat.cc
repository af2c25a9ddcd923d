// SPDX-License-Identifier: Apache-2.0
#include "egress/heartbeat.h"

#include <algorithm>
#include <concepts>

#include "base/check.h"
#include "model/validate_names.h"

namespace sallyport::egress {
namespace {

constexpr std::string_view kMagic = "SPGW";
constexpr uint8_t kVersion = 1;
constexpr uint8_t kLeaving = 1;
constexpr size_t kHead = 4 + 1 + 1 + 2 + 8 + 8 + 1 + 1 + 1;
constexpr size_t kHoldBytes = 16 + 4;
constexpr size_t kLongestName = 253;
static_assert(kHead + kLongestName + kMostHears * 8 + kMostHolds * kHoldBytes +
                  kAuthenticatorBytes <=
              kHeartbeatBytes);

template <std::unsigned_integral T>
void Put(T value, std::string& out) {
  for (size_t i = sizeof(T); i-- > 0;) out += static_cast<char>(value >> (8 * i) & 0xff);
}

// Requires that it is there.
template <std::unsigned_integral T>
T Take(std::string_view& in) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value = value << 8 | static_cast<uint8_t>(in[i]);
  in.remove_prefix(sizeof(T));
  return static_cast<T>(value);
}

size_t LengthOf(size_t name, size_t hears, size_t holds) {
  return kHead + name + hears * 8 + holds * kHoldBytes + kAuthenticatorBytes;
}

}  // namespace

std::string Encode(const Heartbeat& heartbeat) {
  CHECK(!heartbeat.node.empty() && heartbeat.node.size() <= kLongestName) << heartbeat.node;
  CHECK(heartbeat.hears.size() <= kMostHears && heartbeat.holds.size() <= kMostHolds);
  std::string out(kMagic);
  Put(kVersion, out);
  Put(static_cast<uint8_t>(heartbeat.leaving ? kLeaving : 0), out);
  Put(static_cast<uint16_t>(
          LengthOf(heartbeat.node.size(), heartbeat.hears.size(), heartbeat.holds.size())),
      out);
  Put(heartbeat.incarnation, out);
  Put(heartbeat.sequence, out);
  Put(static_cast<uint8_t>(heartbeat.node.size()), out);
  Put(static_cast<uint8_t>(heartbeat.hears.size()), out);
  Put(static_cast<uint8_t>(heartbeat.holds.size()), out);
  out += heartbeat.node;
  for (uint64_t hash : heartbeat.hears) Put(hash, out);
  for (const HeldAddress& held : heartbeat.holds) {
    out.append(held.address.bytes().begin(), held.address.bytes().end());
    Put(held.epoch, out);
  }
  out.append(kAuthenticatorBytes, '\0');
  return out;
}

Result<Heartbeat> Decode(std::string_view in) {
  if (in.size() < kHead || in.substr(0, 4) != kMagic) return Error{"it is not a gateway's"};
  const size_t size = in.size();
  in.remove_prefix(4);
  auto version = Take<uint8_t>(in);
  if (version != kVersion) {
    return Error{"it is of version " + std::to_string(version) + ", this is " +
                 std::to_string(kVersion) + ": update the older agent"};
  }
  auto flags = Take<uint8_t>(in);
  if ((flags & ~kLeaving) != 0) return Error{"flags that version 1 does not have"};
  auto length = Take<uint16_t>(in);
  Heartbeat out;
  out.leaving = flags & kLeaving;
  out.incarnation = Take<uint64_t>(in);
  out.sequence = Take<uint64_t>(in);
  auto name = Take<uint8_t>(in);
  auto hears = Take<uint8_t>(in);
  auto holds = Take<uint8_t>(in);
  if (hears > kMostHears || holds > kMostHolds || length != size ||
      length != LengthOf(name, hears, holds)) {
    return Error{"its length is not what it says: " + std::to_string(size) + " bytes"};
  }
  out.node = in.substr(0, name);
  in.remove_prefix(name);
  if (!model::CheckDnsSubdomain(out.node).empty()) return Error{"it names no node"};
  for (int i = 0; i < hears; ++i) out.hears.push_back(Take<uint64_t>(in));
  for (int i = 0; i < holds; ++i) {
    net::Address::Bytes bytes;
    std::copy_n(in.begin(), bytes.size(), bytes.begin());
    in.remove_prefix(bytes.size());
    out.holds.push_back({net::Address(bytes), Take<uint32_t>(in)});
  }
  return out;
}

}  // namespace sallyport::egress
