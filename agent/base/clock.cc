// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

namespace sallyport {
namespace {

class RealClock : public Clock {
 public:
  MonotonicTime Now() override { return std::chrono::steady_clock::now(); }
  WallTime WallNow() override { return std::chrono::system_clock::now(); }
};

}  // namespace

Clock& SystemClock() {
  static RealClock clock;
  return clock;
}

}  // namespace sallyport
