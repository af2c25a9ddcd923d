// SPDX-License-Identifier: Apache-2.0
// The kernel's memory of UDP flows, which outlives the rules that made it: a client that keeps
// sending from one port would go on to an endpoint that is gone, or to nobody, for as long as it
// sends. (TCP connections end by themselves.)
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/result.h"
#include "lab/proxy_services.h"

namespace sallyport::lab {

// A flow as its first packet was addressed, and who answers it.
struct UdpFlow {
  std::pair<net::Address, uint16_t> destination;
  std::pair<net::Address, uint16_t> answered_by;
};

// Which flows the Services of today would not have made. Pure.
class UdpServices {
 public:
  UdpServices(const std::vector<ServicePort>& ports,
              const std::vector<net::Address>& node_addresses);
  // True where it goes to an address and port of a Service, and not to one of its endpoints.
  bool IsStale(const UdpFlow& flow) const;
  bool empty() const { return endpoints_.empty(); }

 private:
  using Place = std::pair<net::Address, uint16_t>;
  std::map<Place, std::set<Place>> endpoints_;
};

// Deletes the stale flows of the network namespace (a path; "" the caller's own). Returns how many.
Result<int> ForgetStaleFlows(const std::string& netns, const UdpServices& services);

}  // namespace sallyport::lab
