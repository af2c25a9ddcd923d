// SPDX-License-Identifier: Apache-2.0
// Who answers for a Service: what a policy is asked about instead of its address. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/world.h"

namespace sallyport::cli {

struct Backend {
  Side side;
  Port port;
};

// The backends that "svc/[namespace/]name:port[/protocol]" leads to, by the Service's port number
// or name, or the same written as one of its addresses, or as a node's address and the Service's
// node port. As its EndpointSlices say, those that are ready; where none are known, the pods that
// its selector matches. nullopt: it names no Service. Errors say what is wrong with one.
Result<std::optional<std::vector<Backend>>> BackendsOf(const World& world, std::string_view to);

}  // namespace sallyport::cli
