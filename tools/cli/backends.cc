// SPDX-License-Identifier: Apache-2.0
#include "cli/backends.h"

#include <algorithm>

namespace sallyport::cli {
namespace {

constexpr std::string_view kPrefix = "svc/";

struct Found {
  const model::Service* service = nullptr;
  const model::ServicePort* port = nullptr;
};

bool Names(const model::ServicePort& port, const Destination& to) {
  if (port.protocol != to.protocol) return false;
  if (const auto* name = std::get_if<std::string>(&to.port)) return port.name == *name;
  const auto* number = std::get_if<uint16_t>(&to.port);
  return number && port.port == *number;
}

Result<Found> ByName(const model::Snapshot& snapshot, const Destination& to) {
  const auto* name = std::get_if<model::ObjectName>(&to.party);
  if (!name) return Error{"svc/ goes with a Service's name, not with an address"};
  auto it = snapshot.services.find(*name);
  if (it == snapshot.services.end()) return Error{"there is no Service " + name->ToString()};
  for (const model::ServicePort& port : it->second->ports) {
    if (Names(port, to)) return Found{it->second.get(), &port};
  }
  std::string has;
  for (const model::ServicePort& port : it->second->ports) {
    has += (has.empty() ? "; it has " : ", ") + std::to_string(port.port) + "/" +
           net::ToString(port.protocol);
  }
  return Error{"Service " + name->ToString() + " has no such port" + has};
}

bool IsNodes(const model::Snapshot& snapshot, const net::Address& address) {
  return std::any_of(snapshot.nodes.begin(), snapshot.nodes.end(), [&](const auto& node) {
    const auto& all = node.second->addresses;
    return std::find(all.begin(), all.end(), address) != all.end();
  });
}

Found ByAddress(const model::Snapshot& snapshot, const net::Address& address,
                const Destination& to) {
  const auto* number = std::get_if<uint16_t>(&to.port);
  bool node = IsNodes(snapshot, address);
  for (const auto& [name, service] : snapshot.services) {
    std::vector<net::Address> own = service->Addresses();
    bool here = std::find(own.begin(), own.end(), address) != own.end();
    for (const model::ServicePort& port : service->ports) {
      bool at_node = node && number && port.node_port == *number && port.protocol == to.protocol;
      if ((here && Names(port, to)) || at_node) return {service.get(), &port};
    }
  }
  return {};
}

Side SideOf(const World& world, const model::ObjectName& pod, const net::Address& address) {
  if (world.snapshot().pods.contains(pod)) {
    if (auto side = world.Resolve(pod)) return *std::move(side);
  }
  return *world.Resolve(address);
}

// One for each pod, whatever families its slices are of.
void Add(std::vector<Backend>& out, Backend backend) {
  bool there = std::any_of(out.begin(), out.end(), [&](const Backend& b) {
    return b.side.name == backend.side.name && b.port == backend.port;
  });
  if (!there) out.push_back(std::move(backend));
}

bool FromSlices(const World& world, const Found& found, std::vector<Backend>& out) {
  bool known = false;
  for (const auto& [name, slice] : world.snapshot().endpoint_slices) {
    if (name.ns != found.service->name.ns || slice->service != found.service->name.name) continue;
    known = true;
    for (const model::SlicePort& port : slice->ports) {
      bool same = port.name == found.port->name && port.protocol == found.port->protocol;
      if (!same || !port.port) continue;
      for (const model::SliceEndpoint& endpoint : slice->endpoints) {
        if (!endpoint.ready || endpoint.addresses.empty()) continue;
        Add(out, {SideOf(world, endpoint.pod, endpoint.addresses[0]), {port.protocol, *port.port}});
      }
    }
  }
  return known;
}

bool Selects(const model::Labels& selector, const model::Labels& labels) {
  return std::all_of(selector.entries().begin(), selector.entries().end(), [&](const auto& want) {
    const std::string* value = labels.Find(want.first);
    return value && *value == want.second;
  });
}

// The port on the pod; 0: a name that it does not have.
uint16_t TargetOn(const model::Pod& pod, const model::ServicePort& port) {
  if (const auto* number = std::get_if<uint16_t>(&port.target_port)) return *number;
  for (const model::ContainerPort& declared : pod.ports) {
    bool named = declared.name == std::get<std::string>(port.target_port);
    if (named && declared.protocol == port.protocol) return declared.port;
  }
  return 0;
}

void FromSelector(const World& world, const Found& found, std::vector<Backend>& out) {
  if (found.service->selector.entries().empty()) return;
  for (const Side& side : world.LivePods()) {
    if (side.pod->name.ns != found.service->name.ns) continue;
    if (!Selects(found.service->selector, side.pod->labels)) continue;
    uint16_t port = TargetOn(*side.pod, *found.port);
    if (port != 0) out.push_back({side, {found.port->protocol, port}});
  }
}

}  // namespace

Result<std::optional<std::vector<Backend>>> BackendsOf(const World& world, std::string_view to) {
  bool named = to.substr(0, kPrefix.size()) == kPrefix;
  auto destination = ParseDestination(named ? to.substr(kPrefix.size()) : to);
  if (!destination) return std::move(destination).error();
  Found found;
  if (named) {
    auto by_name = ByName(world.snapshot(), *destination);
    if (!by_name) return std::move(by_name).error();
    found = *by_name;
  } else if (const auto* address = std::get_if<net::Address>(&destination->party)) {
    found = ByAddress(world.snapshot(), *address, *destination);
  }
  std::optional<std::vector<Backend>> out;
  if (!found.service) return out;
  out.emplace();
  if (!FromSlices(world, found, *out)) FromSelector(world, found, *out);
  if (!out->empty()) return out;
  return Error{"Service " + found.service->name.ToString() +
               " has no ready backend for this port: nobody would answer"};
}

}  // namespace sallyport::cli
