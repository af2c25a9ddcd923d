// SPDX-License-Identifier: Apache-2.0
// What the pods of this node are pinned to, kept up to date; and which of the node's addresses are
// its own, and not egress IPs that it holds for a while.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "dataplane/dataplane.h"
#include "egress/addresses.h"
#include "egress/diagnose.h"
#include "egress/pin_plan.h"
#include "model/snapshot.h"

namespace sallyport::control {

// What the rest of egress needs to know of the objects. Shares them.
struct EgressNews {
  std::map<std::string, model::EgressGatewayPtr> gateways;
  std::map<std::string, model::NodePtr> nodes;
  // The egress IPs that pods here are pinned to, and how many ports a block has.
  std::map<net::Address, int> needed;
  egress::Addresses addresses;  // all egress IPs, and who may hold them
  // What is wrong with objects that are well each by itself, by name.
  std::map<std::string, std::vector<std::string>> findings;
  friend bool operator==(const EgressNews&, const EgressNews&) = default;
};

class PinKeeper {
 public:
  explicit PinKeeper(std::string node) : node_(std::move(node)) {}

  // The node's addresses as the kernel has them; as policy is to know them. Objects may bring
  // others: then Own() has another answer.
  void SetLocal(model::LocalAddresses addresses) { local_ = std::move(addresses); }
  model::LocalAddresses Own(const model::Snapshot& objects) const;

  // Of what changes in the snapshot, one after the other.
  void Hear(const std::vector<model::Delta>& deltas);
  // When it is in there. True if there is a new plan.
  bool Update(const model::Snapshot& objects);
  // Looks for what is wrong with EgressGateways, if anything has changed since and they, or the
  // last look is long ago: it is slow. True if it did.
  bool Diagnose(const model::Snapshot& objects, MonotonicTime now);
  void Pin(dataplane::Bindings& bindings) const;
  EgressNews News(const model::Snapshot& objects) const;

 private:
  using Effect = egress::PinPlan::Effect;

  const std::string node_;
  model::LocalAddresses local_;
  std::set<model::ObjectName> here_;  // pods of this node
  egress::PinPlan plan_;
  Effect effect_ = Effect::kWorld;  // of what was heard since the plan was made
  std::map<std::string, std::vector<std::string>> findings_;
  bool undiagnosed_ = false;
  MonotonicTime diagnose_at_{};
};

}  // namespace sallyport::control
