// SPDX-License-Identifier: Apache-2.0
// One connection to an API server; internal to kube/. The only place that knows of cpp-httplib and
// OpenSSL.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "kube/client.h"

namespace sallyport::kube {

// Certificates and key, parsed. Shared by all connections.
struct Tls;
using TlsPtr = std::shared_ptr<const Tls>;
Result<TlsPtr> MakeTls(const Access& access);

// A request on its way.
struct Exchange {
  const Request& request;
  const std::string& token;
  const StreamEvents* events;  // nullptr: the body is kept
  Duration timeout;            // without a byte
  size_t max_body;
  std::stop_token stop;
  bool answered = false;  // out: something of a response has come
};

class Connection {
 public:
  // `access` must outlive it. Connects with the first request.
  Connection(const Access& access, const Client::Options& options, const TlsPtr& tls);
  ~Connection();

  // One at a time. After an Error the connection is of no more use.
  Result<Response> Run(Exchange& exchange);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::kube
