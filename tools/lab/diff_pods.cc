// SPDX-License-Identifier: Apache-2.0
#include "lab/diff_pods.h"

#include <algorithm>
#include <map>

namespace sallyport::lab {
namespace {

// Without what the lab itself puts into a pod's metadata.
Value OwnMetadata(const Value& pod) {
  const Value* metadata = pod.Find("metadata");
  Value out = metadata ? *metadata : Mapping();
  Erase(out, "uid");
  return out;
}

bool SameMember(const Value& a, const Value& b, std::string_view member) {
  const Value* left = a.Find(member);
  const Value* right = b.Find(member);
  return left && right ? SameContent(*left, *right) : left == right;
}

}  // namespace

PodChanges DiffPods(const std::vector<PodSpec>& running, const std::vector<PodPlan>& wanted,
                    const std::vector<model::ObjectName>& fresh) {
  PodChanges out;
  std::map<model::ObjectName, const PodSpec*> old;
  for (const PodSpec& pod : running) old[NameOf(pod.tree)] = &pod;
  for (const PodPlan& pod : wanted) {
    auto found = old.find(pod.name());
    if (found == old.end()) {
      out.start.push_back(pod);
      continue;
    }
    const Value& before = found->second->tree;
    bool anew = std::find(fresh.begin(), fresh.end(), pod.name()) != fresh.end();
    if (anew || !SameMember(before, pod.tree, "spec"))
      out.replace.push_back(pod);
    else if (!SameContent(OwnMetadata(before), OwnMetadata(pod.tree)))
      out.relabel.push_back(pod);
    old.erase(found);
  }
  for (const auto& [name, pod] : old) out.end.push_back(name);
  return out;
}

}  // namespace sallyport::lab
