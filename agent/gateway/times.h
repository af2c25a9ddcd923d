// SPDX-License-Identifier: Apache-2.0
// Times as the API writes them, in UTC.
#pragma once

#include <string>

#include "base/clock.h"

namespace sallyport::gateway {

// metav1.MicroTime, of Leases: "2026-01-02T03:04:05.000006Z", always with six digits.
std::string MicroTime(WallTime time);
// metav1.Time, of conditions and Events: "2026-01-02T03:04:05Z"
std::string SecondTime(WallTime time);

}  // namespace sallyport::gateway
