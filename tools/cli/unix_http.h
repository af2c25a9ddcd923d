// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 GET over a Unix socket, as the agent's local API speaks it. (The httplib at hand has no
// Unix sockets.)
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace sallyport::cli {

// Takes a response apart as its bytes come in: by Content-Length, in chunks, or until the end of
// the connection. Pure.
class ResponseDecoder {
 public:
  // The body's bytes that became known; in pieces as they came.
  Result<std::string> Receive(std::string_view bytes);
  // The connection has ended; an error where the response has not.
  Status End() const;

  int status() const { return status_; }
  // Nothing more will come.
  bool complete() const { return state_ == State::kDone; }

 private:
  enum class State { kHead, kSized, kUntilEnd, kChunkSize, kChunk, kChunkEnd, kTrailer, kDone };
  Status ReadHead(std::string_view head);
  Result<bool> Step(std::string& body);
  bool TakeLine(std::string& line);

  State state_ = State::kHead;
  std::string in_;
  uint64_t left_ = 0;  // of the body or chunk
  int status_ = 0;
};

// Percent-encoded for a query (RFC 3986 unreserved characters stay).
std::string Encoded(std::string_view text);

// The body of a 200 response. Any other status is an error: the "error" of a JSON body, else the
// status and the body's first line. `code` of the error is the errno of connect() where that
// failed.
Result<std::string> Get(const std::string& socket, const std::string& path,
                        Duration timeout = std::chrono::seconds(5));

// Each line of the body as it comes, until the response ends or `line` returns false. Waits for
// lines as long as it takes.
Status GetLines(const std::string& socket, const std::string& path,
                const std::function<bool(std::string_view line)>& line);

}  // namespace sallyport::cli
