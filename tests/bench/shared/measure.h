// SPDX-License-Identifier: Apache-2.0
// Work between a client and a server, and what it took. Both run on one processor: what it costs to
// wake another one differs from time to time by more than what is measured.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "base/unique_fd.h"

namespace sallyport::bench {

struct Sample {
  double units = 0;        // of work done
  double cpu_seconds = 0;  // of all processors
  double wall_seconds = 0;
  double latency_us = 0;  // mean, where the work is one thing at a time; else 0
};

// Seconds of processor time that this process and the kernel's softirq threads have used. On veth
// pairs all forwarding happens in the sender's context or in ksoftirqd: nothing is missed, and what
// else runs on the machine is not counted.
double BusySeconds();

// The calling thread, and those that it starts.
void StayOnOneProcessor();

// Throws with the text and errno if it is not so.
void Need(bool ok, const char* what);
UniqueFd Socket(int type);

// Counts what `step` does until the time is up; `step` returns how many units it did.
Sample Timed(double seconds, const std::function<double()>& step);

// Runs `serve` in the server's namespace until the work in the client's is done, and returns what
// the latter has measured. `serve` calls its argument once when it is ready, and ends when `stop`
// is set.
using Ready = std::function<void()>;
using Serve = std::function<void(const Ready&, const std::atomic<bool>& stop)>;
Sample Measure(const std::string& client, const std::string& server, const Serve& serve,
               const std::function<Sample()>& work);

}  // namespace sallyport::bench
