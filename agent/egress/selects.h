// SPDX-License-Identifier: Apache-2.0
// Whether an EgressGateway selects a pod, and which of its addresses the pod has.
#pragma once

#include <string>

#include "egress/addresses.h"
#include "egress/pin_plan.h"
#include "model/snapshot.h"

namespace sallyport::egress {

// kPerhaps: its namespace's labels are not known yet, and could make it so.
enum class Selects { kNo, kPerhaps, kYes };
Selects SelectsPod(const model::Snapshot& snapshot, const model::EgressGateway& gateway,
                   const model::Pod& pod);

// What the gateway makes of a pod's packets to a family, and why if it drops them.
struct Choice {
  Target target;  // kPinned or kDrop
  std::string why;
};
Choice ChooseFor(const Addresses& addresses, const model::EgressGateway& gateway,
                 const model::ObjectName& pod, bool v4);

// Those of spec.destinations.cidrs, or everything.
const std::vector<net::Cidr>& DestinationsOf(const model::EgressGateway& gateway);

// As in the words of a message.
inline constexpr const char* kLabelsUnknown = "the labels of its namespace are not known yet";

}  // namespace sallyport::egress
