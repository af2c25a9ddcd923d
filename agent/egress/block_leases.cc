// SPDX-License-Identifier: Apache-2.0
#include "egress/block_leases.h"

#include <algorithm>
#include <charconv>
#include <tuple>

namespace sallyport::egress {
namespace {

constexpr std::string_view kPrefix = "ports-";
// A block that vanished may have been deleted by hand, and its owner takes it again.
constexpr Millis kLetOwnerReturn = kMinute;
constexpr Millis kRememberUids = 60 * kMinute;

// first..last of the groups of 64 ports, without last.
std::pair<size_t, size_t> GroupsOf(uint16_t first, int size) {
  int last = std::min(kPorts, first + std::max(size, 1));
  return {static_cast<size_t>(first / kGroup), static_cast<size_t>((last + kGroup - 1) / kGroup)};
}

}  // namespace

std::string NameOf(const BlockId& id) {
  return std::string(kPrefix) + NamePart(id.address) + "-" + std::to_string(id.first);
}

std::optional<BlockId> ParseBlockName(std::string_view name) {
  size_t dash = name.rfind('-');
  if (name.substr(0, kPrefix.size()) != kPrefix || dash < kPrefix.size()) return std::nullopt;
  auto address = ParseNamePart(name.substr(kPrefix.size(), dash - kPrefix.size()));
  std::string_view digits = name.substr(dash + 1);
  uint16_t first = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), first);
  if (!address || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  BlockId id{*address, first};
  if (NameOf(id) != name) return std::nullopt;
  return id;
}

int BlocksOf(int size) { return size > 0 ? (kPorts - kFirstPort) / size : 0; }

bool Overlap(const BlockLease& a, const BlockLease& b) {
  return a.id.address == b.id.address && a.id.first < b.id.first + b.size &&
         b.id.first < a.id.first + a.size;
}

bool BlockLeases::Set(const BlockLease& lease, bool watched, Millis now) {
  if (ended_.contains(lease.meta.uid)) return false;
  auto [it, is_new] = all_.try_emplace(lease.id, Entry{lease, now, watched});
  Entry& entry = it->second;
  vanished_.erase(lease.id);
  if (is_new) return true;
  if (lease.meta.version < entry.lease.meta.version) {
    // The watch follows our own writes: it has come to this one's creation.
    if (lease.meta.uid == entry.lease.meta.uid) entry.watched |= watched;
    return false;
  }
  bool same = lease.meta.uid == entry.lease.meta.uid;
  bool still = same && lease.renew_time == entry.lease.renew_time &&
               lease.holder == entry.lease.holder && lease.boot_id == entry.lease.boot_id;
  if (!same) ended_[entry.lease.meta.uid] = now;
  entry = Entry{lease, still ? entry.changed : now, watched || (same && entry.watched)};
  return true;
}

bool BlockLeases::Remove(const BlockId& id, const std::string& uid, Millis now) {
  std::erase_if(ended_, [&](const auto& e) { return now - e.second > kRememberUids; });
  std::erase_if(vanished_, [&](const auto& v) { return now - v.second.second > kLetOwnerReturn; });
  if (!uid.empty()) ended_[uid] = now;
  auto it = all_.find(id);
  if (it == all_.end() || (!uid.empty() && it->second.lease.meta.uid != uid)) return false;
  ended_[it->second.lease.meta.uid] = now;
  vanished_[id] = {it->second.lease.size, now};
  all_.erase(it);
  return true;
}

const BlockLeases::Entry* BlockLeases::Find(const BlockId& id) const {
  auto it = all_.find(id);
  return it == all_.end() ? nullptr : &it->second;
}

const BlockLease* BlockLeases::Overlapping(const BlockLease& lease) const {
  for (auto it = all_.lower_bound({lease.id.address, 0});
       it != all_.end() && it->first.address == lease.id.address; ++it) {
    const BlockLease& other = it->second.lease;
    if (other.holder != lease.holder && Overlap(lease, other)) return &other;
  }
  return nullptr;
}

std::vector<bool> BlockLeases::Taken(const net::Address& address, Millis now) const {
  std::vector<bool> taken(kPorts / kGroup, false);
  auto take = [&](uint16_t first, int size) {
    auto [from, to] = GroupsOf(first, size);
    for (size_t group = from; group < to; ++group) taken[group] = true;
  };
  for (auto it = all_.lower_bound({address, 0}); it != all_.end() && it->first.address == address;
       ++it) {
    take(it->first.first, it->second.lease.size);
  }
  for (auto it = vanished_.lower_bound({address, 0});
       it != vanished_.end() && it->first.address == address; ++it) {
    auto [size, when] = it->second;
    if (now - when <= kLetOwnerReturn) take(it->first.first, size);
  }
  return taken;
}

std::vector<BlockOwner> BlockLeases::Owners() const {
  std::vector<const BlockLease*> by_age;
  for (const auto& [id, entry] : all_) {
    if (!entry.lease.holder.empty()) by_age.push_back(&entry.lease);
  }
  std::sort(by_age.begin(), by_age.end(), [](const BlockLease* a, const BlockLease* b) {
    return std::tie(a->meta.created, a->id) < std::tie(b->meta.created, b->id);
  });
  std::map<net::Address, std::vector<bool>> taken;
  std::vector<BlockOwner> out;
  for (const BlockLease* lease : by_age) {
    std::vector<bool>& groups = taken[lease->id.address];
    groups.resize(kPorts / kGroup, false);
    auto [from, to] = GroupsOf(lease->id.first, lease->size);
    auto begin = groups.begin() + static_cast<long>(from);
    auto end = groups.begin() + static_cast<long>(to);
    if (std::find(begin, end, true) != end) continue;
    std::fill(begin, end, true);
    out.push_back({lease->id, lease->size, lease->holder});
  }
  std::sort(out.begin(), out.end(),
            [](const BlockOwner& a, const BlockOwner& b) { return a.id < b.id; });
  return out;
}

}  // namespace sallyport::egress
