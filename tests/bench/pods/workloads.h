// SPDX-License-Identifier: Apache-2.0
// What is done between the two pods, and what it took.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "shared/measure.h"

namespace sallyport::bench {

struct Workload {
  std::string name;
  std::string unit;
  std::function<Sample(double seconds)> run;
};

// Ports of the server pod. Variants allow all but the denied one.
inline constexpr uint16_t kBulkPort = 7000, kEchoPort = 7001, kUdpPort = 7002, kDeniedPort = 7999;
inline constexpr uint16_t kConnectPort = 7100;  // and the kConnectPorts - 1 that follow
inline constexpr uint16_t kConnectPorts = 16;

// In the order of the report.
const std::vector<Workload>& Workloads();

}  // namespace sallyport::bench
