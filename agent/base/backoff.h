// SPDX-License-Identifier: Apache-2.0
// Exponential backoff with jitter: how long to wait before the next try.
#pragma once

#include <algorithm>
#include <random>

#include "base/clock.h"

namespace sallyport {

class Backoff {
 public:
  Backoff(Duration first, Duration most, unsigned seed = std::random_device{}())
      : first_(first), most_(most), next_(first), random_(seed) {}

  // Between half and all of the current step; the step doubles up to `most`.
  Duration Next() {
    Duration step = next_;
    next_ = std::min(most_, next_ * 2);
    std::uniform_int_distribution<Duration::rep> jitter(step.count() / 2, step.count());
    return Duration(jitter(random_));
  }
  // After a success: start again from the first step.
  void Reset() { next_ = first_; }

 private:
  Duration first_;
  Duration most_;
  Duration next_;
  std::minstd_rand random_;
};

}  // namespace sallyport
