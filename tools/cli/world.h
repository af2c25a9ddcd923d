// SPDX-License-Identifier: Apache-2.0
// The cluster that questions are asked about, and the parties in it. Pure.
//
// A pod that has no address yet (a manifest without status) can still be asked about: it gets a
// made-up one, from the top of its node's podCIDRs where these are known, else from 240.0.0.0/4
// and 100::/64, which no network uses. So an ipBlock such as 0.0.0.0/0 contains it, and a
// narrower one does not, unless it contains the node's pod range. Made-up addresses are never
// shown.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/ports.h"
#include "cli/question.h"
#include "model/snapshot.h"

namespace sallyport::cli {

using probe::Port;

// Which address families to ask about.
enum class Family { kBoth, kV4, kV6 };

// Whoever a question may be about: a pod, or an address outside.
struct Side {
  std::string name;                     // "ns/pod", or the address
  model::PodPtr pod;                    // null: no pod
  std::vector<net::Address> addresses;  // at least one
  bool made_up = false;                 // the addresses are

  // "ns", or "outside"; the name within it. For grouping.
  std::string Group() const;
  std::string ShortName() const;
  // The first address of that family.
  std::optional<net::Address> AddressOf(bool v4) const;
};

class World {
 public:
  explicit World(model::Snapshot snapshot);

  // As given, with an address for every live pod.
  const model::Snapshot& snapshot() const { return snapshot_; }
  // Errors say what is there instead: a pod that does not exist, one that has ended.
  Result<Side> Resolve(const Party& party) const;
  // All pods that take part in policy as pods, by name.
  std::vector<Side> LivePods() const;
  // The port number that a destination names; 0 where the protocol has none.
  Result<Port> ResolvePort(const Side& to, const Destination& destination) const;

 private:
  std::vector<net::Address> MakeUp(const model::Pod& pod);
  std::optional<net::Address> FreeIn(const net::Cidr& cidr);

  model::Snapshot snapshot_;
  std::set<model::ObjectName> made_up_;  // pods with made-up addresses
  std::set<net::Address> taken_;         // by any pod
  std::map<net::Cidr, uint32_t> used_;   // how many of its last addresses were looked at
};

// The pod's declared ports, each once, in the order declared; none for an outside address.
std::vector<Port> DeclaredPorts(const Side& side);

}  // namespace sallyport::cli
