// SPDX-License-Identifier: Apache-2.0
// Whatever a frame holds, the kernel side's parser stays inside it, and takes it for what a plain
// second reading takes it for, or for malformed. What has no options, extension headers or
// fragments it always understands. A frame that is cut short is what it was, or malformed.
//
// The input: one byte of choices (bit 0: a packet of several segments; the others: how long the cut
// one is), and the frame.
#include "fuzz/bpf/packet_parser.h"

#include "base/check.h"
#include "fuzz/input.h"
#include "support/reading.h"

namespace sallyport::test {
namespace {

constexpr size_t kEthernet = 14;

parsed_frame FrameOf(const Bytes& frame, bool big) {
  return {frame.data(), frame.size(), kEthernet, static_cast<uint16_t>(U16(frame, 12)), big};
}

Bytes AddressOf(const uint8_t (&bytes)[16], size_t size) {
  return Bytes(bytes + 16 - size, bytes + 16);
}

void CheckAddresses(const parsed& p, const Reading& r) {
  CHECK(AddressOf(p.source, r.source.size()) == r.source);
  CHECK(AddressOf(p.destination, r.destination.size()) == r.destination);
}

void CheckPlaces(const parsed& p, const Reading& r, size_t size) {
  CHECK(p.l4 <= p.end && p.end <= size);
  CHECK(p.l4 == r.l4 && p.end == r.end && p.protocol == r.protocol);
}

bool IsIcmp(uint8_t protocol) { return protocol == 1 || protocol == 58; }

void CheckTransport(const parsed& p, const Reading& r) {
  if (!IsIcmp(r.protocol) || r.echo) {
    CHECK(p.source_port == r.from_port && p.destination_port == r.port);
  }
  CHECK(p.opening == r.opening && p.reset == r.reset && p.fin == r.fin);
}

Reading::Kind Meant(parsed_kind kind) {
  switch (kind) {
    case PARSED_TRANSPORT:
      return Reading::kTransport;
    case PARSED_ICMP_ERROR:
      return Reading::kError;
    case PARSED_NEIGHBOUR:
    case PARSED_ARP:
      return Reading::kAlways;
    case PARSED_FRAGMENT:
      return Reading::kLaterFragment;
    default:
      return Reading::kOther;
  }
}

void CheckQuoted(const parsed_frame& frame, const Bytes& bytes, const Reading& error) {
  parsed p = parse_frame_quoted(&frame);
  Reading r = ReadQuoted(bytes, error);
  CHECK(p.kind == PARSED_TRANSPORT || p.kind == PARSED_MALFORMED);
  if (p.kind == PARSED_MALFORMED) return;
  CHECK(r.kind == Reading::kTransport);
  CheckAddresses(p, r);
  CheckPlaces(p, r, bytes.size());
  if (!IsIcmp(r.protocol) || r.echo) {
    CHECK(p.source_port == r.from_port && p.destination_port == r.port);
  }
}

// An ICMP message that is no echo has no identifier: the bytes there make no other flow of it.
void CheckNoIdentifier(const parsed& p, const Reading& r, Bytes bytes, bool big) {
  if (p.kind != PARSED_TRANSPORT || !IsIcmp(r.protocol) || r.echo) return;
  for (size_t i = 4; i < 8; ++i) bytes[r.l4 + i] ^= 0x5a;
  parsed_frame frame = FrameOf(bytes, big);
  parsed other = parse_frame(&frame);
  CHECK(other.kind == p.kind);
  CHECK(other.source_port == p.source_port && other.destination_port == p.destination_port);
}

void CheckCut(const parsed& whole, const Bytes& bytes, size_t size) {
  if (size >= bytes.size()) return;
  Bytes cut(bytes.begin(), bytes.begin() + static_cast<long>(size));
  parsed_frame frame = FrameOf(cut, false);
  parsed p = parse_frame(&frame);
  CHECK(p.kind == whole.kind || p.kind == PARSED_MALFORMED) << size;
  if (p.kind == PARSED_TRANSPORT) CHECK(p.end <= size && p.end == whole.end) << size;
}

// On an interface without frame headers the same packet is the same.
void CheckBare(const parsed& framed, const Bytes& bytes, bool big) {
  Bytes packet(bytes.begin() + kEthernet, bytes.end());
  parsed_frame frame = FrameOf(bytes, big);
  frame.bytes = packet.data();
  frame.size = packet.size();
  frame.header = 0;
  parsed p = parse_frame(&frame);
  CHECK(p.kind == framed.kind);
  if (p.kind == PARSED_MALFORMED || p.kind == PARSED_OTHER || p.kind == PARSED_ARP) return;
  CHECK(p.l4 + kEthernet == framed.l4 && p.end + kEthernet == framed.end);
  CHECK(p.source_port == framed.source_port && p.destination_port == framed.destination_port);
}

void Run(const Bytes& bytes, uint8_t choices) {
  bool big = choices & 1;
  parsed_frame frame = FrameOf(bytes, big);
  parsed p = parse_frame(&frame);
  CHECK(p.kind != PARSED_UNKNOWN);
  CheckBare(p, bytes, big);
  if (!big) CheckCut(p, bytes, kEthernet + choices / 2);
  Reading r = Read(bytes, big);
  if (p.kind == PARSED_MALFORMED) {
    CHECK(!r.plain || r.kind == Reading::kOther) << Hex(bytes);
    return;
  }
  CHECK(Meant(p.kind) == r.kind) << p.kind << " " << r.kind << ": " << Hex(bytes);
  if (p.kind == PARSED_ARP || p.kind == PARSED_OTHER) return;
  CheckAddresses(p, r);
  CheckPlaces(p, r, bytes.size());
  if (p.kind == PARSED_TRANSPORT) CheckTransport(p, r);
  if (p.kind == PARSED_ICMP_ERROR) CheckQuoted(frame, bytes, r);
  CheckNoIdentifier(p, r, bytes, big);
}

}  // namespace
}  // namespace sallyport::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 15) return 0;
  sallyport::test::Run(sallyport::test::Bytes(data + 1, data + size), data[0]);
  return 0;
}
