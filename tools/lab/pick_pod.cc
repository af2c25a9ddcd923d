// SPDX-License-Identifier: Apache-2.0
#include "lab/pick_pod.h"

#include <algorithm>

namespace sallyport::lab {

Result<model::ObjectName> PickPod(const std::vector<PodState>& pods, const std::string& word) {
  size_t slash = word.find('/');
  std::string ns = slash == std::string::npos ? "" : word.substr(0, slash);
  std::string name = slash == std::string::npos ? word : word.substr(slash + 1);
  for (bool by_owner : {false, true}) {
    std::vector<const PodState*> found;
    for (const PodState& pod : pods) {
      std::string owner = pod.owner.substr(pod.owner.rfind('/') + 1);
      bool named = by_owner ? !pod.owner.empty() && owner == name : pod.pod.name == name;
      if (named && (ns.empty() || pod.pod.ns == ns)) found.push_back(&pod);
    }
    bool one_namespace = std::all_of(found.begin(), found.end(), [&](const PodState* pod) {
      return pod->pod.ns == found.front()->pod.ns;
    });
    if (!found.empty() && one_namespace) return found.front()->pod;
    if (!found.empty())
      return Error{"\"" + word + "\" is in several namespaces (" + found.front()->pod.ToString() +
                       ", " + found.back()->pod.ToString() + "): say NAMESPACE/NAME",
                   0};
  }
  return Error{"no pod \"" + word + "\" in the lab; `sallyport lab status` lists them", 0};
}

}  // namespace sallyport::lab
