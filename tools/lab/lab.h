// SPDX-License-Identifier: Apache-2.0
// A lab's life: up, changes, down. Each of these holds the lab's lock, so commands from several
// terminals wait for each other. Errors are fit to be shown.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "lab/console.h"
#include "lab/inventory.h"
#include "lab/objects.h"
#include "lab/pod_files.h"
#include "lab/state.h"

namespace sallyport::lab {

struct UpOptions {
  std::string name = kDefaultLab;
  std::vector<std::string> paths;
  std::string cni = "ptp";
  bool agents = true;
  std::string agent;      // path; "" to look for it
  std::string sallyport;  // path of the tool; "" this process's own
  std::optional<int> nodes;
  Networks networks = DefaultNetworks();
  Duration patience = std::chrono::seconds(60);  // for pods to become ready
};

// How an operation ended, where it could be carried out.
struct Outcome {
  int pods = 0;
  std::vector<model::ObjectName> unready;  // not ready when patience was at its end
  bool ok() const { return unready.empty(); }
};

// What is there of this name is swept away first. Fails before anything is made where the manifests
// have errors (which are printed); where the machine fails, nothing is left.
Result<Outcome> Up(const UpOptions& options, const Console& console);

// Not there: Ok.
Status Down(const std::string& name, const Console& console);

// Adds these objects to the running lab, or replaces those of the same kind and name; namespaces,
// policies and labels at once, pods by making and ending them.
Result<Outcome> Apply(const std::string& name, const std::vector<std::string>& paths,
                      const Console& console);
// Takes objects out. With a namespace goes what is in it. A workload's pod is made anew.
Result<Outcome> Delete(const std::string& name, const std::vector<ObjectKey>& keys,
                       const Console& console);

// A pod and its state, for `lab status`.
struct PodState {
  model::ObjectName pod;
  std::string owner;
  std::string node;
  Value tree;  // the Pod object
  PodStatus status;
  bool keeper_alive = false;
};
std::vector<PodState> PodStates(const Layout& layout);

// The path of the running program.
std::string OwnProgram();

}  // namespace sallyport::lab
