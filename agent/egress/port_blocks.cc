// SPDX-License-Identifier: Apache-2.0
#include "egress/port_blocks.h"

#include <algorithm>
#include <utility>

#include "abi/limits.h"
#include "egress/hash.h"

namespace sallyport::egress {
namespace {

constexpr Millis kLongestFlow = (int64_t{SP_LIFE_ESTABLISHED} << SP_TICK_SHIFT) / 1000000;
constexpr Millis kMargin = 5 * kMinute;
// Blocks of an address that may be on their way at once.
constexpr int kMostComing = 4;
// Between two claims because ports are used again too soon.
constexpr Millis kCrowdedPace = 10 * kSecond;
// A node that has claimed a block within that time may be about to claim more: connections that
// were refused try again after half a minute at most.
constexpr Millis kGrowing = kMinute;

const BlockUse& UseOf(const PortBlocksInput& input, const BlockId& id) {
  static const BlockUse none;
  auto it = input.use.find(id);
  return it == input.use.end() ? none : it->second;
}

}  // namespace

PortBlockTimes::PortBlockTimes()
    : keep_after(kLongestFlow - 2 * kMargin),
      drop_after(kLongestFlow - kMargin),
      reclaim_after(kLongestFlow + kMargin) {}

PortBlocks::PortBlocks(std::string node, std::string boot_id, PortBlockTimes times)
    : node_(std::move(node)), boot_id_(std::move(boot_id)), times_(times) {}

void PortBlocks::Set(const BlockLease& lease, Millis now) {
  if (listed_ && lease.holder != node_ && !leases_.Find(lease.id))
    grew_[lease.id.address][lease.holder] = now;
  leases_.Set(lease, true, now);
  Learn(lease, now);
}

void PortBlocks::Remove(const BlockId& id, const std::string& uid, Millis now) {
  if (!leases_.Remove(id, uid, now)) return;
  auto it = own_.find(id);
  if (it == own_.end()) return;
  if (it->second.written && it->second.shown && !it->second.resting) {
    it->second.deleted = true;
  } else {
    own_.erase(it);
  }
}

// Takes up what the server has of this block, whichever way it was told.
void PortBlocks::Learn(const BlockLease& told, Millis now) {
  const BlockLeases::Entry* entry = leases_.Find(told.id);
  if (!entry) return;
  const BlockLease& lease = entry->lease;
  if (lease.holder != node_) {
    own_.erase(lease.id);
    return;
  }
  auto [it, is_new] = own_.try_emplace(lease.id);
  Own& own = it->second;
  if (is_new) own.since = now;
  own.size = lease.size;
  own.deleted = false;
  own.written = lease.boot_id == boot_id_ && lease.meta.version > own.doubted;
  // A time that has not come yet is not one that this boot wrote.
  if (own.written) own.renewed = lease.renewed <= now ? lease.renewed : now - times_.drop_after;
}

void PortBlocks::Done(const BlockAction& action, Outcome outcome,
                      const std::optional<BlockLease>& stands, Millis now) {
  const BlockId& id = action.lease.id;
  under_way_.erase(id);
  if (outcome == Outcome::kFailed) {
    not_before_[id] = now + times_.retry;
    return;
  }
  not_before_.erase(id);
  if (stands) {
    leases_.Set(*stands, false, now);
    Learn(*stands, now);
    return;
  }
  bool ours = action.kind == BlockAction::Kind::kDelete && outcome == Outcome::kDone;
  Remove(id, action.lease.meta.uid, now);
  if (!ours) return;
  own_.erase(id);
  leases_.Settle(id);
}

void PortBlocks::NoteNodes(const PortBlocksInput& input) {
  nodes_listed_ = input.nodes_listed;
  if (!nodes_listed_) return;
  for (const auto& [name, boot] : input.boot_ids) {
    std::string& known = boots_[name];
    if (!known.empty() && known != boot && !boot.empty()) former_boots_[name][known] = input.now;
    if (!boot.empty()) {
      known = boot;
      former_boots_[name].erase(boot);
    }
    absent_since_.erase(name);
  }
  for (const auto& [id, entry] : leases_.all()) {
    const std::string& holder = entry.lease.holder;
    if (!input.boot_ids.contains(holder)) absent_since_.try_emplace(holder, input.now);
  }
}

// What was created, or found, may be used once the watch has come so far and shows no other node's
// in its place. One that has translations was used before, by an earlier agent of this boot.
void PortBlocks::Show(const PortBlocksInput& input) {
  for (auto& [id, own] : own_) {
    if (own.shown || !own.written || own.deleted) continue;
    const BlockLeases::Entry* entry = leases_.Find(id);
    if (!entry || !entry->watched) continue;
    if (UseOf(input, id).live > 0) {
      own.shown = true;
    } else if (listed_) {
      (leases_.Overlapping(entry->lease) ? own.resting : own.shown) = true;
    }
  }
}

bool PortBlocks::IsUnderWay(const BlockId& id, BlockAction::Kind kind) const {
  auto it = under_way_.find(id);
  return it != under_way_.end() && it->second == kind;
}

bool PortBlocks::InUse(const Own& own, Millis now) const {
  return own.written && own.shown && !own.resting && !own.deleted &&
         now - own.renewed < times_.keep_after;
}

int PortBlocks::SharesOf(const net::Address& address, Millis now, Sum& sum) const {
  std::map<std::string, int> holders = {{node_, 0}};
  int leased = 0;
  for (const auto& [id, entry] : leases_.all()) {
    if (id.address != address) continue;
    holders[entry.lease.holder] += entry.lease.size;
    leased += entry.lease.size;
    sum.others_short |= entry.lease.holder != node_ && !entry.lease.exhausted_since.empty();
  }
  int ports = kPorts - kFirstPort;
  sum.fair = ports / static_cast<int>(holders.size());
  auto grew = grew_.find(address);
  if (grew == grew_.end()) return leased;
  for (const auto& [holder, at] : grew->second)
    sum.others_grow |= now - at < kGrowing && holders[holder] + sum.size <= sum.fair;
  return leased;
}

PortBlocks::Sum PortBlocks::Add(const PortBlocksInput& input, const net::Address& address) const {
  Sum sum;
  auto needed = input.needed.find(address);
  if (needed != input.needed.end()) sum.size = needed->second;
  for (const auto& [id, own] : own_) {
    if (id.address != address) continue;
    const BlockUse& use = UseOf(input, id);
    sum.own += own.size;
    sum.busy += use.busy;
    if (InUse(own, input.now)) {
      sum.free += std::max(0, own.size - use.busy);
    } else if (!own.resting &&
               (own.written ? !own.shown : IsUnderWay(id, BlockAction::Kind::kUpdate))) {
      sum.free += own.size;
      ++sum.coming;
    }
  }
  for (const auto& [id, kind] : under_way_) {
    if (id.address != address || kind != BlockAction::Kind::kCreate || own_.contains(id)) continue;
    sum.free += sum.size;
    ++sum.coming;
  }
  SharesOf(address, input.now, sum);
  if (sum.size == 0) return sum;
  sum.need = std::max(sum.size, sum.busy / 2);
  auto demand = input.demand.find(address);
  if (demand == input.demand.end()) return sum;
  const AddressUse& use = demand->second;
  sum.crowded = use.refused > 0 || (use.youngest && *use.youngest < times_.rest);
  // Flows come faster than blocks do.
  if (use.refused > 0)
    sum.need = std::max(sum.need, std::min(sum.busy, sum.fair - sum.own + sum.free));
  return sum;
}

bool PortBlocks::IsIdle(const BlockId& id, const Own& own, const PortBlocksInput& input) const {
  const BlockUse& use = UseOf(input, id);
  return use.live == 0 && use.quiet >= times_.idle && input.now - own.since >= times_.idle;
}

// What is to be returned and is needed again comes back, if it was not asked to be deleted yet.
void PortBlocks::Wake(const PortBlocksInput& input, std::map<net::Address, Sum>& sums) {
  for (auto& [id, own] : own_) {
    Sum& sum = sums.at(id.address);
    bool too_many = sum.others_short && sum.own > sum.fair;
    if (!own.resting || !own.written || !own.shown || too_many || sum.free >= sum.need) continue;
    own.resting = false;
    if (InUse(own, input.now)) sum.free += own.size;
  }
}

// Takes out of use what is to be returned. It is returned when it has been so for a while: a packet
// may have found a port there since its use was measured.
void PortBlocks::Rest(const PortBlocksInput& input, std::map<net::Address, Sum>& sums) {
  for (auto& [id, own] : own_) {
    Sum& sum = sums.at(id.address);
    if (!InUse(own, input.now) || !IsIdle(id, own, input) || sum.crowded) continue;
    bool too_many = sum.others_short && sum.own > sum.fair && sum.own > own.size;
    if (!too_many && sum.free - own.size < sum.need) continue;
    own.resting = true;
    sum.own -= own.size;
    sum.free -= own.size;
  }
}

bool PortBlocks::MayAsk(const BlockId& id, Millis now) const {
  auto it = not_before_.find(id);
  return !under_way_.contains(id) && (it == not_before_.end() || now >= it->second);
}

void PortBlocks::Ask(BlockAction::Kind kind, BlockLease lease, PortBlocksDecision& out) {
  under_way_[lease.id] = kind;
  out.actions.push_back({kind, std::move(lease)});
}

BlockLease PortBlocks::Written(const BlockId& id, int size, const PortBlocksInput& input) const {
  BlockLease lease;
  lease.id = id;
  lease.size = size;
  lease.holder = node_;
  lease.boot_id = boot_id_;
  lease.renewed = input.now;
  lease.renew_time = input.wall;
  lease.duration = times_.duration;
  if (auto it = exhausted_.find(id.address); it != exhausted_.end()) {
    lease.exhausted_since = it->second;
  }
  if (const BlockLeases::Entry* entry = leases_.Find(id)) lease.meta = entry->lease.meta;
  return lease;
}

// Renews, returns, and creates again.
void PortBlocks::Tend(const PortBlocksInput& input, std::map<net::Address, Sum>& sums,
                      PortBlocksDecision& out) {
  std::set<net::Address> told;  // one Lease of an address says that it is exhausted
  std::vector<BlockId> forgotten;
  for (auto& [id, own] : own_) {
    Sum& sum = sums.at(id.address);
    Millis age = input.now - own.renewed;
    int live = UseOf(input, id).live;
    if (own.deleted && (live == 0 || age >= times_.drop_after)) forgotten.push_back(id);
    if (!MayAsk(id, input.now)) continue;
    if (own.deleted) {
      if (live > 0 && age < times_.drop_after) {
        BlockLease lease = Written(id, own.size, input);
        lease.meta = {};
        Ask(BlockAction::Kind::kCreate, std::move(lease), out);
      }
      continue;
    }
    const BlockLeases::Entry* entry = leases_.Find(id);
    if (!entry) continue;
    bool wanted = own.written || sum.free < sum.need;
    if ((own.resting && (!own.shown || IsIdle(id, own, input))) || !wanted) {
      own.written = false;
      own.doubted = entry->lease.meta.version;
      Ask(BlockAction::Kind::kDelete, entry->lease, out);
      continue;
    }
    if (!own.written) sum.free += own.size;  // an earlier boot's: before others are claimed
    auto exhausted = exhausted_.find(id.address);
    std::string since = exhausted == exhausted_.end() ? "" : exhausted->second;
    bool news = told.insert(id.address).second && entry->lease.exhausted_since != since;
    if (own.written && !news && age < times_.duration / 3) continue;
    Ask(BlockAction::Kind::kUpdate, Written(id, own.size, input), out);
  }
  for (const BlockId& id : forgotten) {
    if (!under_way_.contains(id)) own_.erase(id);
  }
}

// Since when no flow of its holder can be alive; nothing while one may be.
std::optional<Millis> PortBlocks::FreeFrom(const BlockLeases::Entry& entry) const {
  const BlockLease& lease = entry.lease;
  if (lease.holder == node_) return std::nullopt;
  Millis expired = entry.changed + std::max(lease.duration, times_.duration);
  Millis free = expired + times_.reclaim_after;
  auto absent = absent_since_.find(lease.holder);
  if (nodes_listed_ && absent != absent_since_.end()) {
    free = std::min(free, std::max(expired, absent->second) + times_.reclaim_gone);
  }
  if (auto boots = former_boots_.find(lease.holder); boots != former_boots_.end()) {
    auto ended = boots->second.find(lease.boot_id);
    if (ended != boots->second.end()) free = std::min(free, std::max(expired, ended->second));
  }
  return free;
}

std::optional<uint16_t> PortBlocks::FindFree(const PortBlocksInput& input,
                                             const net::Address& address, int size) const {
  const std::vector<bool> taken = leases_.Taken(address, input.now);
  const int blocks = BlocksOf(size);
  if (blocks == 0) return std::nullopt;
  auto start = static_cast<int>(Score(node_, address) % static_cast<uint64_t>(blocks));
  for (int i = 0; i < blocks; ++i) {
    int first = kFirstPort + (start + i) % blocks * size;
    BlockId id{address, static_cast<uint16_t>(first)};
    auto from = taken.begin() + first / kGroup;
    auto to = taken.begin() + (first + size + kGroup - 1) / kGroup;
    bool own = std::any_of(own_.begin(), own_.end(), [&](const auto& entry) {
      return entry.first.address == address && entry.first.first < first + size &&
             first < entry.first.first + entry.second.size;
    });
    if (!own && std::find(from, to, true) == to && MayAsk(id, input.now)) return id.first;
  }
  return std::nullopt;
}

bool PortBlocks::Reclaim(const PortBlocksInput& input, const net::Address& address,
                         PortBlocksDecision& out) {
  for (const auto& [id, entry] : leases_.all()) {
    if (id.address != address || !MayAsk(id, input.now)) continue;
    auto free = FreeFrom(entry);
    if (!free || input.now < *free) continue;
    Ask(BlockAction::Kind::kDelete, entry.lease, out);
    return true;
  }
  return false;
}

void PortBlocks::Claim(const PortBlocksInput& input, const net::Address& address, Sum& sum,
                       PortBlocksDecision& out) {
  int missing = std::max(0, sum.need - sum.free + sum.size - 1) / sum.size;
  Millis& last = last_crowded_.try_emplace(address, input.now - kCrowdedPace).first->second;
  if (missing == 0 && sum.crowded && sum.coming == 0 && input.now - last >= kCrowdedPace) {
    missing = 1;
    last = input.now;
  }
  std::string why;
  for (; missing > 0 && sum.coming < kMostComing; --missing) {
    int leased = SharesOf(address, input.now, sum);
    leased += sum.coming * sum.size;
    int left = BlocksOf(sum.size) * sum.size - leased - sum.size;
    int reserve = std::max(sum.size, (kPorts - kFirstPort) / 8);
    bool beyond = sum.own > 0 && sum.own + (sum.coming + 1) * sum.size > sum.fair;
    if (beyond && (left < reserve || sum.others_grow)) {
      why = "this node has its part of its ports, and what is free is left to others";
      break;
    }
    auto first = FindFree(input, address, sum.size);
    if (!first) {
      if (Reclaim(input, address, out)) return;
      why = "no block of " + std::to_string(sum.size) + " ports is free";
      break;
    }
    Ask(BlockAction::Kind::kCreate, Written({address, *first}, sum.size, input), out);
    ++sum.coming;
  }
  if (why.empty()) {
    exhausted_.erase(address);
    return;
  }
  exhausted_.try_emplace(address, input.wall);
  out.exhausted[address] = why;
}

// What nobody needs and nobody will return. One node after the other, so that one is enough.
void PortBlocks::Collect(const PortBlocksInput& input, PortBlocksDecision& out) {
  for (const auto& [id, entry] : leases_.all()) {
    auto free = FreeFrom(entry);
    if (!free || !MayAsk(id, input.now)) continue;
    auto turn = static_cast<Millis>((Score(node_, id.address) ^ id.first) % 16 + 1);
    if (input.now >= *free + turn * kMinute) Ask(BlockAction::Kind::kDelete, entry.lease, out);
  }
}

PortBlocksDecision PortBlocks::Decide(const PortBlocksInput& input) {
  PortBlocksDecision out;
  out.complete = listed_;
  NoteNodes(input);
  Show(input);
  std::map<net::Address, Sum> sums;
  for (const auto& [address, size] : input.needed) sums.emplace(address, Add(input, address));
  for (const auto& [id, own] : own_) {
    if (!sums.contains(id.address)) sums.emplace(id.address, Add(input, id.address));
  }
  std::erase_if(exhausted_, [&](const auto& e) { return !input.needed.contains(e.first); });
  Wake(input, sums);
  Tend(input, sums, out);
  if (listed_) {
    for (const auto& [address, size] : input.needed) Claim(input, address, sums.at(address), out);
    Collect(input, out);
  }
  Rest(input, sums);
  for (const auto& [id, own] : own_) {
    if (!own.written || !own.shown || input.now - own.renewed >= times_.drop_after) continue;
    out.own[id] = {own.size, InUse(own, input.now), own.renewed + times_.keep_after,
                   own.renewed + times_.drop_after};
  }
  out.owners = leases_.Owners();
  return out;
}

}  // namespace sallyport::egress
