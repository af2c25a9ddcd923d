// SPDX-License-Identifier: Apache-2.0
// What the kernel has said about links, addresses, default routes and queueing disciplines, as
// Links. Pure: link_socket.h feeds it.
//
// Messages may come in any order, more than once, and about links that are not known: each says
// how one thing is, and the table is the sum of the last word on each.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "endpoint/link.h"
#include "net/address.h"

namespace sallyport::endpoint {

class LinkTable {
 public:
  // Of `link` only what the link itself tells: not uplink and shaped.
  void SetLink(Link link);
  void RemoveLink(uint32_t ifindex);
  // `length` counts the bits of the address's own family. Permanent: no lease or advertisement
  // gave it.
  void SetAddress(uint32_t ifindex, const net::Address& address, int length, bool permanent);
  void RemoveAddress(uint32_t ifindex, const net::Address& address, int length);
  void SetQdisc(uint32_t ifindex, uint32_t handle, const std::string& kind);
  void RemoveQdisc(uint32_t ifindex, uint32_t handle);
  void SetDefaultRoutes(const std::set<uint32_t>& interfaces) {
    uplinks_.insert(interfaces.begin(), interfaces.end());
  }
  // What was an uplink in `before`, and is there still, is one.
  void InheritUplinks(const LinkTable& before);

  // Links whose other end, as last told, is `ifindex` of this namespace.
  std::set<uint32_t> PeersOf(uint32_t ifindex) const;

  // What was removed since the last call, even if another link has its index by now.
  std::set<uint32_t> TakeRemoved() { return std::exchange(removed_, {}); }

  Links links() const;
  model::LocalAddresses addresses() const;

 private:
  std::map<uint32_t, Link> links_;
  std::map<uint32_t, std::set<std::pair<net::Address, int>>> addresses_;
  std::map<uint32_t, std::map<uint32_t, std::string>> qdiscs_;
  std::set<uint32_t> uplinks_;
  std::set<uint32_t> removed_;
};

// Indexes that another link has now, as far as that can be seen without the news in between.
std::set<uint32_t> Replaced(const Links& before, const Links& after);

// From one state to another. `replaced` are other links now, even where they look alike.
LinkUpdate Difference(const Links& before, const Links& after,
                      const std::set<uint32_t>& replaced = {});

}  // namespace sallyport::endpoint
