// SPDX-License-Identifier: Apache-2.0
#include "control/own_addresses.h"

#include <algorithm>

namespace sallyport::control {

void OwnAddresses::Gone(uint32_t ifindex) {
  for (auto it = placed_.begin(); it != placed_.end();) {
    if (it->second.ifindex != ifindex) {
      ++it;
      continue;
    }
    gone_[it->first] = it->second.uid;
    changed_.insert(it->first);
    it = placed_.erase(it);
  }
}

std::set<model::ObjectName> OwnAddresses::Update(const endpoint::Decision& decision,
                                                 const model::Snapshot& objects) {
  std::map<model::ObjectName, Placed> now;
  for (const auto& [name, placement] : decision.placements) {
    auto pod = objects.pods.find(name);
    if (pod == objects.pods.end()) continue;
    now[name] = {pod->second->uid, placement.ifindex, placement.addresses};
    auto before = placed_.find(name);
    if (before == placed_.end() || !(before->second == now[name])) changed_.insert(name);
    gone_.erase(name);
  }
  for (const auto& [name, placed] : placed_) {
    if (!now.contains(name)) changed_.insert(name);
  }
  placed_ = std::move(now);
  std::erase_if(gone_, [&](const auto& entry) {
    auto pod = objects.pods.find(entry.first);
    return pod == objects.pods.end() || pod->second->uid != entry.second;
  });
  return std::exchange(changed_, {});
}

model::PodPtr OwnAddresses::Of(const model::PodPtr& pod) const {
  auto gone = gone_.find(pod->name);
  auto placed = placed_.find(pod->name);
  std::vector<net::Address> addresses = pod->addresses;
  if (gone != gone_.end() && gone->second == pod->uid) {
    addresses.clear();
  } else if (placed != placed_.end() && placed->second.uid == pod->uid) {
    for (const net::Address& address : placed->second.addresses) {
      bool known = std::find(addresses.begin(), addresses.end(), address) != addresses.end();
      if (!known) addresses.push_back(address);
    }
  }
  if (addresses == pod->addresses) return pod;
  auto out = std::make_shared<model::Pod>(*pod);
  out->addresses = std::move(addresses);
  return out;
}

}  // namespace sallyport::control
