// SPDX-License-Identifier: Apache-2.0
// Time as a dependency: code that waits or dates takes a Clock&, tests pass a FakeClock.
#pragma once

#include <chrono>

namespace sallyport {

using Duration = std::chrono::nanoseconds;
using MonotonicTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime Now() = 0;
  virtual WallTime WallNow() = 0;
};

// The machine's clocks.
Clock& SystemClock();

// Stands still until moved.
class FakeClock : public Clock {
 public:
  MonotonicTime Now() override { return now_; }
  WallTime WallNow() override { return wall_; }
  void Advance(Duration by) {
    now_ += by;
    wall_ += std::chrono::duration_cast<WallTime::duration>(by);
  }

 private:
  MonotonicTime now_{};
  WallTime wall_{};
};

}  // namespace sallyport
