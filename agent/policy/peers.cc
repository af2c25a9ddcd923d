// SPDX-License-Identifier: Apache-2.0
#include "policy/peers.h"

#include <algorithm>
#include <iterator>

#include "net/prefix_search.h"

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

void Peers::ChangeNode(const net::Address& address, int by) {
  Entry& entry = entries_[address];
  entry.nodes += by;
  if (entry.nodes > 0) nodes_.insert(address);
  if (entry.nodes == 0) nodes_.erase(address);
  marked_.push_back(address);
}

void Peers::SetBackend(const net::Address& address, bool backend) {
  entries_[address].backend = backend;
  marked_.push_back(address);
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

void Peers::Settle(bool node_ports_matter, Changes& changes) {
  last_pod_ = nullptr;
  if (everyone_) {
    for (auto& [address, entry] : entries_) Look(address, entry, changes);
  }
  for (const net::Address& address : marked_) {
    auto it = entries_.find(address);
    if (it == entries_.end()) continue;
    if (!everyone_) Look(address, it->second, changes);
    if (it->second.idle()) entries_.erase(it);
  }
  SettleNodes(node_ports_matter, changes);
  marked_.clear();
  everyone_ = false;
  last_pod_ = nullptr;
}

// A node's signature has its NodePorts in it, and those the signatures of their backends.
void Peers::Look(const net::Address& address, Entry& entry, Changes& changes) {
  NoteNode(address, entry, changes);
  if (entry.backend) {
    node_ports_.Learn(address, SignatureOf(entry, prefixes_.IdentityOf(address)));
  }
  if (entry.nodes > 0) {
    marked_nodes_.insert(address);
  } else {
    Sign(address, entry, changes);
  }
}

void Peers::NoteNode(const net::Address& address, const Entry& entry, Changes& changes) {
  bool is_node = entry.nodes > 0 && entry.pods.empty();
  bool changed =
      is_node ? image_.other_nodes.insert(address).second : image_.other_nodes.erase(address) > 0;
  bool is_shared = entry.nodes > 0 && !entry.pods.empty();
  changed |= is_shared ? image_.shared_nodes.insert(address).second
                       : image_.shared_nodes.erase(address) > 0;
  if (changed) changes.peers.insert(address);
}

void Peers::SettleNodes(bool node_ports_matter, Changes& changes) {
  auto [v4, v6] = node_ports_.Settle(node_ports_matter);
  if (v4 || v6) {
    for (const net::Address& address : nodes_) {
      if (address.IsV4() ? v4 : v6) marked_nodes_.insert(address);
    }
  }
  for (const net::Address& address : marked_nodes_) Sign(address, entries_.at(address), changes);
  marked_nodes_.clear();
}

void Peers::Sign(const net::Address& address, Entry& entry, Changes& changes) {
  IdentityId around = prefixes_.IdentityOf(address);
  IdentityId identity = kNoIdentity;
  NodePortsId node_ports = entry.nodes > 0 ? node_ports_.id(address.IsV4()) : kNoNodePorts;
  if (!entry.pods.empty() || node_ports != kNoNodePorts) {
    Signature signature = SignatureOf(entry, around);
    signature.node_ports = node_ports;
    identity = identities_.Acquire(signature);
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
  if (entry.pods.empty()) return identities_.signature(around);
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
