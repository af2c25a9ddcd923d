// SPDX-License-Identifier: Apache-2.0
// How a pod's packets get to the outside while something is measured.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "egress/site.h"

namespace sallyport::bench {

struct Way {
  std::string name;
  std::string client;         // the pod that goes it
  std::string seen_as;        // by the outside
  std::function<void()> on;   // from plain routing to this
  std::function<void()> off;  // and back
};

class Agents;

// On a site. Those with policy have an allowlist of ten networks.
class Ways {
 public:
  explicit Ways(const Site& site);
  ~Ways();

  // From the pod, through the gateway: plain routing first and, as the measure of noise, second
  // again.
  const std::vector<Way>& two_nodes() const { return two_nodes_; }
  // From the pod on the gateway's own node; likewise.
  const std::vector<Way>& one_node() const { return one_node_; }
  // Both with kPorts ports of the egress IP for both pods of the source node: nftables, and pinned.
  const std::vector<Way>& few_ports() const { return few_ports_; }

  static constexpr int kFirstPort = 16384, kPorts = 8192;

 private:
  std::unique_ptr<Agents> agents_;
  std::vector<Way> two_nodes_, one_node_, few_ports_;
};

}  // namespace sallyport::bench
