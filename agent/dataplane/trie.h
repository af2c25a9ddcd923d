// SPDX-License-Identifier: Apache-2.0
// The prefixes in the kernel's form: a persistent, leaf-pushed trie of 4 bits a step.
//
// Nodes are immutable and interned by content, so a change writes only the nodes whose content is
// new, and two halves (or two families) share what they have in common. A root is swapped by one
// word of the control entry. Nodes that nothing refers to any more wait for Settle().
#pragma once

#include <map>
#include <set>
#include <vector>

#include "dataplane/content_index.h"
#include "dataplane/identity_uses.h"
#include "dataplane/tables.h"
#include "policy/image.h"

namespace sallyport::dataplane {

class PrefixTrie {
 public:
  using Prefixes = std::map<net::Cidr, policy::IdentityId>;

  // All three outlive the trie.
  PrefixTrie(Tables& tables, const Surroundings& around, IdentityUses& uses);

  // Keeps what is reachable in `half`, makes the other half the same, frees the rest.
  void Adopt(uint32_t half);

  // Writes `prefixes` into half `next`. `dirty`: those that may differ from the half in force;
  // nullptr: all, as after a time when something was left out. Where nodes run out, addresses below
  // them have no identity, and are allowed what anybody is: always less.
  void Prepare(const Prefixes& prefixes, const std::set<net::Cidr>* dirty, uint32_t next);
  // Prepare() wrote something that differs from the half in force.
  bool changed() const { return roots_[0] != old_roots_[0] || roots_[1] != old_roots_[1]; }
  // Takes Prepare() back; nothing of it was in force.
  void Undo();
  // After the flip and a grace period: frees what the former half used.
  void Settle();

  size_t used() const { return used_; }
  // Nodes of the last Prepare() that found no place.
  size_t left_out() const { return left_out_; }
  size_t capacity() const { return nodes_.size(); }

 private:
  class Builder;
  friend class Builder;

  // The slot for a node with these 16 slots: itself an identity where they are all the same one;
  // nobody's when the table is full. `depth`: steps below the root, of `steps` at most.
  uint32_t Intern(const sp_trie_node& node, int depth, int steps);
  // Of a slot: whatever it leads to is counted for as long as it is referred to.
  void Ref(uint32_t slot);
  void Unref(uint32_t slot);
  void RefRoot(uint32_t slot);
  void UnrefRoot(uint32_t slot);
  void CountIdentities(const sp_trie_node& node, int64_t by);
  void AdoptNode(uint32_t slot, int depth);
  void FreeLimbo();

  std::span<sp_trie_node> nodes_;
  sp_control* control_;
  const Surroundings& around_;
  IdentityUses& uses_;
  ContentIndex index_;
  std::vector<uint32_t> refs_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> limbo_;  // had no references at some time since the last FreeLimbo()
  std::vector<bool> present_;    // holds a content, is in index_
  size_t used_ = 0;
  size_t left_out_ = 0;
  size_t above_ = 0;  // nodes on the way to the one that is being built: each may need a place
  uint32_t next_half_ = 0;
  uint32_t roots_[2] = {};      // in force, or prepared: IPv4, IPv6
  uint32_t old_roots_[2] = {};  // what Undo() returns to; settled: the same
};

}  // namespace sallyport::dataplane
