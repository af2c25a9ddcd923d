// SPDX-License-Identifier: Apache-2.0
#include "policy/rules.h"

namespace sallyport::policy {
namespace {

uint64_t MentionKey(GroupId group, NamedPortId name) {
  return static_cast<uint64_t>(group) << 32 | name;
}

}  // namespace

// The peers of all rules of one policy and direction that allow the same ports.
struct Rules::Bucket {
  bool any_peer = false;
  std::vector<Leaf> pods;
  std::vector<Leaf> blocks;
};

SpecId PortSpecs::Acquire(const PortSpec& spec) {
  auto [id, fresh] = specs_.Acquire(spec);
  if (fresh) {
    for (NamedPortId name : specs_.key(id).names) names_.Retain(name);
  }
  return id;
}

void PortSpecs::Sweep() {
  specs_.Sweep([this](SpecId, const PortSpec& spec, NoData&) {
    for (NamedPortId name : spec.names) names_.Release(name);
  });
}

CompiledPolicy Rules::Acquire(const model::NetworkPolicy& policy) {
  CompiledPolicy out;
  if (policy.isolates_egress) {
    out.egress = AcquireTerms(policy.name.ns, policy.egress);
    Mention(*out.egress, +1);
  }
  if (policy.isolates_ingress) out.ingress = AcquireTerms(policy.name.ns, policy.ingress);
  return out;
}

void Rules::Release(const CompiledPolicy& policy) {
  if (policy.egress) {
    Mention(*policy.egress, -1);
    ReleaseTerms(*policy.egress);
  }
  if (policy.ingress) ReleaseTerms(*policy.ingress);
}

Rules::Buckets Rules::Sort(const std::string& ns, const std::vector<model::Rule>& rules) {
  Buckets buckets;
  for (const model::Rule& rule : rules) {
    PortSpec spec = SpecOf(rule.ports, names_);
    SpecId id = specs_.Acquire(spec);
    for (NamedPortId name : spec.names) names_.Release(name);  // the spec holds them
    auto [it, fresh] = buckets.try_emplace(id);
    if (!fresh) specs_.Release(id);  // one reference for each bucket
    Bucket& bucket = it->second;
    bucket.any_peer |= rule.peers.empty();
    for (const model::Peer& peer : rule.peers) {
      Leaf leaf = LeafOf(peer, ns);
      bool block = std::holds_alternative<model::IpBlock>(leaf);
      (block ? bucket.blocks : bucket.pods).push_back(std::move(leaf));
    }
  }
  return buckets;
}

Terms Rules::AcquireTerms(const std::string& ns, const std::vector<model::Rule>& rules) {
  Buckets buckets = Sort(ns, rules);
  PortSpec for_anyone = SpecForAnyone(buckets);
  Terms terms;
  for (const auto& [spec, bucket] : buckets) {
    Numbers groups;
    // What anyone may do anyway is no reason to tell peers apart.
    bool idle = !bucket.any_peer && Covers(for_anyone, specs_.spec(spec));
    if (!idle) groups = AcquireGroups(bucket);
    for (GroupId group : groups) {
      terms.push_back({group, spec});
      specs_.Retain(spec);
    }
    specs_.Release(spec);  // the bucket's
  }
  return terms;
}

PortSpec Rules::SpecForAnyone(const Buckets& buckets) const {
  std::vector<const PortSpec*> specs;
  for (const auto& [spec, bucket] : buckets) {
    if (bucket.any_peer) specs.push_back(&specs_.spec(spec));
  }
  return Union(specs);
}

Numbers Rules::AcquireGroups(const Bucket& bucket) {
  if (bucket.any_peer) return {kAnyPeer};
  Numbers groups;
  auto add = [&](const std::vector<Leaf>& leaves) {
    GroupId group = groups_.Acquire(leaves);
    if (Has(groups, group)) groups_.Release(group);  // listed twice
    Insert(groups, group);
  };
  for (const Leaf& selecting : bucket.pods) add({selecting});
  if (!bucket.blocks.empty()) add(bucket.blocks);
  return groups;
}

void Rules::ReleaseTerms(const Terms& terms) {
  for (const Term& term : terms) {
    if (term.group != kAnyPeer) groups_.Release(term.group);
    specs_.Release(term.spec);
  }
}

void Rules::Mention(const Terms& egress, int by) {
  for (const Term& term : egress) {
    for (NamedPortId name : specs_.spec(term.spec).names) {
      uint64_t key = MentionKey(term.group, name);
      int& count = mentions_[key];
      count += by;
      bool first = by > 0 && count == by;
      if (first || count == 0) groups_.Touch(term.group);
      if (count == 0) mentions_.erase(key);
    }
  }
}

bool Rules::Mentions(GroupId group, NamedPortId name) const {
  return mentions_.count(MentionKey(group, name)) > 0;
}

void Rules::Sweep() {
  specs_.Sweep();
  names_.Sweep();
}

}  // namespace sallyport::policy
