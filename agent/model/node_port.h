// SPDX-License-Identifier: Apache-2.0
// Where NodePorts lead (model/endpoint_slices.h). Pure.
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

// Where NodePorts of the Service's port lead, for one family: its usable endpoints, with all of
// their addresses. Sorted, unique. `slices` are those of the Service, in any order.
std::vector<NodePortBackend> NodePortBackends(const Service& service, const ServicePort& port,
                                              const std::vector<EndpointSlicePtr>& slices, bool v4);

}  // namespace sallyport::model
