// SPDX-License-Identifier: Apache-2.0
// The part of SetTable that deals with a lack of room.
#include <algorithm>

#include "dataplane/set_table.h"

namespace sallyport::dataplane {
namespace {

// Both sorted, disjoint, not adjacent.
bool Includes(const std::vector<net::PortRange>& outer, const std::vector<net::PortRange>& inner) {
  return std::all_of(inner.begin(), inner.end(), [&](const net::PortRange& in) {
    return std::any_of(outer.begin(), outer.end(), [&](const net::PortRange& out) {
      return out.first <= in.first && in.last <= out.last;
    });
  });
}

}  // namespace

bool SetTable::Widens(const policy::Image& image, const policy::PolicySet& set,
                      policy::PortSetId rule) {
  if (set.any == policy::kNoPorts || rule == policy::kAllPorts) return true;
  if (set.any == policy::kAllPorts || rule == policy::kNoPorts) return false;
  const policy::PortSet& any = image.port_sets.at(set.any);
  const policy::PortSet& own = image.port_sets.at(rule);
  return Includes(own.tcp, any.tcp) && Includes(own.udp, any.udp) && Includes(own.sctp, any.sctp);
}

// Nothing of the set is written.
void SetTable::LeaveOut(policy::SetId id) {
  Drop(id);
  sets_[id].number = SP_SET_FULL;
}

std::unordered_map<uint32_t, policy::SetId> SetTable::ByNumber() const {
  std::unordered_map<uint32_t, policy::SetId> out;
  for (const auto& [id, set] : sets_) out[set.number] = id;
  return out;
}

// Any-peer rules first: without one a set denies everything.
Status SetTable::Place(const policy::Image& image) {
  auto place = [&](bool any_peer, size_t limit) -> Status {
    std::vector<RuleTable::Wish> wishes;
    for (const RuleTable::Wish& wish : wishes_)
      if ((wish.entry.identity == kAnyPeer) == any_peer) wishes.push_back(wish);
    Result<std::vector<sp_rule>> without = table_.Place(wishes, limit);
    KeepFills();
    if (!without) return std::move(without).error();
    Forgo(image, *without);
    return Ok();
  };
  Status status = place(true, table_.capacity());
  if (status.ok()) status = place(false, table_.most());
  for (const RuleTable::Wish& wish : wishes_)
    if (wish.in_force) ports_.Unref(wish.entry.port_set);  // not reached
  wishes_.clear();
  return status;
}

// What found no place.
void SetTable::Forgo(const policy::Image& image, const std::vector<sp_rule>& without) {
  if (without.empty()) return;
  const auto ids = ByNumber();
  std::unordered_set<uint64_t> keys;
  std::unordered_map<policy::SetId, Missing> missing;
  std::unordered_set<policy::SetId> full;
  for (const sp_rule& rule : without) {
    keys.insert(rule.key);
    policy::SetId id = ids.at(rule.set);
    Missing& of_set = missing.try_emplace(id, sets_.at(id).missing).first->second;
    const policy::PolicySet& wanted = image.sets.at(id);
    auto content = wanted.rules.find(rule.identity);  // none: the any-peer rule
    if (content != wanted.rules.end()) of_set.insert(*content);
    if (content == wanted.rules.end() || !Widens(image, wanted, content->second)) full.insert(id);
    if (rule.identity == kAnyPeer) numbers_.erase(rule.set);
  }
  auto is_without = [&](const sp_rule& rule) { return keys.contains(rule.key); };
  for (auto& [id, rules] : missing) {
    std::erase_if(sets_.at(id).rules, [&, number = sets_.at(id).number](const Rule& rule) {
      return keys.contains(sp_rule_key(number, rule.identity));
    });
    SetMissing(id, std::move(rules));
  }
  // The others of a set that is full were not placed yet, or are taken away again.
  std::unordered_set<uint32_t> no_more;
  for (policy::SetId id : full) no_more.insert(sets_.at(id).number);
  auto waits = [&](const sp_rule& rule) {
    return no_more.contains(rule.set) && table_.Find(rule) == RuleTable::kNowhere;
  };
  for (policy::SetId id : full) {
    std::erase_if(sets_.at(id).rules, [&, number = sets_.at(id).number](const Rule& rule) {
      return waits(RuleTraits::Make(number, rule.identity, rule.ports));
    });
    LeaveOut(id);
  }
  left_out_["rules"] += static_cast<uint64_t>(std::erase_if(wishes_, [&](const auto& wish) {
    bool gone = is_without(wish.entry) || waits(wish.entry);
    if (gone) ports_.Unref(wish.entry.port_set);
    return gone;
  }));
  std::erase_if(added_, [&](const sp_rule& rule) { return is_without(rule) || waits(rule); });
}

// What was filled in is in force at once, whatever becomes of the change.
void SetTable::KeepFills() {
  auto is_filled = [this](const RuleTable::Wish& wish) {
    return wish.in_force && table_.Find(wish.entry) != RuleTable::kNowhere;
  };
  if (std::none_of(wishes_.begin(), wishes_.end(), is_filled)) return;
  filled_ = true;
  const auto ids = ByNumber();
  std::unordered_set<policy::SetId> sets;
  std::erase_if(wishes_, [&](const RuleTable::Wish& wish) {
    if (!is_filled(wish)) return false;
    policy::SetId id = ids.at(wish.entry.set);
    sets_.at(id).rules.push_back({wish.entry.identity, wish.entry.port_set});
    sets.insert(id);
    return true;
  });
  for (policy::SetId id : sets) std::sort(sets_.at(id).rules.begin(), sets_.at(id).rules.end());
}

}  // namespace sallyport::dataplane
