// SPDX-License-Identifier: Apache-2.0
// What is done about egress IPs on this node's interfaces: the tunnel's device, the addresses that
// it holds, and that the network is told. The thin shell around Steward (steward.h).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "control/steward.h"
#include "dataplane/dataplane.h"

namespace sallyport::control {

class EgressHands {
 public:
  EgressHands(dataplane::Dataplane& dataplane, uint16_t tunnel_port, uint16_t heartbeat_port,
              uint32_t vni)
      : dataplane_(dataplane), port_(tunnel_port), heartbeat_port_(heartbeat_port), vni_(vni) {}

  // Egress IPs that interfaces have from an earlier agent.
  std::set<net::Address> Configured();

  // Looks at most once a second whether the device is as it has to be, once there is anything to
  // send; `own`: where this node's end of the tunnel is. What it cannot do it logs once.
  dataplane::EgressState::Tunnel Tunnel(const net::Address& own, egress::Millis now);
  // Before there is one: its ports are nobody else's already.
  dataplane::EgressState::Tunnel NoTunnel() const { return {0, vni_, 0, port_, heartbeat_port_}; }
  // The interface of each egress IP, where this node has one that works.
  std::map<net::Address, uint32_t> Uplinks(const egress::Addresses& addresses, egress::Millis now);
  // Makes the interfaces have these and no others of ours, and tells the network of each that is
  // new, several times, and from time to time of all. Returns what it could not do, by address.
  std::map<net::Address, std::string> Hold(const std::map<net::Address, uint32_t>& hold,
                                           const std::map<net::Address, uint32_t>& uplinks,
                                           egress::Millis now);
  // When Hold() has something to announce next.
  std::optional<egress::Millis> next_announcement() const;

 private:
  struct Held {
    uint32_t ifindex = 0;
    uint32_t epoch = 0;
    int announced = 0;
    egress::Millis next = 0;
  };
  void Say(const std::string& what, const Status& status);
  void AnnounceDue(egress::Millis now);

  dataplane::Dataplane& dataplane_;
  const uint16_t port_, heartbeat_port_;
  const uint32_t vni_;
  dataplane::EgressState::Tunnel tunnel_;
  egress::Millis tunnel_at_ = 0, uplinks_at_ = 0;
  std::map<net::Address, uint32_t> uplinks_;
  egress::Addresses asked_;
  std::map<net::Address, Held> held_;
  std::map<net::Address, uint32_t> stray_;  // configured, and not held
  std::map<std::string, std::string> said_;
};

}  // namespace sallyport::control
