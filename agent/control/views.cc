// SPDX-License-Identifier: Apache-2.0
#include "control/views.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>

#include "base/version.h"
#include "egress/explain.h"
#include "model/backends.h"

namespace sallyport::control {
namespace {

// With a filter, flows are looked through until enough match, up to so many.
constexpr size_t kFlowsSearched = 1 << 20;
constexpr const char* kNotInForce = "its policy is not in force yet";
// Any port above the well-known ones: no rule looks at it.
constexpr uint16_t kSourcePort = 49152;

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
  if (endpoint->second.keep_egress) view.keeps.push_back("egress");
  if (endpoint->second.keep_ingress) view.keeps.push_back("ingress");
}

bool SomeKeep(const policy::Image& image) {
  return std::any_of(image.endpoints.begin(), image.endpoints.end(), [](const auto& entry) {
    return entry.second.keep_egress || entry.second.keep_ingress;
  });
}

// Of a sighting of a pod: its policy is in force on that interface.
bool IsOpen(const Reconciler& reconciler, uint32_t ifindex, const endpoint::Sighting& sighting) {
  if (!sighting.why_closed.empty()) return false;
  auto binding = reconciler.in_force().find(*sighting.pod);
  return binding != reconciler.in_force().end() && binding->second.ifindex == ifindex;
}

// Of a pod whose interface is found.
std::string WhyNotOpen(const Reconciler& reconciler, const model::ObjectName& pod) {
  std::string table = reconciler.NoRoomFor(pod);
  return table.empty() ? kNotInForce : "table \"" + table + "\" is full and has no room for it";
}

std::vector<std::string> ReasonsOf(const Reconciler& reconciler,
                                   const std::vector<observe::WatchView>& watches, WallTime now) {
  std::vector<std::string> out = reconciler.Reasons();
  for (std::string& reason : observe::WatchReasons(watches, now)) out.push_back(std::move(reason));
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
    out.push_back({use.name, use.used, use.capacity, 0});
  }
  for (const dataplane::Shortfall& shortfall : dataplane.shortfalls()) {
    for (observe::TableView& table : out) {
      if (table.name == shortfall.use.name) table.left_out = shortfall.left_out;
    }
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
    view.why_closed = WhyNotOpen(reconciler, *sighting.pod);
  }
  return view;
}

Error NoAnswer(std::string why) { return {std::move(why), EINVAL}; }

// An end of a flow, as somebody asks about it.
struct End {
  const model::Pod* pod = nullptr;  // nullptr: an address
  std::vector<net::Address> addresses;
};

Result<End> EndOf(const model::Snapshot& snapshot, const std::string& text) {
  if (auto address = net::Address::Parse(text)) return End{nullptr, {*address}};
  size_t slash = text.find('/');
  if (slash == std::string::npos) {
    return NoAnswer("'" + text + "' is neither a pod (namespace/name) nor an address");
  }
  auto it = snapshot.pods.find({text.substr(0, slash), text.substr(slash + 1)});
  if (it == snapshot.pods.end()) return NoAnswer("there is no pod " + text);
  const model::Pod& pod = *it->second;
  if (!pod.IsLive() && !pod.host_network) {
    return NoAnswer("pod " + text + " has ended: no policy selects or matches it");
  }
  std::vector<net::Address> addresses = pod.addresses;
  auto node = snapshot.nodes.find(pod.node);
  if (pod.host_network && addresses.empty() && node != snapshot.nodes.end()) {
    addresses = node->second->addresses;
  }
  if (addresses.empty()) return NoAnswer("pod " + text + " has no address yet");
  return End{&pod, addresses};
}

// Whom a question is about, behind what was asked.
struct Target {
  std::string name;  // for a person
  End end;
  uint16_t port = 0;
  std::string service;  // "" if none was asked about
};

model::PortName PortNameOf(const std::string& text) {
  uint16_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool is_number = error == std::errc() && end == text.data() + text.size() && number > 0;
  return is_number ? model::PortName(number) : model::PortName(text);
}

Result<uint16_t> PortOf(const End& to, const observe::ExplainQuestion& question) {
  if (!net::HasPorts(question.protocol)) return uint16_t{0};
  model::PortName name = PortNameOf(question.port);
  if (const auto* number = std::get_if<uint16_t>(&name)) return *number;
  const std::string& text = question.port;
  for (const model::ContainerPort& port : to.pod ? to.pod->ports : model::Pod().ports) {
    if (port.name == text && port.protocol == question.protocol) return port.port;
  }
  return NoAnswer("'" + text + "' is neither a port from 1 to 65535 nor the name of a " +
                  net::ToString(question.protocol) + " port of " + question.to);
}

Result<std::optional<model::ServiceTarget>> ServiceOf(const model::Snapshot& snapshot,
                                                      const model::Pod* sender,
                                                      const observe::ExplainQuestion& question) {
  using Found = std::optional<model::ServiceTarget>;
  model::PortName port = PortNameOf(question.port);
  if (auto address = net::Address::Parse(question.to)) {
    return model::FindServiceAt(snapshot, sender, *address, question.protocol, port);
  }
  if (!question.to.starts_with(model::kServicePrefix)) return Found();
  std::string name = question.to.substr(model::kServicePrefix.size());
  size_t slash = name.find('/');
  if (slash == std::string::npos) return Error{"write svc/namespace/name"};
  auto found = model::FindService(snapshot, {name.substr(0, slash), name.substr(slash + 1)},
                                  question.protocol, port);
  if (!found) return std::move(found).error();
  return Found(*std::move(found));
}

Result<std::vector<Target>> EachBackend(const model::Snapshot& snapshot, const model::Pod* sender,
                                        const model::ServiceTarget& service) {
  auto backends = model::BackendsOf(snapshot, sender, service);
  if (!backends) return std::move(backends).error();
  std::vector<Target> out;
  for (const model::Backend& backend : *backends) {
    const model::Pod* pod = backend.pod.get();
    out.push_back({pod ? pod->name.ToString() : backend.addresses.front().ToString(),
                   {pod, backend.addresses},
                   backend.port,
                   service.ToString()});
  }
  return out;
}

Result<std::vector<Target>> TargetsOf(const model::Snapshot& snapshot, const model::Pod* sender,
                                      const observe::ExplainQuestion& question) {
  auto service = ServiceOf(snapshot, sender, question);
  if (!service) return NoAnswer("to: " + service.error().message);
  if (*service) {
    auto backends = EachBackend(snapshot, sender, **service);
    if (!backends) return NoAnswer("to: " + backends.error().message);
    return backends;
  }
  auto to = EndOf(snapshot, question.to);
  if (!to) return std::move(to).error().Context("to");
  auto port = PortOf(*to, question);
  if (!port) return std::move(port).error().Context("port");
  return std::vector<Target>{{question.to, *std::move(to), *port, ""}};
}

// Of the pods that are asked about: those that this node guards and has not opened.
std::vector<std::string> ClosedOf(const Reconciler& reconciler, const model::Pod* from,
                                  const model::Pod* to) {
  std::vector<std::string> out;
  for (const auto& [ifindex, sighting] : reconciler.decision().sightings) {
    if (!sighting.pod || !reconciler.attached().contains(ifindex)) continue;
    bool asked = (from && *sighting.pod == from->name) || (to && *sighting.pod == to->name);
    if (!asked || IsOpen(reconciler, ifindex, sighting)) continue;
    out.push_back(sighting.pod->ToString() + " on " + sighting.link.name + ": " +
                  (sighting.why_closed.empty() ? kNotInForce : sighting.why_closed));
  }
  return out;
}

}  // namespace

observe::StatusView StatusOf(const Reconciler& reconciler, dataplane::Dataplane& dataplane,
                             const std::string& node, std::vector<observe::WatchView> watches,
                             WallTime now) {
  observe::StatusView view;
  view.node = node;
  view.version = kVersion;
  view.generation = dataplane.generation();
  view.reasons = ReasonsOf(reconciler, watches, now);
  view.ready = view.reasons.empty();
  view.tables = TablesOf(dataplane);
  view.diagnostics = DiagnosticsOf(reconciler);
  for (std::string& notice : reconciler.Notices()) view.diagnostics.push_back(std::move(notice));
  view.cluster = reconciler.Fingerprint();
  view.watches = std::move(watches);
  return view;
}

observe::MetricsView MetricsOf(const Reconciler& reconciler, dataplane::Dataplane& dataplane,
                               std::vector<observe::WatchView> watches, WallTime now,
                               observe::Traffic& traffic) {
  observe::MetricsView view;
  view.reasons = ReasonsOf(reconciler, watches, now);
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
  view.objects = {{"EgressGateway", snapshot.egress_gateways.size()},
                  {"EndpointSlice", snapshot.endpoint_slices.size()},
                  {"Namespace", snapshot.namespaces.size()},
                  {"NetworkPolicy", snapshot.policies.size()},
                  {"Node", snapshot.nodes.size()},
                  {"Pod", snapshot.pods.size()},
                  {"Service", snapshot.services.size()}};
  for (const auto& [name, node] : snapshot.nodes) {
    const std::string* os = node->labels.Find("kubernetes.io/os");
    view.linux_nodes += os && *os == "linux" ? 1 : 0;
  }
  traffic.Take(dataplane.ReadCounters());
  view.traffic = traffic;
  if (SomeKeep(reconciler.image())) view.flows_kept = dataplane.CountKept();
  view.timings = reconciler.timings();
  view.waiting = reconciler.Waiting();
  view.missing_put_back = reconciler.upkeep().put_back().missing;
  view.displaced_put_back = reconciler.upkeep().put_back().displaced;
  view.disturbed = reconciler.upkeep().disturbed();
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
    view.keeps = policy->keeps_established;
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
    view.kept = flow.kept;
    view.pinned = flow.pinned;
    if (flow.pinned && flow.egress_ip != net::Address()) {
      view.egress_ip = flow.egress_ip;
      view.egress_port = flow.egress_port;
    }
    if (flow.source_ifindex != 0) view.egress = flow.egress_allowed;
    if (flow.destination_ifindex != 0) view.ingress = flow.ingress_allowed;
    out.push_back(std::move(view));
  }
  return out;
}

Result<std::vector<observe::ExplainView>> ExplainOf(const Reconciler& reconciler,
                                                    const observe::ExplainQuestion& question) {
  const model::Snapshot& snapshot = reconciler.snapshot();
  auto from = EndOf(snapshot, question.from);
  if (!from) return std::move(from).error().Context("from");
  auto targets = TargetsOf(snapshot, from->pod, question);
  if (!targets) return std::move(targets).error();
  std::vector<observe::ExplainView> out;
  for (const Target& target : *targets) {
    for (const net::Address& destination : target.end.addresses) {
      auto source = std::find_if(from->addresses.begin(), from->addresses.end(),
                                 [&](const auto& a) { return a.IsV4() == destination.IsV4(); });
      if (source == from->addresses.end()) continue;
      observe::ExplainView view{question.from, target.name, {}, {}, {}, target.service, {}};
      bool icmp = question.protocol == net::Protocol::kIcmp && !destination.IsV4();
      net::Protocol protocol = icmp ? net::Protocol::kIcmpV6 : question.protocol;
      view.tuple = {*source, destination, protocol, 0, target.port};
      if (net::HasPorts(protocol)) view.tuple.source_port = kSourcePort;
      view.verdict = policy::Evaluate(snapshot, view.tuple);
      view.pin = egress::PinOfFlow(snapshot, from->pod, view.tuple);
      view.closed = ClosedOf(reconciler, from->pod, target.end.pod);
      out.push_back(std::move(view));
    }
  }
  if (out.empty()) {
    return NoAnswer(question.from + " and " + question.to +
                    " have no address of one family in common");
  }
  return out;
}

}  // namespace sallyport::control
