// SPDX-License-Identifier: Apache-2.0
// Which interface belongs to which pod. Entry point: Tracker::Decide.
//
// Takes links, claims (CNI results) and this node's pods in any order, and decides from what it
// knows now, not from how it came to know it: any sequence of events that ends in the same world
// ends in the same decision, but for a claim that outlives its interface: it is remembered that it
// did. Closed when in doubt. No system call but through the Resolver.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "endpoint/cni_result.h"
#include "endpoint/device_filter.h"
#include "endpoint/link.h"
#include "endpoint/resolver.h"
#include "model/snapshot.h"
#include "net/address.h"

namespace sallyport::endpoint {

struct Placement {
  uint32_t ifindex = 0;
  std::vector<net::Address> addresses;  // at most one of each family
  bool direct = false;                  // nothing on the interface needs to see its packets
  friend bool operator==(const Placement&, const Placement&) = default;
};

// An interface that is, or may be, a pod's.
struct Sighting {
  Link link;
  std::optional<model::ObjectName> pod;  // placed here, or claimed to be
  std::string why_closed;                // "" for a placed one
  friend bool operator==(const Sighting&, const Sighting&) = default;
};

struct Decision {
  std::map<model::ObjectName, Placement> placements;
  // Interfaces that must carry the programs now, placed or not.
  std::set<uint32_t> guarded;
  // Placed interfaces that traffic ran through before the agent's first start: their programs go on
  // when policy for them is in force, not before. Disjoint from `guarded`.
  std::set<uint32_t> guarded_once_open;
  // Known interfaces that must not carry programs.
  std::set<uint32_t> unguarded;
  std::map<uint32_t, Sighting> sightings;
  // Pods of this node that should have an interface, and none is found: why.
  std::map<model::ObjectName, std::string> missing;
  friend bool operator==(const Decision&, const Decision&) = default;
};

class Tracker {
 public:
  // `resolver` must outlive the tracker.
  Tracker(std::string node, DeviceFilter filter, Resolver& resolver);

  void Update(const LinkUpdate& update);
  void SetClaim(Claim claim);
  void RemoveClaim(const std::string& file);
  // A pod anywhere; those of other nodes are forgotten. False when that changes nothing.
  bool SetPod(const model::PodPtr& pod);
  bool RemovePod(const model::ObjectName& name);
  // Interfaces to leave alone until they are placed: they were there before the first start.
  void SetLeftAlone(std::set<uint32_t> interfaces);
  // It carries the programs from now on, whatever becomes of its placement.
  void Adopt(uint32_t ifindex) { left_alone_.erase(ifindex); }

  const Links& links() const { return links_; }
  // `guarded` carry the programs. Of these, one that a pod claims stays a pod's, whatever addresses
  // and routes it gets.
  Decision Decide(const std::set<uint32_t>& guarded = {});

 private:
  // Where a claim leads, and how sure that is.
  struct Location {
    uint32_t ifindex = 0;
    bool proven = false;  // the sandbox's own interface is the other end
  };
  struct Known {
    Claim claim;
    bool located = false;  // `location` was looked for, and what it rests on has not moved since
    bool seen = false;     // its sandbox was, once, at the other end
    // The interface that it led to has gone: what has its name or route by now needs another proof.
    bool spent = false;
    std::optional<Location> location;
    std::string name;  // of the link, and its other end, when it was found
    FarEnd far_end;
  };
  struct Candidate {
    const Known* known = nullptr;
    model::PodPtr pod;
    Placement placement;
  };
  bool MayBePods(const Link& link) const;
  void Locate(Known& known);
  std::optional<Location> LocateByName(const Known& known);
  std::optional<Location> LocateBySandbox(const Known& known, bool& sandbox_seen);
  std::optional<Location> LocateByRoute(const Known& known);
  bool StillThere(const Known& known) const;
  const Link* LinkOf(const std::string& name) const;

  std::map<uint32_t, const Known*> Claimants() const;
  void NameMissing(Decision& decision) const;
  void Vouch(const model::Pod& pod);
  std::string WhyNowhere(const Known& known) const;
  std::string Place(const Known& known, const Link& link, Candidate& out) const;
  std::string CheckPod(const Claim& claim, const model::Pod& pod) const;
  void Settle(std::vector<Candidate> candidates, Decision& decision) const;

  std::string node_;
  DeviceFilter filter_;
  Resolver& resolver_;
  Links links_;
  std::map<std::string, uint32_t> by_name_;
  std::map<std::string, Known> claims_;
  std::map<model::ObjectName, model::PodPtr> pods_;
  std::set<uint32_t> left_alone_;
  std::set<uint32_t> guarded_;
};

}  // namespace sallyport::endpoint
