// SPDX-License-Identifier: Apache-2.0
// Which pod runs on which node. Entry point: Schedule. Pure and deterministic.
//
// A node may take a pod when all of these hold:
//   1. spec.nodeName, where given, names it;
//   2. its labels match spec.nodeSelector and the required terms of nodeAffinity;
//   3. it has no taint (NoSchedule, NoExecute) that the pod does not tolerate;
//   4. the required terms of podAffinity and podAntiAffinity hold over each term's topology key,
//      those of the pods already placed included.
// Of these nodes the pod gets the one with the best score of preferred terms, then the fewest pods
// of the same owner, then the fewest pods, then the first. One pod after the other, those that name
// their node first; like Kubernetes, no placement is ever taken back.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "lab/tree.h"
#include "model/labels.h"

namespace sallyport::lab {

struct Taint {
  std::string key;
  std::string value;
  std::string effect;  // NoSchedule, NoExecute; others keep no pod away
};
inline constexpr const char* kUnschedulableTaint = "node.kubernetes.io/unschedulable";
inline constexpr const char* kNotReadyTaint = "node.kubernetes.io/not-ready";

struct SchedulingNode {
  std::string name;
  model::Labels labels;
  std::vector<Taint> taints = {};
};
// From a Node object; one that is cordoned has the taint for that.
SchedulingNode NodeForScheduling(const Value& node);

struct SchedulingPod {
  const Value* tree = nullptr;  // a Pod object
  std::string owner;
  std::string node;  // placed there already, or ""
};

struct Placement {
  std::vector<std::string> nodes;     // by pod, in the order given; "" where no node may take it
  std::map<size_t, std::string> why;  // for those without a node: the reason, for a person
};

// `namespaces` has the labels of every namespace that a term may select.
Placement Schedule(const std::vector<SchedulingPod>& pods, const std::vector<SchedulingNode>& nodes,
                   const std::map<std::string, model::Labels>& namespaces);

// Rule 2, and rule 3, by themselves (for DaemonSets).
bool NodeFits(const Value& pod, const SchedulingNode& node);
bool Tolerates(const Value& pod, const SchedulingNode& node);

}  // namespace sallyport::lab
