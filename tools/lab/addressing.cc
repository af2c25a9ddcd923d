// SPDX-License-Identifier: Apache-2.0
#include "lab/addressing.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

namespace sallyport::lab {
namespace {

constexpr int kNodePrefix4 = 24;  // of a node's pods, and of a segment of nodes nobody configured
constexpr int kNodePrefix6 = 64;
constexpr uint64_t kGateway = 1;       // offset of the fabric in every network
constexpr uint64_t kFirstNode = 11;    // offset of the first node in the node network
constexpr uint64_t kOutsideHost = 10;  // offset of the outside in its network
constexpr uint64_t kMostNodes = 1000;

// Prefix that is `index` prefixes of `length` bits behind the network's first.
net::Cidr NthSubnet(const net::Cidr& network, int length, uint64_t index) {
  net::Address::Bytes bytes = network.address().bytes();
  int shift = 128 - (network.IsV4() ? length + 96 : length);
  for (int bit = 0; bit < 64 && shift + bit < 128; ++bit) {
    if (!(index >> bit & 1)) continue;
    int position = 127 - shift - bit;
    bytes[static_cast<size_t>(position / 8)] |= static_cast<uint8_t>(0x80 >> position % 8);
  }
  return net::Cidr(net::Address(bytes), length);
}

bool Overlap(const net::Cidr& a, const net::Cidr& b) { return a.Contains(b) || b.Contains(a); }

class Assigner {
 public:
  Assigner(const std::vector<const Value*>& nodes, const Networks& networks)
      : nodes_(nodes), networks_(networks), out_(nodes.size()) {}

  Result<std::vector<NodeAddresses>> Run() {
    for (size_t i = 0; i < nodes_.size(); ++i)
      if (Status declared = TakeDeclared(*nodes_[i], &out_[i]); !declared)
        return std::move(declared).error().Context("Node " + NameOf(*nodes_[i]).name);
    for (NodeAddresses& node : out_) {
      if (Status filled = FillAddresses(&node); !filled) return std::move(filled).error();
      if (Status filled = FillPodCidrs(&node); !filled) return std::move(filled).error();
    }
    for (NodeAddresses& node : out_)
      for (const InterfaceAddress& own : node.internal) node.gateways.push_back(GatewayOf(own));
    return std::move(out_);
  }

 private:
  Status TakeDeclared(const Value& tree, NodeAddresses* out) {
    for (const Value& item : Items(At(tree, {"status", "addresses"}))) {
      std::string type = TextAt(item, {"type"});
      if (type != "InternalIP" && type != "ExternalIP") continue;
      auto address = net::Address::Parse(TextAt(item, {"address"}));
      if (!address) return std::move(address).error().Context("status.addresses");
      if (!taken_.insert(*address).second)
        return Error{"status.addresses: " + address->ToString() + " is another node's too", 0};
      bool has_family = std::any_of(
          out->internal.begin(), out->internal.end(),
          [&](const InterfaceAddress& a) { return a.address.IsV4() == address->IsV4(); });
      if (type == "InternalIP" && !has_family)
        out->internal.push_back({*address, SegmentOf(*address).length()});
      else
        out->external.push_back(*address);
    }
    std::vector<std::string> cidrs = Texts(At(tree, {"spec", "podCIDRs"}));
    if (std::string one = TextAt(tree, {"spec", "podCIDR"}); cidrs.empty() && !one.empty())
      cidrs = {one};
    for (const std::string& text : cidrs) {
      auto cidr = net::Cidr::Parse(text);
      if (!cidr) return std::move(cidr).error().Context("spec.podCIDRs");
      if (!IsFree(*cidr)) return Error{"spec.podCIDRs: " + text + " overlaps another node's", 0};
      pod_cidrs_.push_back(*cidr);
      out->pod_cidrs.push_back(*cidr);
    }
    return Ok();
  }

  net::Cidr SegmentOf(const net::Address& address) const {
    for (const net::Cidr& network : networks_.nodes)
      if (network.Contains(address)) return network;
    return net::Cidr(address, address.IsV4() ? kNodePrefix4 : kNodePrefix6);
  }

  bool IsFree(const net::Cidr& cidr) const {
    return std::none_of(pod_cidrs_.begin(), pod_cidrs_.end(),
                        [&](const net::Cidr& other) { return Overlap(cidr, other); });
  }

  Status FillAddresses(NodeAddresses* node) {
    for (const net::Cidr& network : networks_.nodes) {
      bool there = std::any_of(
          node->internal.begin(), node->internal.end(),
          [&](const InterfaceAddress& a) { return a.address.IsV4() == network.IsV4(); });
      if (there) continue;
      uint64_t offset = kFirstNode;
      while (taken_.contains(Nth(network, offset))) ++offset;
      net::Address address = Nth(network, offset);
      if (!network.Contains(address) || offset > kMostNodes + kFirstNode)
        return Error{"the node network " + network.ToString() + " is too small", 0};
      taken_.insert(address);
      node->internal.push_back({address, network.length()});
    }
    return Ok();
  }

  Status FillPodCidrs(NodeAddresses* node) {
    for (const net::Cidr& network : networks_.pods) {
      bool there =
          std::any_of(node->pod_cidrs.begin(), node->pod_cidrs.end(),
                      [&](const net::Cidr& cidr) { return cidr.IsV4() == network.IsV4(); });
      if (there) continue;
      int length = network.IsV4() ? kNodePrefix4 : kNodePrefix6;
      uint64_t index = 1;
      while (network.Contains(NthSubnet(network, length, index)) &&
             !IsFree(NthSubnet(network, length, index)) && index <= kMostNodes)
        ++index;
      net::Cidr cidr = NthSubnet(network, length, index);
      if (network.length() >= length || !network.Contains(cidr) || !IsFree(cidr))
        return Error{"the pod network " + network.ToString() + " has no room for a /" +
                         std::to_string(length) + " on each of " + std::to_string(nodes_.size()) +
                         " nodes",
                     0};
      pod_cidrs_.push_back(cidr);
      node->pod_cidrs.push_back(cidr);
    }
    return Ok();
  }

  // The segment's first address; its last but one if a node has the first.
  net::Address GatewayOf(const InterfaceAddress& own) const {
    net::Cidr segment(own.address, own.prefix);
    net::Address first = Nth(segment, kGateway);
    if (!taken_.contains(first)) return first;
    int host_bits = (segment.IsV4() ? 32 : 128) - segment.length();
    return Nth(segment, (uint64_t{1} << std::min(host_bits, 62)) - 2);
  }

  const std::vector<const Value*>& nodes_;
  const Networks& networks_;
  std::vector<NodeAddresses> out_;
  std::set<net::Address> taken_;
  std::vector<net::Cidr> pod_cidrs_;
};

}  // namespace

std::string InterfaceAddress::ToString() const {
  return address.ToString() + "/" + std::to_string(prefix);
}

Result<InterfaceAddress> ParseInterfaceAddress(std::string_view text) {
  size_t slash = text.find('/');
  auto address = net::Address::Parse(text.substr(0, slash));
  if (!address) return std::move(address).error();
  int longest = address->IsV4() ? 32 : 128;
  int prefix = longest;
  if (slash != std::string_view::npos) {
    std::string_view digits = text.substr(slash + 1);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (error != std::errc() || end != digits.data() + digits.size() || prefix < 0 ||
        prefix > longest)
      return Error{"\"" + std::string(text) + "\" has no valid prefix length", 0};
  }
  return InterfaceAddress{*address, prefix};
}

Networks DefaultNetworks() {
  auto cidr = [](const char* text) { return net::Cidr::Parse(text).value(); };
  return {{cidr("10.244.0.0/16"), cidr("fd00:10:244::/48")},
          {cidr("172.30.0.0/24"), cidr("fd00:172:30::/64")},
          {cidr("198.51.100.0/24"), cidr("2001:db8:100::/64")},
          {},
          {cidr("10.96.0.0/16"), cidr("fd00:10:96::/112")},
          {cidr("203.0.113.0/24"), cidr("2001:db8:ffff::/64")}};
}

net::Address Nth(const net::Cidr& network, uint64_t offset) {
  net::Address::Bytes bytes = network.address().bytes();
  for (size_t i = bytes.size(); i-- > 0 && offset;) {
    offset += bytes[i];
    bytes[i] = static_cast<uint8_t>(offset);
    offset >>= 8;
  }
  return net::Address(bytes);
}

Result<std::vector<NodeAddresses>> AssignNodeAddresses(const std::vector<const Value*>& nodes,
                                                       const Networks& networks) {
  return Assigner(nodes, networks).Run();
}

OutsideAddresses AssignOutsideAddresses(const Networks& networks) {
  OutsideAddresses out;
  for (const net::Cidr& network : networks.outside) {
    out.own.push_back({Nth(network, kOutsideHost), network.length()});
    out.gateways.push_back({Nth(network, kGateway), network.length()});
  }
  for (const net::Address& address : networks.outside_addresses)
    out.own.push_back({address, address.IsV4() ? 32 : 128});
  return out;
}

}  // namespace sallyport::lab
