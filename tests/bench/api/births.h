// SPDX-License-Identifier: Apache-2.0
// How pods begin: how long a new interface stays open until it is closed, and how soon a pod's
// first allowed packet passes after its CNI result was written.
#pragma once

#include <string>
#include <vector>

#include "api/world.h"

namespace sallyport::bench {

struct Births {
  // Seconds from the result's appearance until the first datagram that arrived was sent.
  std::vector<double> first_packet;
  // Of `burst` interfaces made at once: seconds from each one's announcement until it is closed.
  std::vector<double> closed;
};

// The agent runs and knows the shop; b may be reached by pods with the label may=yes. Throws
// std::runtime_error if a pod never opens, or an interface never closes.
Births MeasureBirths(World& world, int pods, int burst);

}  // namespace sallyport::bench
