// SPDX-License-Identifier: Apache-2.0
// ipBlocks, flattened: overlapping blocks with exceptions to prefixes of which the longest wins.
//
// A block counts +1 for its group from its CIDR down, and -1 from each exception down. An address
// is in a group if the counts along its prefixes, from the shortest to the longest, add up to more
// than 0. So each prefix that a block mentions has the groups of the prefix around it, as its own
// counts change them; where they change nothing it needs no entry. A change looks again at the
// prefixes inside the blocks that changed, no others.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "model/objects.h"
#include "policy/identities.h"

namespace sallyport::policy {

// The same addresses as ranges of which none contains another; IPv4 first.
std::vector<net::Cidr> Outermost(std::vector<net::Cidr> ranges);

class PrefixTable {
 public:
  explicit PrefixTable(Identities& identities) : identities_(identities) {}

  // Says that a group has this block among its peers, or no longer. Requires that what is removed
  // was added.
  void Add(const model::IpBlock& block, GroupId group) { Count(block, group, +1); }
  void Remove(const model::IpBlock& block, GroupId group) { Count(block, group, -1); }

  // Brings `prefixes` up to date and notes the entries that changed. Returns the ranges whose
  // addresses may have another identity now.
  std::vector<net::Cidr> Update(std::map<net::Cidr, IdentityId>& prefixes,
                                std::set<net::Cidr>& changed);

  // What the prefixes say of an address.
  IdentityId IdentityOf(const net::Address& address) const;

 private:
  struct Node {
    std::vector<std::pair<GroupId, int>> counts;  // sorted by group, none 0
    IdentityId identity = kNoIdentity;
    bool listed = false;  // in the image; then it holds a reference to its identity
  };
  using Nodes = std::map<net::Cidr, Node>;
  class Walk;

  void Count(const model::IpBlock& block, GroupId group, int by);
  Nodes& NodesOf(const net::Cidr& cidr) { return nodes_[cidr.IsV4() ? 0 : 1]; }

  Identities& identities_;
  Nodes nodes_[2];  // IPv4, IPv6: the families are apart
  std::vector<net::Cidr> dirty_;
};

}  // namespace sallyport::policy
