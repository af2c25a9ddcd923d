// SPDX-License-Identifier: Apache-2.0
// A small HTTP server for pages that anybody on the network may ask for: GET only, one request a
// connection, one thread. What a client can cost is bounded: its request's size, its time, and the
// number of connections; where all are taken, whoever holds most of them loses the oldest.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/address.h"

namespace sallyport::observe {

struct Listen {
  net::Address address;
  uint16_t port = 0;  // 0: any that is free
};
// "127.0.0.1:9469", "[::1]:9469"; "[::]:9469" and ":9469" mean every address of both families.
Result<Listen> ParseListen(std::string_view text);

struct Page {
  int status = 200;
  std::string body;
  const char* type = "text/plain; charset=utf-8";
};
// The answer to a path, without its query. May block: nobody else is answered meanwhile.
using Pages = std::function<Page(const std::string& path)>;

// What a client has sent so far, taken for a request. Pure.
struct Request {
  enum class State { kIncomplete, kComplete, kBad };
  State state = State::kIncomplete;
  int status = 0;    // kBad: how to answer
  std::string path;  // kComplete
  bool head = false;
};
Request ParseRequest(std::string_view bytes);

// Which of the connections, by peer and in the order they came, is given up for another: one client
// cannot keep the others out, so whoever holds most loses the oldest. Of several that hold as many,
// this machine's own is the last to go. Requires one at least. Pure.
size_t WhoMakesRoom(const std::vector<net::Address>& peers);

class Web {
 public:
  struct Limits {
    size_t connections = 32;
    Duration time = std::chrono::seconds(5);  // of one connection, from its first byte to its last
    Duration retry = std::chrono::seconds(5);
  };

  // Answers from a thread of its own. An address that is taken, or not there yet, is tried again
  // and logged once: nothing that the agent enforces depends on it.
  Web(const Listen& listen, Pages pages) : Web(listen, std::move(pages), Limits{}) {}
  Web(const Listen& listen, Pages pages, const Limits& limits);
  ~Web();

  // The port it listens on; 0: not yet.
  uint16_t port() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::observe
