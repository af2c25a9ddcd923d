// SPDX-License-Identifier: Apache-2.0
// Links, addresses and routes in one network namespace, by libnl.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "lab/addressing.h"

struct nl_sock;

namespace sallyport::lab {

// Works in the namespace in which it was opened, from whatever thread.
class Netlink {
 public:
  static Result<Netlink> Open(const std::string& netns_path);

  // A pair of interfaces: `name` here, `peer_name` in the other namespace.
  Status AddVeth(const std::string& name, const std::string& peer_name,
                 const std::string& peer_netns_path);
  Status AddBridge(const std::string& name);
  Status SetMaster(const std::string& name, const std::string& bridge);
  Status SetUp(const std::string& name);
  // Usable at once: without duplicate address detection.
  Status AddAddress(const std::string& name, const InterfaceAddress& address);
  // Through a gateway that is on the link of an interface of this namespace.
  Status AddRoute(const net::Cidr& destination, const net::Address& gateway);
  // What there is now, `lo` included.
  Result<std::vector<std::string>> LinkNames();

 private:
  using Socket = std::unique_ptr<nl_sock, void (*)(nl_sock*)>;
  explicit Netlink(Socket socket) : socket_(std::move(socket)) {}
  Result<int> IndexOf(const std::string& name);
  Socket socket_;
};

}  // namespace sallyport::lab
