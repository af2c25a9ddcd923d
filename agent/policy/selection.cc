// SPDX-License-Identifier: Apache-2.0
#include "policy/selection.h"

#include <algorithm>

#include "policy/hash.h"

namespace sallyport::policy {
namespace {

// Port names that ingress rules leave open.
void AddIngressNames(const CompiledPolicy& policy, const PortSpecs& specs, Numbers& names) {
  if (!policy.ingress) return;
  for (const Term& term : *policy.ingress) {
    const Numbers& more = specs.spec(term.spec).names;
    names.insert(names.end(), more.begin(), more.end());
  }
}

}  // namespace

size_t Selection::SubjectHash::operator()(const SubjectKey& key) const {
  return Mix(HashText(key.ns), HashSelector(key.pods));
}

size_t Selection::ProfileHash::operator()(const ProfileKey& key) const {
  uint64_t ports = HashItems(key.ingress_ports, [](const auto& p) {
    return static_cast<uint64_t>(p.first) << 16 | p.second;
  });
  return Mix(HashNumbers(key.subjects), ports);
}

void Selection::Change(const model::NetworkPolicyPtr& before,
                       const model::NetworkPolicyPtr& after) {
  if (before && after && *before == *after) {
    Repoint(before, after);
    return;
  }
  if (before) RemovePolicy(before);
  if (after) AddPolicy(after);
}

void Selection::Repoint(const model::NetworkPolicyPtr& before,
                        const model::NetworkPolicyPtr& after) {
  uint32_t id = subjects_.Find({before->name.ns, before->pods});
  for (Member& member : subjects_.data(id).members) {
    if (member.policy == before) member.policy = after;
  }
}

void Selection::AddPolicy(const model::NetworkPolicyPtr& policy) {
  auto [id, fresh] = subjects_.Acquire({policy->name.ns, policy->pods});
  Subject& subject = subjects_.data(id);
  subject.members.push_back({policy, nullptr});
  touched_subjects_.insert(id);
  changed_subjects_.insert(id);
  if (!fresh) return;
  const SubjectKey& key = subjects_.key(id);
  subject_index_[key.ns].Add(id, key.pods);
  ForEachLocal(key.ns, [&, subject_id = id](const model::ObjectName& name, Local& local) {
    if (!key.pods.Matches(local.pod->labels)) return;
    Insert(local.subjects, subject_id);
    Select(subject_id);
    touched_locals_.insert(name);
  });
}

void Selection::RemovePolicy(const model::NetworkPolicyPtr& policy) {
  uint32_t id = subjects_.Find({policy->name.ns, policy->pods});
  std::vector<Member>& members = subjects_.data(id).members;
  auto member = std::find_if(members.begin(), members.end(),
                             [&](const Member& m) { return m.policy == policy; });
  CHECK(member != members.end()) << policy->name.ToString();
  if (member->compiled) rules_.Release(*member->compiled);
  members.erase(member);
  changed_subjects_.insert(id);
  subjects_.Release(id);
}

void Selection::DropSubject(uint32_t id, const SubjectKey& key) {
  auto index = subject_index_.find(key.ns);
  index->second.Remove(id);
  if (index->second.empty()) subject_index_.erase(index);
  ForEachLocal(key.ns, [&](const model::ObjectName& name, Local& local) {
    if (!Has(local.subjects, id)) return;
    Erase(local.subjects, id);
    touched_locals_.insert(name);
  });
  touched_subjects_.erase(id);
  changed_subjects_.erase(id);
}

void Selection::Select(uint32_t subject) {
  if (subjects_.data(subject).endpoints++ == 0) touched_subjects_.insert(subject);
}

void Selection::Deselect(uint32_t subject) {
  if (--subjects_.data(subject).endpoints == 0) touched_subjects_.insert(subject);
}

void Selection::Change(const model::PodPtr& before, const model::PodPtr& after) {
  if (before && after && before->labels == after->labels) {
    locals_.at(after->name).pod = after;
    touched_locals_.insert(after->name);
    return;
  }
  if (before) RemoveLocal(before);
  if (after) AddLocal(after);
}

void Selection::AddLocal(const model::PodPtr& pod) {
  Local& local = locals_[pod->name];
  local.pod = pod;
  auto index = subject_index_.find(pod->name.ns);
  if (index != subject_index_.end()) index->second.Match(pod->labels, local.subjects);
  SortUnique(local.subjects);
  for (uint32_t subject : local.subjects) Select(subject);
  touched_locals_.insert(pod->name);
}

void Selection::RemoveLocal(const model::PodPtr& pod) {
  auto it = locals_.find(pod->name);
  for (uint32_t subject : it->second.subjects) Deselect(subject);
  if (it->second.profile != 0) profiles_.Release(it->second.profile);
  locals_.erase(it);
  touched_locals_.insert(pod->name);
}

void Selection::Settle(Changes& changes) {
  subjects_.Sweep([this](uint32_t id, const SubjectKey& key, Subject&) { DropSubject(id, key); });
  for (uint32_t subject : touched_subjects_) Enforce(subjects_.data(subject));
  SpreadChanges();
  for (const model::ObjectName& name : touched_locals_) {
    if (auto it = locals_.find(name); it != locals_.end()) Assign(it->second);
  }
  for (uint32_t profile : dirty_profiles_) {
    if (profiles_.references(profile) > 0) Build(profile);
  }
  profiles_.Sweep([this](uint32_t id, const ProfileKey& key, const Profile& profile) {
    DropProfile(id, key, profile);
  });
  for (const model::ObjectName& name : touched_locals_) Write(name, changes);
  touched_subjects_.clear();
  changed_subjects_.clear();
  dirty_profiles_.clear();
  touched_locals_.clear();
}

void Selection::Enforce(Subject& subject) {
  for (Member& member : subject.members) {
    if (subject.endpoints > 0 && !member.compiled) {
      member.compiled = std::make_unique<CompiledPolicy>(rules_.Acquire(*member.policy));
    } else if (subject.endpoints == 0 && member.compiled) {
      rules_.Release(*member.compiled);
      member.compiled.reset();
    }
  }
}

void Selection::SpreadChanges() {
  // Who comes into force has other policies in force than before.
  changed_subjects_.insert(touched_subjects_.begin(), touched_subjects_.end());
  for (uint32_t id : changed_subjects_) {
    Subject& subject = subjects_.data(id);
    subject.ingress_names.clear();
    if (subject.endpoints == 0) continue;
    for (const Member& member : subject.members) {
      AddIngressNames(*member.compiled, rules_.specs(), subject.ingress_names);
    }
    SortUnique(subject.ingress_names);
    dirty_profiles_.insert(subject.profiles.begin(), subject.profiles.end());
    ForEachLocal(subjects_.key(id).ns, [&](const model::ObjectName& name, Local& local) {
      if (Has(local.subjects, id)) touched_locals_.insert(name);
    });
  }
}

void Selection::Assign(Local& local) {
  ProfileKey key{local.subjects, {}};
  Numbers names;
  for (uint32_t subject : local.subjects) {
    const Numbers& more = subjects_.data(subject).ingress_names;
    names.insert(names.end(), more.begin(), more.end());
  }
  SortUnique(names);
  for (NamedPortId name : names) {
    if (auto number = rules_.names().Resolve(name, *local.pod)) {
      key.ingress_ports.emplace_back(name, *number);
    }
  }
  auto [profile, fresh] = profiles_.Acquire(key);
  if (fresh) {
    for (uint32_t subject : local.subjects) Insert(subjects_.data(subject).profiles, profile);
    dirty_profiles_.insert(profile);
  }
  if (local.profile != 0) profiles_.Release(local.profile);
  local.profile = profile;
}

std::optional<Terms> Selection::TermsOf(const ProfileKey& profile, Direction direction,
                                        bool& keep) {
  std::optional<Terms> out;
  keep = false;
  for (uint32_t subject : profile.subjects) {
    for (const Member& member : subjects_.data(subject).members) {
      const std::optional<Terms>& terms =
          direction == Direction::kEgress ? member.compiled->egress : member.compiled->ingress;
      if (!terms) continue;
      keep = (!out || keep) && member.policy->keeps_established;
      if (!out) out.emplace();
      out->insert(out->end(), terms->begin(), terms->end());
    }
  }
  return out;
}

void Selection::ResolveNames(Terms& terms, const Resolution& ports, std::vector<SpecId>& made) {
  PortSpecs& specs = rules_.specs();
  for (Term& term : terms) {
    const PortSpec& spec = specs.spec(term.spec);
    if (spec.names.empty()) continue;
    term.spec = specs.Acquire(Resolved(spec, ports, rules_.names()));
    made.push_back(term.spec);
  }
}

void Selection::Build(uint32_t id) {
  const ProfileKey& key = profiles_.key(id);
  Profile before = profiles_.data(id);
  Profile built;
  if (auto terms = TermsOf(key, Direction::kEgress, built.keep_egress)) {
    built.egress = sets_.Acquire(std::move(*terms), Direction::kEgress);
  }
  if (auto terms = TermsOf(key, Direction::kIngress, built.keep_ingress)) {
    std::vector<SpecId> made;
    ResolveNames(*terms, key.ingress_ports, made);
    built.ingress = sets_.Acquire(std::move(*terms), Direction::kIngress);
    for (SpecId spec : made) rules_.specs().Release(spec);
  }
  profiles_.data(id) = built;
  sets_.Release(before.egress);
  sets_.Release(before.ingress);
}

void Selection::DropProfile(uint32_t id, const ProfileKey& key, const Profile& profile) {
  sets_.Release(profile.egress);
  sets_.Release(profile.ingress);
  for (uint32_t subject : key.subjects) {
    if (subjects_.Contains(subject)) Erase(subjects_.data(subject).profiles, id);
  }
}

void Selection::Write(const model::ObjectName& name, Changes& changes) {
  auto local = locals_.find(name);
  if (local == locals_.end()) {
    if (image_.endpoints.erase(name) > 0) changes.endpoints.insert(name);
    return;
  }
  const Profile& profile = profiles_.data(local->second.profile);
  Endpoint endpoint{local->second.pod->addresses, profile.egress, profile.ingress,
                    profile.keep_egress, profile.keep_ingress};
  std::sort(endpoint.addresses.begin(), endpoint.addresses.end());
  endpoint.addresses.erase(std::unique(endpoint.addresses.begin(), endpoint.addresses.end()),
                           endpoint.addresses.end());
  auto [it, fresh] = image_.endpoints.try_emplace(name);
  if (!fresh && it->second == endpoint) return;
  it->second = std::move(endpoint);
  changes.endpoints.insert(name);
}

}  // namespace sallyport::policy
