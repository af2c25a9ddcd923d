// SPDX-License-Identifier: Apache-2.0
// Verdicts in words. The words and shapes are the same offline and on a live agent.
#pragma once

#include <string>

#include "policy/evaluate.h"

namespace sallyport::policy {

// One line for one side:
//   "allowed: rule shop/web ingress[0] (web.yaml:12)"
//   "denied: isolated by shop/deny, shop/web; nearest: shop/web ingress[1] (web.yaml:19): peer
//    matches; port 5432/TCP is not among 6379/TCP"
//   "allowed: no policy isolates it for egress"
std::string Explain(const DirectionVerdict& verdict, Direction direction);

// The whole answer, several lines, for people.
std::string Explain(const FlowVerdict& verdict, const net::FlowTuple& flow);

}  // namespace sallyport::policy
