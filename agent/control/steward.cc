// SPDX-License-Identifier: Apache-2.0
#include "control/steward.h"

#include <algorithm>

namespace sallyport::control {
namespace {

// What an earlier agent has written stays for so long while nothing is heard: with Leases, without.
constexpr egress::Millis kListen = 2 * egress::kSecond, kListenAlone = 10 * egress::kSecond;

// Of blocks of different sizes, the kernel is told of pieces of one size.
uint16_t PieceOf(const std::map<egress::BlockId, egress::OwnBlock>& own,
                 const net::Address& address) {
  int least = 0;
  for (const auto& [id, block] : own)
    if (id.address == address && block.use)
      least = least ? std::min(least, block.size) : block.size;
  return static_cast<uint16_t>(least);
}

// Ticks until then: at least one, so that 0 stays "never said".
uint32_t TickAt(egress::Millis until, const Moment& moment) {
  int64_t ticks = (until - moment.now) * 1'000'000 / (int64_t{1} << SP_TICK_SHIFT);
  return moment.tick + static_cast<uint32_t>(std::clamp<int64_t>(ticks, -2, 1 << 30));
}

}  // namespace

Steward::Steward(const std::string& node, const std::string& boot_id, uint64_t incarnation,
                 const std::set<net::Address>& configured, egress::Millis now)
    : node_(node),
      started_(now),
      blocks_(node, boot_id),
      holders_(node, incarnation, configured, now) {}

void Steward::SetNews(const EgressNews& news) {
  news_ = news;
  stale_ = true;
  holders_.SetCluster(news_.addresses, news_.nodes);
}

// Nodes speak to each other in the family that this one's first address has.
net::Address Steward::TunnelAddress(const std::string& node) const {
  auto first = [this](const std::string& name) -> const std::vector<net::Address>* {
    auto it = news_.nodes.find(name);
    return it == news_.nodes.end() ? nullptr : &it->second->internal_addresses;
  };
  const std::vector<net::Address>* own = first(node_);
  const std::vector<net::Address>* theirs = first(node);
  if (!own || own->empty() || !theirs) return {};
  auto it = std::find_if(theirs->begin(), theirs->end(), [own](const net::Address& address) {
    return address.IsV4() == own->front().IsV4();
  });
  return it == theirs->end() ? net::Address() : *it;
}

void Steward::SetUse(const std::map<net::Address, dataplane::EgressUse>& use, egress::Millis now) {
  demand_.clear();
  for (const auto& [address, counted] : use) {
    auto before = use_.find(address);
    if (before == use_.end()) continue;  // what was counted before anybody looked is old
    demand_[address].refused = counted.refused - before->second.refused;
    if (counted.hurried != before->second.hurried) demand_[address].youngest = 0;
  }
  use_ = use;
  stale_ = true;
  for (auto& [id, measured] : measured_) {
    measured.busy = measured.live = 0;
    auto it = use_.find(id.address);
    if (it == use_.end()) continue;
    const uint16_t first = id.first;
    const int last = first + measured.size;
    auto sum = [first, last](const std::map<uint16_t, uint32_t>& groups) {
      int out = 0;
      for (auto group = groups.lower_bound(first); group != groups.end() && group->first < last;
           ++group)
        out += static_cast<int>(group->second);
      return out;
    };
    measured.live = sum(it->second.live);
    measured.busy = std::min(sum(it->second.busiest), measured.size);
    if (measured.live > 0 || sum(it->second.resting) > 0) measured.busy_at = now;
  }
}

void Steward::DecidePorts(const Moment& moment) {
  egress::PortBlocksInput input;
  input.now = moment.now;
  input.wall = moment.wall;
  input.needed = news_.needed;
  input.nodes_listed = true;
  for (const auto& [name, node] : news_.nodes) input.boot_ids[name] = node->boot_id;
  for (const auto& [id, measured] : measured_)
    input.use[id] = {measured.busy, measured.live, moment.now - measured.busy_at};
  input.demand = demand_;
  ports_ = blocks_.Decide(input);
  std::erase_if(measured_, [this](const auto& e) { return !ports_.own.contains(e.first); });
  for (const auto& [id, block] : ports_.own)
    measured_.try_emplace(id, Measured{moment.now}).first->second.size = block.size;
  stale_ = false;
  decided_at_ = moment.now;
}

// Which ports this node may give, and whose all the others are.
void Steward::FillPorts(const Moment& moment, Intent& out) {
  if (stale_ || moment.now - decided_at_ >= egress::kSecond) {
    DecidePorts(moment);
    out.block_actions = std::move(ports_.actions);
    ports_.actions.clear();
  }
  const egress::PortBlocksDecision& decided = ports_;
  out.exhausted = decided.exhausted;
  out.state.ports_known = decided.complete;
  for (const egress::BlockOwner& owner : decided.owners) {
    net::PortRange range{owner.id.first, static_cast<uint16_t>(owner.id.first + owner.size - 1)};
    out.state.ips[owner.id.address].owners[range] = owner.node;
  }
  for (auto& [address, ip] : out.state.ips) ip.block_ports = PieceOf(decided.own, address);
  for (const auto& [id, block] : decided.own) {
    dataplane::EgressState::Ip& ip = out.state.ips[id.address];
    uint32_t keep = TickAt(block.keep_until, moment), use = TickAt(block.use_until, moment);
    auto sooner = [](uint32_t was, uint32_t next) {
      return was == 0 || static_cast<int32_t>(next - was) < 0 ? next : was;
    };
    ip.keep_until = sooner(ip.keep_until, keep);
    if (!block.use) continue;
    ip.use_until = sooner(ip.use_until, use);
    for (int first = id.first; first < id.first + block.size; first += ip.block_ports)
      ip.blocks.push_back(static_cast<uint16_t>(first));
  }
}

void Steward::FillIps(const Moment& moment, const egress::HolderDecision& held, Intent& out) const {
  // Of Leases for addresses that no object names any more nothing is to be forwarded.
  std::erase_if(out.state.ips,
                [this](const auto& e) { return !news_.addresses.contains(e.first); });
  for (const auto& [address, spec] : news_.addresses) {
    dataplane::EgressState::Ip& ip = out.state.ips[address];
    auto route = held.routes.find(address);
    if (spec.unusable.empty() && route != held.routes.end()) ip.gateway = route->second.node;
    // An earlier agent knew. Silence says nothing before there was time to hear.
    ip.gateway_known = !ip.gateway.empty() || !spec.unusable.empty() ||
                       (moment.leases_listed && moment.now - started_ > kListen) ||
                       moment.now - started_ > kListenAlone;
    auto uplink = moment.uplinks.find(address);
    if (uplink != moment.uplinks.end()) ip.uplink = spec.interface.empty() ? 0 : uplink->second;
    if (ip.gateway == node_ && uplink == moment.uplinks.end()) ip.gateway.clear();
  }
}

Intent Steward::Decide(const Moment& moment) {
  Intent out;
  out.state.self = node_;
  out.state.tunnel = moment.tunnel;
  for (const auto& [name, node] : news_.nodes) {
    net::Address address = TunnelAddress(name);
    if (address != net::Address()) out.state.nodes[name] = address;
  }
  FillPorts(moment, out);
  egress::HolderInput input;
  input.now = moment.now;
  input.wall = moment.wall;
  input.api_reachable = moment.api_reachable;
  input.leases_listed = moment.leases_listed;
  input.last_word = moment.last_word;
  input.leaving = moment.leaving;
  input.listening = moment.listening;
  for (const auto& [address, spec] : news_.addresses)
    if (!moment.uplinks.contains(address)) input.unusable.insert(address);
  egress::HolderDecision held = holders_.Decide(input);
  FillIps(moment, held, out);
  out.hold = std::move(held.hold);
  out.taken = std::move(held.taken);
  out.nobody = std::move(held.nobody);
  out.address_actions = std::move(held.actions);
  out.heartbeats = std::move(held.heartbeats);
  out.next_beat = held.next_beat;
  out.beat_to = std::move(held.beat_to);
  out.announce = held.announce;
  return out;
}

}  // namespace sallyport::control
