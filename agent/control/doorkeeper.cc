// SPDX-License-Identifier: Apache-2.0
#include "control/doorkeeper.h"

#include <algorithm>

namespace sallyport::control {

dataplane::Role RoleOf(const endpoint::Link& link) {
  if (endpoint::IsOwnTunnel(link)) return dataplane::Role::kEgress;
  return endpoint::IsTunnel(link) ? dataplane::Role::kTunnel : dataplane::Role::kNode;
}

// Not knowing what to leave alone, it leaves everything that is there alone but for what is closed
// already: a running pod is not cut off because a directory could not be read.
std::set<uint32_t> Doorkeeper::First(const endpoint::LinkUpdate& update, Doors& doors) {
  // All pairs, whatever they are now: neither a change of --devices nor a lost address makes a new
  // interface of an old one.
  endpoint::Links pairs;
  for (const endpoint::Link& link : update.set) {
    if (link.IsPair()) pairs.emplace(link.ifindex, link);
  }
  auto attached = dataplane_.Attached();
  std::set<uint32_t> guarded(attached.begin(), attached.end());
  pods_ = guarded;
  auto left_alone = left_alone_.Start(pairs, guarded);
  if (left_alone) return *left_alone;

  doors.failure = left_alone.error().message;
  std::set<uint32_t> all;
  for (const auto& [ifindex, link] : pairs) {
    if (!guarded.contains(ifindex)) all.insert(ifindex);
  }
  return all;
}

// At once, like a new door: until it is done, what leaves there is judged by nobody. What carries
// the programs for pods, or was left alone as one, is not touched: whether it is the node's by now,
// the reconciler knows.
void Doorkeeper::Watch(const endpoint::Link& link, Doors& doors) {
  if (!endpoint::IsWayOut(link)) return;
  for (const auto* known : {&seen_, &pods_, &watched_}) {
    if (known->contains(link.ifindex)) return;
  }
  if (!dataplane_.AttachNode(link.ifindex, link.name, RoleOf(link)))
    return;  // the reconciler tries again
  watched_.insert(link.ifindex);
  doors.watched.insert(link.ifindex);
}

// The last of many does not stay open for as long as it takes to attach to the others.
void Doorkeeper::Close(const endpoint::LinkUpdate& update) {
  std::vector<uint32_t> fresh;
  for (const endpoint::Link& link : update.set) {
    if (IsNew(link)) fresh.push_back(link.ifindex);
  }
  if (!fresh.empty()) dataplane_.Close(fresh);
}

// What has an index that was another's is dealt with at once, as a whole: whose policy would be in
// force there meanwhile?
void Doorkeeper::Hear(const endpoint::LinkUpdate& update) {
  if (first_) return tell_({update, Take(update)});
  for (uint32_t ifindex : update.gone) {
    waiting_.erase(ifindex);
    for (auto* set : {&seen_, &pods_, &watched_}) set->erase(ifindex);
  }
  Close(update);
  std::vector<uint32_t> reused = update.Reused();
  endpoint::LinkUpdate now = update;
  std::erase_if(now.set, [&](const endpoint::Link& link) {
    // It is the node's after all: what closed it meanwhile goes.
    if (!endpoint::IsCandidate(link, filter_) && waiting_.erase(link.ifindex) > 0)
      (void)dataplane_.Detach(link.ifindex);
    bool waits =
        waiting_.contains(link.ifindex) ||
        (IsNew(link) && std::find(reused.begin(), reused.end(), link.ifindex) == reused.end());
    if (waits) waiting_[link.ifindex] = link;
    return waits;
  });
  if (!now.empty()) tell_({now, Take(now)});
}

bool Doorkeeper::Work() {
  if (waiting_.empty()) return false;
  endpoint::LinkUpdate next;
  next.set.push_back(waiting_.extract(waiting_.begin()).mapped());
  tell_({next, Take(next)});
  return !waiting_.empty();
}

Doors Doorkeeper::Take(const endpoint::LinkUpdate& update) {
  Doors doors;
  if (first_) {
    doors.left_alone = First(update, doors);
    seen_ = *doors.left_alone;
    first_ = false;
    Close(update);
  }
  for (const endpoint::Link& link : update.set) {
    if (!endpoint::IsCandidate(link, filter_)) Watch(link, doors);
    if (!IsNew(link)) continue;
    if (!dataplane_.Attach(link.ifindex, link.name)) continue;  // the reconciler tries again
    seen_.insert(link.ifindex);
    pods_.insert(link.ifindex);
    watched_.erase(link.ifindex);
    doors.closed.insert(link.ifindex);
  }
  // Here, not in the reconciler: by the time that it hears of this, another interface may have the
  // index. What cannot be taken away holds nothing, and the next start takes it away.
  for (uint32_t ifindex : update.gone) {
    bool again = doors.closed.contains(ifindex) || doors.watched.contains(ifindex);
    if (!again) (void)dataplane_.Detach(ifindex);
  }
  for (uint32_t ifindex : update.Reused()) dataplane_.Forget(ifindex);
  return doors;
}

}  // namespace sallyport::control
