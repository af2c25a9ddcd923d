// SPDX-License-Identifier: Apache-2.0
#include "model/backends.h"

#include <algorithm>

#include "model/endpoint_slices.h"

namespace sallyport::model {
namespace {

bool Contains(const std::vector<net::Address>& addresses, const net::Address& address) {
  return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
}

bool Names(const ServicePort& port, net::Protocol protocol, const PortName& wanted) {
  if (port.protocol != protocol) return false;
  if (const auto* name = std::get_if<std::string>(&wanted)) {
    return !name->empty() && port.name == *name;
  }
  return port.port == std::get<uint16_t>(wanted);
}

Error NoSuchPort(const Service& service) {
  std::string has;
  for (const ServicePort& port : service.ports) {
    has += (has.empty() ? "; it has " : ", ") + std::to_string(port.port) + "/" +
           net::ToString(port.protocol);
  }
  return {"Service " + service.name.ToString() + " has no such port" + has};
}

// Of the sender's node; of any, if no pod sends, or one whose node is not known.
bool IsNodes(const Snapshot& snapshot, const Pod* sender, const net::Address& address) {
  return snapshot.local_addresses.contains(address) ||
         std::any_of(snapshot.nodes.begin(), snapshot.nodes.end(), [&](const auto& node) {
           return (!sender || sender->node.empty() || sender->node == node.first) &&
                  Contains(node.second->addresses, address);
         });
}

// A pod's slices of both families are one backend.
void Add(std::vector<Backend>& out, Backend backend) {
  if (backend.addresses.empty()) return;
  auto same = std::find_if(out.begin(), out.end(), [&](const Backend& known) {
    bool pod = backend.pod ? known.pod == backend.pod : known.addresses == backend.addresses;
    return pod && known.port == backend.port;
  });
  if (same == out.end()) return out.push_back(std::move(backend));
  for (const net::Address& address : backend.addresses) {
    if (!Contains(same->addresses, address)) same->addresses.push_back(address);
  }
}

// Only the sender's node will do: "" if any will.
std::string OnlyNode(const ServiceTarget& target, const Pod* sender) {
  const Service& service = *target.service;
  bool internal = !target.address || Contains(service.cluster_ips, *target.address);
  return service.internal_local && internal && sender ? sender->node : "";
}

// An endpoint's addresses all lead to the same; the first is what kube-proxy takes. nullopt: the
// Service has no slices.
std::optional<std::vector<Backend>> FromSlices(const Snapshot& snapshot,
                                               const ServiceTarget& target,
                                               const std::string& only_node) {
  std::vector<EndpointSlicePtr> slices = SlicesOf(snapshot, target.service->name);
  if (slices.empty()) return std::nullopt;
  std::vector<Backend> out;
  for (bool v4 : {true, false}) {
    if (target.address && target.address->IsV4() != v4) continue;
    for (const UsableEndpoint& use :
         UsableEndpoints(target.port, slices, v4, Leaving::kWhereNoneIsReady, only_node)) {
      auto pod = snapshot.pods.find(use.endpoint->pod);
      Add(out,
          {pod == snapshot.pods.end() ? nullptr : pod->second, {use.addresses.front()}, use.port});
    }
  }
  return out;
}

bool Selects(const Labels& selector, const Labels& labels) {
  return std::all_of(selector.entries().begin(), selector.entries().end(), [&](const auto& want) {
    const std::string* value = labels.Find(want.first);
    return value && *value == want.second;
  });
}

// The port on the pod; 0: a name that it does not have.
uint16_t TargetOn(const Pod& pod, const ServicePort& port) {
  if (const auto* number = std::get_if<uint16_t>(&port.target_port)) return *number;
  for (const ContainerPort& declared : pod.ports) {
    bool named = declared.name == std::get<std::string>(port.target_port);
    if (named && declared.protocol == port.protocol) return declared.port;
  }
  return 0;
}

// What of `addresses` a connection to the target may be sent to.
std::vector<net::Address> OfFamily(const ServiceTarget& target,
                                   const std::vector<net::Address>& addresses) {
  std::vector<net::Address> out;
  for (const net::Address& address : addresses) {
    if (!target.address || target.address->IsV4() == address.IsV4()) out.push_back(address);
  }
  return out;
}

std::vector<Backend> FromSelector(const Snapshot& snapshot, const ServiceTarget& target,
                                  const std::string& only_node) {
  std::vector<Backend> out;
  const Service& service = *target.service;
  if (service.selector.entries().empty()) return out;
  for (const auto& [name, pod] : snapshot.pods) {
    bool ended = pod->phase == PodPhase::kSucceeded || pod->phase == PodPhase::kFailed;
    if (ended || name.ns != service.name.ns || !Selects(service.selector, pod->labels)) continue;
    if (!only_node.empty() && !pod->node.empty() && pod->node != only_node) continue;
    uint16_t port = TargetOn(*pod, target.port);
    if (port != 0) Add(out, {pod, OfFamily(target, pod->addresses), port});
  }
  return out;
}

}  // namespace

std::string ServiceTarget::ToString() const {
  return service->name.ToString() + ":" + std::to_string(port.port) + "/" +
         net::ToString(port.protocol);
}

Result<ServiceTarget> FindService(const Snapshot& snapshot, const ObjectName& name,
                                  net::Protocol protocol, const PortName& port) {
  auto it = snapshot.services.find(name);
  if (it == snapshot.services.end()) return Error{"there is no Service " + name.ToString()};
  const Service& service = *it->second;
  if (service.type == ServiceType::kExternalName) {
    return Error{"Service " + name.ToString() + " only stands for the name " +
                 service.external_name + ": ask about an address of that"};
  }
  for (const ServicePort& own : service.ports) {
    if (Names(own, protocol, port)) return ServiceTarget{it->second, own, std::nullopt};
  }
  return NoSuchPort(service);
}

Result<std::optional<ServiceTarget>> FindServiceAt(const Snapshot& snapshot, const Pod* sender,
                                                   const net::Address& address,
                                                   net::Protocol protocol, const PortName& port) {
  using Found = std::optional<ServiceTarget>;
  if (!net::HasPorts(protocol)) return Found();
  const auto* number = std::get_if<uint16_t>(&port);
  bool node = number && IsNodes(snapshot, sender, address);
  const Service* owner = nullptr;  // by its cluster IP, which is nobody else's
  for (const auto& [name, service] : snapshot.services) {
    bool here = Contains(service->Addresses(), address);
    for (const ServicePort& own : service->ports) {
      bool at_node = node && own.node_port == *number && own.protocol == protocol;
      if ((here && Names(own, protocol, port)) || at_node) {
        return Found(ServiceTarget{service, own, address});
      }
    }
    if (Contains(service->cluster_ips, address)) owner = service.get();
  }
  if (owner != nullptr) return NoSuchPort(*owner).Context(address.ToString());
  return Found();
}

Result<std::vector<Backend>> BackendsOf(const Snapshot& snapshot, const Pod* sender,
                                        const ServiceTarget& target) {
  const std::string only = OnlyNode(target, sender);
  auto listed = FromSlices(snapshot, target, only);
  std::vector<Backend> out = listed ? *std::move(listed) : FromSelector(snapshot, target, only);
  if (out.empty()) {
    std::string where = only.empty() ? "" : " on node " + only + " (internalTrafficPolicy: Local)";
    return Error{"Service " + target.service->name.ToString() +
                 " has no ready backend for this port" + where + ": nobody would answer"};
  }
  return out;
}

}  // namespace sallyport::model
