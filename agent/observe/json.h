// SPDX-License-Identifier: Apache-2.0
// Views as JSON text: the shapes of the local API (README.md of agent/).
#pragma once

#include <string>
#include <vector>

#include "observe/views.h"

namespace sallyport::observe {

std::string ToJson(const StatusView& status);
std::string ToJson(const std::vector<EndpointView>& endpoints);
std::string ToJson(const std::vector<PolicyView>& policies);
std::string ToJson(const std::vector<FlowView>& flows);
// Rows like those of `sallyport explain`, with "closed" and "words" besides.
std::string ToJson(const std::vector<ExplainView>& answers);
std::string ToJson(const EgressView& egress);
// One line, without its end.
std::string ToJson(const EventView& event);
// {"error": message}
std::string ErrorJson(const std::string& message);

// RFC 3339, UTC, milliseconds: "2026-01-31T09:05:00.123Z"
std::string ToString(WallTime time);

}  // namespace sallyport::observe
