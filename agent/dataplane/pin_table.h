// SPDX-License-Identifier: Apache-2.0
// The tables "pin_sets" and "pin_prefixes": what endpoints are pinned to, by destination.
//
// A set is immutable and interned by content; an endpoint's flags name it, so it comes into force
// with the generation. What nothing refers to any more goes when the former half is at rest. A set
// for which there is no room is SP_PIN_SET_FULL: all but the cluster is dropped.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "dataplane/dataplane.h"
#include "dataplane/tables.h"

namespace sallyport::dataplane {

class PinTable {
 public:
  // Both outlive the table.
  PinTable(Tables& tables, const Surroundings& around);

  // Keeps what endpoints refer to in `half`.
  void Adopt(uint32_t half);
  // Makes sets of those of the bindings that have none.
  void Prepare(const Bindings& bindings);
  // The set's number; 0 without one. Requires that Prepare() was told of it.
  uint32_t Number(const Binding& binding) const;
  void Undo();
  // What Prepare() was told is in force.
  void Commit();
  // After the flip and a grace period: what is not in force any more is free.
  void Settle();

  // Sets of the last Prepare() that found no place.
  size_t left_out() const { return left_out_; }
  size_t used() const { return used_nodes_; }
  size_t capacity() const { return nodes_.empty() ? 0 : nodes_.size() - 1; }
  size_t sets() const { return contents_.size() + adopted_.size(); }
  size_t most_sets() const { return sets_.empty() ? 0 : sets_.size() - 1; }

 private:
  struct Content {
    uint32_t number;
    std::vector<uint32_t> nodes;
  };
  using PinsPtr = std::shared_ptr<const egress::PinSet>;
  struct ByContent {
    bool operator()(const PinsPtr& a, const PinsPtr& b) const { return a != b && *a < *b; }
  };
  using Contents = std::map<PinsPtr, Content, ByContent>;

  bool Write(const egress::PinSet& pins, Content* out);
  bool Insert(uint32_t* slot, const net::Cidr& cidr, int depth, uint32_t value, Content* out);
  uint32_t ValueOf(const egress::Target& target) const;
  void Reach(uint32_t slot, Content* out);
  void Free(const Content& content);
  bool TakeNode(uint32_t fill, Content* out);

  std::span<sp_pin_set> sets_;
  std::span<sp_trie_node> nodes_;
  std::span<sp_endpoint> endpoints_;
  const Surroundings& around_;
  Contents contents_;             // of this process
  std::vector<Content> adopted_;  // of an earlier one
  std::set<PinsPtr, ByContent> wanted_, in_force_;
  std::set<PinsPtr, ByContent> created_;  // by the last Prepare()
  std::vector<bool> set_used_, node_used_;
  uint32_t next_node_ = 1;
  size_t used_nodes_ = 0;
  size_t left_out_ = 0;
};

}  // namespace sallyport::dataplane
