// SPDX-License-Identifier: Apache-2.0
// Whom a node chooses from for a Service, as kube-proxy has it from EndpointSlices. Pure.
#pragma once

#include <string>
#include <vector>

#include "model/snapshot.h"

namespace sallyport::model {

// Those of the Service, by the label kubernetes.io/service-name, in the order of their names.
std::vector<EndpointSlicePtr> SlicesOf(const Snapshot& snapshot, const ObjectName& service);

struct UsableEndpoint {
  const SliceEndpoint* endpoint;        // in its slice
  std::vector<net::Address> addresses;  // those of the family: at least one
  uint16_t port = 0;                    // the number that the slice gives the Service's port
};

// Which serving endpoints that terminate are usable beside the ready ones.
enum class Leaving {
  kWhereNoneIsReady,
  kToo,  // each node chooses among its own, where perhaps none is ready
};

// The endpoints of one family for a port of the Service whose slices these are; with `only_node`,
// as if there were no others than on that node. A slice's port that has no number leads nowhere.
// Those that are in several slices come several times.
std::vector<UsableEndpoint> UsableEndpoints(const ServicePort& port,
                                            const std::vector<EndpointSlicePtr>& slices, bool v4,
                                            Leaving leaving, const std::string& only_node = "");

}  // namespace sallyport::model
