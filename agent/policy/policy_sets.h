// SPDX-License-Identifier: Apache-2.0
// Policy sets and their rules in the image: who is allowed what, by identity.
//
// A set's number stands for its content: terms, one for each peer group, and whether NodePorts are
// judged as what is behind them. Its rules follow from that and from signatures, neither of which
// ever changes under its number: so a rule (set, identity) keeps its value for as long as it is
// there.
#pragma once

#include <map>
#include <unordered_map>
#include <utility>

#include "policy/identities.h"
#include "policy/node_ports.h"
#include "policy/rules.h"

namespace sallyport::policy {

class PolicySets {
 public:
  // All must outlive this.
  PolicySets(Rules& rules, const NodePorts& node_ports, Identities& identities, Image& image)
      : specs_(rules.specs()), node_ports_(node_ports), identities_(identities), image_(image) {}

  // Takes a reference to the set of these terms: their union, in any order, doubles and all. The
  // terms' specs and groups must be held by someone.
  SetId Acquire(Terms terms, Direction direction);
  void Release(SetId id) {
    if (id != kNoSet) sets_.Release(id);
  }

  // Some set in use may allow one NodePort and not another.
  bool TellNodePortsApart() const;

  // Ends a change, of sets and of identities: takes what has no reference out of the image, puts
  // what is new into it, and notes what changed.
  void Settle(Changes& changes);

 private:
  using Index = std::unordered_map<uint32_t, Numbers>;
  struct Content {
    Terms terms;
    bool node_ports = false;  // tells them apart: egress, neither nothing nor all of it
    friend bool operator==(const Content&, const Content&) = default;
  };
  struct ContentHash {
    size_t operator()(const Content& content) const;
  };
  // Of a set and a table of NodePorts, which ports a node of either kind may be asked for.
  struct Through {
    PortSet allowed, denied;
  };
  struct PortSets {
    Interner<PortSet, PortSetHash, NoData> interner{kAllPorts + 1};
    Numbers fresh;
  };

  // Sorted, one term a group, nothing that the any-peer term covers. Its specs carry references.
  Terms Normalised(Terms terms);
  void List(SetId id, const Content& content);
  void Unlist(SetId id, const Content& content);
  bool TellsNodePortsApart(const Terms& terms) const;

  void DropSet(SetId id, Changes& changes);
  void DropRules(IdentityId identity, const Signature& signature, Changes& changes);
  void AddSet(SetId id, Changes& changes);
  void AddRules(IdentityId identity, const Numbers& except_sets, Changes& changes);
  // The existing sets for which this signature may mean a rule.
  Numbers SetsFor(const Signature& signature) const;
  // The identities that a set may mean a rule for.
  Numbers IdentitiesFor(SetId id) const;
  PortSpec SpecFor(SetId id, const Signature& signature);
  PortSpec SpecByAddress(const Terms& terms, const Signature& signature) const;
  const Through& ThroughNodePorts(SetId id, NodePortsId table);

  PortSetId AcquirePorts(const PortSpec& spec);
  void ReleasePorts(PortSetId id);
  void SettlePorts(Changes& changes);

  PortSpecs& specs_;
  const NodePorts& node_ports_;
  Identities& identities_;
  Image& image_;
  Interner<Content, ContentHash, NoData> sets_{kNoSet + 1};
  Numbers fresh_;
  Index by_group_;
  Index by_any_name_;     // sets whose any-peer term mentions the port name
  Numbers by_node_port_;  // sets that tell NodePorts apart
  PortSets ports_;
  std::map<std::pair<SetId, NodePortsId>, Through> through_;  // of the change that is under way
};

}  // namespace sallyport::policy
