// SPDX-License-Identifier: Apache-2.0
#include "control/views.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/version.h"

namespace sallyport::control {
namespace {

// With a filter, flows are looked through until enough match, up to so many.
constexpr size_t kFlowsSearched = 1 << 20;

// Of all pods that take part in policy; an address that several claim is nobody's.
std::unordered_map<net::Address, std::string> PodsByAddress(const Reconciler& reconciler) {
  const model::Snapshot& snapshot = reconciler.snapshot();
  std::unordered_map<net::Address, std::string> out;
  out.reserve(snapshot.pods.size() * 2);
  for (const auto& [name, pod] : snapshot.pods) {
    if (!pod->IsLive()) continue;
    for (const net::Address& address : pod->addresses) {
      auto [it, added] = out.emplace(address, name.ToString());
      if (!added) it->second.clear();
    }
  }
  for (const auto& [pod, binding] : reconciler.in_force()) {
    for (const net::Address& address : binding.addresses) out[address] = pod.ToString();
  }
  return out;
}

void AddCounters(const dataplane::Counters& counters, observe::EndpointView& view) {
  for (int direction : {0, 1}) {
    view.packets[direction] = counters.packets[direction];
    view.bytes[direction] = counters.bytes[direction];
    for (const auto& [reason, count] : counters.dropped[direction]) view.dropped[reason] += count;
  }
}

void AddPolicySets(const Reconciler& reconciler, const model::ObjectName& pod,
                   observe::EndpointView& view) {
  auto endpoint = reconciler.image().endpoints.find(pod);
  if (endpoint == reconciler.image().endpoints.end()) return;
  view.egress_set = endpoint->second.egress;
  view.ingress_set = endpoint->second.ingress;
}

// Of a sighting of a pod: its policy is in force on that interface.
bool IsOpen(const Reconciler& reconciler, uint32_t ifindex, const endpoint::Sighting& sighting) {
  if (!sighting.why_closed.empty()) return false;
  auto binding = reconciler.in_force().find(*sighting.pod);
  return binding != reconciler.in_force().end() && binding->second.ifindex == ifindex;
}

std::vector<std::string> ReasonsOf(const Reconciler& reconciler,
                                   const std::vector<observe::WatchView>& watches) {
  std::vector<std::string> out = reconciler.Reasons();
  for (std::string& reason : observe::WatchReasons(watches)) out.push_back(std::move(reason));
  return out;
}

std::vector<std::string> DiagnosticsOf(const Reconciler& reconciler) {
  std::vector<std::string> out = reconciler.Diagnostics();
  for (const auto& [pod, why] : reconciler.decision().missing) {
    out.push_back("pod " + pod.ToString() + " has no interface here: " + why);
  }
  return out;
}

std::vector<observe::TableView> TablesOf(dataplane::Dataplane& dataplane) {
  std::vector<observe::TableView> out;
  for (const dataplane::TableUse& use : dataplane.ReadUse()) {
    out.push_back({use.name, use.used, use.capacity});
  }
  return out;
}

observe::EndpointView EndpointOf(const Reconciler& reconciler, uint32_t ifindex,
                                 const endpoint::Sighting& sighting) {
  observe::EndpointView view;
  view.interface = sighting.link.name;
  view.ifindex = ifindex;
  view.why_closed = sighting.why_closed;
  if (!sighting.pod) return view;
  view.pod = sighting.pod->ToString();
  if (!sighting.why_closed.empty()) return view;
  AddPolicySets(reconciler, *sighting.pod, view);
  view.open = IsOpen(reconciler, ifindex, sighting);
  if (view.open) {
    view.addresses = reconciler.in_force().at(*sighting.pod).addresses;
  } else {
    view.why_closed = "its policy is not in force yet";
  }
  return view;
}

}  // namespace

observe::StatusView StatusOf(const Reconciler& reconciler, dataplane::Dataplane& dataplane,
                             const std::string& node, std::vector<observe::WatchView> watches) {
  observe::StatusView view;
  view.node = node;
  view.version = kVersion;
  view.generation = dataplane.generation();
  view.reasons = ReasonsOf(reconciler, watches);
  view.ready = view.reasons.empty();
  view.tables = TablesOf(dataplane);
  view.diagnostics = DiagnosticsOf(reconciler);
  view.cluster = reconciler.Fingerprint();
  view.watches = std::move(watches);
  return view;
}

observe::MetricsView MetricsOf(const Reconciler& reconciler, dataplane::Dataplane& dataplane,
                               std::vector<observe::WatchView> watches, observe::Traffic& traffic) {
  observe::MetricsView view;
  view.reasons = ReasonsOf(reconciler, watches);
  view.ready = view.reasons.empty();
  view.generation = dataplane.generation();
  view.tables = TablesOf(dataplane);
  view.diagnostics = DiagnosticsOf(reconciler).size();
  for (const auto& [ifindex, sighting] : reconciler.decision().sightings) {
    if (!sighting.pod) {
      view.unclaimed += reconciler.attached().contains(ifindex) ? 1 : 0;
    } else {
      ++(IsOpen(reconciler, ifindex, sighting) ? view.open : view.closed);
    }
  }
  const model::Snapshot& snapshot = reconciler.snapshot();
  view.objects = {{"Namespace", snapshot.namespaces.size()},
                  {"NetworkPolicy", snapshot.policies.size()},
                  {"Node", snapshot.nodes.size()},
                  {"Pod", snapshot.pods.size()}};
  traffic.Take(dataplane.ReadCounters());
  view.traffic = traffic;
  view.timings = reconciler.timings();
  view.watches = std::move(watches);
  return view;
}

std::vector<observe::EndpointView> EndpointsOf(const Reconciler& reconciler,
                                               dataplane::Dataplane& dataplane) {
  auto counters = dataplane.ReadCounters();
  std::vector<observe::EndpointView> out;
  for (const auto& [ifindex, sighting] : reconciler.decision().sightings) {
    bool guarded = reconciler.attached().contains(ifindex);
    if (!guarded && !sighting.pod) continue;  // left alone, and nobody's
    out.push_back(EndpointOf(reconciler, ifindex, sighting));
    if (auto it = counters.find(ifindex); it != counters.end()) {
      AddCounters(it->second, out.back());
    }
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return a.pod < b.pod; });
  return out;
}

std::vector<observe::PolicyView> PoliciesOf(const Reconciler& reconciler) {
  std::vector<observe::PolicyView> out;
  const model::Snapshot& snapshot = reconciler.snapshot();
  for (const auto& [name, policy] : snapshot.policies) {
    observe::PolicyView view;
    for (const auto& [pod, endpoint] : reconciler.image().endpoints) {
      auto object = snapshot.pods.find(pod);
      if (pod.ns == name.ns && object != snapshot.pods.end() &&
          policy->pods.Matches(object->second->labels)) {
        view.selects.push_back(pod.ToString());
      }
    }
    if (view.selects.empty()) continue;
    view.policy = name.ToString();
    if (policy->isolates_egress) view.directions.push_back("egress");
    if (policy->isolates_ingress) view.directions.push_back("ingress");
    view.place = policy->place.ToString();
    out.push_back(std::move(view));
  }
  return out;
}

std::vector<observe::FlowView> FlowsOf(const Reconciler& reconciler,
                                       dataplane::Dataplane& dataplane, size_t limit,
                                       const std::string& endpoint) {
  auto pods = PodsByAddress(reconciler);
  auto pod_at = [&pods](const net::Address& address) {
    auto it = pods.find(address);
    return it == pods.end() ? std::string() : it->second;
  };
  std::vector<observe::FlowView> out;
  for (const auto& flow : dataplane.ReadFlows(endpoint.empty() ? limit : kFlowsSearched)) {
    if (out.size() >= limit) break;
    observe::FlowView view;
    view.source_pod = pod_at(flow.tuple.source);
    view.destination_pod = pod_at(flow.tuple.destination);
    if (!endpoint.empty() && view.source_pod != endpoint && view.destination_pod != endpoint) {
      continue;
    }
    view.tuple = flow.tuple;
    view.idle_seconds = flow.idle_seconds;
    view.answered = flow.answered;
    view.closing = flow.closing;
    view.cut = flow.cut;
    if (flow.source_ifindex != 0) view.egress = flow.egress_allowed;
    if (flow.destination_ifindex != 0) view.ingress = flow.ingress_allowed;
    out.push_back(std::move(view));
  }
  return out;
}

}  // namespace sallyport::control
