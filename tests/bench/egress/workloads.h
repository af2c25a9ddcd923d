// SPDX-License-Identifier: Apache-2.0
// What is done between a pod and the outside, and what it took.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "shared/measure.h"

namespace sallyport::bench {

struct Workload {
  std::string name;
  std::string unit;
  std::function<Sample(const std::string& pod, double seconds)> run;
};

// In the order of the report. A packet counts when it has arrived.
const std::vector<Workload>& Workloads();

}  // namespace sallyport::bench
