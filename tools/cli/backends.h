// SPDX-License-Identifier: Apache-2.0
// Services as people name them, and who answers for them. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/world.h"

namespace sallyport::cli {

struct ServiceBackends {
  std::string service;  // "shop/front:8080/TCP"
  struct Backend {
    Side side;
    Port port;  // its own
  };
  std::vector<Backend> backends;
};

// The backends that "svc/[namespace/]name:port[/protocol]" leads to, by the Service's port number
// or name, or the same written as one of its addresses, or as a node's address and the Service's
// node port. nullopt: it names no Service. Errors say what is wrong with one (model/backends.h).
// `sender`: the pod that asks, or null.
Result<std::optional<ServiceBackends>> BackendsOf(const World& world, const model::Pod* sender,
                                                  std::string_view to);

}  // namespace sallyport::cli
