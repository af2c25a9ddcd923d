// SPDX-License-Identifier: Apache-2.0
// The local API: HTTP over a Unix socket that only its owner can open. Shapes: README.md of agent/.
//
//   GET /v1/status  /v1/endpoints  /v1/policies  /v1/flows?limit=N&endpoint=ns/pod
//   GET /v1/explain?from=ns/pod|ADDR&to=ns/pod|ADDR&port=N|NAME&protocol=TCP
//   GET /v1/egress
//   GET /v1/events            the recent ones, an array
//   GET /v1/events?follow=1   from now on, one JSON object a line, as they happen
//
// Errors are {"error": ...}. The number of readers, what is kept for each, and the time a slow one
// is waited for are bounded; none of them can hold the reconciler up.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "observe/event_log.h"
#include "observe/views.h"

namespace sallyport::observe {

class Server {
 public:
  // Listens on `path`; its directory is made (0700) if it is not there. A socket that nobody
  // answers on is replaced; one with a living agent behind it is an error. `source` and `events`
  // must outlive the server.
  static Result<std::unique_ptr<Server>> Start(const std::string& path, Source& source,
                                               EventLog& events);
  // Ends every reader and takes the socket away. Closes `events`.
  ~Server();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::observe
