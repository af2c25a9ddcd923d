// SPDX-License-Identifier: Apache-2.0
#include "policy/identities.h"

#include "policy/hash.h"

namespace sallyport::policy {
namespace {

void EraseFrom(std::unordered_map<uint32_t, Numbers>& index, uint32_t key, IdentityId id) {
  auto it = index.find(key);
  Erase(it->second, id);
  if (it->second.empty()) index.erase(it);
}

}  // namespace

size_t SignatureHash::operator()(const Signature& signature) const {
  uint64_t ports = HashItems(signature.ports, [](const auto& p) {
    return static_cast<uint64_t>(p.first) << 16 | p.second;
  });
  return Mix(Mix(HashNumbers(signature.groups), ports), signature.node_ports);
}

IdentityId Identities::Acquire(const Signature& signature) {
  if (signature.empty()) return kNoIdentity;
  auto [id, fresh] = signatures_.Acquire(signature);
  if (fresh) {
    for (GroupId group : signature.groups) Insert(by_group_[group], id);
    for (const auto& [name, number] : signature.ports) Insert(by_port_[name], id);
    if (signature.node_ports != kNoNodePorts) Insert(with_node_ports_, id);
    fresh_.push_back(id);
  }
  return id;
}

const Signature& Identities::signature(IdentityId id) const {
  static const Signature kEmpty;
  return id == kNoIdentity ? kEmpty : signatures_.key(id);
}

const Numbers& Identities::Lookup(const Index& index, uint32_t key) {
  static const Numbers kEmpty;
  auto it = index.find(key);
  return it == index.end() ? kEmpty : it->second;
}

void Identities::Unlist(IdentityId id, const Signature& signature) {
  for (GroupId group : signature.groups) EraseFrom(by_group_, group, id);
  for (const auto& [name, number] : signature.ports) EraseFrom(by_port_, name, id);
  if (signature.node_ports != kNoNodePorts) Erase(with_node_ports_, id);
}

Numbers Identities::TakeFresh() {
  Numbers out;
  for (IdentityId id : fresh_) {
    if (signatures_.Contains(id)) out.push_back(id);
  }
  fresh_.clear();
  return out;
}

}  // namespace sallyport::policy
