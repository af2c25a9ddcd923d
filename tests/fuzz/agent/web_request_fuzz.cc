// SPDX-License-Identifier: Apache-2.0
// Whatever a client sends to the metrics port: the request means the same however it arrives in
// pieces, and what goes on to a page is a plain path. An address to listen on means the same when
// it is written out. Whoever makes room holds most.
//
// The input: a byte, where the request is cut (from 128 on: so many bytes before its end); a line
// with an address to listen on, whose bytes also stand for peers; the request.
#include <algorithm>

#include "base/check.h"
#include "fuzz/input.h"
#include "observe/web.h"

namespace sallyport::observe {
namespace {

using State = Request::State;

void CheckComplete(const Request& request, std::string_view bytes) {
  CHECK(request.path.starts_with('/') && request.path.find('?') == std::string::npos);
  CHECK(std::all_of(request.path.begin(), request.path.end(),
                    [](char c) { return c > ' ' && c < 127; }));
  std::string begins = (request.head ? "HEAD " : "GET ") + request.path;
  CHECK(bytes.starts_with(begins)) << begins;
  CHECK(bytes.substr(begins.size()).find_first_of(" ?") == 0) << begins;
}

void CheckRequest(std::string_view bytes, uint8_t part) {
  Request whole = ParseRequest(bytes);
  size_t size = part < 128 ? bytes.size() * part / 128
                           : bytes.size() - std::min<size_t>(bytes.size(), part - 128);
  Request first = ParseRequest(bytes.substr(0, size));
  if (first.state != State::kIncomplete) {
    CHECK(first.state == whole.state && first.status == whole.status);
    CHECK(first.path == whole.path && first.head == whole.head);
  }
  if (whole.state == State::kComplete) CheckComplete(whole, bytes);
  if (whole.state == State::kBad) CHECK(whole.status >= 400 && whole.status <= 505);
  if (whole.state == State::kIncomplete) CHECK(bytes.size() < 4096);
}

void CheckListen(std::string_view text) {
  auto listen = ParseListen(text);
  if (!listen) {
    CHECK(!listen.error().message.empty());
    return;
  }
  std::string address = listen->address.ToString();
  if (!listen->address.IsV4()) address = "[" + address + "]";
  auto again = ParseListen(address + ":" + std::to_string(listen->port));
  CHECK(again && again->address == listen->address && again->port == listen->port) << text;
}

// Bytes as peers: 10.0.0.0 to 10.0.0.7, or of the loopback.
void CheckRoom(std::string_view text) {
  std::vector<net::Address> peers;
  for (char c : text) {
    uint32_t host = static_cast<uint32_t>(c & 7);
    peers.push_back(c & 8 ? net::Address::V4(0x7f000000 | host)
                          : net::Address::V4(0x0a000000 | host));
  }
  if (peers.empty()) return;
  size_t chosen = WhoMakesRoom(peers);
  CHECK(chosen < peers.size());
  auto held = [&](const net::Address& peer) {
    return std::count(peers.begin(), peers.end(), peer);
  };
  auto is_local = [](const net::Address& peer) { return peer.v4() >> 24 == 127; };
  for (size_t i = 0; i < peers.size(); ++i) {
    CHECK(held(peers[i]) <= held(peers[chosen]));
    if (held(peers[i]) < held(peers[chosen])) continue;
    CHECK(is_local(peers[i]) || !is_local(peers[chosen]));
    if (is_local(peers[i]) == is_local(peers[chosen])) CHECK(i >= chosen);
  }
}

}  // namespace
}  // namespace sallyport::observe

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::observe;
  if (size == 0) return 0;
  std::string_view text = sallyport::fuzz::Text(data + 1, size - 1);
  std::string_view line = sallyport::fuzz::TakeUntil(text, '\n');
  CheckListen(line);
  CheckRoom(line.substr(0, 16));
  CheckRequest(text, data[0]);
  return 0;
}
