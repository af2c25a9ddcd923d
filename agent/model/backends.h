// SPDX-License-Identifier: Apache-2.0
// Where the ports of a Service lead, as kube-proxy has it from its EndpointSlices. Pure.
#pragma once

#include <compare>
#include <vector>

#include "model/snapshot.h"

namespace sallyport::model {

struct Backend {
  net::Address address;
  uint16_t port = 0;
  // "10.0.0.1:80", "[fd00::1]:80"
  std::string ToString() const;
  friend auto operator<=>(const Backend&, const Backend&) = default;
};

// The Service has every node listen on its ports' node_port, where that is not 0.
bool HasNodePorts(const Service& service);

// What a node may choose from for a port of the Service: the endpoints of one family that are
// ready; those that serve while they terminate, where none is ready or where each node chooses
// among its own. Sorted. `slices` are those of the Service, in any order.
std::vector<Backend> UsableBackends(const Service& service, const ServicePort& port,
                                    const std::vector<EndpointSlicePtr>& slices, bool v4);

}  // namespace sallyport::model
