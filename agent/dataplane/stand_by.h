// SPDX-License-Identifier: Apache-2.0
// The agent that comes after the one that runs, as in a rolling update: it waits beside it, so that
// there is no time without an agent.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace sallyport::dataplane {

// Waits until no agent uses `pins`; calls `pause` between two looks, and gives up with an error
// (ECANCELED) where it says false. An error at once where what is pinned is of a newer version than
// this agent's, which could not take it over.
Status StandBy(const std::string& pins, const std::function<bool()>& pause);

}  // namespace sallyport::dataplane
