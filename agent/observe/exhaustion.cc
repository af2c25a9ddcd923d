// SPDX-License-Identifier: Apache-2.0
#include "observe/exhaustion.h"

namespace sallyport::observe {
namespace {

constexpr Duration kBetweenSamples = std::chrono::seconds(1);

}  // namespace

void Exhaustion::Take(MonotonicTime now, uint64_t used) {
  // The last one is always the latest; the one before it is kept if it is old enough to count.
  bool crowded = samples_.size() > 1 && now - samples_[samples_.size() - 2].at < kBetweenSamples;
  if (crowded) samples_.pop_back();
  samples_.push_back({now, used});
  while (now - samples_.front().at > kWindow) samples_.pop_front();
}

std::optional<double> Exhaustion::Foresee(uint64_t ports) const {
  if (samples_.empty()) return std::nullopt;
  const Sample &first = samples_.front(), &last = samples_.back();
  if (ports > 0 && last.used >= ports) return 0;
  if (last.at - first.at < kLeast || last.used <= first.used) return std::nullopt;
  double rate = static_cast<double>(last.used - first.used) /
                std::chrono::duration<double>(last.at - first.at).count();
  return static_cast<double>(ports > last.used ? ports - last.used : 0) / rate;
}

}  // namespace sallyport::observe
