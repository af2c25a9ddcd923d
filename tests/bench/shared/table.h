// SPDX-License-Identifier: Apache-2.0
// What was measured, as ratios to the first variant.
//
// What else runs on the machine only ever adds, so a figure is that of the moment that was
// disturbed least: the smallest processor time and latency, the highest rate.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "shared/measure.h"

namespace sallyport::bench {

struct Table {
  struct Workload {
    std::string name, unit;
  };
  std::vector<Workload> workloads;
  std::vector<std::string> variants;
  std::map<std::pair<size_t, size_t>, std::vector<Sample>> samples;  // by workload, variant

  void Print() const;
  // A JSON array of rows.
  std::string Json() const;
};

}  // namespace sallyport::bench
