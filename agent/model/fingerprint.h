// SPDX-License-Identifier: Apache-2.0
// One short text for all that a snapshot holds: two parties that know the same cluster have the
// same. Pure.
#pragma once

#include <string>

#include "model/snapshot.h"

namespace sallyport::model {

// Of namespaces, nodes, pods, policies, Services and their EndpointSlices, and EgressGateways; not
// of local addresses, which each node has its own. 16 hexadecimal digits; the same on every machine
// for the same version of Sallyport.
std::string Fingerprint(const Snapshot& snapshot);

}  // namespace sallyport::model
