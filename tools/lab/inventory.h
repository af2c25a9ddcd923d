// SPDX-License-Identifier: Apache-2.0
// What stands in a running lab, and where: for whoever probes it, asks its agents, or tests it.
// Entry point: ReadInventory.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "model/objects.h"
#include "model/snapshot.h"
#include "net/address.h"

namespace sallyport::lab {

// Lab that commands mean when no name is given.
inline constexpr const char* kDefaultLab = "lab";

struct PodPlace {
  model::ObjectName pod;
  std::string node;
  std::string netns_path;               // the node's, for hostNetwork pods
  std::vector<net::Address> addresses;  // empty until the pod has its network
  std::vector<model::ContainerPort> ports;
  bool host_network = false;
};

struct NodePlace {
  std::string name;
  std::string netns_path;
  std::vector<net::Address> addresses;
  std::string agent_socket;
  std::string cni_results_dir;
  std::string pins_dir;
  int agent_pid = 0;  // 0: no agent runs
};

// An EgressGateway of which, by its status, some address is held by nobody.
struct UnheldGateway {
  std::string name;
  std::vector<std::string> candidates;  // nodes that may hold it
  std::string why;                      // as the status has it
};

struct Inventory {
  std::string name;
  std::vector<PodPlace> pods;    // sorted by name
  std::vector<NodePlace> nodes;  // sorted by name
  std::string outside_netns_path;
  std::vector<net::Address> outside_addresses;
  model::Snapshot snapshot;  // what the agents are told: by the API server, where it answers
  std::string services;      // ServicesVersion of it (node_services.h)
  std::vector<UnheldGateway> unheld;
  bool stale = false;  // it did not: this is how it was seen last
};

// Fails where no such lab is up, with the names of those that are. Where the API server does not
// answer, the snapshot is the last that was seen.
Result<Inventory> ReadInventory(const std::string& lab_name);

}  // namespace sallyport::lab
