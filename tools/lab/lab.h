// SPDX-License-Identifier: Apache-2.0
// A lab's life: up, changes, down. Each of these holds the lab's lock, so commands from several
// terminals wait for each other. Errors are fit to be shown.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "lab/api.h"
#include "lab/console.h"
#include "lab/inventory.h"
#include "lab/objects.h"
#include "lab/pod_files.h"
#include "lab/ready.h"
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
  std::string kubeconfig;    // of an API server to join; "" one of its own
  bool controllers = false;  // the lab's own, where it joins; of its own server they always run
  std::string proxy = "nftables";  // Service proxy: nftables, iptables, none
  bool dns = true;                 // cluster DNS, where its server is installed
  std::vector<std::string> hosts;  // files like /etc/hosts: names outside the cluster
  std::vector<std::string> peers;  // labs whose fabrics this one is wired to
  Networks networks = DefaultNetworks();
  Duration patience = std::chrono::seconds(60);  // for pods to become ready
};

// What is there of this name is swept away first. Fails before anything is made where the manifests
// have errors (which are printed); where the machine fails, nothing is left.
Result<Outcome> Up(const UpOptions& options, const Console& console);

// Not there: Ok.
Status Down(const std::string& name, const Console& console);

// Brings these objects to the lab's API server, as kubectl apply does, and waits until pods and
// workloads are as it says.
Result<Outcome> Apply(const std::string& name, const std::vector<std::string>& paths,
                      const Console& console);
// Deletes objects, waits until they are gone, and all else is ready. With a namespace goes what is
// in it. A workload's pod comes back as another.
Result<Outcome> Delete(const std::string& name, const std::vector<ObjectKey>& keys,
                       const Console& console);

// The lab's API server, for whoever is on this machine.
Result<std::unique_ptr<Api>> OpenApi(const Layout& layout);

// A pod that runs on this machine and its state, for `lab status`.
struct PodState {
  model::ObjectName pod;
  std::string owner;
  std::string node;
  Value tree;  // the Pod object
  PodStatus status;
  bool keeper_alive = false;
};
std::vector<PodState> PodStates(const Layout& layout);

// Makes the recipe of each pod once, to find out what is missing before anything is made. The notes
// say what will be done otherwise than the manifests say.
Status CheckRecipes(const std::vector<PodPlan>& pods, const ObjectSet& objects,
                    const std::string& sallyport, std::vector<std::string>* notes);

// The path of the running program.
std::string OwnProgram();

}  // namespace sallyport::lab
