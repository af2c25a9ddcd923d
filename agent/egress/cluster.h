// SPDX-License-Identifier: Apache-2.0
// What is never pinned: the cluster itself, and addresses that do not leave a link.
//
// Said twice on purpose: ClusterRanges for tables, WhyNeverPinned by asking every object. Tests
// hold the two together.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "model/snapshot.h"
#include "net/address.h"

namespace sallyport::egress {

// Order of prefixes in which each stands before all that is inside it, and nothing of the other
// family stands in between.
struct ByFamily {
  bool operator()(const net::Cidr& a, const net::Cidr& b) const;
};

// A set of addresses, as few prefixes as it takes: disjoint, in order ByFamily.
using Ranges = std::vector<net::Cidr>;
Ranges Fewest(std::vector<net::Cidr> prefixes);
// The prefix of the ranges that has the address in it; nullptr if none has.
const net::Cidr* Find(const Ranges& ranges, const net::Address& address);
// Whether one of the ranges has all of the prefix in it.
bool Covers(const Ranges& ranges, const net::Cidr& prefix);

struct Cluster {
  Ranges ranges;      // all that is never pinned
  Ranges pod_ranges;  // the pod CIDRs of all nodes
  // Live pods with an address that lies outside all of those.
  std::set<model::ObjectName> strays;
};
// Pod CIDRs, live pods elsewhere, addresses of nodes, of this node, and of Services; link-local,
// multicast, loopback, unspecified, broadcast. An egress IP that this node holds is no address of
// its own.
Cluster ClusterOf(const model::Snapshot& snapshot);

// Such as "it is an address of Node n1"; "" if it may be pinned. Slow and obvious.
std::string WhyNeverPinned(const model::Snapshot& snapshot, const net::Address& address);

// Whose addresses cannot be egress IPs: pods', ClusterIPs, and those that tunnels between nodes end
// at. Other addresses of Services do not count: whoever may write a Service could take an egress IP
// out of use with them.
class Owners {
 public:
  explicit Owners(const model::Snapshot& snapshot);
  // Such as "it is an address of Service shop/web"; "" if it is nobody's.
  std::string WhoseElse(const net::Address& address) const;

 private:
  Ranges pod_ranges_;
  std::map<net::Address, std::string> owners_;
};

}  // namespace sallyport::egress
