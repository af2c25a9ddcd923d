// SPDX-License-Identifier: Apache-2.0
// What is heard of other gateways, and which of them are alive.
//
// A gateway is alive if it was heard lately; or another one that is heard hears it; or its hand was
// seen in a Lease since it fell silent: then the network between is cut, not the gateway dead, and
// it is alive until that Lease has not changed for its duration.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "egress/heartbeat.h"
#include "egress/lease.h"

namespace sallyport::egress {

struct HolderTimes {
  Millis beat = 50;              // between two heartbeats
  Millis silence = 350;          // without one: dead
  Millis step = 350;             // until the next in line acts in the place of one that did not
  Millis listen = 700;           // after the start, before anything is concluded from silence
  Millis first = 3 * kSecond;    // for who is to be an address's first holder to appear
  Millis lease = 15 * kSecond;   // duration; renewed after a third of it
  Millis late = 3 * kSecond;     // a renewal may be told of as long after it was made
  Millis forward = 5 * kMinute;  // after an address was given up
  Millis unfit = 5 * kSecond;    // an address is kept where it must not be, for want of another
  Millis announce = kSecond;     // to all nodes
  Millis retry = 2 * kSecond;    // after a request that failed
};

class GatewayPeers {
 public:
  GatewayPeers(std::string node, const HolderTimes& times)
      : node_(std::move(node)), times_(times) {}

  // What was received, and who sent it was checked. Old news and this node's own are dropped.
  // Whether it says more than that all is as it was.
  bool Heard(const Heartbeat& heartbeat, Millis now);
  // A Lease shows that this gateway was at work: it took an address, or renewed one.
  void SeenAtWork(const std::string& node, bool took, Millis now);

  bool IsHeard(const std::string& node, Millis now) const;
  bool IsAlive(const std::string& node, Millis now) const;
  bool IsLeaving(const std::string& node) const;
  // Some gateway is heard, and of those that are none hears this node: what it says does not
  // arrive.
  bool Unheard(Millis now) const;
  // HashName of those heard just now.
  std::vector<uint64_t> Hears(Millis now) const;

  struct Claim {
    std::string node;
    uint32_t epoch = 0;
  };
  // Gateways that hold the address, as far as they live and said so last.
  std::vector<Claim> ClaimsOf(const net::Address& address, Millis now) const;
  // And all that ever said so and did not take it back, wherever they are now.
  std::vector<Claim> LastClaimsOf(const net::Address& address) const;
  // The greatest epoch anyone ever claimed the address in; 0: nobody did.
  uint32_t LastEpoch(const net::Address& address) const;

 private:
  struct Said {
    uint32_t epoch = 0;
    Millis at = 0;
  };
  struct Peer {
    uint64_t incarnation = 0;
    uint64_t sequence = 0;
    std::optional<Millis> heard;
    bool leaving = false;
    std::map<uint64_t, Millis> hears;
    std::map<net::Address, Said> claims;
    std::optional<Millis> at_work;
  };
  bool IsHeard(const Peer& peer, Millis now, Millis within) const {
    return peer.heard && now - *peer.heard <= within;
  }
  // Said in what of its datagrams came last, or nearly.
  bool StillSays(const Peer& peer, Millis said, Millis within) const {
    return peer.heard && *peer.heard - said <= within;
  }

  const std::string node_;
  const HolderTimes times_;
  std::map<std::string, Peer> peers_;
  std::map<net::Address, uint32_t> epochs_;
};

}  // namespace sallyport::egress
