// SPDX-License-Identifier: Apache-2.0
#include "lab/pod_place.h"

#include <utility>

#include "lab/dns_command.h"
#include "lab/netns.h"
#include "lab/process.h"

namespace sallyport::lab {

RecipeContext MachineContext(const ObjectSet& objects, PodFacts facts,
                             const std::string& sallyport) {
  RecipeContext context;
  context.objects = &objects;
  context.facts = std::move(facts);
  context.sallyport = sallyport;
  context.has_program = [](const std::string& name) {
    return !FindProgram(name, kStandardPath).empty();
  };
  return context;
}

ClusterFacts FactsOf(const LabState& state) {
  ClusterFacts facts;
  if (!state.joined.empty()) return facts;  // its Services are not this lab's to know
  if (!state.networks.services.empty())
    facts.api_host = Nth(state.networks.services.front(), 1).ToString();
  if (state.dns)
    for (const net::Address& address : DnsAddresses(state.networks.services))
      facts.nameservers.push_back(address.ToString());
  return facts;
}

Result<PodRecipe> RecipeOf(const LabState& state, const NodePlan& node, const PodSpec& spec,
                           const std::vector<std::string>& addresses) {
  PodFacts facts{node.name(), addresses.empty() ? "" : addresses.front(), addresses,
                 node.addresses.internal.front().address.ToString(), spec.token};
  RecipeContext context = MachineContext(spec.configs, std::move(facts), state.sallyport);
  context.cluster = FactsOf(state);
  return MakeRecipe(spec.tree, context);
}

std::string NetnsOf(const Layout& layout, const Value& pod) {
  bool on_host = IsTrue(At(pod, {"spec", "hostNetwork"}));
  return NetnsPath(on_host ? layout.node_netns(TextAt(pod, {"spec", "nodeName"}))
                           : layout.pod_netns(NameOf(pod)));
}

ContainerPlace PlaceOf(const Layout& layout, const Value& pod, const PodRecipe& recipe) {
  std::string folder = layout.pod(NameOf(pod));
  ContainerPlace place;
  place.netns_path = NetnsOf(layout, pod);
  place.hostname = recipe.hostname;
  place.volumes = folder + "/volumes";
  place.root = folder + "/root";
  place.etc = folder + "/etc";
  place.env = {layout.marker()};
  return place;
}

}  // namespace sallyport::lab
