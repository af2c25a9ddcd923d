// SPDX-License-Identifier: Apache-2.0
// The kernel's news about this namespace's interfaces, into a LinkTable.
#pragma once

#include <memory>

#include "base/result.h"
#include "endpoint/link_table.h"

struct nl_sock;

namespace sallyport::endpoint {

// Two route sockets: one that news arrives on, one for questions. Of the thread that opens it and
// of that thread's network namespace.
class LinkSocket {
 public:
  // Subscribed: what changes from now on is news.
  static Result<LinkSocket> Open();

  // Readable when there is news.
  int fd() const;
  // The whole state, asked for now.
  Result<LinkTable> Dump();

  struct News {
    bool any = false;
    bool routes = false;           // a route to one host, or a default route
    bool filters_removed = false;  // or the hook that they stood in
  };
  // Takes all news that waits over into the table. Fails with ENOBUFS when some was lost: Dump.
  Result<News> Read(LinkTable& table);

 private:
  struct Close {
    void operator()(nl_sock* socket) const;
  };
  using Socket = std::unique_ptr<nl_sock, Close>;
  LinkSocket(Socket news, Socket questions)
      : news_(std::move(news)), questions_(std::move(questions)) {}
  static Result<Socket> Connect();

  Socket news_;
  Socket questions_;
};

}  // namespace sallyport::endpoint
