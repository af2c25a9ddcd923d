// SPDX-License-Identifier: Apache-2.0
#include "lab/sandbox.h"

#include <utility>

#include "lab/netns.h"

namespace sallyport::lab {

Sandbox SandboxOf(const Layout& layout, const PodSpec& spec) {
  model::ObjectName pod = NameOf(spec.tree);
  return {pod, TextAt(spec.tree, {"metadata", "uid"}), spec.container_id,
          NetnsPath(layout.pod_netns(pod))};
}

Result<std::vector<net::Address>> MakeSandbox(const LabState& state, const NodePlan& node,
                                              const Sandbox& sandbox) {
  std::string name = Layout(state.name).pod_netns(sandbox.pod);
  // Left by a keeper that was killed.
  if (Status removed = RemoveNetns(name); !removed) return std::move(removed).error();
  if (Status made = CreateNetns(name); !made) return std::move(made).error();
  // Addresses are usable at once.
  Status ready = SetSysctls(sandbox.netns_path, {{"net/ipv6/conf/all/accept_dad", "0"},
                                                 {"net/ipv6/conf/default/accept_dad", "0"},
                                                 {"net/ipv6/conf/all/accept_ra", "0"},
                                                 {"net/ipv6/conf/default/accept_ra", "0"}});
  PodNetwork network(state, node);
  auto addresses =
      ready ? network.Add(sandbox) : Result<std::vector<net::Address>>(std::move(ready).error());
  if (addresses) return addresses;
  Status ignored = RemoveSandbox(state, node, sandbox);
  return addresses;
}

Status RemoveSandbox(const LabState& state, const NodePlan& node, const Sandbox& sandbox) {
  Status deleted = PodNetwork(state, node).Del(sandbox);
  Status removed = RemoveNetns(Layout(state.name).pod_netns(sandbox.pod));
  return deleted ? removed : deleted;
}

}  // namespace sallyport::lab
