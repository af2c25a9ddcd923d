// SPDX-License-Identifier: Apache-2.0
// What is known and done about egress IPs on this node, for who asks: a value.
#pragma once

#include <map>
#include <string>

#include "control/steward.h"

namespace sallyport::control {

struct EgressReport {
  EgressNews news;
  Intent intent;
  std::map<net::Address, dataplane::EgressUse> use;
  egress::BlockLeases leases;
  std::map<net::Address, std::string> failed;         // what could not be held, and why
  std::map<net::Address, egress::Millis> held_since;  // by the clock of `now`
  std::map<std::string, egress::Millis> heard;        // nodes
  uint64_t takeovers = 0;
  egress::Millis now = 0;
  bool api_reachable = false;
};

}  // namespace sallyport::control
