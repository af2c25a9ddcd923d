// SPDX-License-Identifier: Apache-2.0
#include "dataplane/egress_tables.h"

#include <algorithm>

#include "dataplane/tables.h"

namespace sallyport::dataplane {
namespace {

bool IsFree(const sp_address& address) { return address.halves[0] == 0 && address.halves[1] == 0; }

}  // namespace

EgressTables::EgressTables(const Memory& memory, TellOutside tell, const Pen& pen)
    : memory_(memory), tell_(std::move(tell)), pen_(pen) {
  Adopt();
}

// All that has a number may be in a pin set, or named by a flow.
void EgressTables::Adopt() {
  for (uint32_t i = 1; i < memory_.ips.size(); ++i) {
    if (IsFree(memory_.ips[i].address)) continue;
    net::Address address = FromAbi(memory_.ips[i].address);
    numbers_[address] = i;
    pinned_.insert(address);
    stated_.insert(address);
    outside_.insert(address);
  }
  for (uint32_t i = 1; i < memory_.nodes.size(); ++i)
    if (!IsFree(memory_.nodes[i].address)) nodes_[FromAbi(memory_.nodes[i].address)] = i;
}

void EgressTables::Free(uint32_t number) {
  sp_egress_ip& ip = memory_.ips[number];
  pen_.Update(ip.gateway, 0);
  pen_.Update(ip.blocks, 0);
  pen_.Update(ip.address.halves[1], 0);
  pen_.Update(ip.address.halves[0], 0);
  for (uint32_t& owner : memory_.owners[number].node) pen_.Update(owner, 0);
  told_owners_.erase(number);
}

// The half of the address that says that there is one is written last.
uint32_t EgressTables::NumberLocked(const net::Address& egress_ip) {
  auto known = numbers_.find(egress_ip);
  if (known != numbers_.end()) return known->second;
  sp_address address = ToAbi(egress_ip);
  if (address.halves[1] == 0) return SP_PIN_NOWHERE;  // no host has it (RFC 4291, 2.6.1)
  for (uint32_t i = 1; i < memory_.ips.size(); ++i) {
    sp_egress_ip& ip = memory_.ips[i];
    if (!IsFree(ip.address)) continue;
    Free(i);
    pen_.Update(ip.uplink, 0);
    pen_.Update(ip.block_ports, 0);
    pen_.Update(ip.address.halves[0], address.halves[0]);
    pen_.Store(ip.address.halves[1], address.halves[1]);
    numbers_[egress_ip] = i;
    return i;
  }
  return SP_PIN_NOWHERE;
}

uint32_t EgressTables::NumberOf(const net::Address& egress_ip) {
  std::lock_guard lock(mutex_);
  uint32_t number = NumberLocked(egress_ip);
  if (number != SP_PIN_NOWHERE) pinned_.insert(egress_ip);
  return number;
}

void EgressTables::KeepNumbers(const std::set<net::Address>& pinned) {
  std::lock_guard lock(mutex_);
  pinned_ = pinned;
  std::erase_if(numbers_, [this](const auto& entry) {
    bool keep = pinned_.contains(entry.first) || stated_.contains(entry.first);
    if (!keep) Free(entry.second);
    return !keep;
  });
}

uint32_t EgressTables::NodeNumber(const EgressState& state, const std::string& node) const {
  if (node.empty()) return 0;
  if (node == state.self) return SP_NODE_SELF;
  auto named = state.nodes.find(node);
  if (named == state.nodes.end()) return 0;
  auto it = nodes_.find(named->second);
  return it == nodes_.end() ? 0 : it->second;
}

// New ones first: whoever is named by what follows is there.
Status EgressTables::ApplyNodes(const EgressState& state) {
  for (const auto& [name, address] : state.nodes) {
    bool self = name == state.self;
    auto known = nodes_.find(address);
    bool right = known != nodes_.end() && (known->second == SP_NODE_SELF) == self;
    if (right) continue;
    uint32_t number = SP_NODE_SELF;
    while (!self && ++number < memory_.nodes.size() && !IsFree(memory_.nodes[number].address)) {
    }
    if (number >= memory_.nodes.size())
      return Error{"table \"tunnel_nodes\" is full (" + std::to_string(memory_.nodes.size() - 1) +
                   "): node " + name + " gets nothing from gateways"};
    sp_address abi = ToAbi(address);
    // Of one that moves only itself is concerned, and only as the tunnel's end.
    for (int half : {0, 1})
      pen_.Update(memory_.nodes[number].address.halves[half], abi.halves[half]);
    if (Status status = tell_(abi, SP_OUTSIDE_NODE | number); !status.ok()) {
      for (int half : {1, 0}) pen_.Update(memory_.nodes[number].address.halves[half], 0);
      return status;
    }
    for (auto it = nodes_.begin(); self && it != nodes_.end();) {
      bool former = it->second == SP_NODE_SELF && it->first != address;
      if (former) (void)tell_(ToAbi(it->first), std::nullopt);  // who sends from there is nobody
      it = former ? nodes_.erase(it) : std::next(it);
    }
    nodes_[address] = number;
  }
  return Ok();
}

// Those that are no more: nothing is taken from them, and nothing goes there.
Status EgressTables::DropNodes(const EgressState& state) {
  std::set<net::Address> there;
  for (const auto& [name, address] : state.nodes) there.insert(address);
  for (auto it = nodes_.begin(); it != nodes_.end();) {
    if (there.contains(it->first)) {
      ++it;
      continue;
    }
    if (Status status = tell_(ToAbi(it->first), std::nullopt); !status.ok()) return status;
    for (sp_port_owners& owners : memory_.owners)
      for (uint32_t& owner : owners.node)
        if (owner == it->second) pen_.Update(owner, 0);
    pen_.Update(memory_.nodes[it->second].address.halves[1], 0);
    pen_.Update(memory_.nodes[it->second].address.halves[0], 0);
    it = nodes_.erase(it);
  }
  return Ok();
}

void EgressTables::WriteOwners(uint32_t number, const EgressState& state,
                               const EgressState::Ip& ip) {
  std::set<uint32_t>& told = told_owners_[number];
  std::set<uint32_t> now;
  sp_port_owners& owners = memory_.owners[number];
  for (const auto& [ports, node] : ip.owners) {
    uint32_t owner = NodeNumber(state, node);
    for (uint32_t group = ports.first / SP_PORT_GROUP; group <= ports.last / SP_PORT_GROUP;
         ++group) {
      now.insert(group);
      pen_.Update(owners.node[group], owner);
    }
  }
  for (uint32_t group : told)
    if (!now.contains(group)) pen_.Update(owners.node[group], 0);
  told = std::move(now);
}

void EgressTables::WriteIp(uint32_t number, const EgressState& state, const EgressState::Ip& ip) {
  sp_egress_ip& entry = memory_.ips[number];
  if (state.ports_known) WritePorts(number, state, ip);
  pen_.Update(entry.uplink, ip.uplink);
  if (ip.gateway_known) pen_.Update(entry.gateway, NodeNumber(state, ip.gateway));
}

// What is no block of ours any more goes before its owner changes, what is one comes after it has.
void EgressTables::WritePorts(uint32_t number, const EgressState& state,
                              const EgressState::Ip& ip) {
  sp_egress_ip& entry = memory_.ips[number];
  std::span<uint32_t> firsts = memory_.blocks[number].first;
  bool resized = ip.block_ports != entry.block_ports;
  if (resized) pen_.Update(entry.blocks, 0);
  for (uint32_t& first : firsts) {
    bool stays =
        !resized && std::find(ip.blocks.begin(), ip.blocks.end(), first) != ip.blocks.end();
    if (first != 0 && !stays) pen_.Update(first, 0);
  }
  pen_.Update(entry.block_ports, ip.block_ports);
  WriteOwners(number, state, ip);
  size_t count = std::min<size_t>(ip.blocks.size(), SP_PORT_GROUPS);
  for (size_t i = 0; i < firsts.size(); ++i)
    pen_.Update(firsts[i], i < count ? uint32_t{ip.blocks[i]} : 0u);
  pen_.Update(entry.blocks, static_cast<uint32_t>(count));
  pen_.Update(entry.use_until, ip.use_until);
  pen_.Update(entry.keep_until, ip.keep_until);
}

Status EgressTables::Apply(const EgressState& state) {
  std::lock_guard lock(mutex_);
  sp_tunnel& tunnel = *memory_.tunnel;
  if (state.tunnel.ifindex != tunnel.ifindex) pen_.Update(tunnel.ifindex, 0);
  pen_.Update(tunnel.vni, state.tunnel.vni);
  pen_.Update(tunnel.mtu, state.tunnel.mtu);
  pen_.Update(tunnel.port, state.tunnel.port);
  pen_.Update(tunnel.heartbeat_port, state.tunnel.heartbeat_port);
  pen_.Update(tunnel.ifindex, state.tunnel.ifindex);
  Status failed = ApplyNodes(state);
  // What is not known any more is nobody's, before its number may become another's.
  for (auto it = outside_.begin(); it != outside_.end();) {
    if (!state.ips.contains(*it)) {
      Status status = tell_(ToAbi(*it), std::nullopt);
      if (!status.ok()) return status;
      it = outside_.erase(it);
    } else {
      ++it;
    }
  }
  stated_.clear();
  for (const auto& [address, ip] : state.ips) {
    uint32_t number = NumberLocked(address);
    if (number == SP_PIN_NOWHERE) {
      failed = Error{"table \"egress_ips\" is full (" + std::to_string(capacity()) +
                     "): nothing leaves through " + address.ToString()};
      continue;
    }
    stated_.insert(address);
    WriteIp(number, state, ip);
    Status status = tell_(ToAbi(address), SP_OUTSIDE_EGRESS | number);
    if (!status.ok()) return status;
    outside_.insert(address);
  }
  for (const auto& [address, number] : numbers_)
    if (!stated_.contains(address)) WriteIp(number, state, EgressState::Ip{});
  pen_.Update(tunnel.egress_ips, static_cast<uint32_t>(outside_.size()));
  std::erase_if(numbers_, [this](const auto& entry) {
    bool keep = pinned_.contains(entry.first) || stated_.contains(entry.first);
    if (!keep) Free(entry.second);
    return !keep;
  });
  Status status = DropNodes(state);
  return failed.ok() ? status : failed;
}

std::map<uint32_t, net::Address> EgressTables::Numbers() const {
  std::lock_guard lock(mutex_);
  std::map<uint32_t, net::Address> out;
  for (const auto& [address, number] : numbers_) out[number] = address;
  return out;
}

size_t EgressTables::used() const {
  std::lock_guard lock(mutex_);
  return numbers_.size();
}

}  // namespace sallyport::dataplane
