// SPDX-License-Identifier: Apache-2.0
// What a running lab remembers between commands: state.json.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "lab/layout.h"
#include "lab/plan.h"

namespace sallyport::lab {

struct LabState {
  std::string name;
  std::string cni;        // ptp, bridge
  std::string sallyport;  // paths of the binaries
  std::string agent;      // "" without agents
  Networks networks;
  OutsideAddresses outside;
  std::vector<NodePlan> nodes;
  std::string joined;              // kubeconfig of the API server that the nodes joined; "" its own
  uint16_t api_port = 0;           // of its own API server, on 127.0.0.1
  std::string proxy;               // nftables, iptables; "" none
  bool controllers = true;         // the lab runs them
  bool dns = false;                // cluster DNS was deployed
  std::vector<std::string> peers;  // labs that this one is wired to
  bool complete = false;           // `lab up` came to its end
};

Status SaveState(const LabState& state);
// Of a lab that may be half made. Fails where there is none, with the names of those that are up.
Result<LabState> LoadState(const std::string& lab);
// Of a lab that is up. Fails where it is half made, with what to do.
Result<LabState> LoadWholeState(const std::string& lab);

// Labs that are up, half up, or left something behind: by their files and their namespaces.
std::vector<std::string> ListLabs();
// Only those that are up.
std::vector<std::string> ListWholeLabs();

// Pure, for state.json.
Value StateToTree(const LabState& state);
Result<LabState> StateFromTree(const Value& tree);

}  // namespace sallyport::lab
