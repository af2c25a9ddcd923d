// SPDX-License-Identifier: Apache-2.0
// A network interface of this namespace, reduced to what tells pods' interfaces from others.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "endpoint/device_filter.h"
#include "model/snapshot.h"

namespace sallyport::endpoint {

inline constexpr int kPeerHere = -1;

struct Link {
  uint32_t ifindex = 0;
  std::string name;
  std::string kind;            // "veth", "netkit", "bridge", ...; "" for hardware and loopback
  uint32_t peer_ifindex = 0;   // of the other end, in its own namespace; 0: none, or not told
  int peer_netns = kPeerHere;  // this kernel's number for the other namespace that the peer is in
  // The node's own way to its network: it carries, or once carried, a permanent address with a
  // subnet (link-local IPv6 apart) or a default route. A moment without does not make it a pod's.
  // What a router's advertisement brought does not count: a pod can send one.
  bool uplink = false;
  uint16_t hardware = 1;  // ARPHRD_*; 1: Ethernet
  uint32_t master = 0;    // the bridge, bond, ... that it is a port of; 0: of none
  bool shaped = false;    // a queueing discipline wants to see its packets

  // The programs can stand on it, and its other end is in another namespace.
  bool IsPair() const { return (kind == "veth" || kind == "netkit") && peer_netns != kPeerHere; }
  friend bool operator==(const Link&, const Link&) = default;
};

// Could be a pod's, if it is not the node's own.
inline bool IsPodsKind(const Link& link, const DeviceFilter& filter) {
  return link.IsPair() && filter.Matches(link.name);
}
// May be a pod's, as far as the interface itself tells.
inline bool IsCandidate(const Link& link, const DeviceFilter& filter) {
  return IsPodsKind(link, filter) && !link.uplink;
}

// Packets leave the node there, or may, unless it is a pod's. Not a bridge: its ports say more.
bool IsWayOut(const Link& link);
// Its frames begin with the IP header.
inline bool IsTunnel(const Link& link) { return link.hardware != 1; }

// The device of the agent's own tunnel to gateways.
inline constexpr const char* kOwnTunnel = "sallyport";
inline bool IsOwnTunnel(const Link& link) {
  return link.kind == "vxlan" && link.name == kOwnTunnel;
}

using Links = std::map<uint32_t, Link>;
// Interfaces through which comes what no pod of this node has sent: all but pairs that are not the
// node's own, which may become a pod's at any time, and bridges with no other ports.
std::set<uint32_t> Entrances(const Links& links);

// What changed since the update before; the first one says everything.
struct LinkUpdate {
  std::vector<Link> set;
  // Before `set`: what is in both has gone, and another link has its index now.
  std::vector<uint32_t> gone;
  std::optional<model::LocalAddresses> addresses;
  bool routes_changed = false;
  std::set<uint32_t> filters_changed;  // on these somebody put or took a filter, or the hook
  // Of `gone`, those that another link has now.
  std::vector<uint32_t> Reused() const;
  bool empty() const {
    return set.empty() && gone.empty() && !addresses && !routes_changed && filters_changed.empty();
  }
};

}  // namespace sallyport::endpoint
