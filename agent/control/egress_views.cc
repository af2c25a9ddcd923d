// SPDX-License-Identifier: Apache-2.0
#include "control/egress_views.h"

#include <algorithm>

#include "gateway/tunnel_device.h"

namespace sallyport::control {
namespace {

using observe::EgressAddressView;
using observe::EgressView;
using Groups = std::map<uint16_t, uint32_t>;

// Of the groups that begin from `first` on, before `end`.
uint32_t SumOf(const Groups& groups, int first, int end) {
  uint32_t out = 0;
  for (auto it = groups.lower_bound(static_cast<uint16_t>(first));
       it != groups.end() && it->first < end; ++it)
    out += it->second;
  return out;
}

void AddUse(const dataplane::EgressUse& use, EgressAddressView& out) {
  out.live = SumOf(use.live, 0, egress::kPorts);
  out.resting = SumOf(use.resting, 0, egress::kPorts);
  out.busiest = BusiestOf(use);
  out.opened = use.opened;
  out.refused = use.refused;
  out.hurried = use.hurried;
  out.packets_out = use.packets[0];
  out.bytes_out = use.bytes[0];
  out.packets_in = use.packets[1];
  out.bytes_in = use.bytes[1];
  out.strangers = use.strangers;
  out.foreign = use.foreign;
}

std::string NobodyBecause(const EgressReport& report, const net::Address& address) {
  auto spec = report.news.addresses.find(address);
  if (spec != report.news.addresses.end() && !spec->second.unusable.empty())
    return spec->second.unusable;
  auto failed = report.failed.find(address);
  if (failed != report.failed.end()) return failed->second;
  auto nobody = report.intent.nobody.find(address);
  return nobody == report.intent.nobody.end() ? "no gateway has taken it yet" : nobody->second;
}

void AddBlocks(const EgressReport& report, const std::string& node,
               const dataplane::EgressState::Ip& ip, EgressAddressView& out) {
  static const dataplane::EgressUse kNone;
  auto use = report.use.find(out.ip);
  const dataplane::EgressUse& counted = use == report.use.end() ? kNone : use->second;
  for (const auto& [range, owner] : ip.owners) {
    const int end = range.last + 1;
    observe::PortBlockView block;
    block.first = range.first;
    block.last = range.last;
    block.node = owner;
    if (owner == node) {
      // The kernel knows a large block as pieces: the first says it of all.
      block.use = std::find(ip.blocks.begin(), ip.blocks.end(), range.first) != ip.blocks.end();
      block.live = SumOf(counted.live, range.first, end);
      block.resting = SumOf(counted.resting, range.first, end);
    }
    out.blocks.push_back(std::move(block));
  }
}

EgressAddressView AddressViewOf(const EgressReport& report, const std::string& node,
                                const net::Address& address, const egress::AddressSpec& spec) {
  static const dataplane::EgressState::Ip kUnknown;
  EgressAddressView out;
  out.ip = address;
  out.gateway = spec.gateway;
  auto known = report.intent.state.ips.find(address);
  const dataplane::EgressState::Ip& ip =
      known == report.intent.state.ips.end() ? kUnknown : known->second;
  out.holder = out.via = ip.gateway;
  auto held = report.intent.hold.find(address);
  auto failed = report.failed.find(address);
  out.held_here = held != report.intent.hold.end() && failed == report.failed.end();
  if (held != report.intent.hold.end()) out.epoch = held->second;
  if (out.held_here) {
    out.uplink = spec.interface;
    auto since = report.held_since.find(address);
    if (since != report.held_since.end())
      out.since = report.wall - std::chrono::milliseconds(report.now - since->second);
  }
  if (out.holder.empty()) out.why_nobody = NobodyBecause(report, address);
  auto use = report.use.find(address);
  if (use != report.use.end()) AddUse(use->second, out);
  out.ports = PortsOf(ip);
  out.headroom = out.ports > out.busiest ? out.ports - out.busiest : 0;
  auto lasts = report.lasts.find(address);
  if (lasts != report.lasts.end()) out.seconds_to_exhaustion = lasts->second;
  auto exhausted = report.intent.exhausted.find(address);
  if (exhausted != report.intent.exhausted.end()) out.exhausted = exhausted->second;
  AddBlocks(report, node, ip, out);
  return out;
}

}  // namespace

uint64_t PortsOf(const dataplane::EgressState::Ip& ip) {
  return uint64_t{ip.block_ports} * ip.blocks.size();
}

uint64_t BusiestOf(const dataplane::EgressUse& use) {
  return SumOf(use.busiest, 0, egress::kPorts);
}

EgressView EgressViewOf(const EgressReport& report, const std::string& node) {
  const dataplane::EgressState& state = report.intent.state;
  EgressView out;
  out.node = node;
  out.takeovers = report.takeovers;
  if (state.tunnel.ifindex != 0) {
    out.tunnel = {gateway::kTunnelName, state.tunnel.port, state.tunnel.vni, state.tunnel.mtu};
  }
  for (const auto& [address, spec] : report.news.addresses)
    out.addresses.push_back(AddressViewOf(report, node, address, spec));
  for (const auto& [name, at] : report.heard) {
    auto address = state.nodes.find(name);
    out.peers.push_back({name, address == state.nodes.end() ? net::Address() : address->second,
                         std::chrono::milliseconds(report.now - at)});
  }
  for (const std::string& name : report.intent.beat_to) {
    if (report.heard.contains(name)) continue;
    auto address = state.nodes.find(name);
    out.peers.push_back(
        {name, address == state.nodes.end() ? net::Address() : address->second, {}});
  }
  return out;
}

}  // namespace sallyport::control
