// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 with TLS in front of the API: one thread a connection.
#pragma once

#include <memory>
#include <string>

#include "apiserver/api.h"
#include "apiserver/certificates.h"
#include "base/result.h"

namespace sallyport::apiserver {

// Where to listen: in a network namespace ("" the process's own), on an address and port (0: any).
struct ListenPlace {
  std::string netns;
  std::string address;
  uint16_t port = 0;
};
// "[NETNS_PATH@]ADDRESS:PORT", IPv6 addresses in brackets.
Result<ListenPlace> ParseListenPlace(const std::string& text);

struct TlsFiles {
  Certificate server;
  std::string client_authority_pem;
};

class HttpServer {
 public:
  explicit HttpServer(Api& api);
  ~HttpServer();

  // Listens from now on; the port that it got.
  Result<uint16_t> Listen(const ListenPlace& place, const TlsFiles& tls);

  // New connections are refused at once; returns when watches have ended, which they do at
  // `drained_by` at the latest.
  void Drain(MonotonicTime drained_by);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::apiserver
