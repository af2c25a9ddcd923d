// SPDX-License-Identifier: Apache-2.0
// How long the ports of an egress IP will last, from how many were in use lately. Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "base/clock.h"

namespace sallyport::observe {

class Exhaustion {
 public:
  // Looks back so far. A rise within less than `kLeast` says nothing yet.
  static constexpr Duration kWindow = std::chrono::minutes(5);
  static constexpr Duration kLeast = std::chrono::seconds(30);

  // `used`: ports that the busiest remote takes, now. Times do not go back.
  void Take(MonotonicTime now, uint64_t used);
  // In seconds, until `ports` are all in use, if it goes on as in the window: 0 where they are.
  // Nothing where use does not rise, or too little is known.
  std::optional<double> Foresee(uint64_t ports) const;

 private:
  struct Sample {
    MonotonicTime at;
    uint64_t used = 0;
  };
  std::deque<Sample> samples_;  // at most one a second
};

}  // namespace sallyport::observe
