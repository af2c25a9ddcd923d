// SPDX-License-Identifier: Apache-2.0
// Everything that a lab will be, decided before anything is made. Entry point: MakePlan. Pure and
// deterministic.
//
//   ObjectSet ─► nodes (declared or invented) ─► pods (workloads.h) ─► places (schedule.h)
//             └► namespaces (referenced ones are invented)          └► addresses (addressing.h)
//
// The finished objects go through model::DecodeDocuments, so what Sallyport would refuse is refused
// here, with its place in the user's file.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lab/addressing.h"
#include "lab/objects.h"
#include "model/diagnostic.h"

namespace sallyport::lab {

struct PlanOptions {
  Networks networks = DefaultNetworks();
  std::optional<int> nodes;  // how many to invent; absent: 2, or as many as anti-affinity needs
};

struct NodePlan {
  Value tree;  // a Node object with labels, status.addresses and spec.podCIDRs
  NodeAddresses addresses;
  std::string name() const { return NameOf(tree).name; }
};

struct PodPlan {
  Value tree;  // a Pod object with spec.nodeName
  std::string owner;
  std::string node;
  bool host_network = false;
  model::ObjectName name() const { return NameOf(tree); }
};

struct Plan {
  std::vector<NodePlan> nodes;
  std::vector<PodPlan> pods;
  std::vector<Value> namespaces;
  std::vector<std::string> notes;  // what the user should know, one line each
  model::Diagnostics diagnostics;  // with errors among them the rest is not to be used
};

Plan MakePlan(const ObjectSet& objects, const PlanOptions& options);

// The namespaces that the objects are in, declared or not.
std::vector<Value> NamespacesOf(const ObjectSet& objects);
// What Sallyport would refuse of them, and what is wrong with workloads, each with its place.
model::Diagnostics CheckObjects(const ObjectSet& objects);

}  // namespace sallyport::lab
