// SPDX-License-Identifier: Apache-2.0
#include "policy/prefix_table.h"

#include <algorithm>

#include "net/prefix_search.h"

namespace sallyport::policy {
namespace {

using Counts = std::vector<std::pair<GroupId, int>>;

void AddTo(Counts& counts, GroupId group, int by) {
  auto it =
      std::lower_bound(counts.begin(), counts.end(), group,
                       [](const std::pair<GroupId, int>& c, GroupId g) { return c.first < g; });
  if (it == counts.end() || it->first != group) {
    counts.insert(it, {group, by});
  } else if ((it->second += by) == 0) {
    counts.erase(it);
  }
}

// The exceptions that take something away from the block, outermost ones only, so that no address
// is taken away twice.
std::vector<net::Cidr> Holes(const model::IpBlock& block) {
  std::vector<net::Cidr> inside;
  for (const net::Cidr& hole : block.except) {
    if (block.cidr.Contains(hole)) inside.push_back(hole);
  }
  std::sort(inside.begin(), inside.end());
  std::vector<net::Cidr> out;
  for (const net::Cidr& hole : inside) {
    if (out.empty() || !out.back().Contains(hole)) out.push_back(hole);
  }
  return out;
}

bool IsEmpty(const model::IpBlock& block) {
  return std::any_of(block.except.begin(), block.except.end(),
                     [&](const net::Cidr& hole) { return hole.Contains(block.cidr); });
}

}  // namespace

// Visits the prefixes of one range, parents first, and gives each its identity.
class PrefixTable::Walk {
 public:
  Walk(PrefixTable& table, const net::Cidr& range, std::map<net::Cidr, IdentityId>& prefixes,
       std::set<net::Cidr>& changed)
      : identities_(table.identities_),
        nodes_(table.NodesOf(range)),
        range_(range),
        prefixes_(prefixes),
        changed_(changed) {}

  void Run() {
    EnterAncestors();
    auto it = nodes_.lower_bound(range_);
    while (it != nodes_.end() && range_.Contains(it->first)) {
      while (!path_.empty() && !path_.back().cidr.Contains(it->first)) Leave();
      if (it->second.counts.empty()) {
        Unlist(it->first, it->second);
        it = nodes_.erase(it);
        continue;
      }
      IdentityId around = path_.empty() ? kNoIdentity : path_.back().node->identity;
      Enter(it->first, it->second);
      Decide(it->first, it->second, around);
      ++it;
    }
  }

 private:
  struct Step {
    net::Cidr cidr;
    Node* node;
  };

  void EnterAncestors() {
    std::vector<Nodes::iterator> ancestors;  // the innermost first
    for (int bits = range_.mapped_length() - 1; bits >= 0;) {
      auto it = LongestPrefix(nodes_, range_.address(), bits);
      if (it == nodes_.end()) break;
      ancestors.push_back(it);
      bits = it->first.mapped_length() - 1;
    }
    for (auto it = ancestors.rbegin(); it != ancestors.rend(); ++it) {
      Enter((*it)->first, (*it)->second);
    }
  }

  void Enter(const net::Cidr& cidr, Node& node) {
    path_.push_back({cidr, &node});
    for (const auto& [group, by] : node.counts) Move(group, by);
  }

  void Leave() {
    for (const auto& [group, by] : path_.back().node->counts) Move(group, -by);
    path_.pop_back();
  }

  void Move(GroupId group, int by) {
    if ((counts_[group] += by) == 0) counts_.erase(group);
  }

  void Decide(const net::Cidr& cidr, Node& node, IdentityId around) {
    Signature signature;
    for (const auto& [group, count] : counts_) {
      if (count > 0) signature.groups.push_back(group);
    }
    IdentityId identity = identities_.Acquire(signature);
    if (identity == around) {
      Unlist(cidr, node);
      node.identity = identity;
      identities_.Release(identity);
      return;
    }
    if (node.listed) identities_.Release(node.identity);
    bool same = node.listed && node.identity == identity;
    node.identity = identity;
    node.listed = true;
    if (same) return;
    prefixes_[cidr] = identity;
    changed_.insert(cidr);
  }

  void Unlist(const net::Cidr& cidr, Node& node) {
    if (!node.listed) return;
    identities_.Release(node.identity);
    node.listed = false;
    prefixes_.erase(cidr);
    changed_.insert(cidr);
  }

  Identities& identities_;
  Nodes& nodes_;
  const net::Cidr range_;
  std::map<net::Cidr, IdentityId>& prefixes_;
  std::set<net::Cidr>& changed_;
  std::vector<Step> path_;         // from the outermost prefix to the current one
  std::map<GroupId, int> counts_;  // along the path
};

void PrefixTable::Count(const model::IpBlock& block, GroupId group, int by) {
  if (IsEmpty(block)) return;
  Nodes& nodes = NodesOf(block.cidr);
  AddTo(nodes[block.cidr].counts, group, by);
  for (const net::Cidr& hole : Holes(block)) AddTo(nodes[hole].counts, group, -by);
  dirty_.push_back(block.cidr);
}

std::vector<net::Cidr> Outermost(std::vector<net::Cidr> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<net::Cidr> out;
  for (bool v4 : {true, false}) {
    size_t first = out.size();
    for (const net::Cidr& range : ranges) {
      if (range.IsV4() != v4) continue;
      if (out.size() > first && out.back().Contains(range)) continue;
      out.push_back(range);
    }
  }
  return out;
}

std::vector<net::Cidr> PrefixTable::Update(std::map<net::Cidr, IdentityId>& prefixes,
                                           std::set<net::Cidr>& changed) {
  std::vector<net::Cidr> ranges = Outermost(std::move(dirty_));
  dirty_.clear();
  for (const net::Cidr& range : ranges) Walk(*this, range, prefixes, changed).Run();
  return ranges;
}

IdentityId PrefixTable::IdentityOf(const net::Address& address) const {
  const Nodes& nodes = nodes_[address.IsV4() ? 0 : 1];
  auto it = LongestPrefix(nodes, address);
  return it == nodes.end() ? kNoIdentity : it->second.identity;
}

}  // namespace sallyport::policy
