// SPDX-License-Identifier: Apache-2.0
// The far end of a probe: listens on ports of both families and says who it is and whom it sees.
// Entry: Server::Listen, then Run.
//
//   TCP    one line, then everything is echoed until the client closes. A client that starts with
//          GET or HEAD gets that line as an HTTP response instead, on any path (so /healthz works).
//          To tell the two apart the line waits for the client's first byte, or kGreetAfter.
//   UDP    each datagram is answered with the line, followed by the datagram.
//   SCTP   as TCP, where the kernel has SCTP sockets.
//
// The line: "I am shop/web at 10.0.1.5:80/TCP; I see 10.0.2.7:41234\n" (greeting.h).
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/ports.h"

namespace sallyport::probe {

inline constexpr std::chrono::milliseconds kGreetAfter{200};

class Server {
 public:
  // Binds every port on all addresses. SCTP ports that this kernel cannot serve are left out (see
  // `unserved`), every other failure is an error that names the port.
  static Result<Server> Listen(std::string name, const std::vector<Port>& ports);
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  ~Server();

  const std::vector<Port>& served() const;
  const std::vector<Port>& unserved() const;

  // Serves until `stop_fd` becomes readable. Connections that come and go, however many, are no
  // error; only a failure of the loop itself is.
  Status Run(int stop_fd);

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::probe
