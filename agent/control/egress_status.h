// SPDX-License-Identifier: Apache-2.0
// What an EgressGateway's status says, and which node says it. Pure.
//
// The node that holds the first of an object's addresses that anybody holds writes for it; where
// nobody holds any, the first ready node by name. Such a node may just not have heard yet, so it
// says so only after a while: what it wrote late would stay over what the holder wrote.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "control/egress_report.h"
#include "gateway/status_object.h"

namespace sallyport::control {

// Of the objects that `node` writes for.
std::vector<gateway::GatewayStatus> StatusesOf(const EgressReport& report, const std::string& node);

// Without those that say that nobody holds any address, unless they did for five seconds.
// `nobody_since`, by object, is kept from one call to the next.
std::vector<gateway::GatewayStatus> CertainOf(std::vector<gateway::GatewayStatus> statuses,
                                              egress::Millis now,
                                              std::map<std::string, egress::Millis>* nobody_since);

// Of take-overs by this node.
std::vector<gateway::GatewayEvent> EventsOf(const EgressReport& report);

}  // namespace sallyport::control
