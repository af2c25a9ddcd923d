// SPDX-License-Identifier: Apache-2.0
// Where NodePorts lead, as kube-proxy has it from EndpointSlices. Pure.
#pragma once

#include <compare>
#include <vector>

#include "model/snapshot.h"

namespace sallyport::model {

struct NodePortBackend {
  net::Address address;
  uint16_t port = 0;
  // "10.0.0.1:80", "[fd00::1]:80"
  std::string ToString() const;
  friend auto operator<=>(const NodePortBackend&, const NodePortBackend&) = default;
};

// The Service has every node listen on its ports' node_port, where that is not 0.
bool HasNodePorts(const Service& service);

// What a node may choose from for a port of the Service: the endpoints of one family that are
// ready; those that serve while they terminate, where none is ready or where each node chooses
// among its own. Sorted; of an endpoint with several addresses all of them. `slices` are those of
// the Service, in any order.
std::vector<NodePortBackend> UsableBackends(const Service& service, const ServicePort& port,
                                            const std::vector<EndpointSlicePtr>& slices, bool v4);

}  // namespace sallyport::model
