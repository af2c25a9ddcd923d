// SPDX-License-Identifier: Apache-2.0
#include "gateway/times.h"

#include <cstdio>
#include <ctime>

namespace sallyport::gateway {
namespace {

std::string TimeText(std::chrono::sys_seconds seconds) {
  std::time_t number = seconds.time_since_epoch().count();
  std::tm parts{};
  gmtime_r(&number, &parts);
  char text[32];
  size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return {text, size};
}

}  // namespace

std::string MicroTime(WallTime time) {
  auto whole = std::chrono::floor<std::chrono::seconds>(time);
  auto rest = std::chrono::duration_cast<std::chrono::microseconds>(time - whole);
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%06dZ", static_cast<int>(rest.count()));
  return TimeText(whole) + fraction;
}

std::string SecondTime(WallTime time) {
  return TimeText(std::chrono::floor<std::chrono::seconds>(time)) + "Z";
}

}  // namespace sallyport::gateway
