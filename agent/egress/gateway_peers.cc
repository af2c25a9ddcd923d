// SPDX-License-Identifier: Apache-2.0
#include "egress/gateway_peers.h"

#include <algorithm>

#include "egress/hash.h"

namespace sallyport::egress {
namespace {

// Of three heartbeats one arrives, else what was said does not stand any more.
constexpr int kBeats = 3;

}  // namespace

bool GatewayPeers::Heard(const Heartbeat& heartbeat, Millis now) {
  if (heartbeat.node == node_) return false;
  Peer& peer = peers_[heartbeat.node];
  if (peer.heard && heartbeat.incarnation != peer.incarnation) {
    // The clock of its node may have gone back while it was away.
    bool older = heartbeat.incarnation < peer.incarnation;
    if (older && now - *peer.heard <= 4 * times_.silence) return false;
    peer = Peer{.at_work = peer.at_work};
  } else if (peer.heard && heartbeat.sequence <= peer.sequence) {
    return false;
  }
  bool news = !IsHeard(peer, now, times_.silence) || peer.leaving != heartbeat.leaving;
  peer.incarnation = heartbeat.incarnation;
  peer.sequence = heartbeat.sequence;
  peer.heard = now;
  peer.leaving = heartbeat.leaving;
  for (uint64_t hash : heartbeat.hears) {
    auto [said, first] = peer.hears.insert_or_assign(hash, now);
    news = news || first;
  }
  std::erase_if(peer.hears, [&](const auto& h) { return now - h.second > times_.silence; });
  for (const HeldAddress& held : heartbeat.holds) {
    Said& said = peer.claims[held.address];
    news = news || said.epoch != held.epoch || !StillSays(peer, said.at, kBeats * times_.beat);
    said = {held.epoch, now};
    uint32_t& epoch = epochs_[held.address];
    epoch = std::max(epoch, held.epoch);
  }
  return news;
}

void GatewayPeers::SeenAtWork(const std::string& node, bool took, Millis now) {
  if (node == node_) return;
  Peer& peer = peers_[node];
  // What it wrote before it died may be told of after.
  if (!took && peer.heard && now - *peer.heard <= times_.late) return;
  peer.at_work = now;
}

bool GatewayPeers::IsHeard(const std::string& node, Millis now) const {
  auto it = peers_.find(node);
  return it != peers_.end() && IsHeard(it->second, now, times_.silence);
}

bool GatewayPeers::IsAlive(const std::string& node, Millis now) const {
  auto it = peers_.find(node);
  if (it != peers_.end()) {
    const Peer& peer = it->second;
    if (IsHeard(peer, now, times_.silence)) return true;
    bool since = peer.at_work && (!peer.heard || *peer.at_work > *peer.heard);
    if (since && now - *peer.at_work < times_.lease) return true;
  }
  const uint64_t hash = HashName(node);
  return std::any_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    auto said = entry.second.hears.find(hash);
    return IsHeard(entry.second, now, times_.silence) && said != entry.second.hears.end() &&
           now - said->second <= kBeats * times_.beat;
  });
}

bool GatewayPeers::IsLeaving(const std::string& node) const {
  auto it = peers_.find(node);
  return it != peers_.end() && it->second.leaving;
}

bool GatewayPeers::Unheard(Millis now) const {
  const uint64_t own = HashName(node_);
  bool any = false;
  for (const auto& [name, peer] : peers_) {
    if (!IsHeard(peer, now, times_.silence)) continue;
    any = true;
    auto said = peer.hears.find(own);
    if (said != peer.hears.end() && now - said->second <= times_.silence) return false;
  }
  return any;
}

std::vector<uint64_t> GatewayPeers::Hears(Millis now) const {
  std::vector<uint64_t> out;
  for (const auto& [name, peer] : peers_) {
    if (IsHeard(peer, now, kBeats * times_.beat)) out.push_back(HashName(name));
  }
  return out;
}

std::vector<GatewayPeers::Claim> GatewayPeers::ClaimsOf(const net::Address& address,
                                                        Millis now) const {
  std::vector<Claim> out;
  for (const auto& [name, peer] : peers_) {
    auto said = peer.claims.find(address);
    if (said == peer.claims.end() || !StillSays(peer, said->second.at, kBeats * times_.beat)) {
      continue;
    }
    if (IsAlive(name, now)) out.push_back({name, said->second.epoch});
  }
  return out;
}

std::vector<GatewayPeers::Claim> GatewayPeers::LastClaimsOf(const net::Address& address) const {
  std::vector<Claim> out;
  for (const auto& [name, peer] : peers_) {
    auto said = peer.claims.find(address);
    if (said == peer.claims.end() || !StillSays(peer, said->second.at, 3 * times_.announce)) {
      continue;
    }
    out.push_back({name, said->second.epoch});
  }
  return out;
}

uint32_t GatewayPeers::LastEpoch(const net::Address& address) const {
  auto it = epochs_.find(address);
  return it == epochs_.end() ? 0 : it->second;
}

}  // namespace sallyport::egress
