// SPDX-License-Identifier: Apache-2.0
#include "control/egress_hands.h"

#include <algorithm>
#include <iterator>

#include "base/log.h"
#include "endpoint/link.h"
#include "gateway/announce.h"
#include "gateway/tunnel_device.h"
#include "gateway/uplink.h"

namespace sallyport::control {
namespace {

using egress::kMinute;
using egress::kSecond;
using egress::Millis;

// Frames get lost, and a switch may still be learning: after so long each, and then now and then.
constexpr Millis kAgain[] = {50, 100, 200, 400, 800, 1600, 3200};
constexpr Millis kNowAndThen = kMinute;
constexpr Millis kLook = kSecond, kLookAtTunnel = 5 * kSecond;

}  // namespace

// Once for each thing that goes wrong, and once when it is well again.
void EgressHands::Say(const std::string& what, const Status& status) {
  std::string& last = said_[what];
  std::string now = status.ok() ? "" : status.error().message;
  if (now == last) return;
  if (status.ok()) {
    LogInfo(what + ": well again");
  } else {
    LogError(what + ": " + now);
  }
  last = now;
}

std::set<net::Address> EgressHands::Configured() {
  std::set<net::Address> out;
  auto held = gateway::HeldAddresses();
  if (!held) {
    Say("egress IPs on interfaces", std::move(held).error());
    return out;
  }
  for (const gateway::HeldAddress& one : *held) {
    stray_[one.address] = one.ifindex;
    out.insert(one.address);
  }
  return out;
}

dataplane::EgressState::Tunnel EgressHands::Tunnel(const net::Address& own, Millis now) {
  if (own == net::Address() ||
      (tunnel_at_ != 0 && now - tunnel_at_ < (tunnel_.ifindex ? kLookAtTunnel : kLook)))
    return tunnel_;
  tunnel_at_ = now;
  auto mtu = gateway::TunnelMtu(own);
  if (!mtu) {
    Say("the tunnel to gateways", std::move(mtu).error());
    tunnel_ = NoTunnel();
    return tunnel_;
  }
  auto guard = [this](const gateway::TunnelDevice& device) {
    if (device.ifindex == tunnel_.ifindex && !device.made) return Ok();
    return dataplane_.AttachNode(device.ifindex, endpoint::kOwnTunnel, dataplane::Role::kEgress);
  };
  auto device = gateway::EnsureTunnel({endpoint::kOwnTunnel, port_, *mtu}, guard);
  Say("the tunnel to gateways", device ? Ok() : Status(device.error()));
  tunnel_ = NoTunnel();
  if (device) tunnel_ = {device->ifindex, vni_, *mtu, port_, heartbeat_port_};
  return tunnel_;
}

std::map<net::Address, uint32_t> EgressHands::Uplinks(const egress::Addresses& addresses,
                                                      Millis now) {
  if (asked_ == addresses && uplinks_at_ != 0 && now - uplinks_at_ < kLook) return uplinks_;
  asked_ = addresses;
  uplinks_at_ = now;
  uplinks_.clear();
  for (const auto& [address, spec] : addresses) {
    auto uplink = spec.interface.empty() ? gateway::UplinkByDefaultRoute(address.IsV4())
                                         : gateway::UplinkByName(spec.interface);
    if (!uplink) continue;
    auto works = gateway::UplinkWorks(*uplink);
    if (works && *works) uplinks_[address] = *uplink;
  }
  return uplinks_;
}

std::map<net::Address, std::string> EgressHands::Hold(
    const std::map<net::Address, uint32_t>& hold, const std::map<net::Address, uint32_t>& uplinks,
    Millis now) {
  std::map<net::Address, std::string> failed;
  for (auto it = held_.begin(); it != held_.end();) {
    auto uplink = uplinks.find(it->first);
    bool stays = hold.contains(it->first) &&
                 (uplink == uplinks.end() || uplink->second == it->second.ifindex);
    if (!stays) stray_[it->first] = it->second.ifindex;
    it = stays ? std::next(it) : held_.erase(it);
  }
  for (const auto& [address, epoch] : hold) {
    auto uplink = uplinks.find(address);
    auto held = held_.find(address);
    if (held != held_.end() || uplink == uplinks.end()) {
      if (held != held_.end() && held->second.epoch != epoch) {
        held->second.epoch = epoch;
        held->second.announced = 0;
        held->second.next = now;
      }
      continue;
    }
    auto stray = stray_.find(address);
    if (stray != stray_.end() && stray->second != uplink->second)
      (void)gateway::DropAddress(stray->second, address);
    if (stray != stray_.end()) stray_.erase(stray);
    Status status = gateway::HoldAddress(uplink->second, address);
    Say("holding " + address.ToString(), status);
    if (status.ok()) {
      held_[address] = {uplink->second, epoch, 0, now};
    } else {
      failed[address] = status.error().message;
    }
  }
  for (auto it = stray_.begin(); it != stray_.end();) {
    Status status = gateway::DropAddress(it->second, it->first);
    Say("giving up " + it->first.ToString(), status);
    it = status.ok() ? stray_.erase(it) : std::next(it);
  }
  AnnounceDue(now);
  return failed;
}

void EgressHands::AnnounceDue(Millis now) {
  for (auto& [address, held] : held_) {
    if (held.next > now) continue;
    Status status = gateway::Announce(held.ifindex, address);
    Say("announcing " + address.ToString(), status);
    held.next = now + (held.announced < static_cast<int>(std::size(kAgain)) ? kAgain[held.announced]
                                                                            : kNowAndThen);
    ++held.announced;
  }
}

std::optional<Millis> EgressHands::next_announcement() const {
  std::optional<Millis> out;
  for (const auto& [address, held] : held_) out = out ? std::min(*out, held.next) : held.next;
  return out;
}

}  // namespace sallyport::control
