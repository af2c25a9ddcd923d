// SPDX-License-Identifier: Apache-2.0
// The Kubernetes API, without HTTP: a request goes in, an answer comes out. Entry point:
// Api::Handle. Thread-safe.
//
//   request ─► who (Tokens) ─► may they (Authorizer) ─► Reader ──────────────► answer, stream
//                                                    └► Writer ─► Store ─► Collector
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apiserver/access.h"
#include "apiserver/collector.h"
#include "apiserver/kinds.h"
#include "apiserver/reader.h"
#include "apiserver/request.h"
#include "apiserver/store.h"
#include "apiserver/writer.h"
#include "net/address.h"

namespace sallyport::apiserver {

struct ApiOptions {
  ReaderOptions reader;
  std::vector<net::Cidr> service_cidrs;  // one or two, of different families
  std::string token_secret;
  std::string admin_token;
};

class Api {
 public:
  Api(Store& store, ApiOptions options, Clock& clock);

  // The user of a bearer token; nullopt where the answer is 401.
  std::optional<User> Authenticate(const std::string& token) const {
    return tokens_.Authenticate(token);
  }
  // Never throws: what goes wrong is answered with a Status.
  Response Handle(const Request& request);

  // What every cluster has from the start: namespaces, roles, the Service `kubernetes`, with the
  // addresses at which this server can be reached by pods.
  Status Bootstrap(const std::vector<net::Address>& addresses, uint16_t port);

  // Makes a ServiceAccount (and its namespace) where absent, and a token for it.
  Result<std::string> TokenFor(const std::string& ns, const std::string& account);

 private:
  Response Route(const Request& request);
  Response Objects(const Target& target, const Request& request);
  Response Written(const Target& target, const Request& request, const Writer::Written& written);
  Response Remove(const Target& target, const Request& request);
  Response Subresource(const Target& target, const Request& request);
  Response Token(const Target& target, const Request& request);
  Response Bind(const Target& target, const Request& request);
  Response Review(const std::string& plural, const Request& request);
  void Authorize(const Target& target, const Request& request) const;
  void AuthorizePath(const Request& request) const;

  Store& store_;
  Clock& clock_;
  const ApiOptions options_;
  Kinds kinds_;
  ServiceAddresses addresses_;
  Tokens tokens_;
  Authorizer authorizer_;
  Reader reader_;
  Writer writer_;
  Collector collector_;
};

}  // namespace sallyport::apiserver
