// SPDX-License-Identifier: Apache-2.0
#include "policy/image.h"

#include <algorithm>
#include <sstream>

#include "base/check.h"
#include "net/prefix_search.h"

namespace sallyport::policy {
namespace {

bool AnyContains(const std::vector<net::PortRange>& ranges, uint16_t port) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [port](const net::PortRange& r) { return r.Contains(port); });
}

std::string PortSetName(PortSetId id) {
  if (id == kNoPorts) return "none";
  if (id == kAllPorts) return "all";
  return "ports " + std::to_string(id);
}

void PrintRanges(std::ostream& out, net::Protocol protocol,
                 const std::vector<net::PortRange>& ranges) {
  if (ranges.empty()) return;
  out << " " << net::ToString(protocol);
  const char* separator = " ";
  for (const net::PortRange& range : ranges) {
    out << separator << range.first;
    if (range.last != range.first) out << "-" << range.last;
    separator = ",";
  }
}

// The numbers of an image in the order of the content that they stand for.
class Renumbering {
 public:
  explicit Renumbering(const Image& image) : image_(image) {
    // Identities, by the first address or prefix that has them; sets, by the first endpoint.
    for (const auto& [address, id] : image.peers) Number(identities_, id);
    for (const auto& [cidr, id] : image.prefixes) Number(identities_, id);
    for (const auto& [name, endpoint] : image.endpoints) {
      Number(sets_, endpoint.egress);
      Number(sets_, endpoint.ingress);
    }
    // Whatever nothing refers to comes last, so that it is seen.
    for (const auto& [id, set] : image.sets) {
      Number(sets_, id);
      for (const auto& [identity, ports] : set.rules) Number(identities_, identity);
    }
    std::vector<std::pair<PortSet, PortSetId>> by_content;
    for (const auto& [id, ports] : image.port_sets) by_content.emplace_back(ports, id);
    std::sort(by_content.begin(), by_content.end());
    port_sets_ = {{kNoPorts, kNoPorts}, {kAllPorts, kAllPorts}};
    for (const auto& [ports, id] : by_content) Number(port_sets_, id);
  }

  Image Apply() const {
    Image out;
    out.node_addresses = image_.node_addresses;
    out.other_nodes = image_.other_nodes;
    out.shared_nodes = image_.shared_nodes;
    out.service_addresses = image_.service_addresses;
    for (const auto& [address, id] : image_.peers) out.peers[address] = identities_.at(id);
    for (const auto& [cidr, id] : image_.prefixes) out.prefixes[cidr] = identities_.at(id);
    for (const auto& [id, ports] : image_.port_sets) out.port_sets[port_sets_.at(id)] = ports;
    for (const auto& [id, set] : image_.sets) out.sets[sets_.at(id)] = Apply(set);
    for (const auto& [name, endpoint] : image_.endpoints) {
      Endpoint& renumbered = out.endpoints[name] = endpoint;
      renumbered.egress = sets_.at(endpoint.egress);
      renumbered.ingress = sets_.at(endpoint.ingress);
    }
    return out;
  }

 private:
  using Numbers = std::map<uint32_t, uint32_t>;

  static void Number(Numbers& numbers, uint32_t id) {
    numbers.try_emplace(id, static_cast<uint32_t>(numbers.size()));
  }

  PolicySet Apply(const PolicySet& set) const {
    PolicySet out;
    out.any = port_sets_.at(set.any);
    for (const auto& [identity, ports] : set.rules) {
      out.rules[identities_.at(identity)] = port_sets_.at(ports);
    }
    return out;
  }

  const Image& image_;
  Numbers identities_{{kNoIdentity, kNoIdentity}};
  Numbers sets_{{kNoSet, kNoSet}};
  Numbers port_sets_;
};

}  // namespace

std::string ToString(Direction direction) {
  return direction == Direction::kEgress ? "egress" : "ingress";
}

bool PortSet::Allows(net::Protocol protocol, uint16_t port) const {
  switch (protocol) {
    case net::Protocol::kTcp:
      return AnyContains(tcp, port);
    case net::Protocol::kUdp:
      return AnyContains(udp, port);
    case net::Protocol::kSctp:
      return AnyContains(sctp, port);
    default:
      return false;
  }
}

IdentityId Image::IdentityOf(const net::Address& peer) const {
  if (auto it = peers.find(peer); it != peers.end()) return it->second;
  auto it = LongestPrefix(prefixes, peer);
  return it == prefixes.end() ? kNoIdentity : it->second;
}

bool Image::Allows(SetId set, IdentityId identity, net::Protocol protocol, uint16_t port) const {
  if (set == kNoSet) return true;
  auto found = sets.find(set);
  CHECK(found != sets.end()) << "set " << set << " is not in the image";
  const PolicySet& content = found->second;
  auto rule = content.rules.find(identity);
  PortSetId ports = rule == content.rules.end() ? content.any : rule->second;
  if (ports == kNoPorts) return false;
  if (ports == kAllPorts) return true;
  auto port_set = port_sets.find(ports);
  CHECK(port_set != port_sets.end()) << "port set " << ports << " is not in the image";
  return port_set->second.Allows(protocol, port);
}

std::string Image::ToString() const {
  std::ostringstream out;
  out << "node\n";
  for (const net::Address& address : node_addresses) out << "  " << address.ToString() << "\n";
  if (!other_nodes.empty()) out << "other nodes\n";
  for (const net::Address& address : other_nodes) out << "  " << address.ToString() << "\n";
  if (!shared_nodes.empty()) out << "nodes that are pods as well\n";
  for (const net::Address& address : shared_nodes) out << "  " << address.ToString() << "\n";
  if (!service_addresses.empty()) out << "services\n";
  for (const net::Address& address : service_addresses) out << "  " << address.ToString() << "\n";
  out << "endpoints\n";
  for (const auto& [name, endpoint] : endpoints) {
    out << "  " << name.ToString() << " egress " << endpoint.egress
        << (endpoint.keep_egress ? " keep" : "") << " ingress " << endpoint.ingress
        << (endpoint.keep_ingress ? " keep" : "");
    for (const net::Address& address : endpoint.addresses) out << " " << address.ToString();
    out << "\n";
  }
  out << "peers\n";
  for (const auto& [address, id] : peers) out << "  " << address.ToString() << " = " << id << "\n";
  out << "prefixes\n";
  for (const auto& [cidr, id] : prefixes) out << "  " << cidr.ToString() << " = " << id << "\n";
  out << "sets\n";
  for (const auto& [id, set] : sets) {
    out << "  " << id << ": any " << PortSetName(set.any);
    for (const auto& [identity, ports] : set.rules) {
      out << "; " << identity << " " << PortSetName(ports);
    }
    out << "\n";
  }
  out << "ports\n";
  for (const auto& [id, ports] : port_sets) {
    out << "  " << id << ":";
    PrintRanges(out, net::Protocol::kTcp, ports.tcp);
    PrintRanges(out, net::Protocol::kUdp, ports.udp);
    PrintRanges(out, net::Protocol::kSctp, ports.sctp);
    out << "\n";
  }
  return out.str();
}

Image Canonical(const Image& image) { return Renumbering(image).Apply(); }

bool Changes::empty() const {
  return peers.empty() && prefixes.empty() && !node_addresses && sets.empty() && rules.empty() &&
         port_sets.empty() && endpoints.empty() && service_addresses.empty();
}

}  // namespace sallyport::policy
