// SPDX-License-Identifier: Apache-2.0
#include "model/node_port.h"

#include <algorithm>

namespace sallyport::model {
namespace {

// The number that the slice gives the Service's port: a targetPort's name may mean another one on
// other pods, so there are slices of several. A slice port without a number leads nowhere.
std::optional<uint16_t> TargetIn(const EndpointSlice& slice, const ServicePort& port) {
  for (const SlicePort& target : slice.ports) {
    if (target.name == port.name && target.protocol == port.protocol) return target.port;
  }
  return std::nullopt;
}

void Append(const SliceEndpoint& endpoint, uint16_t port, bool v4,
            std::vector<NodePortBackend>& out) {
  for (const net::Address& address : endpoint.addresses) {
    if (address.IsV4() == v4) out.push_back({address, port});
  }
}

}  // namespace

std::string NodePortBackend::ToString() const {
  std::string host = address.IsV4() ? address.ToString() : "[" + address.ToString() + "]";
  return host + ":" + std::to_string(port);
}

bool HasNodePorts(const Service& service) {
  return service.type == ServiceType::kNodePort || service.type == ServiceType::kLoadBalancer;
}

std::vector<NodePortBackend> UsableBackends(const Service& service, const ServicePort& port,
                                            const std::vector<EndpointSlicePtr>& slices, bool v4) {
  std::vector<NodePortBackend> ready;
  std::vector<NodePortBackend> leaving;
  for (const EndpointSlicePtr& slice : slices) {
    std::optional<uint16_t> target = TargetIn(*slice, port);
    if (!target) continue;
    for (const SliceEndpoint& endpoint : slice->endpoints) {
      if (endpoint.ready) {
        Append(endpoint, *target, v4, ready);
      } else if (endpoint.serving && endpoint.terminating) {
        Append(endpoint, *target, v4, leaving);
      }
    }
  }
  if (ready.empty() || service.external_local) {
    ready.insert(ready.end(), leaving.begin(), leaving.end());
  }
  std::sort(ready.begin(), ready.end());
  ready.erase(std::unique(ready.begin(), ready.end()), ready.end());
  return ready;
}

}  // namespace sallyport::model
