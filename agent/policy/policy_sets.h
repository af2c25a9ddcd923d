// SPDX-License-Identifier: Apache-2.0
// Policy sets and their rules in the image: who is allowed what, by identity.
//
// A set's number stands for its content: terms, one for each peer group. Its rules follow from that
// and from signatures, neither of which ever changes under its number: so a rule (set, identity)
// keeps its value for as long as it is there.
#pragma once

#include <unordered_map>

#include "policy/identities.h"
#include "policy/rules.h"

namespace sallyport::policy {

class PolicySets {
 public:
  // All must outlive this.
  PolicySets(Rules& rules, Identities& identities, Image& image)
      : specs_(rules.specs()), identities_(identities), image_(image) {}

  // Takes a reference to the set of these terms: their union, in any order, doubles and all. The
  // terms' specs and groups must be held by someone.
  SetId Acquire(Terms terms);
  void Release(SetId id) {
    if (id != kNoSet) sets_.Release(id);
  }

  // Ends a change, of sets and of identities: takes what has no reference out of the image, puts
  // what is new into it, and notes what changed.
  void Settle(Changes& changes);

 private:
  using Index = std::unordered_map<uint32_t, Numbers>;
  struct TermsHash {
    size_t operator()(const Terms& terms) const;
  };
  struct PortSets {
    Interner<PortSet, PortSetHash, NoData> interner{kAllPorts + 1};
    Numbers fresh;
  };

  // Sorted, one term a group, nothing that the any-peer term covers. Its specs carry references.
  Terms Normalised(Terms terms);
  void List(SetId id, const Terms& terms);
  void Unlist(SetId id, const Terms& terms);

  void DropSet(SetId id, Changes& changes);
  void DropRules(IdentityId identity, const Signature& signature, Changes& changes);
  void AddSet(SetId id, Changes& changes);
  void AddRules(IdentityId identity, const Numbers& except_sets, Changes& changes);
  // The existing sets for which this signature may mean a rule.
  Numbers SetsFor(const Signature& signature) const;
  // Those of an identity that a set's terms may mean a rule for.
  Numbers IdentitiesFor(const Terms& terms) const;
  PortSpec SpecFor(const Terms& terms, const Signature& signature) const;

  PortSetId AcquirePorts(const PortSpec& spec);
  void ReleasePorts(PortSetId id);
  void SettlePorts(Changes& changes);

  PortSpecs& specs_;
  Identities& identities_;
  Image& image_;
  Interner<Terms, TermsHash, NoData> sets_{kNoSet + 1};
  Numbers fresh_;
  Index by_group_;
  Index by_any_name_;  // sets whose any-peer term mentions the port name
  PortSets ports_;
};

}  // namespace sallyport::policy
