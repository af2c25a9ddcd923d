// SPDX-License-Identifier: Apache-2.0
#include "model/endpoint_slices.h"

#include <optional>

namespace sallyport::model {
namespace {

// A targetPort's name may mean another number on other pods, so there are slices of several.
std::optional<uint16_t> TargetIn(const EndpointSlice& slice, const ServicePort& port) {
  for (const SlicePort& target : slice.ports) {
    if (target.name == port.name && target.protocol == port.protocol) return target.port;
  }
  return std::nullopt;
}

UsableEndpoint Use(const SliceEndpoint& endpoint, uint16_t port, bool v4) {
  UsableEndpoint out{&endpoint, {}, port};
  for (const net::Address& address : endpoint.addresses) {
    if (address.IsV4() == v4) out.addresses.push_back(address);
  }
  return out;
}

}  // namespace

std::vector<EndpointSlicePtr> SlicesOf(const Snapshot& snapshot, const ObjectName& service) {
  std::vector<EndpointSlicePtr> out;
  auto it = snapshot.endpoint_slices.lower_bound({service.ns, ""});
  for (; it != snapshot.endpoint_slices.end() && it->first.ns == service.ns; ++it) {
    if (it->second->service == service.name) out.push_back(it->second);
  }
  return out;
}

std::vector<UsableEndpoint> UsableEndpoints(const ServicePort& port,
                                            const std::vector<EndpointSlicePtr>& slices, bool v4,
                                            Leaving leaving, const std::string& only_node) {
  std::vector<UsableEndpoint> ready;
  std::vector<UsableEndpoint> ending;
  for (const EndpointSlicePtr& slice : slices) {
    std::optional<uint16_t> target = TargetIn(*slice, port);
    if (!target) continue;
    for (const SliceEndpoint& endpoint : slice->endpoints) {
      bool ends = !endpoint.ready && endpoint.serving && endpoint.terminating;
      bool here = only_node.empty() || endpoint.node == only_node;
      if (!here || (!endpoint.ready && !ends)) continue;
      UsableEndpoint use = Use(endpoint, *target, v4);
      if (!use.addresses.empty()) (ends ? ending : ready).push_back(std::move(use));
    }
  }
  if (ready.empty() || leaving == Leaving::kToo) {
    ready.insert(ready.end(), ending.begin(), ending.end());
  }
  return ready;
}

}  // namespace sallyport::model
