// SPDX-License-Identifier: Apache-2.0
// A running lab, as questions and probes see it.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/agent_command.h"
#include "cli/matrix_run.h"
#include "cli/row.h"
#include "lab/inventory.h"

namespace sallyport::cli {

class LabWorld {
 public:
  // `name` empty: the only lab that runs.
  static Result<LabWorld> Open(const std::string& name);

  const World& world() const { return world_; }
  const lab::Inventory& inventory() const { return inventory_; }
  Reach InReach() const;

  // Really connects for every row, from inside its source, and fills in what was seen. Rows whose
  // source is in no namespace of the lab get an error; so do made-up destinations.
  Status Probe(std::vector<Row>& rows, const probe::Options& options) const;

  // Asks the agents of all nodes why they dropped, and fills that in for blocked rows: what they
  // noted since `start`. What cannot be asked is left out: the probe's own answer stands.
  void AskAgents(std::vector<Row>& rows, WallTime start) const;

 private:
  explicit LabWorld(lab::Inventory inventory)
      : inventory_(std::move(inventory)), world_(inventory_.snapshot) {}
  // Where a source's packets come from; empty: nowhere in this lab.
  std::string NetnsOf(const Side& side) const;

  lab::Inventory inventory_;
  World world_;
};

// The name of the only lab that runs, when none is named.
Result<std::string> LabName(const std::string& named);

// The agent of a lab's node, or those of all its nodes where none is named.
Result<std::vector<AgentPlace>> AgentsOf(const std::string& lab, const std::string& node);

}  // namespace sallyport::cli
