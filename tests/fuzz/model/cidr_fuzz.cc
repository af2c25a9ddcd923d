// SPDX-License-Identifier: Apache-2.0
// Addresses and CIDRs: what is parsed prints to a text that parses to the same, is canonical, and
// contains what it should. The input: two texts, one a line.
#include "base/check.h"
#include "fuzz/input.h"
#include "net/address.h"

namespace sallyport::net {
namespace {

// Bit by bit.
bool Covers(const Cidr& cidr, const Address& address) {
  if (cidr.IsV4() != address.IsV4()) return false;
  for (int bit = 0; bit < cidr.mapped_length(); ++bit) {
    auto byte = static_cast<size_t>(bit / 8);
    int mask = 0x80 >> (bit % 8);
    if ((cidr.address().bytes()[byte] & mask) != (address.bytes()[byte] & mask)) return false;
  }
  return true;
}

void CheckAddress(std::string_view text) {
  auto address = Address::Parse(text);
  if (!address) return;
  auto again = Address::Parse(address->ToString());
  CHECK(again && *again == *address) << text;
  if (address->IsV4()) CHECK(Address::V4(address->v4()) == *address) << text;
}

}  // namespace
}  // namespace sallyport::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::net;
  std::string_view text = sallyport::fuzz::Text(data, size);
  std::string_view first = sallyport::fuzz::TakeUntil(text, '\n');
  CheckAddress(first);
  CheckAddress(text);
  auto a = Cidr::Parse(first);
  if (!a) return 0;
  auto again = Cidr::Parse(a->ToString());
  CHECK(again && *again == *a) << a->ToString();
  CHECK(a->Contains(a->address()) && a->Contains(*a)) << a->ToString();
  CHECK(Cidr(a->address(), a->length()) == *a) << a->ToString();
  if (auto address = Address::Parse(text)) {
    CHECK(a->Contains(*address) == Covers(*a, *address)) << a->ToString() << " " << text;
  }
  if (auto b = Cidr::Parse(text)) {
    bool within = b->mapped_length() >= a->mapped_length() && Covers(*a, b->address());
    CHECK(a->Contains(*b) == within) << a->ToString() << " " << b->ToString();
  }
  return 0;
}
