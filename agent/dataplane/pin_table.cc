// SPDX-License-Identifier: Apache-2.0
#include "dataplane/pin_table.h"

#include <algorithm>

#include "egress/pin_plan.h"

namespace sallyport::dataplane {
namespace {

constexpr uint32_t kSlots = 16;
constexpr int kFirstNibbleV4 = 24;  // those of ::ffff:0:0/96 are not walked

uint32_t NibbleAt(const net::Address& address, int at) {
  uint8_t byte = address.bytes()[static_cast<size_t>(at / 2)];
  return at % 2 == 0 ? byte >> 4 : byte & 15;
}

}  // namespace

PinTable::PinTable(Tables& tables, const Surroundings& around)
    : sets_(tables.pin_sets),
      nodes_(tables.pin_prefixes),
      endpoints_(tables.endpoints),
      around_(around),
      set_used_(tables.pin_sets.size()),
      node_used_(tables.pin_prefixes.size()) {}

void PinTable::Reach(uint32_t slot, Content* out) {
  uint32_t node = slot & ~SP_TRIE_NODE;
  if (!(slot & SP_TRIE_NODE) || node >= nodes_.size() || node_used_[node]) return;
  node_used_[node] = true;
  ++used_nodes_;
  out->nodes.push_back(node);
  for (uint32_t below : nodes_[node].slot) Reach(below, out);
}

void PinTable::Adopt(uint32_t half) {
  for (const sp_endpoint& e : endpoints_) {
    uint32_t number = e.ifindex ? e.flags[half] >> SP_ENDPOINT_PINS_SHIFT : 0;
    if (number == 0 || number >= sets_.size() || set_used_[number]) continue;
    set_used_[number] = true;
    Content content{number, {}};
    for (uint32_t root : sets_[number].trie) Reach(root, &content);
    adopted_.push_back(std::move(content));
  }
}

// An egress IP that has no number is one that nothing can be sent with.
uint32_t PinTable::ValueOf(const egress::Target& target) const {
  switch (target.kind) {
    case egress::Target::Kind::kNotPinned:
      return 0;
    case egress::Target::Kind::kPinned:
      return around_.egress_number(target.egress_ip);
    case egress::Target::Kind::kDrop:
      break;
  }
  return SP_PIN_NOWHERE;
}

// A node whose slots all say the same.
bool PinTable::TakeNode(uint32_t fill, Content* out) {
  for (size_t tried = 1; tried < nodes_.size(); ++tried) {
    if (next_node_ == 0 || next_node_ >= nodes_.size()) next_node_ = 1;
    uint32_t node = next_node_++;
    if (node_used_[node]) continue;
    node_used_[node] = true;
    ++used_nodes_;
    out->nodes.push_back(node);
    for (uint32_t& slot : nodes_[node].slot) around_.pen.Update(slot, fill);
    return true;
  }
  return false;
}

// Requires that prefixes come before those inside them.
bool PinTable::Insert(uint32_t* slot, const net::Cidr& cidr, int depth, uint32_t value,
                      Content* out) {
  int left = cidr.mapped_length() - depth * 4;
  if (left <= 0) {
    around_.pen.Update(*slot, value);
    return true;
  }
  if (!(*slot & SP_TRIE_NODE)) {
    if (!TakeNode(*slot, out)) return false;
    around_.pen.Update(*slot, SP_TRIE_NODE | out->nodes.back());
  }
  sp_trie_node& node = nodes_[*slot & ~SP_TRIE_NODE];
  uint32_t first = NibbleAt(cidr.address(), depth);
  uint32_t count = left >= 4 ? 1 : 1u << (4 - left);
  for (uint32_t i = first; i < std::min(first + count, kSlots); ++i)
    if (!Insert(&node.slot[i], cidr, depth + 1, value, out)) return false;
  return true;
}

bool PinTable::Write(const egress::PinSet& pins, Content* out) {
  auto free = std::find(set_used_.begin() + (set_used_.empty() ? 0 : 1), set_used_.end(), false);
  if (free == set_used_.end()) return false;
  out->number = static_cast<uint32_t>(free - set_used_.begin());
  *free = true;
  sp_pin_set& set = sets_[out->number];
  for (uint32_t& root : set.trie) around_.pen.Update(root, 0);
  for (const auto& [cidr, target] : pins) {
    bool v4 = cidr.IsV4();
    if (Insert(&set.trie[v4 ? 0 : 1], cidr, v4 ? kFirstNibbleV4 : 0, ValueOf(target), out))
      continue;
    Free(*out);
    return false;
  }
  return true;
}

void PinTable::Free(const Content& content) {
  for (uint32_t node : content.nodes) node_used_[node] = false;
  used_nodes_ -= content.nodes.size();
  set_used_[content.number] = false;
}

void PinTable::Prepare(const Bindings& bindings) {
  wanted_.clear();
  created_.clear();
  std::set<PinsPtr, ByContent> without;
  for (const auto& [name, binding] : bindings) {
    if (!binding.pins || binding.pins->empty() || !wanted_.insert(binding.pins).second) continue;
    if (contents_.contains(binding.pins)) continue;
    Content content{};
    if (!Write(*binding.pins, &content)) {
      without.insert(binding.pins);
      continue;
    }
    contents_.emplace(binding.pins, std::move(content));
    created_.insert(binding.pins);
  }
  left_out_ = without.size();
}

uint32_t PinTable::Number(const Binding& binding) const {
  if (!binding.pins || binding.pins->empty()) return 0;
  auto it = contents_.find(binding.pins);
  return it == contents_.end() ? SP_PIN_SET_FULL : it->second.number;
}

void PinTable::Undo() {
  for (const PinsPtr& pins : created_) {
    auto it = contents_.find(pins);
    Free(it->second);
    contents_.erase(it);
  }
  created_.clear();
}

void PinTable::Commit() {
  created_.clear();
  in_force_ = std::move(wanted_);
  wanted_.clear();
}

void PinTable::Settle() {
  std::set<net::Address> egress_ips;
  for (const PinsPtr& pins : in_force_)
    for (const auto& [cidr, target] : *pins)
      if (target.kind == egress::Target::Kind::kPinned) egress_ips.insert(target.egress_ip);
  for (const Content& content : adopted_) Free(content);
  adopted_.clear();
  for (auto it = contents_.begin(); it != contents_.end();) {
    bool keep = in_force_.contains(it->first);
    if (!keep) Free(it->second);
    it = keep ? std::next(it) : contents_.erase(it);
  }
  around_.keep_egress_numbers(egress_ips);
}

}  // namespace sallyport::dataplane
