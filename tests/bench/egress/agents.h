// SPDX-License-Identifier: Apache-2.0
// The data plane of the source node and the gateway, as their agents would have it: all three pods
// pinned to the egress IP, ports of it leased to both nodes, a tunnel between them.
#pragma once

#include <memory>
#include <string>

#include "dataplane/dataplane.h"
#include "egress/site.h"
#include "model/snapshot.h"

namespace sallyport::bench {

class Agents {
 public:
  Agents();
  ~Agents();

  // Throw std::runtime_error if something cannot be had.
  void On(bool with_policy);
  void Off();

 private:
  struct Node;
  void Start(const Node& node, const model::Snapshot& cluster);

  std::unique_ptr<dataplane::Dataplane> source_, gateway_;
  int turn_ = 0, first_port_ = 0;
};

}  // namespace sallyport::bench
