// SPDX-License-Identifier: Apache-2.0
#include "model/snapshot.h"

#include <utility>

namespace sallyport::model {
namespace {

// Sets or removes one entry; false when the value was so already. An equal object still takes the
// old one's place, so that messages name the line where it stands now.
template <typename Map, typename Key>
bool ApplyTo(Map& map, const Key& key, const typename Map::mapped_type* object) {
  if (!object) return map.erase(key) > 0;
  auto [it, inserted] = map.try_emplace(key, *object);
  if (inserted) return true;
  bool changed = !(*it->second == **object);
  it->second = *object;
  return changed;
}

}  // namespace

std::string ToString(Kind kind) {
  switch (kind) {
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kNode:
      return "Node";
    case Kind::kPod:
      return "Pod";
    case Kind::kNetworkPolicy:
      return "NetworkPolicy";
    case Kind::kService:
      return "Service";
    case Kind::kEndpointSlice:
      return "EndpointSlice";
    case Kind::kEgressGateway:
      return "EgressGateway";
    case Kind::kLocalAddresses:
      return "LocalAddresses";
    case Kind::kNamespacesListed:
      return "NamespacesListed";
  }
  return "Kind " + std::to_string(static_cast<int>(kind));
}

Delta Delta::Set(NamespacePtr object) {
  ObjectName name{"", object->name};
  return Delta{Kind::kNamespace, std::move(name), std::move(object)};
}

Delta Delta::Set(NodePtr object) {
  ObjectName name{"", object->name};
  return Delta{Kind::kNode, std::move(name), std::move(object)};
}

Delta Delta::Set(PodPtr object) {
  ObjectName name = object->name;
  return Delta{Kind::kPod, std::move(name), std::move(object)};
}

Delta Delta::Set(NetworkPolicyPtr object) {
  ObjectName name = object->name;
  return Delta{Kind::kNetworkPolicy, std::move(name), std::move(object)};
}

Delta Delta::Set(ServicePtr object) {
  ObjectName name = object->name;
  return Delta{Kind::kService, std::move(name), std::move(object)};
}

Delta Delta::Set(EndpointSlicePtr object) {
  ObjectName name = object->name;
  return Delta{Kind::kEndpointSlice, std::move(name), std::move(object)};
}

Delta Delta::Set(EgressGatewayPtr object) {
  ObjectName name{"", object->name};
  return Delta{Kind::kEgressGateway, std::move(name), std::move(object)};
}

Delta Delta::Set(LocalAddresses addresses) {
  return Delta{Kind::kLocalAddresses, {}, std::move(addresses)};
}

Delta Delta::Set(NamespacesListed listed) { return Delta{Kind::kNamespacesListed, {}, listed}; }

Delta Delta::Remove(Kind kind, ObjectName name) { return Delta{kind, std::move(name), {}}; }

const Place& Delta::place() const {
  static const Place nowhere;
  return std::visit(
      [](const auto& value) -> const Place& {
        if constexpr (requires { value->place; }) {
          return value->place;
        } else {
          return nowhere;
        }
      },
      object);
}

bool Snapshot::Apply(const Delta& delta) {
  switch (delta.kind) {
    case Kind::kNamespace:
      return ApplyTo(namespaces, delta.name.name, std::get_if<NamespacePtr>(&delta.object));
    case Kind::kNode:
      return ApplyTo(nodes, delta.name.name, std::get_if<NodePtr>(&delta.object));
    case Kind::kPod:
      return ApplyTo(pods, delta.name, std::get_if<PodPtr>(&delta.object));
    case Kind::kNetworkPolicy:
      return ApplyTo(policies, delta.name, std::get_if<NetworkPolicyPtr>(&delta.object));
    case Kind::kService:
      return ApplyTo(services, delta.name, std::get_if<ServicePtr>(&delta.object));
    case Kind::kEndpointSlice:
      return ApplyTo(endpoint_slices, delta.name, std::get_if<EndpointSlicePtr>(&delta.object));
    case Kind::kEgressGateway:
      return ApplyTo(egress_gateways, delta.name.name,
                     std::get_if<EgressGatewayPtr>(&delta.object));
    case Kind::kLocalAddresses: {
      const auto* set = std::get_if<LocalAddresses>(&delta.object);
      LocalAddresses next = set ? *set : LocalAddresses{};
      if (next == local_addresses) return false;
      local_addresses = std::move(next);
      return true;
    }
    case Kind::kNamespacesListed: {
      bool listed = std::holds_alternative<NamespacesListed>(delta.object);
      return std::exchange(namespaces_listed, listed) != listed;
    }
  }
  return false;
}

Labels Snapshot::NamespaceLabels(const std::string& name) const {
  auto it = namespaces.find(name);
  if (it != namespaces.end()) return it->second->labels;
  return Labels({{std::string(kNamespaceNameLabel), name}});
}

bool Snapshot::KnowsLabelsOf(const std::string& name) const {
  return !namespaces_listed || namespaces.contains(name);
}

bool Snapshot::NamespaceMatches(const Selector& selector, const std::string& name) const {
  if (auto it = namespaces.find(name); it != namespaces.end()) {
    return selector.Matches(it->second->labels);
  }
  return (!namespaces_listed || selector.AsksOnlyFor(kNamespaceNameLabel)) &&
         selector.Matches(NamespaceLabels(name));
}

}  // namespace sallyport::model
