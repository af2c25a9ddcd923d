// SPDX-License-Identifier: Apache-2.0
#include "control/upkeep.h"

#include <algorithm>
#include <cerrno>

#include "base/log.h"

namespace sallyport::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr auto kLookEvery = seconds(1);
// News of filters comes in bursts.
constexpr auto kLookAfterNews = milliseconds(100);
// How often to ask for everything, heard of or not.
constexpr auto kVerifyEvery = seconds(60);
// After that long without, the next disturbance is a first one again.
constexpr auto kForgetAfter = minutes(10);

}  // namespace

Upkeep::Upkeep(dataplane::Dataplane& dataplane, Clock& clock)
    : dataplane_(dataplane),
      clock_(clock),
      look_at_(clock.Now() + kLookEvery),
      verify_at_(clock.Now() + kVerifyEvery) {}

void Upkeep::FiltersChanged(const std::set<uint32_t>& interfaces) {
  if (interfaces.empty()) return;
  heard_of_.insert(interfaces.begin(), interfaces.end());
  look_at_ = std::min(look_at_, clock_.Now() + kLookAfterNews);
}

// By interface.
std::map<uint32_t, dataplane::Disturbance> Upkeep::Find(const Carriers& carriers) {
  MonotonicTime now = clock_.Now();
  bool everything = now >= verify_at_;
  look_at_ = now + kLookEvery;
  if (everything) verify_at_ = now + kVerifyEvery;

  std::map<uint32_t, dataplane::Disturbance> out;
  std::set<uint32_t> asked;
  for (const auto* some : {&carriers.pods, &carriers.nodes}) {
    for (auto& found : dataplane_.Disturbed(*some, everything)) out.emplace(found.ifindex, found);
    if (everything) continue;
    for (uint32_t ifindex : *some) {
      if (heard_of_.contains(ifindex) || troubles_.contains(ifindex)) asked.insert(ifindex);
    }
  }
  heard_of_.clear();
  for (auto& found : dataplane_.Disturbed(asked, true)) out.emplace(found.ifindex, found);
  if (!everything) return out;

  // A link may be in its place without its pin, or of another role.
  auto missing = [&](const std::set<uint32_t>& wanted, const std::vector<uint32_t>& there) {
    std::set<uint32_t> known(there.begin(), there.end());
    for (uint32_t ifindex : wanted) {
      if (!known.contains(ifindex)) out.insert({ifindex, {true, ifindex, ""}});
    }
  };
  missing(carriers.pods, dataplane_.Attached());
  missing(carriers.nodes, dataplane_.AttachedToNode());
  return out;
}

bool Upkeep::Look(const Carriers& carriers) {
  size_t before = disturbed();
  MonotonicTime now = clock_.Now();
  auto found = Find(carriers);
  for (auto it = troubles_.begin(); it != troubles_.end();) {
    if (!found.contains(it->first)) it->second.why.clear();
    bool over = it->second.why.empty() && now >= it->second.next_try + kForgetAfter;
    it = over ? troubles_.erase(it) : std::next(it);
  }
  bool changed = disturbed() != before;
  for (const auto& [ifindex, disturbance] : found) {
    Trouble fresh{.pauses = Backoff(seconds(1), minutes(5)), .next_try = now, .why = {}};
    Trouble& trouble = troubles_.try_emplace(ifindex, std::move(fresh)).first->second;
    std::string was = trouble.why;
    Repair(carriers, disturbance, trouble);
    changed |= trouble.why != was;
  }
  return changed;
}

void Upkeep::Repair(const Carriers& carriers, const dataplane::Disturbance& found,
                    Trouble& trouble) {
  std::string name = carriers.name(found.ifindex);
  std::string why =
      found.missing ? "somebody took the programs off " + name : name + ": " + found.what;
  bool again = clock_.Now() >= trouble.next_try;
  if (!again) {
    trouble.why = why;
    return;
  }
  trouble.next_try =
      clock_.Now() + std::chrono::duration_cast<MonotonicTime::duration>(trouble.pauses.Next());
  Status status = carriers.attach(found.ifindex);
  bool gone = !status && (status.error().code == ENODEV || status.error().code == ENOLINK);
  if (gone) return;  // its news follows
  bool back = status && dataplane_.Disturbed({found.ifindex}, true).empty();
  if (back) {
    LogWarning(why + (found.missing ? "; they are put back" : "; ours are first again"));
    ++(found.missing ? put_back_.missing : put_back_.displaced);
    trouble.why.clear();
    return;
  }
  if (!status) why += "; putting them back: " + status.error().message;
  if (why != trouble.why) LogError(why + "; it is tried again");
  trouble.why = why;
}

std::vector<std::string> Upkeep::Reasons() const {
  std::vector<std::string> out;
  for (const auto& [ifindex, trouble] : troubles_) {
    if (!trouble.why.empty()) out.push_back(trouble.why);
  }
  return out;
}

size_t Upkeep::disturbed() const {
  return static_cast<size_t>(std::count_if(troubles_.begin(), troubles_.end(),
                                           [](const auto& t) { return !t.second.why.empty(); }));
}

}  // namespace sallyport::control
