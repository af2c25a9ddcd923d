// SPDX-License-Identifier: Apache-2.0
// Policies in force, reduced to what they allow: terms of a peer group and a port spec.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "model/objects.h"
#include "policy/peer_groups.h"
#include "policy/port_spec.h"

namespace sallyport::policy {

// Number of an interned PortSpec.
using SpecId = uint32_t;

// The members of the group are allowed these ports.
struct Term {
  GroupId group = kAnyPeer;
  SpecId spec = 0;
  friend auto operator<=>(const Term&, const Term&) = default;
};
using Terms = std::vector<Term>;

// What one policy says for each direction; nothing where it does not isolate.
struct CompiledPolicy {
  std::optional<Terms> egress;
  std::optional<Terms> ingress;
};

// Port specs by content.
class PortSpecs {
 public:
  explicit PortSpecs(NamedPorts& names) : names_(names) {}
  // Takes a reference.
  SpecId Acquire(const PortSpec& spec);
  void Retain(SpecId id) { specs_.Retain(id); }
  void Release(SpecId id) { specs_.Release(id); }
  const PortSpec& spec(SpecId id) const { return specs_.key(id); }
  const NamedPorts& names() const { return names_; }
  void Sweep();

 private:
  NamedPorts& names_;
  Interner<PortSpec, PortSpecHash, NoData> specs_{1};
};

class Rules {
 public:
  Rules(PeerGroups& groups, NamedPorts& names) : groups_(groups), names_(names), specs_(names) {}

  // Puts a policy in force: its groups and port names are distinguished from now on.
  CompiledPolicy Acquire(const model::NetworkPolicy& policy);
  void Release(const CompiledPolicy& policy);
  // Ends a change.
  void Sweep();

  // True if an egress rule for the group mentions the name: whoever is in the group and has a port
  // so called differs from those who have not.
  bool Mentions(GroupId group, NamedPortId name) const;

  PortSpecs& specs() { return specs_; }
  NamedPorts& names() { return names_; }

 private:
  struct Bucket;
  using Buckets = std::map<SpecId, Bucket>;
  // The rules by what ports they allow. Each bucket holds a reference to its spec.
  Buckets Sort(const std::string& ns, const std::vector<model::Rule>& rules);
  PortSpec SpecForAnyone(const Buckets& buckets) const;
  Numbers AcquireGroups(const Bucket& bucket);
  Terms AcquireTerms(const std::string& ns, const std::vector<model::Rule>& rules);
  void ReleaseTerms(const Terms& terms);
  void Mention(const Terms& egress, int by);

  PeerGroups& groups_;
  NamedPorts& names_;
  PortSpecs specs_;
  std::unordered_map<uint64_t, int> mentions_;  // by group and name
};

}  // namespace sallyport::policy
