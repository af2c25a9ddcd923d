// SPDX-License-Identifier: Apache-2.0
// The table "rules": policy sets in the kernel's numbers.
//
// Rules have no halves; a set's number never means two things at once. A set of the image keeps its
// number while the change is one that no packet in force can notice: a rule for an identity that no
// address has yet, or has any more. Any other change gives it a new number, under which all its
// rules are written anew.
//
// Most rules allow what their set's any-peer rule does, and more. Where there is no room for one of
// these, or for its ports, it is left out, and its peers are anybody. A set without room for any
// other rule has the number SP_SET_FULL. Small sets are served first. What was left out of a set in
// force is filled in when there is room.
#pragma once

#include <map>
#include <optional>
#include <string>
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
  static sp_rule Make(uint32_t set, uint32_t identity, uint32_t ports) {
    sp_rule out{};
    out.set = set;
    out.identity = identity;
    out.port_set = ports;
    return out;
  }
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

  // Writes the sets of the image that differ; `changes`: nullptr after a time when something was
  // left out. Requires that `uses` knows the change already. On failure (a grace period): call
  // Undo().
  Status Prepare(const policy::Image& image, const policy::Changes* changes);
  bool changed() const { return !added_.empty() || !retired_.empty() || filled_; }
  // Of the last Prepare(): by the table that had no room, how many rules.
  const std::map<std::string, uint64_t>& left_out() const { return left_out_; }
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
  using RuleTable = BucketTable<RuleTraits>;
  static constexpr uint32_t kAnyPeer = 0;
  struct Rule {
    uint32_t identity;  // 0: the any-peer rule
    uint32_t ports;     // the kernel's number of the port set
    friend auto operator<=>(const Rule&, const Rule&) = default;
  };
  using Rules = std::vector<Rule>;  // sorted, an identity once
  // Rules that were left out: what the image in force says.
  using Missing = std::map<policy::IdentityId, policy::PortSetId>;
  struct KernelSet {
    uint32_t number = 0;  // SP_SET_FULL: without rules
    Rules rules;          // as written
    Missing missing = {};
  };
  using Sets = std::unordered_map<policy::SetId, KernelSet>;
  // What Undo() puts back: a whole set (its absence, with number 0), what it misses, or one rule.
  struct Former {
    policy::SetId id;
    enum { kWhole, kMissing, kRule } what;
    KernelSet set;
    Rule rule;
    bool existed;  // the rule
  };
  struct Encoded {
    bool fits = true;  // but for what is missing
    Rules rules;
    Missing missing;
  };
  // One rule's difference: absent before or after where the pointer is null.
  struct Difference {
    const Rule* before;
    const Rule* after;
  };

  void PrepareAll(const policy::Image& image);
  void PrepareChanges(const policy::Image& image, const policy::Changes& changes);
  void PrepareSets(const policy::Image& image, std::vector<policy::SetId> ids);
  void PrepareSet(const policy::Image& image, policy::SetId id);
  void PrepareRules(const policy::Image& image, policy::SetId id,
                    const std::vector<policy::IdentityId>& identities);
  void DropPorts(policy::PortSetId id);
  std::optional<uint32_t> Ports(const policy::Image& image, policy::PortSetId id);
  // Ports() for a rule that is left out if there are none.
  std::optional<uint32_t> RulePorts(const policy::Image& image, policy::PortSetId id);
  Encoded Encode(const policy::Image& image, const policy::PolicySet& set);

  // Its peers are allowed less without it.
  static bool Widens(const policy::Image& image, const policy::PolicySet& set,
                     policy::PortSetId rule);
  static bool IsMissing(const policy::PolicySet& wanted, const KernelSet& set, uint32_t identity);
  bool CanEdit(const policy::PolicySet& wanted, const KernelSet& set,
               const std::vector<Difference>& differences) const;
  void Edit(const policy::PolicySet& wanted, policy::SetId id,
            const std::vector<Difference>& differences);
  void SetMissing(policy::SetId id, Missing missing);
  void Replace(policy::SetId id, Encoded encoded);
  void LeaveOut(policy::SetId id);
  Status Place(const policy::Image& image);
  void Forgo(const policy::Image& image, const std::vector<sp_rule>& without);
  void KeepFills();
  std::unordered_map<uint32_t, policy::SetId> ByNumber() const;
  bool ReuseAdopted(policy::SetId id, const Rules& rules);
  void Drop(policy::SetId id);
  void Add(uint32_t set, const Rule& rule);
  void Retire(const KernelSet& set);
  uint32_t NewNumber();

  RuleTable table_;
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
  std::vector<RuleTable::Wish> wishes_;  // `added_`, and rules that sets in force miss
  bool filled_ = false;                  // of the latter some were written, for no generation yet
  std::map<std::string, uint64_t> left_out_;
  std::unordered_map<policy::PortSetId, const char*> unfit_ports_;
  std::vector<policy::PortSetId> fresh_ports_;
  std::vector<std::pair<policy::PortSetId, uint32_t>> dropped_ports_;
  std::vector<KernelSet> reused_;
};

}  // namespace sallyport::dataplane
