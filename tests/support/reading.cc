// SPDX-License-Identifier: Apache-2.0
#include "support/reading.h"

#include <algorithm>
#include <cstdio>

#include "abi/limits.h"

namespace sallyport::test {
namespace {

constexpr size_t kEthernet = 14, kV4 = 20, kV6 = 40;

Bytes Cut(const Bytes& f, size_t at, size_t size) {
  return Bytes(f.begin() + static_cast<long>(at), f.begin() + static_cast<long>(at + size));
}

bool IsError(uint8_t protocol, uint8_t type) {
  if (protocol == 58) return type < 128;
  return type == 3 || type == 4 || type == 11 || type == 12;
}

bool IsEcho(uint8_t protocol, uint8_t type) {
  return protocol == 58 ? type == 128 || type == 129 : type == 0 || type == 8;
}

void ReadIcmp(const Bytes& f, Reading& r) {
  if (r.l4 + 8 > r.end) return;
  uint8_t type = f[r.l4];
  r.kind = IsError(r.protocol, type) ? Reading::kError : Reading::kTransport;
  r.echo = IsEcho(r.protocol, type);
  if (r.echo) r.from_port = r.port = U16(f, r.l4 + 4);
  r.opening = type == (r.protocol == 58 ? 128 : 8);
}

// The transport header at r.l4, of what ends at r.end.
Reading ReadTransport(const Bytes& f, Reading r) {
  size_t there = r.end < r.l4 ? 0 : r.end - r.l4;
  bool v4 = r.source.size() == 4;
  if (r.protocol == 6 && (there < 20 || f[r.l4 + 12] >> 4 < 5)) return r;
  if (r.protocol == 17 && there < 8) return r;
  if (r.protocol == 132 && there < 16) return r;
  if (r.end < r.l4 || r.protocol == (v4 ? 58 : 1)) return r;
  if (r.protocol == 1 || r.protocol == 58) {
    ReadIcmp(f, r);
    return r;
  }
  r.kind = Reading::kTransport;
  if (r.protocol != 6 && r.protocol != 17 && r.protocol != 132) return r;
  r.from_port = U16(f, r.l4);
  r.port = U16(f, r.l4 + 2);
  if (r.protocol == 6) {
    uint8_t flags = f[r.l4 + 13];
    r.opening = (flags & 0x12) == 0x02;
    r.reset = flags & 4;
    r.fin = !r.reset && flags & 1;
  } else if (r.protocol == 132) {
    r.opening = f[r.l4 + 12] == 1;
    r.reset = f[r.l4 + 12] == 6 || f[r.l4 + 12] == 14;
  }
  return r;
}

Reading ReadV4(const Bytes& f, bool big) {
  Reading r;
  if (f.size() < kEthernet + kV4) return r;
  size_t header = (f[kEthernet] & 15u) * 4u, total = U16(f, kEthernet + 2);
  if (total == 0 && big) total = f.size() - kEthernet;
  if (f[kEthernet] >> 4 != 4 || header < kV4 || total < header || kEthernet + total > f.size())
    return r;
  r.source = Cut(f, 26, 4);
  r.destination = Cut(f, 30, 4);
  r.protocol = f[kEthernet + 9];
  r.l4 = kEthernet + header;
  r.end = kEthernet + total;
  unsigned fragment = U16(f, kEthernet + 6);
  r.plain = header == kV4 && (fragment & 0x3fff) == 0;
  if (unsigned offset = fragment & 0x1fff) {
    if (r.protocol != 6 || offset > 1) r.kind = Reading::kLaterFragment;
    return r;
  }
  return ReadTransport(f, r);
}

bool IsNeighbour(const Bytes& f, size_t at, size_t end) {
  if (at + 8 > end) return false;
  uint8_t type = f[at], hop_limit = f[kEthernet + 7];
  return (hop_limit == 255 && type >= 133 && type <= 137) ||
         (hop_limit == 1 && ((type >= 130 && type <= 132) || type == 143));
}

enum class Walk { kAtTransport, kUnreadable, kLaterFragment };

// From the header r.protocol at r.l4 on to the transport header.
Walk WalkExtensions(const Bytes& f, Reading& r, bool& fragment) {
  for (int headers = 0; headers <= SP_MAX_EXT_HEADERS; headers++) {
    uint8_t next = r.protocol;
    size_t at = r.l4;
    bool known = next == 0 || next == 43 || next == 44 || next == 51 || next == 60 || next == 135;
    if (!known) return Walk::kAtTransport;
    if (at + 8 > r.end || (next == 43 && f[at + 3])) return Walk::kUnreadable;
    size_t length = next == 44 ? 8 : next == 51 ? (f[at + 1] + 2u) * 4u : (f[at + 1] + 1u) * 8u;
    r.protocol = f[at];
    r.l4 = at + length;
    if (unsigned offset = U16(f, at + 2) >> 3; next == 44 && offset) {
      return f[at] != 6 || offset > 1 ? Walk::kLaterFragment : Walk::kUnreadable;
    }
    fragment |= next == 44 && (f[at + 3] & 1);
    r.fragment_headers += next == 44 ? 1 : 0;
  }
  return Walk::kUnreadable;
}

bool IsMapped(const Bytes& address) {
  return std::all_of(address.begin(), address.begin() + 10, [](uint8_t b) { return b == 0; }) &&
         address[10] == 0xff && address[11] == 0xff;
}

Reading ReadV6(const Bytes& f, bool big) {
  Reading r;
  if (f.size() < kEthernet + kV6 || f[kEthernet] >> 4 != 6) return r;
  r.source = Cut(f, 22, 16);
  r.destination = Cut(f, 38, 16);
  r.l4 = kEthernet + kV6;
  unsigned length = U16(f, kEthernet + 4);
  r.end = length == 0 && big ? f.size() : r.l4 + length;
  r.protocol = f[kEthernet + 6];
  if (r.end > f.size() || IsMapped(r.source) || IsMapped(r.destination)) return r;
  bool fragment = false;
  Walk walk = WalkExtensions(f, r, fragment);
  r.plain = r.l4 == kEthernet + kV6;
  if (walk == Walk::kLaterFragment) r.kind = Reading::kLaterFragment;
  if (walk != Walk::kAtTransport) return r;
  if (r.protocol == 58 && !fragment && IsNeighbour(f, r.l4, r.end)) {
    r.kind = Reading::kAlways;
    return r;
  }
  return ReadTransport(f, r);
}

}  // namespace

unsigned U16(const Bytes& frame, size_t at) {
  return static_cast<unsigned>(frame[at]) << 8 | frame[at + 1];
}

Reading Read(const Bytes& frame, bool big) {
  Reading arp;
  arp.kind = Reading::kAlways;
  if (frame.size() < kEthernet) return {};
  switch (U16(frame, 12)) {
    case 0x0800:
      return ReadV4(frame, big);
    case 0x86dd:
      return ReadV6(frame, big);
    case 0x0806:
      return arp;
    default:
      return {};
  }
}

Reading ReadQuoted(const Bytes& f, const Reading& error) {
  Reading r;
  size_t at = error.l4 + 8;
  bool v4 = error.protocol == 1;
  r.end = error.end;
  if (at + (v4 ? kV4 : kV6) > r.end || f[at] >> 4 != (v4 ? 4 : 6)) return r;
  r.protocol = f[at + (v4 ? 9 : 6)];
  r.source = Cut(f, at + (v4 ? 12 : 8), v4 ? 4 : 16);
  r.destination = Cut(f, at + (v4 ? 16 : 24), v4 ? 4 : 16);
  r.l4 = at + (v4 ? (f[at] & 15u) * 4u : kV6);
  bool fragment = false;
  if (v4 && ((f[at] & 15) < 5 || U16(f, at + 6) & 0x1fff)) return r;
  if (!v4 && WalkExtensions(f, r, fragment) != Walk::kAtTransport) return r;
  if (r.l4 + 8 > r.end) return r;
  r.kind = Reading::kTransport;
  if (r.protocol == 6 || r.protocol == 17 || r.protocol == 132) {
    r.from_port = U16(f, r.l4);
    r.port = U16(f, r.l4 + 2);
  } else if ((r.protocol == 1 || r.protocol == 58) && IsEcho(r.protocol, f[r.l4])) {
    r.echo = true;
    r.from_port = r.port = U16(f, r.l4 + 4);
  }
  return r;
}

std::string Hex(const Bytes& frame) {
  std::string text;
  char byte[4];
  for (uint8_t b : frame) {
    std::snprintf(byte, sizeof(byte), "%02x ", b);
    text += byte;
  }
  return text;
}

}  // namespace sallyport::test
