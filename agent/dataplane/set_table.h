// SPDX-License-Identifier: Apache-2.0
// The table "rules": policy sets in the kernel's numbers.
//
// Rules have no halves; a set's number never means two things at once. A set of the image keeps its
// number while the change is one that no packet in force can notice: a rule for an identity that no
// address has yet, or has any more. Any other change gives it a new number, under which all its
// rules are written anew.
#pragma once

#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "dataplane/buckets.h"
#include "dataplane/identity_uses.h"
#include "dataplane/port_tables.h"
#include "dataplane/tables.h"
#include "policy/image.h"

namespace sallyport::dataplane {

struct RuleTraits {
  using Entry = sp_rule;
  using Bucket = sp_rule_bucket;
  static constexpr uint32_t kWays = SP_RULE_WAYS;
  static constexpr const char* kName = "rules";
  static sp_rule* Places(Bucket& bucket) { return bucket.rule; }
  static const sp_rule* Places(const Bucket& bucket) { return bucket.rule; }
  static uint32_t Hash(uint32_t seed, const sp_rule& rule) {
    return sp_hash_rule(seed, rule.set, rule.identity);
  }
  static bool SameKey(const sp_rule& a, const sp_rule& b) { return a.key == b.key; }
  // The key last, in one store: a reader sees all of it or nothing.
  static void Write(const Pen& pen, sp_rule& place, const sp_rule& rule) {
    pen.Update(place.port_set, rule.port_set);
    pen.Update(place.key, rule.key);
  }
  static void Copy(const Pen& pen, sp_rule& to, const sp_rule& from) { Write(pen, to, from); }
  static void Clear(const Pen& pen, sp_rule& place) { pen.Update(place.key, 0); }
};

class SetTable {
 public:
  // All three outlive the table.
  SetTable(Tables& tables, const Surroundings& around, const IdentityUses& uses);

  // Keeps the rules of the sets that endpoints in force refer to.
  void Adopt(const std::vector<uint32_t>& in_force);

  // Writes the sets of the image that differ. Requires that `uses` knows the change already. On
  // failure: call Undo().
  Status Prepare(const policy::Image& image, const policy::Changes* changes);
  bool changed() const { return !added_.empty() || !retired_.empty(); }
  // The kernel's number of a set of the image, prepared or in force.
  uint32_t Number(policy::SetId set) const;
  void Undo();
  void Commit();
  // After the flip and a grace period.
  void Settle();

  size_t used() const { return table_.used(); }
  size_t capacity() const { return table_.capacity(); }
  const PortTables& ports() const { return ports_; }

 private:
  struct Rule {
    uint32_t identity;  // 0: the any-peer rule
    uint32_t ports;     // the kernel's number of the port set
    friend auto operator<=>(const Rule&, const Rule&) = default;
  };
  using Rules = std::vector<Rule>;  // sorted, an identity once
  struct KernelSet {
    uint32_t number = 0;
    Rules rules;
  };
  using Sets = std::unordered_map<policy::SetId, KernelSet>;
  // What Undo() puts back: a whole set (its absence, with number 0), or one rule of it.
  struct Former {
    policy::SetId id;
    bool whole;
    KernelSet set;
    Rule rule;
    bool existed;  // the rule
  };
  // One rule's difference: absent before or after where the pointer is null.
  struct Difference {
    const Rule* before;
    const Rule* after;
  };

  Status PrepareAll(const policy::Image& image);
  Status PrepareChanges(const policy::Image& image, const policy::Changes& changes);
  Status PrepareSet(const policy::Image& image, policy::SetId id);
  Status PrepareRules(const policy::Image& image, policy::SetId id,
                      const std::vector<policy::IdentityId>& identities);
  void DropPorts(policy::PortSetId id);
  Result<uint32_t> Ports(const policy::Image& image, policy::PortSetId id);
  Result<Rules> Encode(const policy::Image& image, const policy::PolicySet& set);

  bool CanEdit(const std::vector<Difference>& differences) const;
  void Edit(policy::SetId id, const std::vector<Difference>& differences);
  void Replace(policy::SetId id, Rules rules);
  bool ReuseAdopted(policy::SetId id, const Rules& rules);
  void Drop(policy::SetId id);
  void Add(uint32_t set, const Rule& rule);
  void Retire(const KernelSet& set);
  uint32_t NewNumber();

  BucketTable<RuleTraits> table_;
  PortTables ports_;
  const IdentityUses& uses_;
  Sets sets_;
  std::vector<KernelSet> adopted_;  // of an earlier process, until the first image is in force
  std::unordered_map<policy::PortSetId, uint32_t> port_numbers_;  // each counted once
  std::unordered_set<uint32_t> numbers_;                          // of sets, taken
  uint32_t last_number_ = 0;

  // Of the change being prepared, and not settled.
  std::vector<sp_rule> added_;
  std::vector<sp_rule> retired_;
  std::vector<Former> former_;
  std::vector<policy::PortSetId> fresh_ports_;
  std::vector<std::pair<policy::PortSetId, uint32_t>> dropped_ports_;
  std::vector<KernelSet> reused_;
};

}  // namespace sallyport::dataplane
