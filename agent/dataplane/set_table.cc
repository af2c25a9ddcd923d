// SPDX-License-Identifier: Apache-2.0
#include "dataplane/set_table.h"

#include <algorithm>
#include <map>

namespace sallyport::dataplane {
namespace {

// Where `identity` stands in sorted rules, or would.
template <typename Rules>
auto Seek(Rules& rules, uint32_t identity) {
  return std::lower_bound(rules.begin(), rules.end(), identity,
                          [](const auto& rule, uint32_t id) { return rule.identity < id; });
}

template <typename Rules>
auto* FindRule(Rules& rules, uint32_t identity) {
  auto it = Seek(rules, identity);
  return it == rules.end() || it->identity != identity ? nullptr : &*it;
}

// Calls back with (before, after), null where absent, for each identity whose rule differs.
template <typename Rules, typename Visit>
void ForEachDifference(const Rules& before, const Rules& after, const Visit& visit) {
  auto b = before.begin();
  auto a = after.begin();
  while (b != before.end() || a != after.end()) {
    if (a == after.end() || (b != before.end() && b->identity < a->identity)) {
      visit(&*b++, nullptr);
    } else if (b == before.end() || a->identity < b->identity) {
      visit(nullptr, &*a++);
    } else {
      if (*a != *b) visit(&*b, &*a);
      ++a, ++b;
    }
  }
}

}  // namespace

SetTable::SetTable(Tables& tables, const Surroundings& around, const IdentityUses& uses)
    : table_(tables.rules, tables.hash_seed, around), ports_(tables, around), uses_(uses) {}

void SetTable::Adopt(const std::vector<uint32_t>& in_force) {
  numbers_.insert(in_force.begin(), in_force.end());
  numbers_.erase(0);
  numbers_.erase(SP_SET_FULL);
  table_.Adopt([this](const sp_rule& rule) { return numbers_.contains(rule.set); });
  std::map<uint32_t, KernelSet> sets;
  table_.ForEach([&](const sp_rule& rule) {
    ports_.Adopt(rule.port_set);
    sets[rule.set].number = rule.set;
    sets[rule.set].rules.push_back({rule.identity, rule.port_set});
    last_number_ = std::max(last_number_, rule.set);
  });
  ports_.AdoptDone();
  for (auto& [number, set] : sets) {
    std::sort(set.rules.begin(), set.rules.end());
    adopted_.push_back(std::move(set));
  }
}

uint32_t SetTable::NewNumber() {
  do ++last_number_;
  while (last_number_ == 0 || last_number_ == SP_SET_FULL || !numbers_.insert(last_number_).second);
  return last_number_;
}

uint32_t SetTable::Number(policy::SetId set) const {
  if (set == policy::kNoSet) return 0;
  auto it = sets_.find(set);
  CHECK(it != sets_.end()) << "an endpoint of the image refers to set " << set
                           << ", which is not in it";
  return it->second.number;
}

Status SetTable::Prepare(const policy::Image& image, const policy::Changes* changes) {
  left_out_.clear();
  unfit_ports_.clear();
  changes ? PrepareChanges(image, *changes) : PrepareAll(image);
  for (const KernelSet& set : adopted_) Retire(set);
  return Place(image);
}

void SetTable::PrepareAll(const policy::Image& image) {
  std::vector<policy::PortSetId> known;
  for (const auto& [id, number] : port_numbers_) known.push_back(id);
  for (policy::PortSetId id : known) DropPorts(id);
  std::vector<policy::SetId> ids;
  for (const auto& [id, set] : sets_)
    if (!image.sets.contains(id)) ids.push_back(id);
  for (const auto& [id, set] : image.sets) ids.push_back(id);
  PrepareSets(image, std::move(ids));
}

void SetTable::PrepareChanges(const policy::Image& image, const policy::Changes& changes) {
  for (policy::PortSetId id : changes.port_sets) DropPorts(id);
  PrepareSets(image, {changes.sets.begin(), changes.sets.end()});
  for (auto it = changes.rules.begin(); it != changes.rules.end();) {
    policy::SetId id = it->first;
    std::vector<policy::IdentityId> identities;
    for (; it != changes.rules.end() && it->first == id; ++it) identities.push_back(it->second);
    if (!changes.sets.contains(id)) PrepareRules(image, id, identities);
  }
}

// Small ones first: who needs more than there is goes without.
void SetTable::PrepareSets(const policy::Image& image, std::vector<policy::SetId> ids) {
  auto size = [&](policy::SetId id) {
    auto it = image.sets.find(id);
    return it == image.sets.end() ? 0 : it->second.rules.size();
  };
  std::sort(ids.begin(), ids.end(), [&](policy::SetId a, policy::SetId b) {
    return std::pair(size(a), a) < std::pair(size(b), b);
  });
  for (policy::SetId id : ids)
    if (auto it = image.sets.find(id); it != image.sets.end()) (void)Ports(image, it->second.any);
  for (policy::SetId id : ids) PrepareSet(image, id);
}

void SetTable::PrepareSet(const policy::Image& image, policy::SetId id) {
  auto wanted = image.sets.find(id);
  if (wanted == image.sets.end()) {
    Drop(id);
    return;
  }
  auto before = sets_.find(id);
  Encoded after = Encode(image, wanted->second);
  if (!after.fits) {
    LeaveOut(id);
    return;
  }
  if (before == sets_.end() && ReuseAdopted(id, after.rules)) {
    sets_.at(id).missing = std::move(after.missing);
    return;
  }
  if (before == sets_.end() || before->second.number == SP_SET_FULL) {
    Replace(id, std::move(after));
    return;
  }
  std::vector<Difference> differences;
  ForEachDifference(before->second.rules, after.rules, [&](const Rule* b, const Rule* a) {
    differences.push_back({b, a});
  });
  if (!CanEdit(wanted->second, before->second, differences)) {
    Replace(id, std::move(after));
    return;
  }
  Edit(wanted->second, id, differences);
  SetMissing(id, std::move(after.missing));
}

// As PrepareSet(), where only the rules for `identities` can differ.
void SetTable::PrepareRules(const policy::Image& image, policy::SetId id,
                            const std::vector<policy::IdentityId>& identities) {
  auto wanted = image.sets.find(id);
  auto before = sets_.find(id);
  if (wanted == image.sets.end() || before == sets_.end() || !before->second.missing.empty() ||
      before->second.number == SP_SET_FULL) {
    PrepareSet(image, id);
    return;
  }
  Rules after;
  after.reserve(identities.size());  // Difference points into it
  Missing missing;
  bool fits = true;
  std::vector<Difference> differences;
  for (policy::IdentityId identity : identities) {
    const Rule* b = FindRule(before->second.rules, identity);
    const Rule* a = nullptr;
    auto rule = wanted->second.rules.find(identity);
    if (rule != wanted->second.rules.end()) {
      if (auto ports = RulePorts(image, rule->second)) {
        a = &after.emplace_back(Rule{identity, *ports});
      } else {
        missing.insert(*rule);
        fits &= Widens(image, wanted->second, rule->second);
      }
    }
    bool same = a && b ? *a == *b : a == b;
    if (!same) differences.push_back({b, a});
  }
  if (!fits || !CanEdit(wanted->second, before->second, differences)) {
    for (const auto& [identity, ports] : missing) --left_out_[unfit_ports_.at(ports)];
    PrepareSet(image, id);
    return;
  }
  Edit(wanted->second, id, differences);
  SetMissing(id, std::move(missing));
}

void SetTable::DropPorts(policy::PortSetId id) {
  auto it = port_numbers_.find(id);
  if (it == port_numbers_.end()) return;
  dropped_ports_.emplace_back(id, it->second);
  port_numbers_.erase(it);
}

std::optional<uint32_t> SetTable::Ports(const policy::Image& image, policy::PortSetId id) {
  if (id == policy::kNoPorts) return SP_PORTS_NONE;
  if (id == policy::kAllPorts) return SP_PORTS_ALL;
  if (auto it = port_numbers_.find(id); it != port_numbers_.end()) return it->second;
  if (unfit_ports_.contains(id)) return std::nullopt;
  auto content = image.port_sets.find(id);
  CHECK(content != image.port_sets.end())
      << "a rule of the image refers to port set " << id << ", which is not in it";
  PortTables::Interned ports = ports_.Intern(content->second);
  if (ports.full) {
    unfit_ports_[id] = ports.full;
    return std::nullopt;
  }
  port_numbers_[id] = ports.number;
  fresh_ports_.push_back(id);
  return ports.number;
}

std::optional<uint32_t> SetTable::RulePorts(const policy::Image& image, policy::PortSetId id) {
  std::optional<uint32_t> out = Ports(image, id);
  if (!out) ++left_out_[unfit_ports_.at(id)];
  return out;
}

SetTable::Encoded SetTable::Encode(const policy::Image& image, const policy::PolicySet& set) {
  CHECK(!set.rules.contains(policy::kNoIdentity)) << "a rule for peers that have no identity";
  Encoded out;
  std::optional<uint32_t> any = Ports(image, set.any);
  if (!any) {
    left_out_[unfit_ports_.at(set.any)] += set.rules.size() + 1;
    out.fits = false;
    return out;
  }
  out.rules.reserve(set.rules.size() + 1);
  out.rules.push_back({kAnyPeer, *any});
  for (const auto& [identity, id] : set.rules) {
    if (auto ports = RulePorts(image, id)) {
      out.rules.push_back({identity, *ports});
    } else {
      out.missing.emplace(identity, id);
      out.fits &= Widens(image, set, id);
    }
  }
  return out;
}

// The image in force says of this identity what `wanted` says, and there was no room for it.
bool SetTable::IsMissing(const policy::PolicySet& wanted, const KernelSet& set, uint32_t identity) {
  auto missing = set.missing.find(identity);
  auto rule = wanted.rules.find(identity);
  return missing != set.missing.end() && rule != wanted.rules.end() && *missing == *rule;
}

// Nobody whom a packet in force can meet is told something else, before the flip or after it; but
// for what the image in force says as well.
bool SetTable::CanEdit(const policy::PolicySet& wanted, const KernelSet& set,
                       const std::vector<Difference>& differences) const {
  return std::all_of(differences.begin(), differences.end(), [&](const Difference& d) {
    if (d.before && d.after) return false;
    if (!d.after) return !uses_.Next(d.before->identity);
    return !uses_.InForce(d.after->identity) || IsMissing(wanted, set, d.after->identity);
  });
}

void SetTable::Edit(const policy::PolicySet& wanted, policy::SetId id,
                    const std::vector<Difference>& differences) {
  KernelSet& set = sets_.at(id);
  Rules gone, come;  // by value: the pointers do not outlive a change of set.rules
  for (const Difference& d : differences)
    (d.after ? come : gone).push_back(d.after ? *d.after : *d.before);
  for (const Rule& rule : gone) {
    former_.push_back({id, Former::kRule, {}, rule, true});
    retired_.push_back(RuleTraits::Make(set.number, rule.identity, rule.ports));
    set.rules.erase(Seek(set.rules, rule.identity));
  }
  for (const Rule& rule : come) {
    if (uses_.InForce(rule.identity) && IsMissing(wanted, set, rule.identity)) {
      ports_.Ref(rule.ports);
      wishes_.push_back({RuleTraits::Make(set.number, rule.identity, rule.ports), true});
      continue;
    }
    former_.push_back({id, Former::kRule, {}, rule, false});
    Add(set.number, rule);
    set.rules.insert(Seek(set.rules, rule.identity), rule);
  }
}

void SetTable::SetMissing(policy::SetId id, Missing missing) {
  KernelSet& set = sets_.at(id);
  if (set.missing == missing) return;
  former_.push_back({id, Former::kMissing, {0, {}, std::move(set.missing)}, {}, false});
  set.missing = std::move(missing);
}

void SetTable::Replace(policy::SetId id, Encoded encoded) {
  Drop(id);
  KernelSet set{NewNumber(), std::move(encoded.rules), std::move(encoded.missing)};
  for (const Rule& rule : set.rules) Add(set.number, rule);
  sets_[id] = std::move(set);
}

// After a restart on the same policy nothing needs to be written.
bool SetTable::ReuseAdopted(policy::SetId id, const Rules& rules) {
  auto it = std::find_if(adopted_.begin(), adopted_.end(),
                         [&](const KernelSet& set) { return set.rules == rules; });
  if (it == adopted_.end()) return false;
  Drop(id);
  reused_.push_back(*it);
  sets_[id] = std::move(*it);
  adopted_.erase(it);
  return true;
}

// Remembers what was there, absence included.
void SetTable::Drop(policy::SetId id) {
  Former former{id, Former::kWhole, {}, {}, false};
  if (auto it = sets_.find(id); it != sets_.end()) {
    Retire(it->second);
    former.set = std::move(it->second);
    sets_.erase(it);
  }
  former_.push_back(std::move(former));
}

void SetTable::Add(uint32_t set, const Rule& rule) {
  ports_.Ref(rule.ports);
  added_.push_back(RuleTraits::Make(set, rule.identity, rule.ports));
  wishes_.push_back({added_.back()});
}

void SetTable::Retire(const KernelSet& set) {
  for (const Rule& rule : set.rules)
    retired_.push_back(RuleTraits::Make(set.number, rule.identity, rule.ports));
}

void SetTable::Undo() {
  table_.Undo();
  for (const sp_rule& rule : added_) {
    ports_.Unref(rule.port_set);
    if (rule.identity == kAnyPeer) numbers_.erase(rule.set);
  }
  for (auto it = former_.rbegin(); it != former_.rend(); ++it) {
    if (it->what == Former::kWhole) {
      sets_.erase(it->id);
      if (it->set.number != 0) sets_[it->id] = std::move(it->set);
      continue;
    }
    KernelSet& set = sets_.at(it->id);
    if (it->what == Former::kMissing) {
      set.missing = std::move(it->set.missing);
      continue;
    }
    auto at = Seek(set.rules, it->rule.identity);
    if (it->existed) {
      set.rules.insert(at, it->rule);
    } else if (at != set.rules.end() && at->identity == it->rule.identity) {
      set.rules.erase(at);  // else it had found no place
    }
  }
  for (policy::PortSetId id : fresh_ports_) {
    ports_.Unref(port_numbers_.at(id));
    port_numbers_.erase(id);
  }
  for (const auto& [id, number] : dropped_ports_) port_numbers_[id] = number;
  for (KernelSet& set : reused_) adopted_.push_back(std::move(set));
  added_.clear();
  retired_.clear();
  former_.clear();
  fresh_ports_.clear();
  dropped_ports_.clear();
  reused_.clear();
}

void SetTable::Commit() {
  table_.Commit();
  // Rules count their port sets themselves, so what stands in a rule stays.
  for (const auto& [id, number] : dropped_ports_) ports_.Unref(number);
  dropped_ports_.clear();
  adopted_.clear();
  reused_.clear();
  former_.clear();
  added_.clear();
  fresh_ports_.clear();
  filled_ = false;
}

void SetTable::Settle() {
  table_.AfterGrace();
  for (const sp_rule& rule : retired_) {
    table_.Remove(table_.Find(rule));
    ports_.Unref(rule.port_set);
    if (rule.identity == kAnyPeer) numbers_.erase(rule.set);
  }
  retired_.clear();
}

}  // namespace sallyport::dataplane
