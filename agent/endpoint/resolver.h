// SPDX-License-Identifier: Apache-2.0
// Questions to the kernel about where a pod's interface is, for CNI results that do not say.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "net/address.h"

namespace sallyport::endpoint {

// An interface inside another network namespace, as this one knows it.
struct FarEnd {
  int netns = 0;  // as Link::peer_netns; -1: nothing here has its other end in that namespace
  uint32_t ifindex = 0;
  friend auto operator<=>(const FarEnd&, const FarEnd&) = default;
};

class Resolver {
 public:
  virtual ~Resolver() = default;
  // The interface `name` of the network namespace that is bound to `path`; nothing where that
  // cannot be seen from here.
  virtual std::optional<FarEnd> Find(const std::string& path, const std::string& name) = 0;
  // The interface that packets to `address` leave by, if it is reached without a gateway.
  virtual std::optional<uint32_t> Route(const net::Address& address) = 0;
};

// Asks by netlink, in the network namespace of the calling thread.
Result<std::unique_ptr<Resolver>> KernelResolver();

}  // namespace sallyport::endpoint
