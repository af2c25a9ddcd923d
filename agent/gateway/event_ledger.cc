// SPDX-License-Identifier: Apache-2.0
#include "gateway/event_ledger.h"

#include <algorithm>
#include <utility>

#include "gateway/times.h"

namespace sallyport::gateway {

void EventLedger::Add(GatewayEvent event, MonotonicTime now, WallTime wall) {
  std::erase_if(series_, [&](const auto& one) {
    return one.second.waits_since == 0 && now - one.second.last > limits_.same;
  });
  Key key{event.gateway, event.warning, event.reason};
  auto it = series_.find(key);
  if (it == series_.end() && series_.size() >= limits_.most) {
    ++dropped_;
    return;
  }
  std::string when = SecondTime(wall);
  Series& series = series_[key];
  if (it == series_.end()) {
    series.times = {1, when, when};
  } else {
    ++series.times.count;
    series.times.last = when;
  }
  series.event = std::move(event);
  series.last = now;
  if (series.waits_since == 0) series.waits_since = ++order_;
}

void EventLedger::Refill(MonotonicTime now) {
  if (!refilled_) refilled_ = now;
  auto earned = (now - *refilled_) / limits_.each;
  *refilled_ += earned * limits_.each;
  tokens_ = static_cast<int>(std::min<int64_t>(limits_.burst, tokens_ + earned));
  if (tokens_ == limits_.burst) refilled_ = now;
}

std::optional<EventLedger::Write> EventLedger::Next(MonotonicTime now) {
  Refill(now);
  if (tokens_ <= 0) return std::nullopt;
  auto first = series_.end();
  for (auto it = series_.begin(); it != series_.end(); ++it) {
    uint64_t since = it->second.waits_since;
    if (since != 0 && (first == series_.end() || since < first->second.waits_since)) first = it;
  }
  if (first == series_.end()) return std::nullopt;
  --tokens_;
  Series& series = first->second;
  series.waits_since = 0;
  return Write{first->first, series.event, series.times, series.name};
}

void EventLedger::Written(const Write& write, const std::string& name) {
  auto it = series_.find(write.key);
  if (it != series_.end()) it->second.name = name;
}

void EventLedger::Failed(const Write& write, bool gone) {
  auto it = series_.find(write.key);
  if (it == series_.end()) return;
  if (gone) it->second.name.clear();
  if (it->second.waits_since == 0) it->second.waits_since = ++order_;
}

std::optional<Duration> EventLedger::Wait(MonotonicTime now) const {
  bool any = std::any_of(series_.begin(), series_.end(),
                         [](const auto& one) { return one.second.waits_since != 0; });
  if (!any) return std::nullopt;
  if (tokens_ > 0) return Duration::zero();
  return std::max(Duration::zero(), refilled_.value_or(now) + limits_.each - now);
}

}  // namespace sallyport::gateway
