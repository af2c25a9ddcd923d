// SPDX-License-Identifier: Apache-2.0
// The kernel's news about this namespace's interfaces, into a LinkTable.
#pragma once

#include <set>
#include <utility>

#include "base/netlink.h"
#include "base/result.h"
#include "endpoint/link_table.h"

namespace sallyport::endpoint {

// Two route sockets: one that news arrives on, one for questions. Of the thread that opens it and
// of that thread's network namespace.
class LinkSocket {
 public:
  // Subscribed: what changes from now on is news.
  static Result<LinkSocket> Open();

  // Readable when there is news.
  int fd() const { return news_.fd(); }
  // The whole state, asked for now.
  Result<LinkTable> Dump();

  struct News {
    bool any = false;
    bool routes = false;                 // a route to one host, or a default route
    std::set<uint32_t> filters_changed;  // of these interfaces
  };
  // Takes all news that waits over into the table. Fails with ENOBUFS when some was lost: Dump.
  Result<News> Read(LinkTable& table);

  // What one message says, into the table: of news, or of what was asked for and `listed`. Pure.
  static News TakeMessage(const NetlinkMessage& message, bool listed, LinkTable& table);

 private:
  LinkSocket(NetlinkSocket news, NetlinkSocket questions)
      : news_(std::move(news)), questions_(std::move(questions)) {}

  NetlinkSocket news_;
  NetlinkSocket questions_;
};

}  // namespace sallyport::endpoint
