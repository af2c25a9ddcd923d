// SPDX-License-Identifier: Apache-2.0
#include "policy/peer_groups.h"

#include "policy/hash.h"

namespace sallyport::policy {
namespace {

// With more leaves than this touched in one change, everyone is looked at.
constexpr size_t kManyLeaves = 4096;

uint64_t HashCidr(const net::Cidr& cidr) {
  return Mix(std::hash<net::Address>{}(cidr.address()), static_cast<uint64_t>(cidr.length()));
}

// Every namespace has its own name as a label: selecting it is naming the namespace.
std::optional<std::string> NamedNamespace(const model::Selector& selector) {
  const std::vector<model::Requirement>& requirements = selector.requirements();
  if (requirements.size() != 1) return std::nullopt;
  const model::Requirement& only = requirements.front();
  bool one_name = only.key == model::kNamespaceNameLabel && only.op == model::Operator::kIn &&
                  only.values.size() == 1;
  return one_name ? std::optional(only.values.front()) : std::nullopt;
}

}  // namespace

Leaf LeafOf(const model::Peer& peer, const std::string& ns) {
  if (const auto* block = std::get_if<model::IpBlock>(&peer)) return *block;
  const auto& selectors = std::get<model::PodPeer>(peer);
  PodLeaf leaf;
  if (!selectors.namespaces) {
    leaf.scope.name = ns;
  } else if (auto name = NamedNamespace(*selectors.namespaces)) {
    leaf.scope.name = *name;
  } else {
    leaf.scope.selector = selectors.namespaces;
  }
  if (selectors.pods) leaf.pods = *selectors.pods;
  return leaf;
}

size_t PeerGroups::ScopeHash::operator()(const Scope& scope) const {
  return Mix(HashText(scope.name), scope.selector ? HashSelector(*scope.selector) : 1);
}

size_t PeerGroups::LeafHash::operator()(const Leaf& leaf) const {
  if (const auto* pods = std::get_if<PodLeaf>(&leaf)) {
    return Mix(ScopeHash{}(pods->scope), HashSelector(pods->pods));
  }
  const auto& block = std::get<model::IpBlock>(leaf);
  return Mix(HashCidr(block.cidr), HashItems(block.except, HashCidr));
}

size_t PeerGroups::GroupHash::operator()(const Numbers& leaves) const {
  return HashNumbers(leaves);
}

GroupId PeerGroups::Acquire(const std::vector<Leaf>& leaves) {
  Numbers ids;
  ids.reserve(leaves.size());
  for (const Leaf& leaf : leaves) ids.push_back(AcquireLeaf(leaf));
  std::sort(ids.begin(), ids.end());
  Numbers key;
  for (uint32_t id : ids) {
    if (key.empty() || key.back() != id) {
      key.push_back(id);
    } else {
      leaves_.Release(id);  // listed twice
    }
  }
  auto [group, fresh] = groups_.Acquire(key);
  for (uint32_t id : key) {
    if (!fresh) {
      leaves_.Release(id);  // the group holds its leaves already
      continue;
    }
    Insert(leaves_.data(id).groups, group);
    if (const auto* block = std::get_if<model::IpBlock>(&leaves_.key(id))) {
      prefixes_.Add(*block, group);
    }
  }
  if (fresh) Touch(group);
  return group;
}

uint32_t PeerGroups::AcquireLeaf(const Leaf& leaf) {
  auto [id, fresh] = leaves_.Acquire(leaf);
  const auto* pods = std::get_if<PodLeaf>(&leaves_.key(id));
  if (!fresh || !pods) return id;
  auto [scope, fresh_scope] = scopes_.Acquire(pods->scope);
  if (fresh_scope) {
    const Scope& key = scopes_.key(scope);
    if (key.selector) scope_index_.Add(scope, *key.selector);
    namespaces_.clear();
  }
  leaves_.data(id).scope = scope;
  scopes_.data(scope).Add(id, pods->pods);
  return id;
}

void PeerGroups::Touch(GroupId group) {
  if (group == kAnyPeer) touched_.everyone = true;
  if (touched_.everyone) return;
  for (uint32_t leaf : groups_.key(group)) TouchLeaf(leaves_.key(leaf));
}

void PeerGroups::TouchLeaf(const Leaf& leaf) {
  if (const auto* pods = std::get_if<PodLeaf>(&leaf)) {
    touched_.pods.push_back(*pods);
    touched_.everyone |= touched_.pods.size() > kManyLeaves;
  } else {
    touched_.ranges.push_back(std::get<model::IpBlock>(leaf).cidr);
  }
}

Touched PeerGroups::Settle() {
  groups_.Sweep([this](GroupId group, const Numbers& leaves, NoData&) {
    for (uint32_t id : leaves) {
      const Leaf& leaf = leaves_.key(id);
      if (!touched_.everyone) TouchLeaf(leaf);
      if (const auto* block = std::get_if<model::IpBlock>(&leaf)) prefixes_.Remove(*block, group);
      Erase(leaves_.data(id).groups, group);
      leaves_.Release(id);
    }
  });
  leaves_.Sweep([this](uint32_t id, const Leaf& leaf, LeafData& data) {
    if (!std::holds_alternative<PodLeaf>(leaf)) return;
    scopes_.data(data.scope).Remove(id);
    scopes_.Release(data.scope);
  });
  scopes_.Sweep([this](uint32_t id, const Scope& scope, SelectorIndex&) {
    if (scope.selector) scope_index_.Remove(id);
    namespaces_.clear();
  });
  Touched out;
  std::swap(out, touched_);
  return out;
}

Numbers PeerGroups::FindScopes(const std::string& ns) const {
  Numbers scopes;
  if (uint32_t own = scopes_.Find(Scope{std::nullopt, ns})) scopes.push_back(own);
  if (!scope_index_.empty()) scope_index_.Match(snapshot_.NamespaceLabels(ns), scopes);
  if (!snapshot_.KnowsLabelsOf(ns)) {
    std::erase_if(scopes, [&](uint32_t id) {
      const Scope& scope = scopes_.key(id);
      return scope.selector && !scope.selector->AsksOnlyFor(model::kNamespaceNameLabel);
    });
  }
  SortUnique(scopes);
  return scopes;
}

const Numbers& PeerGroups::ScopesOf(const std::string& ns) {
  auto it = namespaces_.find(ns);
  if (it == namespaces_.end()) it = namespaces_.emplace(ns, FindScopes(ns)).first;
  return it->second;
}

Numbers PeerGroups::LeavesOf(const model::Pod& pod) {
  Numbers out;
  for (uint32_t scope : ScopesOf(pod.name.ns)) scopes_.data(scope).Match(pod.labels, out);
  SortUnique(out);
  return out;
}

Numbers PeerGroups::GroupsOf(const Numbers& leaves) const {
  Numbers out;
  for (uint32_t leaf : leaves) {
    const Numbers& groups = leaves_.data(leaf).groups;
    out.insert(out.end(), groups.begin(), groups.end());
  }
  SortUnique(out);
  return out;
}

bool PeerGroups::NamespaceChanged(const std::string& ns) {
  auto it = namespaces_.find(ns);
  if (it == namespaces_.end()) return true;
  Numbers before = std::move(it->second);
  namespaces_.erase(it);  // found again when a pod of it is
  return FindScopes(ns) != before;
}

}  // namespace sallyport::policy
