// SPDX-License-Identifier: Apache-2.0
#include "lab/inventory.h"

#include <algorithm>
#include <array>
#include <utility>

#include "lab/cluster.h"
#include "lab/daemons.h"
#include "lab/files.h"
#include "lab/lab.h"
#include "lab/netns.h"
#include "lab/node_services.h"
#include "lab/selector.h"
#include "lab/state.h"
#include "model/manifest.h"

namespace sallyport::lab {

namespace {

// What agents and proxies know.
constexpr std::array<const char*, 7> kKnown = {
    "Namespace", "Node", "Pod", "NetworkPolicy", "Service", "EndpointSlice", "EgressGateway"};
// Of a kind that the API server does not have there are no objects, as the agents see it.
constexpr std::string_view kMayBeMissing = "EgressGateway";

const Value kEverything = Mapping();  // as a selector

Result<Cluster> ReadCluster(const Layout& layout) {
  auto api = OpenApi(layout);
  if (!api) return std::move(api).error();
  Cluster cluster;
  for (const char* kind : kKnown) {
    auto items = (*api)->List(*FindKind(kind));
    if (!items && items.error().code == kNotFound && kind == kMayBeMissing) continue;
    if (!items) return std::move(items).error();
    for (Value& item : *items) cluster.Set(kind, std::move(item));
  }
  return cluster;
}

std::string ToText(const Cluster& cluster) {
  Value list = Sequence();
  for (const char* kind : kKnown)
    for (const auto& [name, object] : cluster.Of(kind)) list.items.push_back(*object);
  return ToJson(list);
}

Result<Cluster> LastSeen(const Layout& layout) {
  auto text = ReadFile(layout.cluster());
  if (!text) return std::move(text).error();
  auto list = FromJson(*text, layout.cluster());
  if (!list) return std::move(list).error();
  Cluster cluster;
  for (const Value& object : Items(&*list)) cluster.Set(KindOf(object), object);
  return cluster;
}

model::Snapshot SnapshotOf(const Cluster& cluster) {
  std::vector<model::Document> documents;
  for (const char* kind : kKnown)
    for (const auto& [name, object] : cluster.Of(kind)) documents.push_back(*object);
  model::Snapshot snapshot;
  for (const model::Delta& delta : model::DecodeDocuments(documents, "").objects)
    snapshot.Apply(delta);
  return snapshot;
}

// Of the spec that there is now, each address has a node.
bool IsHeld(const Value& gateway) {
  const Value* status = gateway.Find("status");
  if (!status ||
      IntegerAt(*status, {"observedGeneration"}) != IntegerAt(gateway, {"metadata", "generation"}))
    return false;
  const std::vector<Value>& addresses = Items(status->Find("addresses"));
  return !addresses.empty() &&
         std::none_of(addresses.begin(), addresses.end(),
                      [](const Value& one) { return TextAt(one, {"node"}).empty(); });
}

std::string WhyNotReady(const Value& gateway) {
  for (const Value& condition : Items(At(gateway, {"status", "conditions"})))
    if (TextAt(condition, {"type"}) == "Ready") return TextAt(condition, {"message"});
  return "it has no status yet";
}

std::vector<UnheldGateway> UnheldOf(const Cluster& cluster) {
  std::vector<UnheldGateway> out;
  for (const auto& [name, gateway] : cluster.Of("EgressGateway")) {
    if (IsHeld(*gateway)) continue;
    UnheldGateway unheld{name.name, {}, WhyNotReady(*gateway)};
    const Value* selector = At(*gateway, {"spec", "gateways", "nodeSelector"});
    auto selected = ParseSelector(selector ? selector : &kEverything);
    if (!selected) continue;
    for (const auto& [node, object] : cluster.Of("Node"))
      if (selected->Matches(LabelsOf(*object)) && !IsTrue(At(*object, {"spec", "unschedulable"})))
        unheld.candidates.push_back(node.name);
    out.push_back(std::move(unheld));
  }
  return out;
}

}  // namespace

Result<Inventory> ReadInventory(const std::string& lab_name) {
  auto state = LoadWholeState(lab_name);
  if (!state) return std::move(state).error();
  Layout layout(lab_name);
  Inventory out;
  out.name = lab_name;
  auto cluster = ReadCluster(layout);
  if (cluster) {
    // Only to be read where the server is away: failing to keep it is no failure.
    Status ignored = ReplaceFile(layout.cluster(), ToText(*cluster), layout.scratch());
  } else {
    out.stale = true;
    auto last = LastSeen(layout);
    if (!last) return std::move(cluster).error();
    cluster = std::move(last);
  }
  out.snapshot = SnapshotOf(*cluster);
  out.services = ServicesVersion(*cluster);
  out.unheld = UnheldOf(*cluster);
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
    place.cni_results_dir = layout.cni_results(place.name);
    place.pins_dir = layout.pins(place.name);
    place.agent_pid = DaemonPid(layout, AgentDaemon(place.name));
    out.nodes.push_back(std::move(place));
  }
  for (const auto& [name, pod] : out.snapshot.pods) {
    if (pod->phase == model::PodPhase::kSucceeded || pod->phase == model::PodPhase::kFailed)
      continue;  // its namespace is gone
    const std::string& on = pod->node;
    bool here = std::any_of(state->nodes.begin(), state->nodes.end(),
                            [&](const NodePlan& node) { return node.name() == on; });
    if (!here) continue;  // it has no node yet, or one that is none of this lab
    std::string netns = pod->host_network ? layout.node_netns(pod->node) : layout.pod_netns(name);
    out.pods.push_back(
        {name, pod->node, NetnsPath(netns), pod->addresses, pod->ports, pod->host_network});
  }
  return out;
}

}  // namespace sallyport::lab
