// SPDX-License-Identifier: Apache-2.0
// The compiler: deltas in, changes to the image out. Each part owns one idea; this file is the
// order they work in.
//
//   policies, endpoints --> Selection --> which policies are in force, sets for endpoints
//                                |
//                       Rules, PeerGroups --> which peers they tell apart
//                                |
//        ipBlocks --> PrefixTable, pods --> Peers --> identities
//                       Services --> NodePorts: those of other nodes
//                                |
//                           PolicySets --> rules: (set, identity) to port set
#include <algorithm>

#include "policy/batch.h"
#include "policy/compile.h"
#include "policy/peers.h"
#include "policy/pod_index.h"
#include "policy/selection.h"

namespace sallyport::policy {

class Compiler::Impl {
 public:
  explicit Impl(std::string node)
      : node_(std::move(node)),
        prefixes_(identities_),
        groups_(prefixes_, snapshot_),
        rules_(groups_, names_),
        sets_(rules_, node_ports_, identities_, image_),
        selection_(rules_, sets_, image_),
        peers_(groups_, prefixes_, rules_, names_, node_ports_, identities_, image_) {}

  Changes Apply(const std::vector<model::Delta>& deltas) { return Take(Fold(snapshot_, deltas)); }
  Changes Load(const model::Snapshot& snapshot) {
    snapshot_ = snapshot;
    return Take(Everything(snapshot_));
  }

  const Image& image() const { return image_; }
  const model::Snapshot& snapshot() const { return snapshot_; }
  const model::Diagnostics& diagnostics() const { return diagnostics_; }
  Image TakeImage() { return std::move(image_); }

 private:
  Changes Take(const Batch& batch);
  void ChangePod(const model::PodPtr& before, const model::PodPtr& after);
  // Services, nodes and slices; true if it may change what some policy says.
  bool TakeServices(const Batch& batch, Changes& changes);
  void ChangeNode(const model::NodePtr& before, const model::NodePtr& after);
  void SettleOwnNode(Changes& changes);
  void ChangeService(const model::Service& service, int by, Changes& changes);
  void MarkTouched(const Touched& touched);
  void MarkNamespace(const std::string& ns, const model::Selector& pods);
  void MarkSelected(const PodLeaf& leaf);
  bool InScope(const std::string& ns, const Scope& scope) const;
  bool IsEndpoint(const model::PodPtr& pod) const {
    return pod && pod->IsLive() && pod->node == node_;
  }

  const std::string node_;
  model::Snapshot snapshot_;
  Image image_;
  model::Diagnostics diagnostics_;
  std::map<net::Address, int> service_uses_;

  Identities identities_;
  PrefixTable prefixes_;
  PeerGroups groups_;
  NamedPorts names_;
  NodePorts node_ports_;
  Rules rules_;
  PolicySets sets_;
  Selection selection_;
  Peers peers_;
  PodIndex pods_;
};

Changes Compiler::Impl::Take(const Batch& batch) {
  Changes changes;
  bool node_ports = TakeServices(batch, changes);
  if (batch.empty() && !node_ports) return changes;

  for (const auto& [before, after] : batch.policies) selection_.Change(before, after);
  for (const auto& [before, after] : batch.pods) ChangePod(before, after);
  selection_.Settle(changes);

  MarkTouched(groups_.Settle());
  for (const net::Cidr& range : prefixes_.Update(image_.prefixes, changes.prefixes)) {
    peers_.MarkRange(range);
  }
  if (batch.namespaces_listed) {
    groups_.NamespacesChanged();
    peers_.MarkEveryone();
  }
  for (const auto& [before, after] : batch.namespaces) {
    const std::string& ns = (before ? before : after)->name;
    if (groups_.NamespaceChanged(ns)) MarkNamespace(ns, model::Selector());
  }
  peers_.Settle(sets_.TellNodePortsApart(), changes);

  sets_.Settle(changes);
  rules_.Sweep();
  diagnostics_ = peers_.Diagnose();
  return changes;
}

bool Compiler::Impl::TakeServices(const Batch& batch, Changes& changes) {
  for (const auto& [before, after] : batch.services) {
    if (after) ChangeService(*after, 1, changes);
    if (before) ChangeService(*before, -1, changes);
    node_ports_.Change(before, after);
  }
  for (const auto& [before, after] : batch.slices) node_ports_.Change(before, after);
  bool touched = node_ports_.changed();
  for (const auto& [address, backend] : node_ports_.Refresh(snapshot_)) {
    peers_.SetBackend(address, backend);
  }
  for (const auto& [before, after] : batch.nodes) {
    touched = true;
    ChangeNode(before, after);
  }
  if (batch.node) SettleOwnNode(changes);
  return touched;
}

void Compiler::Impl::ChangePod(const model::PodPtr& before, const model::PodPtr& after) {
  if (before && before->IsLive()) {
    peers_.Unclaim(*before);
    pods_.Remove(*before);
  }
  if (after && after->IsLive()) {
    peers_.Claim(*after);
    pods_.Add(*after);
  }
  model::PodPtr was = IsEndpoint(before) ? before : nullptr;
  model::PodPtr is = IsEndpoint(after) ? after : nullptr;
  if (was || is) selection_.Change(was, is);
}

// Other nodes have NodePorts; the own one's addresses are in the image as such.
void Compiler::Impl::ChangeNode(const model::NodePtr& before, const model::NodePtr& after) {
  if ((before ? before : after)->name == node_) return;
  if (before && after && before->addresses == after->addresses) return;
  if (after) {
    for (const net::Address& address : after->addresses) peers_.ChangeNode(address, +1);
  }
  if (before) {
    for (const net::Address& address : before->addresses) peers_.ChangeNode(address, -1);
  }
}

void Compiler::Impl::SettleOwnNode(Changes& changes) {
  std::set<net::Address> addresses = snapshot_.local_addresses;
  if (auto it = snapshot_.nodes.find(node_); it != snapshot_.nodes.end()) {
    addresses.insert(it->second->addresses.begin(), it->second->addresses.end());
  }
  if (addresses == image_.node_addresses) return;
  image_.node_addresses = std::move(addresses);
  changes.node_addresses = true;
}

// Several Services may have one external address.
void Compiler::Impl::ChangeService(const model::Service& service, int by, Changes& changes) {
  for (const net::Address& address : service.Addresses()) {
    int& uses = service_uses_[address];
    uses += by;
    bool changed = uses > 0 ? image_.service_addresses.insert(address).second
                            : image_.service_addresses.erase(address) > 0;
    if (changed) changes.service_addresses.insert(address);
    if (uses == 0) service_uses_.erase(address);
  }
}

void Compiler::Impl::MarkTouched(const Touched& touched) {
  if (touched.everyone) peers_.MarkEveryone();
  for (const net::Cidr& range : Outermost(touched.ranges)) peers_.MarkRange(range);
  for (const PodLeaf& leaf : touched.pods) {
    if (peers_.ManyMarked()) {
      peers_.MarkEveryone();
      return;
    }
    MarkSelected(leaf);
  }
}

void Compiler::Impl::MarkSelected(const PodLeaf& leaf) {
  if (auto candidates = pods_.Candidates(leaf.pods)) {
    for (const model::Pod* pod : *candidates) {
      if (leaf.pods.Matches(pod->labels) && InScope(pod->name.ns, leaf.scope)) {
        peers_.MarkPod(*pod);
      }
    }
    return;
  }
  if (!leaf.scope.selector) {
    MarkNamespace(leaf.scope.name, leaf.pods);
    return;
  }
  // From one namespace that has pods to the next.
  auto pod = snapshot_.pods.begin();
  while (pod != snapshot_.pods.end()) {
    const std::string& ns = pod->first.ns;
    if (InScope(ns, leaf.scope)) MarkNamespace(ns, leaf.pods);
    pod = snapshot_.pods.lower_bound({ns + '\0', ""});
  }
}

bool Compiler::Impl::InScope(const std::string& ns, const Scope& scope) const {
  return scope.selector ? snapshot_.NamespaceMatches(*scope.selector, ns) : scope.name == ns;
}

void Compiler::Impl::MarkNamespace(const std::string& ns, const model::Selector& pods) {
  auto it = snapshot_.pods.lower_bound({ns, ""});
  for (; it != snapshot_.pods.end() && it->first.ns == ns; ++it) {
    const model::Pod& pod = *it->second;
    if (pod.IsLive() && pods.Matches(pod.labels)) peers_.MarkPod(pod);
  }
}

Compiler::Compiler(std::string node) : impl_(std::make_unique<Impl>(std::move(node))) {}
Compiler::~Compiler() = default;

Changes Compiler::Apply(const std::vector<model::Delta>& deltas) { return impl_->Apply(deltas); }
const Image& Compiler::image() const { return impl_->image(); }
const model::Snapshot& Compiler::snapshot() const { return impl_->snapshot(); }
const model::Diagnostics& Compiler::diagnostics() const { return impl_->diagnostics(); }

Compiled Compile(const model::Snapshot& snapshot, const std::string& node) {
  auto impl = std::make_unique<Compiler::Impl>(node);
  impl->Load(snapshot);
  return {impl->TakeImage(), impl->diagnostics()};
}

}  // namespace sallyport::policy
