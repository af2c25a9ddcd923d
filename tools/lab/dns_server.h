// SPDX-License-Identifier: Apache-2.0
// A real DNS server (Knot DNS) as a child process, that answers from the records it was given last.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/result.h"
#include "lab/dns_records.h"

namespace sallyport::lab {

struct DnsServerOptions {
  std::string directory;  // of its own, made if absent: configuration, zone, control socket
  // "ADDRESS@PORT", as Knot writes it.
  std::vector<std::string> listen = {"0.0.0.0@53", "::@53"};
  std::string domain = "cluster.local";
};

// Not thread-safe. The server ends with this object.
class DnsServer {
 public:
  explicit DnsServer(DnsServerOptions options);
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  // When it returns, queries are answered from these records. The first call starts the server;
  // records that are the same as before cost nothing.
  Status Serve(const DnsRecords& records);
  // Fails where the server has ended by itself; the next Serve starts one anew.
  Status Check();
  // The server's process; -1 before the first Serve.
  pid_t pid() const { return pid_; }

 private:
  Status Start();
  Status Control(const std::string& action) const;

  DnsServerOptions options_;
  DnsRecords records_;
  uint32_t serial_ = 0;
  pid_t pid_ = -1;
};

}  // namespace sallyport::lab
