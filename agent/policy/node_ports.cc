// SPDX-License-Identifier: Apache-2.0
#include "policy/node_ports.h"

#include <algorithm>

namespace sallyport::policy {
namespace {

constexpr size_t kFamilies = 2;

void EraseOne(std::multiset<model::ObjectName>& names, const model::ObjectName& name) {
  if (auto it = names.find(name); it != names.end()) names.erase(it);
}

}  // namespace

void NodePorts::Change(const model::ServicePtr& before, const model::ServicePtr& after) {
  const model::ObjectName& name = (before ? before : after)->name;
  bool is = after && model::HasNodePorts(*after);
  bool was = before && model::HasNodePorts(*before);
  if (is) nodeport_services_.insert(name);
  if (!is) nodeport_services_.erase(name);
  if (is || was) dirty_services_.insert(name);
}

void NodePorts::Change(const model::EndpointSlicePtr& before,
                       const model::EndpointSlicePtr& after) {
  const model::ObjectName& name = (before ? before : after)->name;
  if (before) {
    auto it = slices_.find({name.ns, before->service});
    it->second.erase(name);
    if (nodeport_services_.count(it->first) > 0) dirty_services_.insert(it->first);
    if (it->second.empty()) slices_.erase(it);
  }
  if (after) {
    auto it = slices_.try_emplace({name.ns, after->service}).first;
    it->second.insert(name);
    if (nodeport_services_.count(it->first) > 0) dirty_services_.insert(it->first);
  }
}

std::vector<std::pair<net::Address, bool>> NodePorts::Refresh(const model::Snapshot& snapshot) {
  std::set<net::Address> touched;
  for (const model::ObjectName& name : dirty_services_) {
    Withdraw(name, touched);
    if (nodeport_services_.count(name) > 0) {
      Expose(name, *snapshot.services.at(name), snapshot, touched);
    }
  }
  dirty_services_.clear();
  std::vector<std::pair<net::Address, bool>> out;
  for (const net::Address& address : touched) {
    auto it = backends_.find(address);
    if (it->second.services.empty()) {
      if (it->second.signature != 0) out.emplace_back(address, false);
      if (it->second.signature != 0) signatures_.Release(it->second.signature);
      backends_.erase(it);
    } else if (it->second.signature == 0) {
      out.emplace_back(address, true);
    }
  }
  return out;
}

void NodePorts::Expose(const model::ObjectName& name, const model::Service& service,
                       const model::Snapshot& snapshot, std::set<net::Address>& touched) {
  std::vector<model::EndpointSlicePtr> slices;
  if (auto it = slices_.find(name); it != slices_.end()) {
    for (const model::ObjectName& slice : it->second) {
      slices.push_back(snapshot.endpoint_slices.at(slice));
    }
  }
  std::vector<Exposed>& out = exposed_[name];
  for (const model::ServicePort& port : service.ports) {
    if (port.node_port == 0 || !net::HasPorts(port.protocol)) continue;
    Exposed exposed{{port.protocol, port.node_port}, {}};
    for (size_t family = 0; family < kFamilies; ++family) {
      exposed.backends[family] = model::NodePortBackends(service, port, slices, family == 0);
      for (const model::NodePortBackend& backend : exposed.backends[family]) {
        backends_[backend.address].services.insert(name);
        touched.insert(backend.address);
      }
    }
    users_[exposed.key].insert(name);
    dirty_.insert(exposed.key);
    out.push_back(std::move(exposed));
  }
}

void NodePorts::Withdraw(const model::ObjectName& name, std::set<net::Address>& touched) {
  auto it = exposed_.find(name);
  if (it == exposed_.end()) return;
  for (const Exposed& exposed : it->second) {
    for (const std::vector<model::NodePortBackend>& backends : exposed.backends) {
      for (const model::NodePortBackend& backend : backends) {
        EraseOne(backends_.at(backend.address).services, name);
        touched.insert(backend.address);
      }
    }
    auto users = users_.find(exposed.key);
    EraseOne(users->second, name);
    if (users->second.empty()) users_.erase(users);
    dirty_.insert(exposed.key);
  }
  exposed_.erase(it);
}

void NodePorts::Learn(const net::Address& backend, const Signature& signature) {
  BackendUse& use = backends_.at(backend);
  uint32_t before = use.signature;
  use.signature = signatures_.Acquire(signature).first;
  if (before != 0) signatures_.Release(before);
  if (before == use.signature) return;
  for (const model::ObjectName& service : use.services) {
    for (const Exposed& exposed : exposed_.at(service)) dirty_.insert(exposed.key);
  }
}

Backing NodePorts::BackingOf(const Key& key, size_t family) const {
  Backing out;
  out.protocol = key.first;
  auto users = users_.find(key);
  if (users == users_.end()) return out;
  for (const model::ObjectName& service : users->second) {
    for (const Exposed& exposed : exposed_.at(service)) {
      if (exposed.key != key) continue;
      out.nowhere |= exposed.backends[family].empty();
      for (const model::NodePortBackend& backend : exposed.backends[family]) {
        uint32_t signature = backends_.at(backend.address).signature;
        CHECK(signature != 0) << backend.ToString() << " has not been looked at";
        out.needs.push_back({signature, backend.port});
      }
    }
  }
  if (out.nowhere) out.needs.clear();
  std::sort(out.needs.begin(), out.needs.end());
  out.needs.erase(std::unique(out.needs.begin(), out.needs.end()), out.needs.end());
  return out;
}

NodePortTable NodePorts::TableOf(const std::map<Key, Backing>& ports) {
  NodePortTable out;
  std::map<Backing, size_t> numbers;
  for (const auto& [key, backing] : ports) numbers.try_emplace(backing, 0);
  for (auto& [backing, number] : numbers) {
    number = out.backings.size();
    out.backings.push_back(backing);
  }
  for (const auto& [key, backing] : ports) out.ports.emplace_back(key, numbers.at(backing));
  return out;
}

bool NodePorts::SettleFamily(size_t number, bool in_use) {
  Family& family = families_[number];
  bool changed = false;
  for (const Key& key : dirty_) {
    if (users_.count(key) == 0) {
      changed |= family.ports.erase(key) > 0;
      continue;
    }
    Backing backing = BackingOf(key, number);
    auto [it, fresh] = family.ports.try_emplace(key);
    if (!fresh && it->second == backing) continue;
    it->second = std::move(backing);
    changed = true;
  }
  NodePortsId before = family.id;
  bool wanted = in_use && !family.ports.empty();
  if (!wanted) {
    family.id = kNoNodePorts;
    family.table = {};
  } else if (changed || before == kNoNodePorts) {
    CHECK(next_ != 0) << "numbers are used up";
    family.id = next_++;
    family.table = TableOf(family.ports);
  }
  return family.id != before;
}

std::pair<bool, bool> NodePorts::Settle(bool in_use) {
  std::pair<bool, bool> changed{SettleFamily(0, in_use), SettleFamily(1, in_use)};
  dirty_.clear();
  signatures_.Sweep([](uint32_t, const Signature&, NoData&) {});
  return changed;
}

const NodePortTable& NodePorts::table(NodePortsId id) const {
  bool v4 = id == families_[0].id;
  CHECK(id != kNoNodePorts && (v4 || id == families_[1].id)) << "table " << id;
  return families_[v4 ? 0 : 1].table;
}

}  // namespace sallyport::policy
