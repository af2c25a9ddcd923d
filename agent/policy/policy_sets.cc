// SPDX-License-Identifier: Apache-2.0
#include "policy/policy_sets.h"

#include "policy/hash.h"

namespace sallyport::policy {
namespace {

void EraseFrom(std::unordered_map<uint32_t, Numbers>& index, uint32_t key, SetId id) {
  auto it = index.find(key);
  Erase(it->second, id);
  if (it->second.empty()) index.erase(it);
}

void AppendFrom(const std::unordered_map<uint32_t, Numbers>& index, uint32_t key, Numbers& out) {
  auto it = index.find(key);
  if (it != index.end()) out.insert(out.end(), it->second.begin(), it->second.end());
}

const Term* TermOf(const Terms& terms, GroupId group) {
  auto it = std::lower_bound(terms.begin(), terms.end(), Term{group, 0});
  return it != terms.end() && it->group == group ? &*it : nullptr;
}

}  // namespace

size_t PolicySets::TermsHash::operator()(const Terms& terms) const {
  return HashItems(terms,
                   [](const Term& t) { return static_cast<uint64_t>(t.group) << 32 | t.spec; });
}

Terms PolicySets::Normalised(Terms terms) {
  std::sort(terms.begin(), terms.end());
  terms.erase(std::unique(terms.begin(), terms.end()), terms.end());
  Terms out;
  for (auto first = terms.cbegin(); first != terms.cend();) {
    auto last = first + 1;
    while (last != terms.cend() && last->group == first->group) ++last;
    SpecId spec = first->spec;
    if (last - first == 1) {
      specs_.Retain(spec);
    } else {
      std::vector<const PortSpec*> specs;
      for (auto it = first; it != last; ++it) specs.push_back(&specs_.spec(it->spec));
      spec = specs_.Acquire(Union(specs));
    }
    bool covered = !out.empty() && out.front().group == kAnyPeer &&
                   Covers(specs_.spec(out.front().spec), specs_.spec(spec));
    if (covered) {
      specs_.Release(spec);
    } else {
      out.push_back({first->group, spec});
    }
    first = last;
  }
  return out;
}

SetId PolicySets::Acquire(Terms terms) {
  Terms content = Normalised(std::move(terms));
  auto [id, fresh] = sets_.Acquire(content);
  if (fresh) {
    List(id, content);
    fresh_.push_back(id);
  } else {
    for (const Term& term : content) specs_.Release(term.spec);  // the set holds them already
  }
  return id;
}

void PolicySets::List(SetId id, const Terms& terms) {
  for (const Term& term : terms) {
    if (term.group != kAnyPeer) {
      Insert(by_group_[term.group], id);
      continue;
    }
    for (NamedPortId name : specs_.spec(term.spec).names) Insert(by_any_name_[name], id);
  }
}

void PolicySets::Unlist(SetId id, const Terms& terms) {
  for (const Term& term : terms) {
    if (term.group != kAnyPeer) {
      EraseFrom(by_group_, term.group, id);
      continue;
    }
    for (NamedPortId name : specs_.spec(term.spec).names) EraseFrom(by_any_name_, name, id);
  }
}

Numbers PolicySets::SetsFor(const Signature& signature) const {
  Numbers out;
  for (GroupId group : signature.groups) AppendFrom(by_group_, group, out);
  for (const auto& [name, number] : signature.ports) AppendFrom(by_any_name_, name, out);
  SortUnique(out);
  return out;
}

Numbers PolicySets::IdentitiesFor(const Terms& terms) const {
  Numbers out;
  auto append = [&out](const Numbers& some) { out.insert(out.end(), some.begin(), some.end()); };
  for (const Term& term : terms) {
    if (term.group != kAnyPeer) {
      append(identities_.WithGroup(term.group));
      continue;
    }
    for (NamedPortId name : specs_.spec(term.spec).names) append(identities_.WithPort(name));
  }
  SortUnique(out);
  return out;
}

PortSpec PolicySets::SpecFor(const Terms& terms, const Signature& signature) const {
  std::vector<const PortSpec*> specs;
  if (const Term* any = TermOf(terms, kAnyPeer)) specs.push_back(&specs_.spec(any->spec));
  for (GroupId group : signature.groups) {
    if (const Term* term = TermOf(terms, group)) specs.push_back(&specs_.spec(term->spec));
  }
  PortSpec out = Union(specs);
  return out.names.empty() ? out : Resolved(out, signature.ports, specs_.names());
}

void PolicySets::DropRules(IdentityId identity, const Signature& signature, Changes& changes) {
  for (SetId id : SetsFor(signature)) {
    auto set = image_.sets.find(id);
    if (set == image_.sets.end()) continue;  // new in this change
    auto& rules = set->second.rules;
    auto rule = rules.find(identity);
    if (rule == rules.end()) continue;
    ReleasePorts(rule->second);
    rules.erase(rule);
    changes.rules.emplace(id, identity);
  }
}

void PolicySets::DropSet(SetId id, Changes& changes) {
  auto it = image_.sets.find(id);
  if (it == image_.sets.end()) return;  // came and went within one change
  ReleasePorts(it->second.any);
  for (const auto& [identity, ports] : it->second.rules) ReleasePorts(ports);
  image_.sets.erase(it);
  changes.sets.insert(id);
}

void PolicySets::AddSet(SetId id, Changes& changes) {
  const Terms& terms = sets_.key(id);
  PolicySet& set = image_.sets[id];
  set.any = AcquirePorts(SpecFor(terms, Signature{}));
  for (IdentityId identity : IdentitiesFor(terms)) {
    PortSetId ports = AcquirePorts(SpecFor(terms, identities_.signature(identity)));
    if (ports == set.any) {
      ReleasePorts(ports);
    } else {
      set.rules.emplace_hint(set.rules.end(), identity, ports);
    }
  }
  changes.sets.insert(id);
}

void PolicySets::AddRules(IdentityId identity, const Numbers& except_sets, Changes& changes) {
  const Signature& signature = identities_.signature(identity);
  for (SetId id : SetsFor(signature)) {
    if (Has(except_sets, id)) continue;
    PolicySet& set = image_.sets.at(id);
    PortSetId ports = AcquirePorts(SpecFor(sets_.key(id), signature));
    if (ports == set.any) {
      ReleasePorts(ports);
      continue;
    }
    set.rules.emplace(identity, ports);
    changes.rules.emplace(id, identity);
  }
}

void PolicySets::Settle(Changes& changes) {
  sets_.Sweep([&](SetId id, const Terms& terms, NoData&) {
    DropSet(id, changes);
    Unlist(id, terms);
    for (const Term& term : terms) specs_.Release(term.spec);
  });
  identities_.Sweep(
      [&](IdentityId id, const Signature& signature) { DropRules(id, signature, changes); });
  Numbers fresh;
  for (SetId id : fresh_) {
    if (sets_.Contains(id)) fresh.push_back(id);
  }
  fresh_.clear();
  for (SetId id : fresh) AddSet(id, changes);
  for (IdentityId identity : identities_.TakeFresh()) AddRules(identity, fresh, changes);
  SettlePorts(changes);
}

PortSetId PolicySets::AcquirePorts(const PortSpec& spec) {
  if (spec.everything) return kAllPorts;
  if (spec.numbers == PortSet{}) return kNoPorts;
  auto [id, fresh] = ports_.interner.Acquire(spec.numbers);
  if (fresh) ports_.fresh.push_back(id);
  return id;
}

void PolicySets::ReleasePorts(PortSetId id) {
  if (id > kAllPorts) ports_.interner.Release(id);
}

void PolicySets::SettlePorts(Changes& changes) {
  ports_.interner.Sweep([&](PortSetId id, const PortSet&, NoData&) {
    if (image_.port_sets.erase(id) > 0) changes.port_sets.insert(id);
  });
  for (PortSetId id : ports_.fresh) {
    if (!ports_.interner.Contains(id)) continue;
    image_.port_sets.emplace(id, ports_.interner.key(id));
    changes.port_sets.insert(id);
  }
  ports_.fresh.clear();
}

}  // namespace sallyport::policy
