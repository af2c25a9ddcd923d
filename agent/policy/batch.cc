// SPDX-License-Identifier: Apache-2.0
#include "policy/batch.h"

#include <map>
#include <string>

namespace sallyport::policy {
namespace {

// The objects of one kind that deltas touched, as they were before the first of them.
template <typename Objects>
class Before {
 public:
  using Key = typename Objects::key_type;
  using Ptr = typename Objects::mapped_type;

  explicit Before(const Objects& objects) : objects_(objects) {}

  void Remember(const Key& key) { before_.try_emplace(key, Find(key)); }

  void Collect(std::vector<std::pair<Ptr, Ptr>>& changes) const {
    for (const auto& [key, before] : before_) {
      Ptr after = Find(key);
      if (before != after) changes.emplace_back(before, after);
    }
  }

 private:
  Ptr Find(const Key& key) const {
    auto it = objects_.find(key);
    return it == objects_.end() ? nullptr : it->second;
  }

  const Objects& objects_;
  std::map<Key, Ptr> before_;
};

template <typename Objects, typename Changes>
void AddAll(const Objects& objects, Changes& changes) {
  changes.reserve(objects.size());
  for (const auto& [key, object] : objects) changes.emplace_back(nullptr, object);
}

}  // namespace

Batch Fold(model::Snapshot& snapshot, const std::vector<model::Delta>& deltas) {
  Before namespaces(snapshot.namespaces);
  Before pods(snapshot.pods);
  Before policies(snapshot.policies);
  Before nodes(snapshot.nodes);
  Before services(snapshot.services);
  Before slices(snapshot.endpoint_slices);
  Batch batch;
  bool listed = snapshot.namespaces_listed;
  for (const model::Delta& delta : deltas) {
    switch (delta.kind) {
      case model::Kind::kNamespace:
        namespaces.Remember(delta.name.name);
        break;
      case model::Kind::kPod:
        pods.Remember(delta.name);
        break;
      case model::Kind::kNetworkPolicy:
        policies.Remember(delta.name);
        break;
      case model::Kind::kNode:
        nodes.Remember(delta.name.name);
        batch.node = true;
        break;
      case model::Kind::kLocalAddresses:
        batch.node = true;
        break;
      case model::Kind::kService:
        services.Remember(delta.name);
        break;
      case model::Kind::kEndpointSlice:
        slices.Remember(delta.name);
        break;
      case model::Kind::kEgressGateway:
        break;  // no policy of ours depends on it
      case model::Kind::kNamespacesListed:
        break;  // compared below
    }
    snapshot.Apply(delta);
  }
  namespaces.Collect(batch.namespaces);
  pods.Collect(batch.pods);
  policies.Collect(batch.policies);
  nodes.Collect(batch.nodes);
  slices.Collect(batch.slices);
  services.Collect(batch.services);
  batch.namespaces_listed = snapshot.namespaces_listed != listed;
  return batch;
}

Batch Everything(const model::Snapshot& snapshot) {
  Batch batch;
  AddAll(snapshot.namespaces, batch.namespaces);
  AddAll(snapshot.pods, batch.pods);
  AddAll(snapshot.policies, batch.policies);
  AddAll(snapshot.nodes, batch.nodes);
  AddAll(snapshot.services, batch.services);
  AddAll(snapshot.endpoint_slices, batch.slices);
  batch.node = true;
  return batch;
}

}  // namespace sallyport::policy
