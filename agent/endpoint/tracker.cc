// SPDX-License-Identifier: Apache-2.0
#include "endpoint/tracker.h"

#include <algorithm>
#include <tuple>

namespace sallyport::endpoint {
namespace {

bool CanCarryPrograms(const Link& link) { return link.kind == "veth" || link.kind == "netkit"; }

FarEnd FarEndOf(const Link& link) { return {link.peer_netns, link.peer_ifindex}; }

bool Newer(const Claim& a, const Claim& b) {
  return std::tie(a.age_order, a.file) > std::tie(b.age_order, b.file);
}

// The pod's addresses, one of each family, if what the claim says agrees with the pod's status: in
// every family that both name, they have one in common. Status may be silent (not written yet);
// the claim may be only where the UID vouches for it.
std::vector<net::Address> AgreedAddresses(const Claim& claim, const model::Pod& pod) {
  if (claim.addresses.empty() && (claim.uid.empty() || claim.uid != pod.uid)) return {};
  std::vector<net::Address> out;
  for (bool v4 : {true, false}) {
    auto family = [v4](const std::vector<net::Address>& all) {
      std::vector<net::Address> mine;
      std::copy_if(all.begin(), all.end(), std::back_inserter(mine),
                   [v4](const net::Address& a) { return a.IsV4() == v4; });
      return mine;
    };
    auto claimed = family(claim.addresses), reported = family(pod.addresses);
    if (claimed.empty() && reported.empty()) continue;
    if (claimed.empty() || reported.empty()) {
      out.push_back(claimed.empty() ? reported.front() : claimed.front());
      continue;
    }
    auto common =
        std::find_first_of(reported.begin(), reported.end(), claimed.begin(), claimed.end());
    if (common == reported.end()) return {};
    out.push_back(*common);
  }
  return out;
}

bool ShareAddress(const Placement& a, const Placement& b) {
  return std::find_first_of(a.addresses.begin(), a.addresses.end(), b.addresses.begin(),
                            b.addresses.end()) != a.addresses.end();
}

std::string Join(const std::vector<net::Address>& addresses) {
  std::string out;
  for (const net::Address& address : addresses) {
    out += (out.empty() ? "" : ", ") + address.ToString();
  }
  return out.empty() ? "none" : out;
}

}  // namespace

Tracker::Tracker(std::string node, DeviceFilter filter, Resolver& resolver)
    : node_(std::move(node)), filter_(std::move(filter)), resolver_(resolver) {}

void Tracker::Update(const LinkUpdate& update) {
  for (uint32_t ifindex : update.gone) {
    links_.erase(ifindex);
    left_alone_.erase(ifindex);
  }
  for (const Link& link : update.set) links_[link.ifindex] = link;
  if (!update.gone.empty() || !update.set.empty()) {
    by_name_.clear();
    for (const auto& [ifindex, link] : links_) by_name_[link.name] = ifindex;
  }
  for (auto& [file, known] : claims_) {
    bool proven = known.location && known.location->proven;
    bool gone = known.location &&
                std::count(update.gone.begin(), update.gone.end(), known.location->ifindex) > 0;
    known.spent |= gone;
    if (!proven || gone || !StillThere(known)) known.located = false;
  }
}

void Tracker::SetClaim(Claim claim) {
  std::string file = claim.file;
  Known known;
  known.claim = std::move(claim);
  claims_[file] = std::move(known);
}

void Tracker::RemoveClaim(const std::string& file) { claims_.erase(file); }

bool Tracker::SetPod(const model::PodPtr& pod) {
  if (pod->node != node_) return RemovePod(pod->name);
  auto& slot = pods_[pod->name];
  bool changes = !slot || *slot != *pod;
  slot = pod;
  if (changes) Vouch(*pod);
  return changes;
}

// Where sandboxes cannot be seen, a result may be read before the end of the interface that had its
// name: newer news of its pod, with its addresses, says that it is not of the former one. One whose
// sandbox was seen needs no such word, which may be of the former pod, and late.
void Tracker::Vouch(const model::Pod& pod) {
  for (auto& [file, known] : claims_) {
    const Claim& claim = known.claim;
    if (!known.spent || known.seen || claim.pod != pod.name || pod.addresses.empty()) continue;
    if (claim.uid != pod.uid && !claim.uid.empty()) continue;
    if (AgreedAddresses(claim, pod).empty()) continue;
    known.spent = known.located = false;
  }
}

bool Tracker::RemovePod(const model::ObjectName& name) { return pods_.erase(name) > 0; }

void Tracker::SetLeftAlone(std::set<uint32_t> interfaces) { left_alone_ = std::move(interfaces); }

// If something claims it.
bool Tracker::MayBePods(const Link& link) const {
  return IsPodsKind(link, filter_) && (!link.uplink || guarded_.contains(link.ifindex));
}

const Link* Tracker::LinkOf(const std::string& name) const {
  auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &links_.at(it->second);
}

bool Tracker::StillThere(const Known& known) const {
  auto it = links_.find(known.location->ifindex);
  return it != links_.end() && it->second.name == known.name &&
         FarEndOf(it->second) == known.far_end;
}

// The interface that the result names. Of several (a bridge and its port), the first that can be a
// pod's. Where the sandbox can be seen and its interface is not the other end, the file is stale.
std::optional<Tracker::Location> Tracker::LocateByName(const Known& known) {
  for (const std::string& name : known.claim.host_interfaces) {
    const Link* link = LinkOf(name);
    if (!link || !CanCarryPrograms(*link)) continue;
    auto far_end = resolver_.Find(known.claim.netns, known.claim.interface);
    if (far_end && *far_end != FarEndOf(*link)) return std::nullopt;
    return Location{link->ifindex, far_end.has_value()};
  }
  return std::nullopt;
}

std::optional<Tracker::Location> Tracker::LocateBySandbox(const Known& known, bool& sandbox_seen) {
  auto far_end = resolver_.Find(known.claim.netns, known.claim.interface);
  sandbox_seen = far_end.has_value();
  if (!far_end || far_end->netns == kPeerHere) return std::nullopt;
  for (const auto& [ifindex, link] : links_) {
    if (CanCarryPrograms(link) && FarEndOf(link) == *far_end) return Location{ifindex, true};
  }
  return std::nullopt;
}

std::optional<Tracker::Location> Tracker::LocateByRoute(const Known& known) {
  for (const net::Address& address : known.claim.addresses) {
    auto ifindex = resolver_.Route(address);
    auto link = ifindex ? links_.find(*ifindex) : links_.end();
    if (link != links_.end() && MayBePods(link->second)) return Location{*ifindex, false};
  }
  return std::nullopt;
}

// A result that names a host interface which is not here is stale, or early: no other way is tried.
void Tracker::Locate(Known& known) {
  if (known.located) return;
  known.located = true;
  known.location.reset();
  const auto& names = known.claim.host_interfaces;
  bool all_here = std::all_of(names.begin(), names.end(),
                              [this](const std::string& name) { return LinkOf(name) != nullptr; });
  bool names_one = std::any_of(names.begin(), names.end(), [this](const std::string& name) {
    const Link* link = LinkOf(name);
    return link && CanCarryPrograms(*link);
  });
  if (names_one) {
    known.location = LocateByName(known);
  } else if (all_here) {
    bool sandbox_seen = false;
    known.location = LocateBySandbox(known, sandbox_seen);
    if (!known.location && !sandbox_seen) known.location = LocateByRoute(known);
  }
  if (!known.location) return;
  known.seen |= known.location->proven;
  if (known.spent && !known.location->proven) {
    known.location.reset();
    return;
  }
  const Link& link = links_.at(known.location->ifindex);
  known.name = link.name;
  known.far_end = FarEndOf(link);
}

// Who speaks for each interface: a claim that is proven by its sandbox, else the newest. A claim
// that a newer one of the same pod and interface replaces speaks for nothing.
std::map<uint32_t, const Tracker::Known*> Tracker::Claimants() const {
  std::map<std::pair<model::ObjectName, std::string>, const Known*> newest;
  for (const auto& [file, known] : claims_) {
    auto& slot = newest[{known.claim.pod, known.claim.interface}];
    if (!slot || Newer(known.claim, slot->claim)) slot = &known;
  }
  std::map<uint32_t, const Known*> out;
  for (const auto& [key, known] : newest) {
    if (!known->location) continue;
    auto& slot = out[known->location->ifindex];
    if (!slot || std::make_pair(known->location->proven, Newer(known->claim, slot->claim)) >
                     std::make_pair(slot->location->proven, false)) {
      slot = known;
    }
  }
  return out;
}

// "" if the claim may speak for the pod.
std::string Tracker::CheckPod(const Claim& claim, const model::Pod& pod) const {
  if (!claim.uid.empty() && !pod.uid.empty() && claim.uid != pod.uid) {
    return "the CNI result is of another pod of that name (UID " + claim.uid + ", now " + pod.uid +
           ")";
  }
  if (pod.host_network) return "the pod uses its node's network";
  if (!pod.IsLive()) return "the pod has ended";
  return {};
}

std::string Tracker::Place(const Known& known, const Link& link, Candidate& out) const {
  const Claim& claim = known.claim;
  auto pod = pods_.find(claim.pod);
  if (pod == pods_.end()) return "its pod is not known yet on node " + node_;
  if (std::string doubt = CheckPod(claim, *pod->second); !doubt.empty()) return doubt;
  auto addresses = AgreedAddresses(claim, *pod->second);
  if (addresses.empty()) {
    return "the CNI result's addresses (" + Join(claim.addresses) + ") are not the pod's (" +
           Join(pod->second->addresses) + ")";
  }
  out = {&known, pod->second, {link.ifindex, addresses, !link.shaped}};
  if (!pod->second->addresses.empty()) return {};
  for (const auto& [name, other] : pods_) {  // no status to compare with: does another have it?
    Placement theirs{.ifindex = 0, .addresses = other->addresses};
    if (name != claim.pod && other->IsLive() && ShareAddress(out.placement, theirs)) {
      return "the CNI result's addresses (" + Join(claim.addresses) + ") are " + name.ToString() +
             "'s by now";
    }
  }
  return {};
}

// One interface a pod: of one sandbox the first that was made (later ones are further networks), of
// several sandboxes the newest. One pod an address: the newest.
void Tracker::Settle(std::vector<Candidate> candidates, Decision& decision) const {
  auto newest_first = [](const Candidate& a, const Candidate& b) {
    return Newer(a.known->claim, b.known->claim);
  };
  std::sort(candidates.begin(), candidates.end(), newest_first);
  std::map<std::pair<model::ObjectName, std::string>, Candidate> first_of_sandbox;
  for (const Candidate& candidate : candidates) {
    first_of_sandbox[{candidate.pod->name, candidate.known->claim.container}] = candidate;
  }
  std::vector<Candidate> firsts;
  for (const auto& [sandbox, candidate] : first_of_sandbox) firsts.push_back(candidate);
  std::sort(firsts.begin(), firsts.end(), newest_first);

  std::map<net::Address, model::ObjectName> owners;
  for (const Candidate& candidate : candidates) {
    decision.sightings.at(candidate.placement.ifindex).why_closed =
        "another interface is the pod's, of the network that was made first";
  }
  for (const Candidate& candidate : firsts) {
    if (decision.placements.contains(candidate.pod->name)) continue;
    std::string& why_closed = decision.sightings.at(candidate.placement.ifindex).why_closed;
    why_closed.clear();
    for (const net::Address& address : candidate.placement.addresses) {
      auto [owner, is_new] = owners.emplace(address, candidate.pod->name);
      if (!is_new) {
        why_closed =
            "its address " + address.ToString() + " is " + owner->second.ToString() + "'s by now";
      }
    }
    if (why_closed.empty()) {
      decision.placements.emplace(candidate.pod->name, candidate.placement);
    }
  }
}

// Why a claim of a living pod leads to no interface.
std::string Tracker::WhyNowhere(const Known& known) const {
  const Claim& claim = known.claim;
  std::string result = "CNI result " + claim.file + " ";
  if (known.spent) return result + "is of an interface that has gone";
  for (const std::string& name : claim.host_interfaces) {
    const Link* link = LinkOf(name);
    if (!link) return result + "names " + name + ", which is not here";
    if (CanCarryPrograms(*link)) return result + "names " + name + ", but its sandbox is elsewhere";
    if (link->kind != "bridge") {
      return result + "names " + name + ", of kind " + (link->kind.empty() ? "none" : link->kind) +
             ": only veth and netkit can be guarded";
    }
  }
  return result + "names no interface of the host, and neither its sandbox (" +
         (claim.netns.empty() ? "not named" : claim.netns) + ") nor a route leads to one";
}

void Tracker::NameMissing(Decision& decision) const {
  std::set<model::ObjectName> seen;
  for (const auto& [ifindex, sighting] : decision.sightings) {
    if (sighting.pod) seen.insert(*sighting.pod);
  }
  std::map<model::ObjectName, const Known*> newest;
  for (const auto& [file, known] : claims_) {
    const Known*& slot = newest[known.claim.pod];
    if (!slot || Newer(known.claim, slot->claim)) slot = &known;
  }
  for (const auto& [name, pod] : pods_) {
    if (!pod->IsLive() || seen.contains(name)) continue;
    auto claim = newest.find(name);
    decision.missing[name] =
        claim == newest.end() ? "no CNI result names it" : WhyNowhere(*claim->second);
  }
}

Decision Tracker::Decide(const std::set<uint32_t>& guarded) {
  guarded_ = guarded;
  for (auto& [file, known] : claims_) Locate(known);
  auto claimants = Claimants();

  Decision decision;
  std::vector<Candidate> candidates;
  for (const auto& [ifindex, link] : links_) {
    auto claimant = claimants.find(ifindex);
    bool claimed = claimant != claimants.end();
    if (!(claimed ? MayBePods(link) : IsCandidate(link, filter_))) {
      decision.unguarded.insert(ifindex);
      continue;
    }
    Sighting& sighting = decision.sightings[ifindex];
    sighting.link = link;
    if (!claimed) {
      sighting.why_closed = "no CNI result claims it";
      continue;
    }
    sighting.pod = claimant->second->claim.pod;
    Candidate candidate;
    sighting.why_closed = Place(*claimant->second, link, candidate);
    if (sighting.why_closed.empty()) candidates.push_back(candidate);
  }
  Settle(std::move(candidates), decision);

  NameMissing(decision);
  for (const auto& [ifindex, sighting] : decision.sightings) {
    if (!left_alone_.contains(ifindex)) {
      decision.guarded.insert(ifindex);
    } else if (sighting.why_closed.empty()) {
      decision.guarded_once_open.insert(ifindex);
    }
  }
  return decision;
}

}  // namespace sallyport::endpoint
