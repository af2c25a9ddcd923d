// SPDX-License-Identifier: Apache-2.0
// Large clusters for measuring: the same one every time for the same size.
#pragma once

#include <optional>
#include <string>

#include "model/snapshot.h"

namespace sallyport::test {

enum class ClusterShape {
  kTypical,         // default deny, app to app, other teams' namespaces, a few CIDRs, named ports
  kCidrHeavy,       // each policy allows egress to CIDRs of its own, some with exceptions
  kPoliciesOnOne,   // every policy selects the same pods, all of which are on the node measured
  kUniqueLabels,    // typical; and every policy and peer is about one pod's own label
  kEveryNamespace,  // each policy allows every namespace, on a port of its own
};
// "typical", "cidr-heavy", "policies-on-one", "unique-labels", "every-namespace"
std::string ToString(ClusterShape shape);
std::optional<ClusterShape> ParseClusterShape(const std::string& name);

struct ClusterSize {
  int pods = 30000;
  int policies = 30000;
  int namespaces = 1000;
  int pods_per_node = 100;
  int cidrs = 10;      // per policy, where the shape has them
  int node_ports = 0;  // Services with one each, and a slice of a few pods of one app
  bool dual_stack = true;
  ClusterShape shape = ClusterShape::kTypical;
};

// The node to compile for.
inline constexpr char kClusterNode[] = "node-0";

model::Snapshot MakeCluster(const ClusterSize& size);

}  // namespace sallyport::test
