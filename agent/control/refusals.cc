// SPDX-License-Identifier: Apache-2.0
#include "control/refusals.h"

#include "base/log.h"

namespace sallyport::control {
namespace {

constexpr auto kEvery = std::chrono::seconds(5);
constexpr auto kWindow = std::chrono::minutes(1);

// What was added since `last`; all of it where the count began anew.
uint64_t Added(uint64_t now, uint64_t last) { return now >= last ? now - last : now; }

}  // namespace

Refusals::Refusals(const std::map<uint32_t, dataplane::Counters>& before) {
  for (const auto& [ifindex, counters] : before) last_[ifindex] = Count(counters);
}

Refusals::Refused Refusals::Count(const dataplane::Counters& counters) {
  Refused out;
  for (const auto& dropped : counters.dropped) {
    if (auto it = dropped.find("flows-full"); it != dropped.end()) out.full += it->second;
    if (auto it = dropped.find("flow-share"); it != dropped.end()) out.share += it->second;
  }
  return out;
}

void Refusals::Take(const std::map<uint32_t, dataplane::Counters>& counted, MonotonicTime now) {
  next_ = now + kEvery;
  Sample sample{now, {}};
  std::map<uint32_t, Refused> current;
  for (const auto& [ifindex, counters] : counted) {
    Refused count = Count(counters), last = last_[ifindex];
    Refused added{Added(count.full, last.full), Added(count.share, last.share)};
    if (added.full > 0 || added.share > 0) sample.by_endpoint[ifindex] = added;
    current[ifindex] = count;
  }
  last_ = std::move(current);
  if (!sample.by_endpoint.empty()) samples_.push_back(std::move(sample));
  while (!samples_.empty() && now - samples_.front().time >= kWindow) samples_.pop_front();

  std::string why = WhyFull(now);
  if (!why.empty() && !full_) LogError(why);
  if (why.empty() && full_) LogInfo("table \"flows\" had a place for each new flow for a minute");
  full_ = !why.empty();
}

void Refusals::Forget(uint32_t ifindex) {
  last_.erase(ifindex);
  for (Sample& sample : samples_) {
    auto it = sample.by_endpoint.find(ifindex);
    if (it != sample.by_endpoint.end()) it->second.share = 0;
  }
}

std::map<uint32_t, Refusals::Refused> Refusals::Lately(MonotonicTime now) const {
  std::map<uint32_t, Refused> out;
  for (const Sample& sample : samples_) {
    if (now - sample.time >= kWindow) continue;
    for (const auto& [ifindex, refused] : sample.by_endpoint) {
      out[ifindex].full += refused.full;
      out[ifindex].share += refused.share;
    }
  }
  return out;
}

std::string Refusals::WhyFull(MonotonicTime now) const {
  uint64_t all = 0;
  for (const auto& [ifindex, refused] : Lately(now)) all += refused.full;
  if (all == 0) return "";
  return "table \"flows\" is full: " + std::to_string(all) +
         " openings of new flows found no place in the last minute and were dropped; flows that "
         "were there go on. See who opens so many (sallyport flows), or give it a larger capacity "
         "(--max-flows), which only tables made after sallyportd --detach have";
}

std::vector<std::string> Refusals::SpentShares(
    MonotonicTime now, const std::function<std::string(uint32_t)>& name) const {
  std::vector<std::string> out;
  for (const auto& [ifindex, refused] : Lately(now)) {
    if (refused.share == 0) continue;
    out.push_back(name(ifindex) +
                  " holds its share of table \"flows\": " + std::to_string(refused.share) +
                  " openings of new flows were dropped for it in the last minute; nobody else's "
                  "are. See what it opens, or who floods it (sallyport flows, sallyport events)");
  }
  return out;
}

}  // namespace sallyport::control
