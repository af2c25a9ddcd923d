// SPDX-License-Identifier: Apache-2.0
#include "support/image_checks.h"

#include <algorithm>
#include <sstream>

#include "policy/evaluate.h"

namespace sallyport::test {
namespace {

using policy::Direction;
using policy::Image;

// Calls f(key) for each key whose value is not the same in both maps.
template <typename Map, typename F>
void ForEachDifference(const Map& before, const Map& after, F f) {
  for (const auto& [key, value] : before) {
    auto it = after.find(key);
    if (it == after.end() || !(it->second == value)) f(key);
  }
  for (const auto& [key, value] : after) {
    if (before.count(key) == 0) f(key);
  }
}

bool IsNormal(const std::vector<net::PortRange>& ranges) {
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].first > ranges[i].last) return false;
    if (i > 0 && ranges[i].first <= ranges[i - 1].last + 1) return false;
  }
  return true;
}

bool IsNormal(const policy::PortSet& ports) {
  bool empty = ports.tcp.empty() && ports.udp.empty() && ports.sctp.empty();
  return !empty && IsNormal(ports.tcp) && IsNormal(ports.udp) && IsNormal(ports.sctp);
}

// The numbers that an image uses.
struct Used {
  std::set<policy::IdentityId> identities;
  std::set<policy::SetId> sets;
  std::set<policy::PortSetId> ports;

  explicit Used(const Image& image) {
    for (const auto& [address, id] : image.peers) identities.insert(id);
    for (const auto& [cidr, id] : image.prefixes) identities.insert(id);
    for (const auto& [name, endpoint] : image.endpoints) {
      sets.insert(endpoint.egress);
      sets.insert(endpoint.ingress);
    }
    for (const auto& [id, set] : image.sets) {
      ports.insert(set.any);
      for (const auto& [identity, port_set] : set.rules) ports.insert(port_set);
    }
  }
};

}  // namespace

bool ImageAllows(const Image& image, const model::ObjectName& name, Direction direction,
                 const net::Address& peer, net::Protocol protocol, uint16_t port) {
  const policy::Endpoint& endpoint = image.endpoints.at(name);
  const std::vector<net::Address>& own = endpoint.addresses;
  if (std::find(own.begin(), own.end(), peer) != own.end()) return true;
  if (image.node_addresses.count(peer) > 0) return true;
  policy::SetId set = direction == Direction::kEgress ? endpoint.egress : endpoint.ingress;
  return image.Allows(set, image.IdentityOf(peer), protocol, port);
}

std::string Inconsistency(const Image& image) {
  std::ostringstream out;
  Used used(image);
  for (policy::SetId id : used.sets) {
    if (id != policy::kNoSet && image.sets.count(id) == 0) out << "set " << id << " is missing\n";
  }
  for (policy::PortSetId id : used.ports) {
    if (id > policy::kAllPorts && image.port_sets.count(id) == 0) {
      out << "port set " << id << " is missing\n";
    }
  }
  for (const auto& [id, set] : image.sets) {
    if (used.sets.count(id) == 0) out << "set " << id << " is nobody's\n";
    for (const auto& [identity, ports] : set.rules) {
      if (ports == set.any) out << "rule " << id << "/" << identity << " says nothing\n";
      if (used.identities.count(identity) == 0 || identity == policy::kNoIdentity) {
        out << "rule " << id << "/" << identity << " is for nobody\n";
      }
    }
  }
  for (const auto& [id, ports] : image.port_sets) {
    if (used.ports.count(id) == 0) out << "port set " << id << " is in no rule\n";
    if (!IsNormal(ports)) out << "port set " << id << " is not normal\n";
  }
  Image without_peers;
  without_peers.prefixes = image.prefixes;
  for (const auto& [address, id] : image.peers) {
    if (without_peers.IdentityOf(address) == id) {
      out << "peer " << address.ToString() << " says nothing\n";
    }
  }
  return out.str();
}

std::string Disagreement(const World& world, const Image& image) {
  for (const net::FlowTuple& flow : world.flows) {
    bool allowed = true;
    auto judge = [&](const net::Address& end, Direction direction, const net::Address& peer) {
      std::string wrong;
      for (const model::PodPtr& pod : policy::PodsAt(world.snapshot, end)) {
        policy::DirectionVerdict verdict = policy::Judge(world.snapshot, *pod, direction, peer,
                                                         flow.protocol, flow.destination_port);
        allowed &= verdict.allowed;
        if (pod->node != world.node) continue;
        const policy::Endpoint& endpoint = image.endpoints.at(pod->name);
        if ((direction == Direction::kEgress ? endpoint.keep_egress : endpoint.keep_ingress) !=
            verdict.keeps)
          return ToString(direction) + " of " + pod->name.ToString() +
                 ": image and API text differ on established connections";
        bool compiled =
            ImageAllows(image, pod->name, direction, peer, flow.protocol, flow.destination_port);
        if (compiled == verdict.allowed) continue;
        wrong = flow.ToString() + ": " + ToString(direction) + " of " + pod->name.ToString() +
                ": the image says " + (compiled ? "allowed" : "denied") + ", the API text " +
                ToString(verdict.why);
      }
      return wrong;
    };
    std::string egress = judge(flow.source, Direction::kEgress, flow.destination);
    std::string ingress = judge(flow.destination, Direction::kIngress, flow.source);
    if (!egress.empty()) return egress;
    if (!ingress.empty()) return ingress;
    if (policy::Evaluate(world.snapshot, flow).allowed != allowed) {
      return flow.ToString() + ": Evaluate and Judge differ";
    }
  }
  return "";
}

std::string Mutation(const Image& before, const Image& after) {
  std::ostringstream out;
  for (const auto& [id, ports] : before.port_sets) {
    auto it = after.port_sets.find(id);
    if (it != after.port_sets.end() && it->second != ports) out << "port set " << id << "\n";
  }
  Used used_before(before);
  Used used_after(after);
  for (const auto& [id, set] : before.sets) {
    auto it = after.sets.find(id);
    if (it == after.sets.end()) continue;
    const policy::PolicySet& next = it->second;
    if (next.any != set.any) out << "any of set " << id << "\n";
    for (policy::IdentityId identity : used_before.identities) {
      if (used_after.identities.count(identity) == 0) continue;
      auto was = set.rules.find(identity);
      auto is = next.rules.find(identity);
      policy::PortSetId old_ports = was == set.rules.end() ? set.any : was->second;
      policy::PortSetId new_ports = is == next.rules.end() ? next.any : is->second;
      if (old_ports != new_ports) out << "rule " << id << "/" << identity << "\n";
    }
  }
  std::string wrong = out.str();
  return wrong.empty() ? "" : "means something else now: " + wrong;
}

policy::Changes Difference(const Image& before, const Image& after) {
  policy::Changes out;
  ForEachDifference(before.peers, after.peers, [&](const auto& key) { out.peers.insert(key); });
  for (auto nodes : {&Image::other_nodes, &Image::shared_nodes})
    std::set_symmetric_difference((before.*nodes).begin(), (before.*nodes).end(),
                                  (after.*nodes).begin(), (after.*nodes).end(),
                                  std::inserter(out.peers, out.peers.end()));
  ForEachDifference(before.prefixes, after.prefixes,
                    [&](const auto& key) { out.prefixes.insert(key); });
  ForEachDifference(before.port_sets, after.port_sets,
                    [&](const auto& key) { out.port_sets.insert(key); });
  ForEachDifference(before.endpoints, after.endpoints,
                    [&](const auto& key) { out.endpoints.insert(key); });
  out.node_addresses = before.node_addresses != after.node_addresses;
  std::set_symmetric_difference(before.service_addresses.begin(), before.service_addresses.end(),
                                after.service_addresses.begin(), after.service_addresses.end(),
                                std::inserter(out.service_addresses, out.service_addresses.end()));
  ForEachDifference(before.sets, after.sets, [&](policy::SetId id) {
    auto was = before.sets.find(id);
    auto is = after.sets.find(id);
    if (was == before.sets.end() || is == after.sets.end()) {
      out.sets.insert(id);
      return;
    }
    ForEachDifference(was->second.rules, is->second.rules, [&](policy::IdentityId identity) {
      out.rules.insert({id, identity});
    });
  });
  return out;
}

std::string ToString(const policy::Changes& changes) {
  std::ostringstream out;
  for (const auto& key : changes.peers) out << " peer " << key.ToString();
  for (const auto& key : changes.prefixes) out << " prefix " << key.ToString();
  if (changes.node_addresses) out << " node";
  for (const auto& key : changes.service_addresses) out << " service " << key.ToString();
  for (policy::SetId key : changes.sets) out << " set " << key;
  for (const auto& [set, identity] : changes.rules) out << " rule " << set << "/" << identity;
  for (policy::PortSetId key : changes.port_sets) out << " ports " << key;
  for (const auto& key : changes.endpoints) out << " endpoint " << key.ToString();
  return out.str();
}

}  // namespace sallyport::test
