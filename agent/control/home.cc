// SPDX-License-Identifier: Apache-2.0
#include "control/home.h"

#include <algorithm>
#include <variant>

namespace sallyport::control {

void Home::Hear(const std::vector<model::Delta>& deltas, const model::Snapshot& objects) {
  bool moved = false;
  for (const model::Delta& delta : deltas) moved |= HearOfNode(delta);
  if (moved) {
    strays_.clear();
    for (const auto& [name, pod] : objects.pods) HearOfPod(*pod);
    return;
  }
  for (const model::Delta& delta : deltas) {
    if (delta.kind != model::Kind::kPod) continue;
    strays_.erase(delta.name);
    if (const auto* pod = std::get_if<model::PodPtr>(&delta.object)) HearOfPod(**pod);
  }
}

std::vector<net::Cidr> Home::cidrs() const {
  auto own = cidrs_.find(node_);
  return own == cidrs_.end() || !strays_.empty() ? std::vector<net::Cidr>{} : own->second;
}

// True if other addresses are its pods' now.
bool Home::HearOfNode(const model::Delta& delta) {
  if (delta.kind != model::Kind::kNode) return false;
  std::vector<net::Cidr> now;
  if (const auto* node = std::get_if<model::NodePtr>(&delta.object)) now = (*node)->pod_cidrs;
  auto known = cidrs_.find(delta.name.name);
  if (now == (known == cidrs_.end() ? std::vector<net::Cidr>{} : known->second)) return false;
  if (now.empty()) {
    cidrs_.erase(known);
  } else {
    cidrs_[delta.name.name] = std::move(now);
  }
  return true;
}

void Home::HearOfPod(const model::Pod& pod) {
  auto cidrs = cidrs_.find(pod.node);
  if (!pod.IsLive() || cidrs == cidrs_.end()) return;
  for (const net::Address& address : pod.addresses) {
    auto inside = [&](const net::Cidr& cidr) { return cidr.Contains(address); };
    if (std::none_of(cidrs->second.begin(), cidrs->second.end(), inside)) strays_.insert(pod.name);
  }
}

}  // namespace sallyport::control
