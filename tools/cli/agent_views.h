// SPDX-License-Identifier: Apache-2.0
// What an agent's local API answers (agent/README.md), as text for people. Pure. A field that an
// agent of another version does not have shows as "-".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/terminal.h"
#include "model/document.h"

namespace sallyport::cli {

// The single JSON value of an answer.
Result<model::Value> ParseAnswer(std::string_view json);

std::string RenderStatus(const model::Value& status, const Terminal& terminal);
std::string RenderEndpoints(const model::Value& endpoints, const Terminal& terminal);
std::string RenderPolicies(const model::Value& policies, const Terminal& terminal);
std::string RenderFlows(const model::Value& flows, const Terminal& terminal);
// Addresses, whose their ports are, what this node forwards, and other gateways.
std::string RenderEgress(const model::Value& egress, const Terminal& terminal);
// What is wrong with egress IPs, a line each: nobody holds one, or one has no more ports here.
std::vector<std::string> EgressTroubles(const model::Value& egress);
// One or two lines for one event.
std::string RenderEvent(const model::Value& event, const Terminal& terminal);

// "shop/web (10.0.0.1):4000", "[2001:db8::1]:53", of the members `side`, `side`_port, `side`_pod.
std::string RenderSide(const model::Value& value, const std::string& side);

// A sequence as a JSON array with one item a line; anything else on one line.
std::string RenderJson(const model::Value& answer);

}  // namespace sallyport::cli
