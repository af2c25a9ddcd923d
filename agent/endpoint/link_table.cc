// SPDX-License-Identifier: Apache-2.0
#include "endpoint/link_table.h"

#include <linux/if_arp.h>

#include <algorithm>
#include <iterator>
#include <tuple>

namespace sallyport::endpoint {

bool IsWayOut(const Link& link) {
  constexpr uint16_t kNoPackets[] = {ARPHRD_LOOPBACK, ARPHRD_NETLINK, ARPHRD_CAN};
  // What goes into an ifb comes out again, in front of where it was taken from.
  return link.kind != "bridge" && link.kind != "ifb" &&
         std::find(std::begin(kNoPackets), std::end(kNoPackets), link.hardware) ==
             std::end(kNoPackets);
}

std::set<uint32_t> Entrances(const Links& links) {
  std::set<uint32_t> out;
  for (const auto& [ifindex, link] : links) {
    bool pair = link.kind == "veth" || link.kind == "netkit";
    if (link.kind == "bridge" || (pair && !link.uplink)) continue;
    out.insert(ifindex);
    auto master = links.find(link.master);
    if (master != links.end()) out.insert(link.master);
  }
  return out;
}

std::vector<uint32_t> LinkUpdate::Reused() const {
  std::vector<uint32_t> out;
  for (uint32_t ifindex : gone) {
    bool again = std::any_of(set.begin(), set.end(),
                             [&](const Link& link) { return link.ifindex == ifindex; });
    if (again) out.push_back(ifindex);
  }
  return out;
}

namespace {

// kube-proxy in ipvs mode puts every Service address on this interface: they are not the node's.
constexpr std::string_view kServiceAddresses = "kube-ipvs0";

bool IsLoopback(const net::Address& address) {
  static const net::Cidr kV4(net::Address::V4(0x7f000000), 8);
  net::Address::Bytes one{};
  one[15] = 1;
  return kV4.Contains(address) || address == net::Address(one);
}

bool IsLinkLocalV6(const net::Address& address) {
  return address.bytes()[0] == 0xfe && (address.bytes()[1] & 0xc0) == 0x80;
}

bool HasSubnet(const net::Address& address, int length) {
  return length < (address.IsV4() ? 32 : 128) && !IsLinkLocalV6(address);
}

bool IsSame(const Link& before, const Link& after) {
  auto identity = [](const Link& link) {
    return std::tie(link.name, link.kind, link.peer_netns, link.peer_ifindex);
  };
  return identity(before) == identity(after);
}

bool WantsPackets(const std::string& qdisc) { return qdisc != "noqueue" && qdisc != "clsact"; }

}  // namespace

void LinkTable::SetLink(Link link) {
  uint32_t ifindex = link.ifindex;
  links_[ifindex] = std::move(link);
}

void LinkTable::RemoveLink(uint32_t ifindex) {
  links_.erase(ifindex);
  addresses_.erase(ifindex);
  qdiscs_.erase(ifindex);
  uplinks_.erase(ifindex);
  removed_.insert(ifindex);
}

void LinkTable::SetAddress(uint32_t ifindex, const net::Address& address, int length,
                           bool permanent) {
  addresses_[ifindex].emplace(address, length);
  if (permanent && HasSubnet(address, length)) uplinks_.insert(ifindex);
}

void LinkTable::RemoveAddress(uint32_t ifindex, const net::Address& address, int length) {
  auto it = addresses_.find(ifindex);
  if (it == addresses_.end()) return;
  it->second.erase({address, length});
  if (it->second.empty()) addresses_.erase(it);
}

void LinkTable::SetQdisc(uint32_t ifindex, uint32_t handle, const std::string& kind) {
  qdiscs_[ifindex][handle] = kind;
}

void LinkTable::RemoveQdisc(uint32_t ifindex, uint32_t handle) {
  auto it = qdiscs_.find(ifindex);
  if (it == qdiscs_.end()) return;
  it->second.erase(handle);
  if (it->second.empty()) qdiscs_.erase(it);
}

std::set<uint32_t> LinkTable::PeersOf(uint32_t ifindex) const {
  std::set<uint32_t> out;
  for (const auto& [index, link] : links_) {
    if (link.peer_ifindex == ifindex && link.peer_netns == kPeerHere) out.insert(index);
  }
  return out;
}

void LinkTable::InheritUplinks(const LinkTable& before) {
  for (uint32_t ifindex : before.uplinks_) {
    auto then = before.links_.find(ifindex);
    auto now = links_.find(ifindex);
    if (then != before.links_.end() && now != links_.end() && IsSame(then->second, now->second)) {
      uplinks_.insert(ifindex);
    }
  }
}

Links LinkTable::links() const {
  Links out = links_;
  for (auto& [ifindex, link] : out) {
    link.uplink = uplinks_.contains(ifindex);
    if (auto it = qdiscs_.find(ifindex); it != qdiscs_.end()) {
      link.shaped = std::any_of(it->second.begin(), it->second.end(),
                                [](const auto& qdisc) { return WantsPackets(qdisc.second); });
    }
  }
  return out;
}

model::LocalAddresses LinkTable::addresses() const {
  model::LocalAddresses out;
  for (const auto& [ifindex, addresses] : addresses_) {
    auto link = links_.find(ifindex);
    if (link != links_.end() && link->second.name == kServiceAddresses) continue;
    for (const auto& [address, length] : addresses) {
      if (!IsLoopback(address)) out.insert(address);
    }
  }
  return out;
}

std::set<uint32_t> Replaced(const Links& before, const Links& after) {
  std::set<uint32_t> out;
  for (const auto& [ifindex, link] : after) {
    auto it = before.find(ifindex);
    if (it != before.end() && !IsSame(it->second, link)) out.insert(ifindex);
  }
  return out;
}

LinkUpdate Difference(const Links& before, const Links& after, const std::set<uint32_t>& replaced) {
  LinkUpdate update;
  for (const auto& [ifindex, link] : after) {
    auto it = before.find(ifindex);
    bool is_new = it == before.end() || replaced.contains(ifindex);
    if (is_new || it->second != link) update.set.push_back(link);
  }
  for (const auto& [ifindex, link] : before) {
    if (!after.contains(ifindex) || replaced.contains(ifindex)) update.gone.push_back(ifindex);
  }
  return update;
}

}  // namespace sallyport::endpoint
