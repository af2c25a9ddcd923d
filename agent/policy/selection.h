// SPDX-License-Identifier: Apache-2.0
// Which policies select which endpoints, and so which policy sets each endpoint has.
//
// Policies with one namespace and podSelector are one subject. A subject that selects an endpoint
// puts its policies in force; others cost a place in an index. Endpoints with the same subjects
// (and the same numbers for the port names in their ingress rules) share a profile: the two sets
// are worked out once for all of them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/snapshot.h"
#include "policy/policy_sets.h"
#include "policy/selector_index.h"

namespace sallyport::policy {

class Selection {
 public:
  // All must outlive this.
  Selection(Rules& rules, PolicySets& sets, Image& image)
      : rules_(rules), sets_(sets), image_(image) {}

  // A policy came (no `before`), changed or went (no `after`).
  void Change(const model::NetworkPolicyPtr& before, const model::NetworkPolicyPtr& after);
  // The same of an endpoint: a live pod of this node.
  void Change(const model::PodPtr& before, const model::PodPtr& after);

  // Ends a change: policies in and out of force, sets acquired and released, endpoints written.
  void Settle(Changes& changes);

 private:
  struct Member {
    model::NetworkPolicyPtr policy;
    std::unique_ptr<CompiledPolicy> compiled;  // in force
  };
  struct SubjectKey {
    std::string ns;
    model::Selector pods;
    friend bool operator==(const SubjectKey&, const SubjectKey&) = default;
  };
  struct SubjectHash {
    size_t operator()(const SubjectKey& key) const;
  };
  struct Subject {
    std::vector<Member> members;
    int endpoints = 0;      // how many it selects
    Numbers profiles;       // those that have it
    Numbers ingress_names;  // port names in the ingress rules of its members
  };
  struct ProfileKey {
    Numbers subjects;
    Resolution ingress_ports;
    friend bool operator==(const ProfileKey&, const ProfileKey&) = default;
  };
  struct ProfileHash {
    size_t operator()(const ProfileKey& key) const;
  };
  struct Profile {
    SetId egress = kNoSet;
    SetId ingress = kNoSet;
    bool keep_egress = false;
    bool keep_ingress = false;
  };
  struct Local {
    model::PodPtr pod;
    Numbers subjects;
    uint32_t profile = 0;
  };

  void Repoint(const model::NetworkPolicyPtr& before, const model::NetworkPolicyPtr& after);
  void AddPolicy(const model::NetworkPolicyPtr& policy);
  void RemovePolicy(const model::NetworkPolicyPtr& policy);
  void AddLocal(const model::PodPtr& pod);
  void RemoveLocal(const model::PodPtr& pod);
  void Select(uint32_t subject);
  void Deselect(uint32_t subject);
  void DropSubject(uint32_t id, const SubjectKey& key);

  // Puts the subject's policies in or out of force, as it selects someone or not.
  void Enforce(Subject& subject);
  // Notes the endpoints and profiles of subjects whose policies are others now.
  void SpreadChanges();
  void Assign(Local& local);
  void Build(uint32_t profile);
  // `keep`: does each policy that isolates keep established connections?
  std::optional<Terms> TermsOf(const ProfileKey& profile, Direction direction, bool& keep);
  // The same terms with port names resolved. The specs that this makes are added to `made`, with a
  // reference each.
  void ResolveNames(Terms& terms, const Resolution& ports, std::vector<SpecId>& made);
  void DropProfile(uint32_t id, const ProfileKey& key, const Profile& profile);
  void Write(const model::ObjectName& name, Changes& changes);

  // Calls f(name, local) for the endpoints of a namespace.
  template <typename F>
  void ForEachLocal(const std::string& ns, F f) {
    for (auto it = locals_.lower_bound({ns, ""}); it != locals_.end() && it->first.ns == ns; ++it) {
      f(it->first, it->second);
    }
  }

  Rules& rules_;
  PolicySets& sets_;
  Image& image_;
  Interner<SubjectKey, SubjectHash, Subject> subjects_{1};
  std::map<std::string, SelectorIndex> subject_index_;  // by namespace
  Interner<ProfileKey, ProfileHash, Profile> profiles_{1};
  std::map<model::ObjectName, Local> locals_;

  // Of the change that is under way.
  std::set<uint32_t> touched_subjects_;  // may come in or out of force
  std::set<uint32_t> changed_subjects_;  // have other policies
  std::set<uint32_t> dirty_profiles_;
  std::set<model::ObjectName> touched_locals_;
};

}  // namespace sallyport::policy
