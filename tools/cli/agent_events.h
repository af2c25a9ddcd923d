// SPDX-License-Identifier: Apache-2.0
// Which of an agent's drop events belong to which blocked connections. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "cli/row.h"

namespace sallyport::cli {

// `events` is the answer to GET /v1/events of the agent on `node`. Sets `agent` of each blocked row
// to the last event about its connection that is not older than `start`; the node's name is added
// to the event. What is not understood changes nothing.
void AttachEvents(std::string_view events, const std::string& node, WallTime start,
                  std::vector<Row>& rows);

// RFC 3339 in UTC with milliseconds, as the agent dates events: texts compare as times do.
std::string Timestamp(WallTime time);

}  // namespace sallyport::cli
