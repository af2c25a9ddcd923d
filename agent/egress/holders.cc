// SPDX-License-Identifier: Apache-2.0
#include "egress/holders.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "egress/hash.h"

namespace sallyport::egress {
namespace {

// The tier of a node that no other hears.
constexpr int kUnheard = 3;
constexpr int kRepeats = 5;  // of what is new, to all nodes
constexpr Millis kRememberLeases = 60 * kMinute;

}  // namespace

Holders::Holders(std::string node, uint64_t incarnation, const std::set<net::Address>& configured,
                 Millis now, const HolderTimes& times)
    : node_(std::move(node)),
      incarnation_(incarnation),
      times_(times),
      started_(now),
      peers_(node_, times) {
  for (const net::Address& address : configured) held_[address] = {};
}

void Holders::SetCluster(const Addresses& addresses,
                         const std::map<std::string, model::NodePtr>& nodes) {
  known_ = true;
  addresses_ = addresses;
  nodes_ = nodes;
  candidates_.clear();
  std::map<model::Selector, std::shared_ptr<const Candidates>> by_selector;
  for (const auto& [address, spec] : addresses_) {
    auto [it, is_new] = by_selector.try_emplace(spec.nodes);
    if (is_new) {
      Candidates all;
      for (const auto& [name, node] : nodes_) {
        if (spec.nodes.Matches(node->labels)) {
          all.push_back({name, node->ready, node->unschedulable});
        }
      }
      it->second = std::make_shared<const Candidates>(std::move(all));
    }
    if (spec.unusable.empty()) candidates_[address] = it->second;
  }
}

bool Holders::HasListened(const HolderInput& input) const {
  return input.now - std::max(started_, input.listening.value_or(started_)) >= times_.listen;
}

bool Holders::Heard(const Heartbeat& heartbeat, Millis now) { return peers_.Heard(heartbeat, now); }

void Holders::SetLease(const AddressLease& lease, Millis now) {
  if (ended_.contains(lease.meta.uid)) return;
  auto [it, is_new] = leases_.try_emplace(lease.address, Known{lease, now});
  if (is_new) return;
  Known& known = it->second;
  if (lease.meta.version < known.lease.meta.version) return;
  bool took = lease.epoch > known.lease.epoch || lease.holder != known.lease.holder;
  bool moved = took || lease.renew_time != known.lease.renew_time;
  if (lease.meta.uid != known.lease.meta.uid) ended_[known.lease.meta.uid] = now;
  if (moved) peers_.SeenAtWork(lease.holder, took, now);
  known = Known{lease, moved ? now : known.changed};
}

void Holders::RemoveLease(const net::Address& address, const std::string& uid, Millis now) {
  std::erase_if(ended_, [&](const auto& e) { return now - e.second > kRememberLeases; });
  if (!uid.empty()) ended_[uid] = now;
  auto it = leases_.find(address);
  if (it == leases_.end() || (!uid.empty() && it->second.lease.meta.uid != uid)) return;
  ended_[it->second.lease.meta.uid] = now;
  leases_.erase(it);
}

void Holders::Done(const AddressAction& action, Outcome outcome,
                   const std::optional<AddressLease>& stands, Millis now) {
  const net::Address& address = action.lease.address;
  under_way_.erase(address);
  if (outcome == Outcome::kFailed) {
    not_before_[address] = now + times_.retry;
  } else if (stands) {
    SetLease(*stands, now);
  } else {
    RemoveLease(address, action.lease.meta.uid, now);
  }
  if (outcome != Outcome::kDone) renewed_.erase(address);
}

bool Holders::IsBefore(const Claim& a, const Claim& b) {
  return std::make_tuple(b.epoch, b.leased, a.node) < std::make_tuple(a.epoch, a.leased, b.node);
}

const Holders::Known* Holders::LeaseOf(const net::Address& address) const {
  auto it = leases_.find(address);
  return it == leases_.end() ? nullptr : &it->second;
}

const Holders::Candidates& Holders::CandidatesOf(const net::Address& address) const {
  static const Candidates none;
  auto it = candidates_.find(address);
  return it == candidates_.end() ? none : *it->second;
}

bool Holders::IsGateway() const {
  if (!held_.empty()) return true;
  return std::any_of(candidates_.begin(), candidates_.end(), [&](const auto& entry) {
    return std::any_of(entry.second->begin(), entry.second->end(),
                       [&](const Candidate& c) { return c.node == node_; });
  });
}

std::optional<int> Holders::TierOf(const Candidate& candidate, const net::Address& address,
                                   const HolderInput& input) const {
  if (candidate.node == node_) {
    if (input.leaving || input.unusable.contains(address)) return std::nullopt;
    if (peers_.Unheard(input.now) && !held_.contains(address)) return kUnheard;
  } else if (!peers_.IsAlive(candidate.node, input.now) || peers_.IsLeaving(candidate.node)) {
    return std::nullopt;
  }
  if (!candidate.ready && input.api_reachable) return 2;
  return candidate.cordoned ? 1 : 0;
}

Holders::View Holders::Look(const net::Address& address, const HolderInput& input) const {
  View view;
  const Known* lease = LeaseOf(address);
  auto add = [&](Claim claim) {
    claim.leased = lease && lease->lease.holder == claim.node && lease->lease.epoch == claim.epoch;
    if (!view.first || IsBefore(claim, *view.first)) view.first = std::move(claim);
  };
  if (auto own = held_.find(address); own != held_.end()) add({node_, own->second.epoch});
  for (GatewayPeers::Claim& claim : peers_.ClaimsOf(address, input.now)) {
    add({std::move(claim.node), claim.epoch});
  }
  if (lease && lease->lease.holder != node_ && !peers_.IsHeard(lease->lease.holder, input.now) &&
      peers_.IsAlive(lease->lease.holder, input.now)) {
    add({lease->lease.holder, lease->lease.epoch});
  }
  int best = kUnheard;
  for (const Candidate& candidate : CandidatesOf(address)) {
    auto tier = TierOf(candidate, address, input);
    view.may |= tier && candidate.node == node_;
    if (!tier || *tier > best) continue;
    if (*tier < best) view.best.clear();
    best = *tier;
    view.best.push_back(candidate.node);
  }
  view.good = view.first &&
              std::find(view.best.begin(), view.best.end(), view.first->node) != view.best.end();
  return view;
}

void Holders::NoteApi(const HolderInput& input) {
  if (input.api_reachable) {
    api_lost_.reset();
  } else if (!api_lost_) {
    api_lost_ = input.now;
  }
}

bool Holders::IsCutOff(const HolderInput& input) const {
  return api_lost_ && input.now - *api_lost_ > times_.lease &&
         input.now - input.last_word > times_.lease;
}

void Holders::GiveUp(const net::Address& address, Millis now) {
  held_.erase(address);
  renewed_.erase(address);
  forward_until_[address] = now + times_.forward;
  announce_until_ = now + kRepeats * times_.beat;
}

// Whether this node must give up an address that it holds, whoever has it then.
bool Holders::MustGo(const net::Address& address, Held& held, const View& view,
                     const HolderInput& input) const {
  if (!addresses_.contains(address) || input.unusable.contains(address)) return true;
  if (view.first && view.first->node != node_) return true;
  const Candidates& all = CandidatesOf(address);
  bool others =
      std::any_of(all.begin(), all.end(), [&](const Candidate& c) { return c.node != node_; });
  if (others && IsCutOff(input)) return true;
  bool fit =
      std::any_of(all.begin(), all.end(), [&](const Candidate& c) { return c.node == node_; });
  if (fit) {
    held.unfit_since.reset();
    return false;
  }
  if (!held.unfit_since) held.unfit_since = input.now;
  return input.now - *held.unfit_since >= times_.unfit;
}

void Holders::Review(const HolderInput& input, std::map<net::Address, View>& views) {
  for (const auto& [address, spec] : addresses_) views[address] = Look(address, input);
  for (auto it = held_.begin(); it != held_.end();) {
    const net::Address address = it->first;
    Held& held = (it++)->second;
    const Known* lease = LeaseOf(address);
    // What an earlier agent left, and the Lease says is ours.
    if (lease && lease->lease.holder == node_ && lease->lease.epoch > held.epoch) {
      held.epoch = lease->lease.epoch;
      views[address] = Look(address, input);
    }
    if (MustGo(address, held, views[address], input)) {
      GiveUp(address, input.now);
      views[address] = Look(address, input);
    } else if (held.epoch == 0 ||
               (lease && lease->lease.holder != node_ && lease->lease.epoch >= held.epoch)) {
      // The Lease's holder is dead: what this node claims comes after it.
      bool settled = input.leases_listed || input.now - started_ >= times_.first;
      if (settled && HasListened(input)) held.epoch = GreatestEpoch(address) + 1;
    }
  }
  std::erase_if(forward_until_, [&](const auto& f) {
    return input.now >= f.second || held_.contains(f.first) || !addresses_.contains(f.first);
  });
}

uint32_t Holders::GreatestEpoch(const net::Address& address) const {
  const Known* lease = LeaseOf(address);
  uint32_t epoch = std::max(peers_.LastEpoch(address), lease ? lease->lease.epoch : 0);
  auto own = held_.find(address);
  return own == held_.end() ? epoch : std::max(epoch, own->second.epoch);
}

std::vector<std::string> Holders::LineUp(const net::Address& address,
                                         std::vector<std::string> nodes,
                                         const std::map<std::string, int>& loads) const {
  const Known* lease = LeaseOf(address);
  auto place = [&](const std::string& node) {
    bool named = lease && lease->lease.holder == node;
    auto load = loads.find(node);
    return std::make_tuple(!named, load == loads.end() ? 0 : load->second, ~Score(node, address),
                           node);
  };
  std::sort(nodes.begin(), nodes.end(),
            [&](const std::string& a, const std::string& b) { return place(a) < place(b); });
  return nodes;
}

// Of an address that nobody ever held: all that may be the first, there yet or not.
std::vector<std::string> Holders::FirstHolders(const net::Address& address) const {
  std::vector<std::string> out;
  for (const Candidate& candidate : CandidatesOf(address)) {
    if (candidate.ready && !candidate.cordoned) out.push_back(candidate.node);
  }
  return out;
}

void Holders::TakeOrphans(const HolderInput& input, const std::map<net::Address, View>& views,
                          HolderDecision& out) {
  std::map<std::string, int> loads;
  for (const auto& [address, view] : views) {
    if (view.good) ++loads[view.first->node];
  }
  bool settled =
      HasListened(input) && (input.leases_listed || input.now - started_ >= times_.first);
  for (const auto& [address, view] : views) {
    if (view.good || view.best.empty()) {
      orphan_since_.erase(address);
      if (!view.first && addresses_.contains(address)) out.nobody[address] = WhyNobody(address);
      continue;
    }
    Millis& since = orphan_since_.try_emplace(address, input.now).first->second;
    if (!settled) since = input.now;
    bool first = !LeaseOf(address) && GreatestEpoch(address) == 0;
    Millis turn = since + (first ? times_.first : 0);
    std::vector<std::string> line = LineUp(address, view.best, loads);
    bool awaiting = first && input.now < turn;
    if (awaiting) {
      std::vector<std::string> all = LineUp(address, FirstHolders(address), loads);
      if (!all.empty()) line = {all.front()};
      turn = since;
    }
    ++loads[line.front()];
    auto place = std::find(line.begin(), line.end(), node_) - line.begin();
    bool in_line = place < static_cast<long>(line.size());
    // Those that are not in line come last, and only where nobody holds it at all.
    bool may = view.may && (in_line || (!view.first && !awaiting));
    if (!may || !settled || IsCutOff(input) || held_.contains(address)) continue;
    if (input.now - turn >= place * times_.step) Take(address, view, input, out);
  }
  std::erase_if(orphan_since_, [&](const auto& o) { return !views.contains(o.first); });
}

std::string Holders::WhyNobody(const net::Address& address) const {
  const std::string& unusable = addresses_.at(address).unusable;
  if (!unusable.empty()) return unusable;
  return CandidatesOf(address).empty()
             ? "no node has the labels that spec.gateways.nodeSelector asks for"
             : "of the nodes that may hold it none is there and well";
}

std::string Holders::WhyTaken(const net::Address& address, const View& view,
                              const HolderInput& input) const {
  const Known* lease = LeaseOf(address);
  std::string from = view.first ? view.first->node : lease ? lease->lease.holder : "";
  if (from.empty()) return "nobody held it";
  if (from == node_) return "the Lease names this node";
  if (peers_.IsLeaving(from)) return "gateway " + from + " is leaving";
  const Candidates& all = CandidatesOf(address);
  auto it =
      std::find_if(all.begin(), all.end(), [&](const Candidate& c) { return c.node == from; });
  if (it == all.end()) return "node " + from + " may not hold it any more";
  if (!peers_.IsAlive(from, input.now)) return "gateway " + from + " is not heard any more";
  if (!view.first) return "gateway " + from + " is there but does not hold it";
  return "node " + from + (it->ready ? " is cordoned" : " is not ready");
}

void Holders::Take(const net::Address& address, const View& view, const HolderInput& input,
                   HolderDecision& out) {
  const Known* lease = LeaseOf(address);
  uint32_t greatest = GreatestEpoch(address);
  bool named = lease && lease->lease.holder == node_ && lease->lease.epoch == greatest;
  TakeOver taken;
  taken.address = address;
  taken.from = view.first ? view.first->node : lease ? lease->lease.holder : "";
  taken.epoch = named && greatest > 0 && !view.first ? greatest : greatest + 1;
  taken.why = WhyTaken(address, view, input);
  held_[address] = {taken.epoch, std::nullopt};
  orphan_since_.erase(address);
  announce_until_ = input.now + kRepeats * times_.beat;
  out.taken.push_back(std::move(taken));
}

void Holders::Ask(AddressAction::Kind kind, AddressLease lease, HolderDecision& out) {
  under_way_.insert(lease.address);
  out.actions.push_back({kind, std::move(lease)});
}

void Holders::WriteLeases(const HolderInput& input, HolderDecision& out) {
  if (!input.api_reachable || !input.leases_listed || !known_) return;
  auto may_ask = [&](const net::Address& address) {
    auto it = not_before_.find(address);
    return !under_way_.contains(address) && (it == not_before_.end() || input.now >= it->second);
  };
  for (const auto& [address, held] : held_) {
    if (held.epoch == 0 || !may_ask(address)) continue;
    const Known* known = LeaseOf(address);
    AddressLease lease{address, node_, held.epoch, input.wall, times_.lease, {}};
    if (known) lease.meta = known->lease.meta;
    bool stands = known && known->lease.holder == node_ && known->lease.epoch == held.epoch;
    if (!stands) lease.meta.acquired.clear();
    auto renewed = renewed_.find(address);
    if (stands && renewed != renewed_.end() && input.now - renewed->second < times_.lease / 3) {
      continue;
    }
    renewed_[address] = input.now;
    Ask(known ? AddressAction::Kind::kUpdate : AddressAction::Kind::kCreate, std::move(lease), out);
  }
  // Those of addresses that no EgressGateway names any more: their holder's, or anyone's in turn.
  for (const auto& [address, known] : leases_) {
    if (addresses_.contains(address) || held_.contains(address) || !may_ask(address)) continue;
    auto turn = static_cast<Millis>(10 + Score(node_, address) % 16) * times_.lease;
    if (known.lease.holder == node_ || input.now - known.changed >= turn) {
      Ask(AddressAction::Kind::kDelete, known.lease, out);
    }
  }
}

std::optional<GatewayRoute> Holders::RouteTo(const net::Address& address,
                                             const HolderInput& input) const {
  if (auto own = held_.find(address); own != held_.end()) {
    return GatewayRoute{node_, own->second.epoch};
  }
  std::vector<Claim> claims;
  const Known* lease = LeaseOf(address);
  for (GatewayPeers::Claim& claim : peers_.LastClaimsOf(address)) {
    bool leased = lease && lease->lease.holder == claim.node && lease->lease.epoch == claim.epoch;
    claims.push_back({std::move(claim.node), claim.epoch, leased});
  }
  if (lease && lease->lease.holder != node_) {
    claims.push_back({lease->lease.holder, lease->lease.epoch, true});
  }
  std::sort(claims.begin(), claims.end(), IsBefore);
  if (CandidatesOf(address).empty()) return std::nullopt;
  const bool hears = IsGateway();
  auto dead = [&](const std::string& node) {
    auto it = nodes_.find(node);
    if (it == nodes_.end() || (input.api_reachable && !it->second->ready)) return true;
    return hears && HasListened(input) && !peers_.IsAlive(node, input.now);
  };
  for (const Claim& claim : claims) {
    if (!dead(claim.node)) return GatewayRoute{claim.node, claim.epoch};
  }
  // Any gateway sends on what it gets; who is next holds the address soon.
  std::vector<std::string> next;
  for (const Candidate& candidate : CandidatesOf(address)) {
    if (candidate.node != node_ && !dead(candidate.node)) next.push_back(candidate.node);
  }
  if (!claims.empty() && !next.empty()) {
    return GatewayRoute{LineUp(address, std::move(next), {}).front(), claims.front().epoch};
  }
  if (!claims.empty()) return GatewayRoute{claims.front().node, claims.front().epoch};
  return std::nullopt;
}

void Holders::Speak(const HolderInput& input, HolderDecision& out) {
  if (!IsGateway()) return;
  std::set<std::string> others;
  for (const auto& [address, candidates] : candidates_) {
    for (const Candidate& candidate : *candidates) others.insert(candidate.node);
  }
  others.erase(node_);
  out.beat_to.assign(others.begin(), others.end());
  std::vector<HeldAddress> holds;
  for (const auto& [address, held] : held_) holds.push_back({address, held.epoch});
  // Whoever hears it may think again, and speak: only of what is new, or it would never end.
  bool due = !spoke_ || input.now - *spoke_ >= times_.beat;
  bool news = holds != said_holds_ || input.leaving != said_leaving_;
  if (!due && !news) {
    out.next_beat = *spoke_ + times_.beat;
    return;
  }
  spoke_ = input.now;
  said_holds_ = holds;
  said_leaving_ = input.leaving;
  out.next_beat = input.now + times_.beat;
  std::vector<uint64_t> hears = peers_.Hears(input.now);
  size_t parts = std::max({size_t{1}, (hears.size() + kMostHears - 1) / kMostHears,
                           (holds.size() + kMostHolds - 1) / kMostHolds});
  for (size_t part = 0; part < parts; ++part) {
    Heartbeat beat{node_, incarnation_, ++sequence_, input.leaving, {}, {}};
    for (size_t i = part * kMostHears; i < std::min(hears.size(), (part + 1) * kMostHears); ++i) {
      beat.hears.push_back(hears[i]);
    }
    for (size_t i = part * kMostHolds; i < std::min(holds.size(), (part + 1) * kMostHolds); ++i) {
      beat.holds.push_back(holds[i]);
    }
    out.heartbeats.push_back(std::move(beat));
  }
  out.announce =
      input.now < announce_until_ || !announced_ || input.now - *announced_ >= times_.announce;
  if (out.announce) announced_ = input.now;
}

HolderDecision Holders::Decide(const HolderInput& input) {
  HolderDecision out;
  NoteApi(input);
  if (known_) {
    std::map<net::Address, View> views;
    Review(input, views);
    TakeOrphans(input, views, out);
    for (const auto& [address, spec] : addresses_) {
      auto route = RouteTo(address, input);
      if (!route) continue;
      // A node that is no gateway hears of them now and then only.
      if (!IsGateway()) out.nobody.erase(address);
      out.routes[address] = std::move(*route);
    }
  }
  WriteLeases(input, out);
  Speak(input, out);
  for (const auto& [address, held] : held_) out.hold[address] = held.epoch;
  for (const auto& [address, until] : forward_until_) out.forward.insert(address);
  return out;
}

}  // namespace sallyport::egress
