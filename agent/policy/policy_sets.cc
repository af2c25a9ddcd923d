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

size_t PolicySets::ContentHash::operator()(const Content& content) const {
  uint64_t terms = HashItems(
      content.terms, [](const Term& t) { return static_cast<uint64_t>(t.group) << 32 | t.spec; });
  return Mix(terms, content.node_ports ? 1 : 0);
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

SetId PolicySets::Acquire(Terms terms, Direction direction) {
  Content content{Normalised(std::move(terms))};
  content.node_ports = direction == Direction::kEgress && TellsNodePortsApart(content.terms);
  auto [id, fresh] = sets_.Acquire(content);
  if (fresh) {
    List(id, content);
    fresh_.push_back(id);
  } else {
    for (const Term& term : content.terms) specs_.Release(term.spec);  // the set holds them
  }
  return id;
}

// A set that allows nothing, or everything to everybody, says the same of every NodePort.
bool PolicySets::TellsNodePortsApart(const Terms& terms) const {
  if (terms.empty()) return false;
  const Term& first = terms.front();
  return first.group != kAnyPeer || !specs_.spec(first.spec).everything;
}

bool PolicySets::TellNodePortsApart() const {
  return std::any_of(by_node_port_.begin(), by_node_port_.end(),
                     [this](SetId id) { return sets_.references(id) > 0; });
}

void PolicySets::List(SetId id, const Content& content) {
  if (content.node_ports) Insert(by_node_port_, id);
  for (const Term& term : content.terms) {
    if (term.group != kAnyPeer) {
      Insert(by_group_[term.group], id);
      continue;
    }
    for (NamedPortId name : specs_.spec(term.spec).names) Insert(by_any_name_[name], id);
  }
}

void PolicySets::Unlist(SetId id, const Content& content) {
  Erase(by_node_port_, id);
  for (const Term& term : content.terms) {
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
  if (signature.node_ports != kNoNodePorts) {
    out.insert(out.end(), by_node_port_.begin(), by_node_port_.end());
  }
  SortUnique(out);
  return out;
}

Numbers PolicySets::IdentitiesFor(SetId id) const {
  Numbers out;
  auto append = [&out](const Numbers& some) { out.insert(out.end(), some.begin(), some.end()); };
  const Content& content = sets_.key(id);
  if (content.node_ports) append(identities_.WithNodePorts());
  for (const Term& term : content.terms) {
    if (term.group != kAnyPeer) {
      append(identities_.WithGroup(term.group));
      continue;
    }
    for (NamedPortId name : specs_.spec(term.spec).names) append(identities_.WithPort(name));
  }
  SortUnique(out);
  return out;
}

PortSpec PolicySets::SpecFor(SetId id, const Signature& signature) {
  const Content& content = sets_.key(id);
  PortSpec out = SpecByAddress(content.terms, signature);
  if (signature.node_ports == kNoNodePorts || !content.node_ports) return out;
  const Through& through = ThroughNodePorts(id, signature.node_ports);
  if (out.everything) {
    if (through.denied == PortSet{}) return out;
    out.everything = false;  // what has no port is in it only together with every port
    out.numbers = EveryPort();
  }
  out.numbers = Union(Without(out.numbers, through.denied), through.allowed);
  return out;
}

const PolicySets::Through& PolicySets::ThroughNodePorts(SetId id, NodePortsId table) {
  auto [it, fresh] = through_.try_emplace({id, table});
  if (!fresh) return it->second;
  std::unordered_map<uint32_t, PortSpec> specs;  // by backend's signature
  auto allows = [&](net::Protocol protocol, const Backing::Need& need) {
    auto [spec, unknown] = specs.try_emplace(need.signature);
    if (unknown) {
      spec->second = SpecByAddress(sets_.key(id).terms, node_ports_.signature(need.signature));
    }
    return spec->second.everything || spec->second.numbers.Allows(protocol, need.port);
  };
  const NodePortTable& ports = node_ports_.table(table);
  std::vector<bool> allowed;
  for (const Backing& backing : ports.backings) {
    allowed.push_back(!backing.nowhere && std::all_of(backing.needs.begin(), backing.needs.end(),
                                                      [&](const auto& need) {
                                                        return allows(backing.protocol, need);
                                                      }));
  }
  for (const auto& [key, backing] : ports.ports) {
    Append(allowed[backing] ? it->second.allowed : it->second.denied, key.first, key.second);
  }
  return it->second;
}

PortSpec PolicySets::SpecByAddress(const Terms& terms, const Signature& signature) const {
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
  PolicySet& set = image_.sets[id];
  set.any = AcquirePorts(SpecFor(id, Signature{}));
  for (IdentityId identity : IdentitiesFor(id)) {
    PortSetId ports = AcquirePorts(SpecFor(id, identities_.signature(identity)));
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
    PortSetId ports = AcquirePorts(SpecFor(id, signature));
    if (ports == set.any) {
      ReleasePorts(ports);
      continue;
    }
    set.rules.emplace(identity, ports);
    changes.rules.emplace(id, identity);
  }
}

void PolicySets::Settle(Changes& changes) {
  sets_.Sweep([&](SetId id, const Content& content, NoData&) {
    DropSet(id, changes);
    Unlist(id, content);
    for (const Term& term : content.terms) specs_.Release(term.spec);
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
  through_.clear();
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
