// SPDX-License-Identifier: Apache-2.0
#include "egress/pin_plan.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>
#include <vector>

#include "egress/selects.h"
#include "net/prefix_search.h"

namespace sallyport::egress {
namespace {

// A gateway that selects a pod, by its age among all, and what it makes of each family: [v4].
struct Selected {
  size_t rank = 0;
  Target targets[2];
  friend auto operator<=>(const Selected&, const Selected&) = default;
};

// A prefix at which the answer may change.
struct Mark {
  enum class Kind { kCluster, kExcept, kDestination };
  net::Cidr prefix;
  Kind kind = Kind::kDestination;
  size_t rank = 0;
};

bool Before(const Mark& a, const Mark& b) {
  ByFamily before;
  if (a.prefix != b.prefix) return before(a.prefix, b.prefix);
  return std::make_tuple(a.kind, a.rank) < std::make_tuple(b.kind, b.rank);
}

class Planner {
 public:
  Planner(const model::Snapshot& snapshot, const PinWorld& world)
      : snapshot_(snapshot), world_(world), gateways_(ByAge(snapshot)) {}

  // nullptr: no gateway selects the pod.
  std::shared_ptr<const PinSet> SetOf(const model::Pod& pod) {
    std::vector<Selected> selected = Select(pod);
    if (selected.empty()) return nullptr;
    auto [known, is_new] = by_selection_.try_emplace(selected);
    if (is_new) {
      auto [same, first] = by_content_.try_emplace(Build(selected));
      if (first) same->second = std::make_shared<const PinSet>(same->first);
      known->second = same->second;
    }
    return known->second;
  }

 private:
  std::vector<Selected> Select(const model::Pod& pod) const {
    std::vector<Selected> out;
    for (size_t rank = 0; rank < gateways_.size(); ++rank) {
      const model::EgressGateway& gateway = *gateways_[rank];
      Selects selects = SelectsPod(snapshot_, gateway, pod);
      if (selects == Selects::kNo) continue;
      Selected one{rank, {Target::Drop(), Target::Drop()}};
      if (selects == Selects::kYes) {
        for (bool v4 : {false, true}) {
          one.targets[v4] = ChooseFor(world_.addresses, gateway, pod.name, v4).target;
        }
      }
      out.push_back(one);
    }
    return out;
  }

  std::vector<Mark> MarksOf(const std::vector<Selected>& selected) const {
    std::vector<Mark> marks;
    for (const Selected& one : selected) {
      const model::EgressGateway& gateway = *gateways_[one.rank];
      for (const net::Cidr& cidr : DestinationsOf(gateway)) {
        marks.push_back({cidr, Mark::Kind::kDestination, one.rank});
      }
      for (const net::Cidr& cidr : gateway.except) {
        marks.push_back({cidr, Mark::Kind::kExcept, one.rank});
      }
    }
    std::sort(marks.begin(), marks.end(), Before);
    std::vector<Mark> cluster = ClusterWithin(marks);
    std::vector<Mark> out;
    out.reserve(marks.size() + cluster.size());
    std::merge(marks.begin(), marks.end(), cluster.begin(), cluster.end(), std::back_inserter(out),
               Before);
    return out;
  }

  // The cluster's ranges as far as destinations reach: what lies in one, or has one in it. In
  // order, since those of destinations that lie in others' are passed over.
  std::vector<Mark> ClusterWithin(const std::vector<Mark>& marks) const {
    const Ranges& ranges = world_.cluster.ranges;
    std::vector<Mark> out;
    auto done = ranges.begin();  // all before are in `out`, or are no part of any destination
    for (const Mark& mark : marks) {
      if (mark.kind != Mark::Kind::kDestination) continue;
      auto first = std::lower_bound(done, ranges.end(), mark.prefix, ByFamily());
      if (first != done && std::prev(first)->Contains(mark.prefix)) --first;
      for (done = first;
           done != ranges.end() && (mark.prefix.Contains(*done) || done->Contains(mark.prefix));
           ++done) {
        out.push_back({*done, Mark::Kind::kCluster, 0});
      }
    }
    return out;
  }

  // Prefixes are walked from the outside to the inside. Those around the current one are on a
  // stack, each with its marks and with what is said of it.
  struct Level {
    net::Cidr prefix;
    size_t first = 0;  // its marks: first..last, without last
    size_t last = 0;
    bool cluster = false;  // it, or one around it
    Target target;
  };

  PinSet Build(const std::vector<Selected>& selected) const {
    const std::vector<Mark> marks = MarksOf(selected);
    PinSet set;
    std::vector<Level> around;
    for (size_t first = 0; first < marks.size();) {
      size_t last = first;
      while (last < marks.size() && marks[last].prefix == marks[first].prefix) ++last;
      const net::Cidr& prefix = marks[first].prefix;
      while (!around.empty() && !around.back().prefix.Contains(prefix)) around.pop_back();
      const Level* outer = around.empty() ? nullptr : &around.back();
      Target outside = outer ? outer->target : Target::NotPinned();
      bool cluster = (outer && outer->cluster) || marks[first].kind == Mark::Kind::kCluster;
      around.push_back({prefix, first, last, cluster, {}});
      Target inside = cluster ? Target::NotPinned() : Decide(marks, around, selected);
      around.back().target = inside;
      if (inside != outside) set.emplace(prefix, inside);
      first = last;
    }
    return set;
  }

  static Target Decide(const std::vector<Mark>& marks, const std::vector<Level>& around,
                       const std::vector<Selected>& selected) {
    std::set<size_t> excepted;
    for (const Level& level : around) {
      for (size_t i = level.first; i < level.last; ++i) {
        if (marks[i].kind == Mark::Kind::kExcept) excepted.insert(marks[i].rank);
      }
    }
    for (auto level = around.rbegin(); level != around.rend(); ++level) {
      for (size_t i = level->first; i < level->last; ++i) {
        if (marks[i].kind != Mark::Kind::kDestination || excepted.contains(marks[i].rank)) continue;
        auto winner = std::find_if(selected.begin(), selected.end(),
                                   [&](const Selected& s) { return s.rank == marks[i].rank; });
        return winner->targets[level->prefix.IsV4()];
      }
    }
    return Target::NotPinned();
  }

  const model::Snapshot& snapshot_;
  const PinWorld& world_;
  const std::vector<model::EgressGatewayPtr> gateways_;
  std::map<std::vector<Selected>, std::shared_ptr<const PinSet>> by_selection_;
  std::map<PinSet, std::shared_ptr<const PinSet>> by_content_;
};

}  // namespace

std::string Target::ToString() const {
  switch (kind) {
    case Kind::kNotPinned:
      return "not pinned";
    case Kind::kPinned:
      return egress_ip.ToString();
    case Kind::kDrop:
      return "dropped";
  }
  return "?";
}

Target Find(const PinSet& set, const net::Address& destination) {
  auto it = net::LongestPrefix(set, destination);
  return it == set.end() ? Target::NotPinned() : it->second;
}

std::string ToString(const PinSet& set) {
  std::string out;
  for (const auto& [prefix, target] : set) {
    out += prefix.ToString() + " " + target.ToString() + "\n";
  }
  return out;
}

PinWorld WorldOf(const model::Snapshot& snapshot) {
  return {ClusterOf(snapshot), AddressesOf(snapshot)};
}

PinPlan MakePinPlan(const model::Snapshot& snapshot, PinWorld world,
                    const std::set<model::ObjectName>& pods) {
  PinPlan plan;
  plan.any_gateways = !snapshot.egress_gateways.empty();
  if (!plan.any_gateways) return plan;
  plan.world = std::move(world);
  Planner planner(snapshot, plan.world);
  std::set<std::shared_ptr<const PinSet>> sets;
  for (const model::ObjectName& name : pods) {
    auto pod = snapshot.pods.find(name);
    if (pod == snapshot.pods.end()) continue;
    std::shared_ptr<const PinSet> set = planner.SetOf(*pod->second);
    if (!set) continue;
    sets.insert(set);
    plan.pods.emplace(name, std::move(set));
  }
  for (const auto& set : sets) {
    for (const auto& [prefix, target] : *set) {
      if (target.kind != Target::Kind::kPinned) continue;
      plan.block_sizes.emplace(target.egress_ip,
                               plan.world.addresses.at(target.egress_ip).block_size);
    }
  }
  return plan;
}

PinPlan MakePinPlan(const model::Snapshot& snapshot, const std::string& node) {
  if (snapshot.egress_gateways.empty()) return {};
  std::set<model::ObjectName> pods;
  for (const auto& [name, pod] : snapshot.pods) {
    if (pod->node == node) pods.insert(name);
  }
  return MakePinPlan(snapshot, WorldOf(snapshot), pods);
}

PinPlan::Effect PinPlan::EffectOf(const model::Delta& delta, const std::string& node) const {
  if (delta.kind == model::Kind::kEgressGateway) return Effect::kWorld;
  if (!any_gateways) return Effect::kNone;
  switch (delta.kind) {
    case model::Kind::kNetworkPolicy:
    case model::Kind::kEndpointSlice:
      return Effect::kNone;
    case model::Kind::kNamespace:
    case model::Kind::kNamespacesListed:
      return Effect::kPlan;
    case model::Kind::kPod:
      break;
    default:
      return Effect::kWorld;
  }
  if (world.cluster.strays.contains(delta.name)) return Effect::kWorld;
  const auto* pod = std::get_if<model::PodPtr>(&delta.object);
  bool strays = pod && (*pod)->IsLive() &&
                std::any_of((*pod)->addresses.begin(), (*pod)->addresses.end(),
                            [&](const net::Address& address) {
                              return !egress::Find(world.cluster.pod_ranges, address);
                            });
  if (strays) return Effect::kWorld;
  bool here = pods.contains(delta.name) || (pod && (*pod)->node == node);
  return here ? Effect::kPlan : Effect::kNone;
}

std::optional<PinAnswer> PinOf(const model::Snapshot& snapshot, const model::Pod& pod,
                               const net::Address& destination) {
  if (snapshot.egress_gateways.empty() || !WhyNeverPinned(snapshot, destination).empty()) {
    return std::nullopt;
  }
  model::EgressGatewayPtr decides;
  net::Cidr by;
  for (const model::EgressGatewayPtr& gateway : ByAge(snapshot)) {
    if (SelectsPod(snapshot, *gateway, pod) == Selects::kNo) continue;
    auto has = [&](const net::Cidr& cidr) { return cidr.Contains(destination); };
    if (std::any_of(gateway->except.begin(), gateway->except.end(), has)) continue;
    for (const net::Cidr& cidr : DestinationsOf(*gateway)) {
      if (!has(cidr) || (decides && cidr.length() <= by.length())) continue;
      decides = gateway;
      by = cidr;
    }
  }
  if (!decides) return std::nullopt;
  if (SelectsPod(snapshot, *decides, pod) == Selects::kPerhaps) {
    return PinAnswer{decides->name, by, Target::Drop(), kLabelsUnknown};
  }
  Choice choice = ChooseFor(AddressesOf(snapshot), *decides, pod.name, destination.IsV4());
  return PinAnswer{decides->name, by, choice.target, std::move(choice.why)};
}

}  // namespace sallyport::egress
