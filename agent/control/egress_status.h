// SPDX-License-Identifier: Apache-2.0
// What an EgressGateway's status says, and which node says it. Pure.
//
// The node that holds the first of an object's addresses that anybody holds writes for it; where
// nobody holds any, the first ready node by name. All nodes see the same Leases, so in doubt two
// write the same.
#pragma once

#include <string>
#include <vector>

#include "control/egress_report.h"
#include "gateway/status_object.h"

namespace sallyport::control {

// Of the objects that `node` writes for.
std::vector<gateway::GatewayStatus> StatusesOf(const EgressReport& report, const std::string& node);

// Of take-overs by this node.
std::vector<gateway::GatewayEvent> EventsOf(const EgressReport& report);

}  // namespace sallyport::control
