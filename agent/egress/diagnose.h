// SPDX-License-Identifier: Apache-2.0
// What is wrong with EgressGateways that are well each by itself: for their condition Degraded.
#pragma once

#include <map>
#include <string>

#include "model/diagnostic.h"
#include "model/snapshot.h"

namespace sallyport::egress {

// By the object's name: destinations that are the cluster's, egress IPs that are somebody else's,
// pods that are selected and have their node's network, and destinations that leave by another
// object, for pods that both select. Costs a look at every
// pod of the cluster for each object: for who writes status or checks manifests, not for each
// change.
std::map<std::string, model::Diagnostics> Diagnose(const model::Snapshot& snapshot);

}  // namespace sallyport::egress
