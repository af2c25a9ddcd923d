// SPDX-License-Identifier: Apache-2.0
// What the thread for egress IPs reports, as who asks sees it. Pure.
#pragma once

#include <string>

#include "control/egress_report.h"
#include "observe/egress_view.h"

namespace sallyport::control {

// Since when an address is held, and in which epoch, is told of those that are held here.
observe::EgressView EgressViewOf(const EgressReport& report, const std::string& node);

// Ports that this node may give, and those that the busiest remote takes.
uint64_t PortsOf(const dataplane::EgressState::Ip& ip);
uint64_t BusiestOf(const dataplane::EgressUse& use);

}  // namespace sallyport::control
