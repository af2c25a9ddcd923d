// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "support/world.h"

namespace sallyport::test {
namespace {

using net::Address;
using net::Protocol;

// Where verdicts may change: the addresses and ports that objects name, and their neighbours.
struct Points {
  std::vector<Address> addresses[2];  // IPv4, IPv6
  std::vector<uint16_t> ports;
  std::vector<Address> nodes[2];
  std::vector<uint16_t> node_ports;

  void Add(const Address& address) { addresses[address.IsV4() ? 0 : 1].push_back(address); }
};

// The address before (-1) or after (+1), round the end.
Address Neighbour(const Address& address, int by) {
  Address::Bytes bytes = address.bytes();
  for (size_t i = 16; i-- > 0;) {
    int value = bytes[i] + by;
    bytes[i] = static_cast<uint8_t>(value);
    if (value >= 0 && value <= 255) break;
  }
  return Address(bytes);
}

Address LastOf(const net::Cidr& cidr) {
  Address::Bytes bytes = cidr.address().bytes();
  for (int bit = cidr.mapped_length(); bit < 128; ++bit) {
    bytes[static_cast<size_t>(bit / 8)] |= static_cast<uint8_t>(0x80 >> bit % 8);
  }
  return Address(bytes);
}

void AddCidr(Points& points, const net::Cidr& cidr) {
  Address first = cidr.address();
  Address last = LastOf(cidr);
  for (const Address& edge : {first, last, Neighbour(first, -1), Neighbour(last, +1)}) {
    if (edge.IsV4() == cidr.IsV4()) points.Add(edge);
  }
}

void AddPort(Points& points, int port) {
  for (int p : {port - 1, port, port, port + 1}) {
    if (p >= 0 && p <= 65535) points.ports.push_back(static_cast<uint16_t>(p));
  }
}

void AddRules(Points& points, const std::vector<model::Rule>& rules) {
  for (const model::Rule& rule : rules) {
    for (const model::Peer& peer : rule.peers) {
      const auto* block = std::get_if<model::IpBlock>(&peer);
      if (!block) continue;
      AddCidr(points, block->cidr);
      for (const net::Cidr& hole : block->except) AddCidr(points, hole);
    }
    for (const model::PolicyPort& port : rule.ports) {
      const auto* range = std::get_if<net::PortRange>(&port.port);
      if (!range) continue;
      AddPort(points, range->first);
      AddPort(points, range->last);
    }
  }
}

Points PointsOf(const model::Snapshot& snapshot) {
  Points points;
  for (const auto& [name, policy] : snapshot.policies) {
    AddRules(points, policy->ingress);
    AddRules(points, policy->egress);
  }
  for (const auto& [name, pod] : snapshot.pods) {
    for (const model::ContainerPort& port : pod->ports) AddPort(points, port.port);
  }
  for (const auto& [name, node] : snapshot.nodes) {
    for (const Address& address : node->addresses) {
      points.Add(address);
      points.nodes[address.IsV4() ? 0 : 1].push_back(address);
    }
  }
  for (const auto& [name, service] : snapshot.services) {
    for (const model::ServicePort& port : service->ports) {
      if (port.node_port == 0) continue;
      AddPort(points, port.node_port);
      points.node_ports.push_back(port.node_port);
    }
  }
  for (const Address& address : snapshot.local_addresses) points.Add(address);
  for (const char* outside : {"203.0.113.77", "10.0.0.14", "2001:db8::99", "fd00::e"}) {
    points.Add(*Address::Parse(outside));
  }
  for (int port : {0, 80, 7777, 65535}) points.ports.push_back(static_cast<uint16_t>(port));
  return points;
}

Protocol RandomProtocol(Random& random, bool v4) {
  int kind = random.Between(0, 9);
  if (kind < 5) return Protocol::kTcp;
  if (kind < 7) return Protocol::kUdp;
  if (kind < 8) return Protocol::kSctp;
  if (kind < 9) return v4 ? Protocol::kIcmp : Protocol::kIcmpV6;
  return static_cast<Protocol>(47);  // GRE: no ports, not ICMP
}

}  // namespace

std::vector<net::FlowTuple> RandomFlows(Random& random, const model::Snapshot& snapshot,
                                        size_t count) {
  Points points = PointsOf(snapshot);
  std::vector<Address> pods[2];
  for (const auto& [name, pod] : snapshot.pods) {
    for (const Address& address : pod->addresses) pods[address.IsV4() ? 0 : 1].push_back(address);
  }
  std::vector<net::FlowTuple> flows;
  while (flows.size() < count) {
    size_t family = random.Below(2);
    auto end = [&](int pod_chance) {
      bool pod = !pods[family].empty() && random.Chance(pod_chance);
      return random.Pick(pod ? pods[family] : points.addresses[family]);
    };
    net::FlowTuple flow;
    flow.source = end(75);
    flow.destination = end(60);
    flow.protocol = RandomProtocol(random, family == 0);
    const std::vector<Address>& nodes = points.nodes[family];
    bool to_node_port = !nodes.empty() && !points.node_ports.empty() && random.Chance(25);
    if (to_node_port) flow.destination = random.Pick(nodes);
    if (net::HasPorts(flow.protocol)) {
      flow.source_port = static_cast<uint16_t>(random.Between(1024, 65535));
      flow.destination_port = random.Pick(to_node_port ? points.node_ports : points.ports);
    }
    flows.push_back(flow);
  }
  return flows;
}

}  // namespace sallyport::test
