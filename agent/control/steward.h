// SPDX-License-Identifier: Apache-2.0
// What this node is to do about egress IPs: from objects, Leases, heartbeats and what the kernel
// counts, to what the kernel's tables shall say, what to hold, and what to ask of the API server.
// Pure: the thread around it (control/egress_loop.h) does it.
//
// It puts together what decides by itself: egress/port_blocks.h (which ports are ours) and
// egress/holders.h (who holds which address).
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "control/pin_keeper.h"
#include "dataplane/egress_tables.h"
#include "egress/holders.h"
#include "egress/port_blocks.h"

namespace sallyport::control {

// What is so at the moment.
struct Moment {
  egress::Millis now = 0;
  uint32_t tick = 0;  // the kernel's count of time, abi/limits.h
  std::string wall;   // now as a renewTime
  bool api_reachable = false;
  bool leases_listed = false;
  egress::Millis last_word = 0;  // when anything came from another node
  egress::Millis listening = 0;  // since when heartbeats can come in
  bool leaving = false;
  dataplane::EgressState::Tunnel tunnel;
  // By egress IP: the interface where it is held and packets leave; 0: by the route to each
  // destination (then it is held where the default route goes). Those that are not here have none.
  std::map<net::Address, uint32_t> uplinks;
};

struct Intent {
  dataplane::EgressState state;
  std::map<net::Address, uint32_t> hold;  // to have on an interface, with the epoch
  std::vector<egress::TakeOver> taken;
  std::map<net::Address, std::string> nobody;     // egress IPs without a holder, and why
  std::map<net::Address, std::string> exhausted;  // egress IPs with too few ports here, and why
  std::vector<egress::BlockAction> block_actions;
  std::vector<egress::AddressAction> address_actions;
  std::vector<egress::Heartbeat> heartbeats;
  std::optional<egress::Millis> next_beat;  // when to ask again, if this node is a gateway
  std::vector<std::string> beat_to;         // nodes
  bool announce = false;                    // to all nodes
};

class Steward {
 public:
  // `configured`: egress IPs that interfaces of this node have from an earlier agent.
  Steward(const std::string& node, const std::string& boot_id, uint64_t incarnation,
          const std::set<net::Address>& configured, egress::Millis now);

  void SetNews(const EgressNews& news);
  // What the kernel counts, every second or two.
  void SetUse(const std::map<net::Address, dataplane::EgressUse>& use, egress::Millis now);
  // To tell it news: ports are thought about anew then.
  egress::PortBlocks& blocks() {
    stale_ = true;
    return blocks_;
  }
  const egress::BlockLeases& leases() const { return blocks_.leases(); }
  egress::Holders& holders() { return holders_; }
  const EgressNews& news() const { return news_; }
  // Where a node's end of the tunnel is; all zero: not known.
  net::Address TunnelAddress(const std::string& node) const;

  // To be asked at every beat and after every change. Who holds what is thought about each time,
  // ports where there is news, or once a second.
  Intent Decide(const Moment& moment);

 private:
  struct Measured {
    egress::Millis busy_at = 0;  // when it last had a live flow, or was first seen
    int size = 0;                // also while its Lease is gone
    int busy = 0, live = 1;      // until somebody has looked it may have one
  };
  void DecidePorts(const Moment& moment);
  void FillPorts(const Moment& moment, Intent& out);
  void FillIps(const Moment& moment, const egress::HolderDecision& held, Intent& out) const;

  const std::string node_;
  const egress::Millis started_;
  egress::PortBlocks blocks_;
  egress::Holders holders_;
  EgressNews news_;
  std::map<net::Address, dataplane::EgressUse> use_;
  std::map<net::Address, egress::AddressUse> demand_;  // since the use before
  std::map<egress::BlockId, Measured> measured_;
  bool stale_ = true;
  egress::Millis decided_at_ = 0;
  egress::PortBlocksDecision ports_;
};

}  // namespace sallyport::control
