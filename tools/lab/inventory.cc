// SPDX-License-Identifier: Apache-2.0
#include "lab/inventory.h"

#include <utility>

#include "lab/agents.h"
#include "lab/netns.h"
#include "lab/state.h"
#include "watch/manifest_files.h"

namespace sallyport::lab {

Result<Inventory> ReadInventory(const std::string& lab_name) {
  auto state = LoadWholeState(lab_name);
  if (!state) return std::move(state).error();
  Layout layout(lab_name);
  auto manifests = watch::ReadManifestFiles({layout.manifests()});
  if (!manifests) return std::move(manifests).error();
  Inventory out;
  out.name = lab_name;
  out.snapshot = std::move(manifests->snapshot);
  out.outside_netns_path = NetnsPath(layout.outside_netns());
  for (const InterfaceAddress& own : state->outside.own)
    out.outside_addresses.push_back(own.address);
  for (const NodePlan& node : state->nodes) {
    NodePlace place;
    place.name = node.name();
    place.netns_path = NetnsPath(layout.node_netns(place.name));
    for (const InterfaceAddress& own : node.addresses.internal)
      place.addresses.push_back(own.address);
    place.agent_socket = layout.socket(place.name);
    place.manifests_dir = layout.manifests();
    place.cni_results_dir = layout.cni_results(place.name);
    place.pins_dir = layout.pins(place.name);
    place.agent_pid = AgentPid(layout, place.name);
    out.nodes.push_back(std::move(place));
  }
  for (const auto& [name, pod] : out.snapshot.pods) {
    if (pod->phase == model::PodPhase::kSucceeded || pod->phase == model::PodPhase::kFailed)
      continue;  // its namespace is gone
    std::string netns = pod->host_network ? layout.node_netns(pod->node) : layout.pod_netns(name);
    out.pods.push_back(
        {name, pod->node, NetnsPath(netns), pod->addresses, pod->ports, pod->host_network});
  }
  return out;
}

}  // namespace sallyport::lab
