// SPDX-License-Identifier: Apache-2.0
// Peer groups: the peer lists of the rules in force, and who is in them.
//
// A group is a list of leaves, one NetworkPolicyPeer each, whose members rules allow the same: so
// nothing needs to tell them apart. Rules.cc makes one group of all ipBlocks of a policy that allow
// the same ports, however many they are, and one of each peer that selects pods: those are often
// the same in many policies, and then so is the group.
//
// Leaves that select pods hang under the namespaces they mean (their scope), and there in an index
// by label; leaves that are ipBlocks live in the prefix table. So a pod meets only leaves that may
// match it.
#pragma once

#include <compare>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/snapshot.h"
#include "policy/identities.h"
#include "policy/prefix_table.h"
#include "policy/selector_index.h"

namespace sallyport::policy {

inline constexpr GroupId kAnyPeer = 0;  // of a rule without peers: everyone

// The namespaces a peer means: those that a selector matches, or (without one) a single one.
struct Scope {
  std::optional<model::Selector> selector;
  std::string name;  // without a selector
  friend auto operator<=>(const Scope&, const Scope&) = default;
};

// The pods a peer means.
struct PodLeaf {
  Scope scope;
  model::Selector pods;
  friend auto operator<=>(const PodLeaf&, const PodLeaf&) = default;
};

using Leaf = std::variant<PodLeaf, model::IpBlock>;

// A peer of a rule of a policy in the namespace `ns`.
Leaf LeafOf(const model::Peer& peer, const std::string& ns);

// Whose groups may have changed.
struct Touched {
  bool everyone = false;
  std::vector<PodLeaf> pods;
  std::vector<net::Cidr> ranges;
};

class PeerGroups {
 public:
  // Both must outlive this. Of the snapshot it reads the namespaces.
  PeerGroups(PrefixTable& prefixes, const model::Snapshot& snapshot)
      : prefixes_(prefixes), snapshot_(snapshot) {}

  // Takes a reference to the group of these leaves (not empty, any order).
  GroupId Acquire(const std::vector<Leaf>& leaves);
  void Release(GroupId group) { groups_.Release(group); }
  // Says that the members of a group, or everyone, need to be looked at for another reason.
  void Touch(GroupId group);

  // Ends a change: forgets groups without a reference, and says whom the change touched.
  Touched Settle();

  // The leaves that the pod matches, sorted.
  Numbers LeavesOf(const model::Pod& pod);
  // The groups that have one of these leaves, sorted.
  Numbers GroupsOf(const Numbers& leaves) const;

  // A namespace's labels are others now. False if no scope sees a difference.
  bool NamespaceChanged(const std::string& ns);
  // It is another question now which namespaces' labels are known.
  void NamespacesChanged() { namespaces_.clear(); }

 private:
  struct LeafHash {
    size_t operator()(const Leaf& leaf) const;
  };
  struct ScopeHash {
    size_t operator()(const Scope& scope) const;
  };
  struct GroupHash {
    size_t operator()(const Numbers& leaves) const;
  };
  struct LeafData {
    Numbers groups;
    uint32_t scope = 0;
  };

  uint32_t AcquireLeaf(const Leaf& leaf);
  Numbers FindScopes(const std::string& ns) const;
  const Numbers& ScopesOf(const std::string& ns);
  void TouchLeaf(const Leaf& leaf);

  PrefixTable& prefixes_;
  const model::Snapshot& snapshot_;
  Interner<Numbers, GroupHash, NoData> groups_{kAnyPeer + 1};
  Interner<Leaf, LeafHash, LeafData> leaves_{1};
  Interner<Scope, ScopeHash, SelectorIndex> scopes_{1};
  SelectorIndex scope_index_;  // scopes with a selector
  // Scopes of the namespaces seen since the last change of scopes.
  std::map<std::string, Numbers> namespaces_;
  Touched touched_;
};

}  // namespace sallyport::policy
