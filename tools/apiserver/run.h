// SPDX-License-Identifier: Apache-2.0
// The API server as a process.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/address.h"

namespace sallyport::apiserver {

struct RunOptions {
  // Everything that is kept:
  //   ca.crt ca.key           made at the first start
  //   admin.token             likewise; token-secret signs those of service accounts
  //   admin.kubeconfig        written once the server listens
  //   journal                 the objects (store.h)
  std::string data;
  std::vector<std::string> listen;       // http_server.h; the first is admin.kubeconfig's
  std::vector<net::Cidr> service_cidrs;  // empty: 10.96.0.0/16 and fd00:10:96::/112
  std::vector<net::Address> advertise;   // default/kubernetes; empty: those in namespaces
  std::vector<std::string> names;        // more names in the certificate
  size_t history = 10'000;
  Duration bookmark_every = std::chrono::seconds(60);
  bool watch_list = true;
  Duration drain = std::chrono::seconds(1);  // how long watches stay after SIGTERM
};

// Runs until SIGTERM or SIGINT.
Status Run(const RunOptions& options);

}  // namespace sallyport::apiserver
