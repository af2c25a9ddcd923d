// SPDX-License-Identifier: Apache-2.0
#include "policy/peers.h"

#include <algorithm>
#include <iterator>

#include "policy/prefix_search.h"

namespace sallyport::policy {

void Peers::Claim(const model::Pod& pod) {
  for (const net::Address& address : pod.addresses) {
    std::vector<const model::Pod*>& pods = entries_[address].pods;
    if (std::find(pods.begin(), pods.end(), &pod) != pods.end()) continue;  // listed twice
    pods.push_back(&pod);
    if (pods.size() > 1) shared_.insert(address);
    marked_.push_back(address);
  }
}

void Peers::Unclaim(const model::Pod& pod) {
  for (const net::Address& address : pod.addresses) {
    auto it = entries_.find(address);
    if (it == entries_.end()) continue;
    std::vector<const model::Pod*>& pods = it->second.pods;
    pods.erase(std::remove(pods.begin(), pods.end(), &pod), pods.end());
    if (pods.size() < 2) shared_.erase(address);
    marked_.push_back(address);
  }
}

void Peers::MarkPod(const model::Pod& pod) {
  marked_.insert(marked_.end(), pod.addresses.begin(), pod.addresses.end());
}

void Peers::MarkRange(const net::Cidr& range) {
  // IPv4 lies in the middle of IPv6's order: a range of the one may go around the other.
  auto it = entries_.lower_bound(range.address());
  for (; it != entries_.end(); ++it) {
    if (CommonBits(range.address(), it->first) < range.mapped_length()) break;
    if (range.Contains(it->first)) marked_.push_back(it->first);
  }
}

void Peers::Settle(Changes& changes) {
  last_pod_ = nullptr;
  if (everyone_) {
    for (auto& [address, entry] : entries_) Sign(address, entry, changes);
  }
  for (const net::Address& address : marked_) {
    auto it = entries_.find(address);
    if (it == entries_.end()) continue;
    if (!everyone_) Sign(address, it->second, changes);
    if (it->second.pods.empty()) entries_.erase(it);
  }
  marked_.clear();
  everyone_ = false;
  last_pod_ = nullptr;
}

void Peers::Sign(const net::Address& address, Entry& entry, Changes& changes) {
  IdentityId around = prefixes_.IdentityOf(address);
  IdentityId identity = kNoIdentity;
  if (!entry.pods.empty()) {
    identity = identities_.Acquire(SignatureOf(entry, around));
    if (identity == around) {  // the prefixes say it already
      identities_.Release(identity);
      identity = kNoIdentity;
    }
  }
  identities_.Release(entry.identity);
  if (identity == entry.identity) return;
  entry.identity = identity;
  if (identity == kNoIdentity) {
    image_.peers.erase(address);
  } else {
    image_.peers[address] = identity;
  }
  changes.peers.insert(address);
}

Signature Peers::SignatureOf(const Entry& entry, IdentityId around) {
  Signature out;
  const Numbers& blocks = identities_.signature(around).groups;
  Numbers groups =
      groups_.GroupsOf(entry.pods.size() == 1 ? LeavesOf(*entry.pods[0]) : SharedLeaves(entry));
  std::set_union(blocks.begin(), blocks.end(), groups.begin(), groups.end(),
                 std::back_inserter(out.groups));
  if (!names_.empty()) out.ports = PortsOf(entry, out.groups);
  return out;
}

const Numbers& Peers::LeavesOf(const model::Pod& pod) {
  if (last_pod_ != &pod) {
    last_leaves_ = groups_.LeavesOf(pod);
    last_pod_ = &pod;
  }
  return last_leaves_;
}

Numbers Peers::SharedLeaves(const Entry& entry) {
  Numbers out = LeavesOf(*entry.pods[0]);
  for (const model::Pod* pod : entry.pods) {
    const Numbers& leaves = LeavesOf(*pod);
    Numbers both;
    std::set_intersection(out.begin(), out.end(), leaves.begin(), leaves.end(),
                          std::back_inserter(both));
    out = std::move(both);
  }
  return out;
}

Resolution Peers::PortsOf(const Entry& entry, const Numbers& groups) const {
  Resolution out;
  const model::Pod& first = *entry.pods[0];
  for (const model::ContainerPort& port : first.ports) {
    if (port.name.empty()) continue;
    NamedPortId name = names_.Find(port.name, port.protocol);
    if (name == 0 || !Matters(name, groups)) continue;
    auto number = names_.Resolve(name, first);
    bool agreed = std::all_of(entry.pods.begin(), entry.pods.end(), [&](const model::Pod* pod) {
      return names_.Resolve(name, *pod) == number;
    });
    if (agreed) out.emplace_back(name, *number);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

bool Peers::Matters(NamedPortId name, const Numbers& groups) const {
  if (rules_.Mentions(kAnyPeer, name)) return true;
  return std::any_of(groups.begin(), groups.end(),
                     [&](GroupId group) { return rules_.Mentions(group, name); });
}

model::Diagnostics Peers::Diagnose() const {
  model::Diagnostics out;
  for (const net::Address& address : shared_) {
    const std::vector<const model::Pod*>& pods = entries_.at(address).pods;
    std::vector<std::string> names;
    for (const model::Pod* pod : pods) names.push_back(pod->name.ToString());
    std::sort(names.begin(), names.end());
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
    model::Diagnostic diagnostic;
    diagnostic.severity = model::Severity::kWarning;
    diagnostic.place = pods[0]->place;
    diagnostic.object = "Pod " + names.front();
    diagnostic.field = "status.podIPs";
    diagnostic.message = address.ToString() + " is claimed by " + list +
                         ": rules that select pods allow it only what they allow all of these";
    out.push_back(std::move(diagnostic));
  }
  return out;
}

}  // namespace sallyport::policy
