// SPDX-License-Identifier: Apache-2.0
// The log: standard error, one line an entry, as text or as JSON; times in UTC.
#pragma once

#include "control/config.h"

namespace sallyport::control {

void StartLogging(const Config& config);

}  // namespace sallyport::control
