// SPDX-License-Identifier: Apache-2.0
#include "model/node_port.h"

#include <algorithm>

#include "model/endpoint_slices.h"

namespace sallyport::model {

std::string NodePortBackend::ToString() const {
  std::string host = address.IsV4() ? address.ToString() : "[" + address.ToString() + "]";
  return host + ":" + std::to_string(port);
}

bool HasNodePorts(const Service& service) {
  return service.type == ServiceType::kNodePort || service.type == ServiceType::kLoadBalancer;
}

std::vector<NodePortBackend> NodePortBackends(const Service& service, const ServicePort& port,
                                              const std::vector<EndpointSlicePtr>& slices,
                                              bool v4) {
  Leaving leaving = service.external_local ? Leaving::kToo : Leaving::kWhereNoneIsReady;
  std::vector<NodePortBackend> out;
  for (const UsableEndpoint& use : UsableEndpoints(port, slices, v4, leaving)) {
    for (const net::Address& address : use.addresses) out.push_back({address, use.port});
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace sallyport::model
