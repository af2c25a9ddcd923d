// SPDX-License-Identifier: Apache-2.0
// The Service proxy of one node, on a thread of its own: what the API server says of Services and
// EndpointSlices, brought into the node's packet filter (proxy.h).
#pragma once

#include <memory>
#include <string>

#include "kube/client.h"
#include "lab/cluster.h"
#include "lab/state.h"

namespace sallyport::lab {

// A short text for the Services and EndpointSlices that there are: each in its version. The proxy
// writes that of what is in force to layout.services().
std::string ServicesVersion(const Cluster& cluster);

class NodeServices {
 public:
  // Nothing is done where the lab has no proxy. All must outlive it.
  NodeServices(const LabState& state, const NodePlan& node, kube::Client& client);
  ~NodeServices();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::lab
