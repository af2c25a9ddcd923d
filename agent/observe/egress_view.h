// SPDX-License-Identifier: Apache-2.0
// What a node tells about egress IPs: who holds each, whose its ports are, and how long they last.
// Values, made on the thread that sees to them, read on any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/address.h"

namespace sallyport::observe {

// Ports of an egress IP that are leased to a node.
struct PortBlockView {
  uint16_t first = 0, last = 0;
  std::string node;
  bool use =
      false;  // false: flows that are there go on, none begin; of other nodes' not known here
  uint32_t live = 0, resting = 0;  // flows of this node
};

struct EgressAddressView {
  net::Address ip;
  std::string gateway;                // the EgressGateway object whose it is
  std::string holder;                 // node; "": nobody, or not known
  uint32_t epoch = 0;                 // counts on with each take-over
  std::optional<WallTime> since;      // holder and epoch are so
  bool held_here = false;             // it is on an interface of this node
  std::string uplink;                 // that interface; "": not here
  std::string via;                    // the node that this one's packets leave through; "": none
  std::string why_nobody;             // "": somebody holds it
  std::vector<PortBlockView> blocks;  // of all nodes, by first port

  // Of this node's flows. A port serves many remotes, so it is the busiest remote that counts.
  uint64_t ports = 0;     // in blocks that are in use here
  uint64_t busiest = 0;   // those that the busiest remote takes
  uint64_t headroom = 0;  // those that it leaves
  uint64_t live = 0, resting = 0;
  uint64_t opened = 0, refused = 0;             // flows: that got a port, that got none
  uint64_t hurried = 0;                         // ports that were given again within a minute
  std::optional<double> seconds_to_exhaustion;  // nothing: not foreseeable
  std::string exhausted;                        // why there are no more ports; "": there are

  // As a gateway: to the outside, from there.
  uint64_t packets_out = 0, bytes_out = 0, packets_in = 0, bytes_in = 0;
  uint64_t strangers = 0;  // packets from outside that were nobody's
  uint64_t foreign = 0;    // from the tunnel, not from a node whose ports they are
};

// Another node that may hold egress IPs.
struct EgressPeerView {
  std::string node;
  net::Address address;               // where its tunnel ends; all zero: not known
  std::optional<Duration> heard_ago;  // nothing: never
};

struct EgressView {
  std::string node;
  struct Tunnel {
    std::string device;  // "": there is none
    uint16_t port = 0;   // UDP
    uint32_t vni = 0, mtu = 0;
  } tunnel;
  std::vector<EgressAddressView> addresses;
  std::vector<EgressPeerView> peers;
  uint64_t takeovers = 0;  // by this node, since its agent's start
};

}  // namespace sallyport::observe
