// SPDX-License-Identifier: Apache-2.0
// A client of one API server: HTTP/1.1 over verified TLS, on connections that are kept.
//
// Thread-safe: each request has a connection of its own while it runs, taken from those that are
// idle or made anew. An Error is a failure of the way there and back only (which server, from which
// file the access came, what failed, what to do); whatever the server answered is a Response. A 401
// is sent once more when the token's file has another token by now. Certificates and key are those
// that their files have by now; files that make no sense leave in use what they had before.
#pragma once

#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "kube/access.h"

namespace sallyport::kube {

struct Request {
  std::string method = "GET";
  std::string path;  // below the server's URL, with its query, encoded: "/api/v1/pods?limit=500"
  std::string body = "";
  std::string content_type = "application/json";  // of a body
  std::string accept = "application/json";
  // A head that has not come by then never will: an Error with ETIMEDOUT. None: any silence counts
  // alike.
  std::optional<Duration> answer_within = {};
};

struct Response {
  int status = 0;
  std::string body;                     // empty where it was streamed
  std::optional<Duration> retry_after;  // from Retry-After in seconds
  bool ok() const { return status >= 200 && status < 300; }
};

// Who hears of a streamed response, on the thread of the request.
struct StreamEvents {
  std::function<void()> opened;                 // the head has come, with a 2xx; may be empty
  std::function<bool(std::string_view)> bytes;  // of the body, cut anywhere; false: enough
};

// An error's code, where the caller itself ended the request: by stop_token, or by `bytes`.
inline constexpr int kStopped = ECANCELED;

// Encodes everything but unreserved characters: for what goes into a query or a path segment.
std::string EncodeUrl(std::string_view text);

class Client {
 public:
  struct Options {
    Duration connect_timeout = std::chrono::seconds(5);  // for TCP, and again for TLS
    Duration read_timeout = std::chrono::seconds(30);    // nothing came for so long
    size_t max_body = 64u << 20;                         // bytes, where it is not streamed
    size_t max_idle = 4;                                 // connections that are kept
  };

  // Fails where certificates, key or token cannot be used. Connects to nobody yet.
  static Result<std::unique_ptr<Client>> Create(Access access, Options options);
  static Result<std::unique_ptr<Client>> Create(Access access);
  ~Client();

  // Of a request that changes something, an Error leaves open whether it was done.
  Result<Response> Send(const Request& request, std::stop_token stop = {});

  // The body of a 2xx goes to `events` as it comes; of another status it is in the Response. The
  // Response says that the body is complete; a body cut short, `idle` without a byte, and a
  // request for the caller's end are Errors (the last with code kStopped).
  Result<Response> Stream(const Request& request, const StreamEvents& events, Duration idle,
                          std::stop_token stop = {});

  const Access& access() const;

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::kube
