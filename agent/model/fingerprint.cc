// SPDX-License-Identifier: Apache-2.0
#include "model/fingerprint.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sallyport::model {
namespace {

// FNV-1a over the values' bytes; lengths go in as well, so that neighbours cannot run together.
class Hasher {
 public:
  void Add(uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) Byte(static_cast<uint8_t>(number >> shift));
  }
  void Add(std::string_view text) {
    Add(text.size());
    for (char c : text) Byte(static_cast<uint8_t>(c));
  }
  void Add(const ObjectName& name) {
    Add(name.ns);
    Add(name.name);
  }
  void Add(const Labels& labels) {
    Add(labels.entries().size());
    for (const auto& [key, value] : labels.entries()) {
      Add(key);
      Add(value);
    }
  }
  void Add(const Selector& selector) { Add(selector.ToString()); }
  void Add(const net::Address& address) {
    for (uint8_t byte : address.bytes()) Byte(byte);
  }
  void Add(const net::Cidr& cidr) {
    Add(cidr.address());
    Add(static_cast<uint64_t>(cidr.mapped_length()));
  }
  void Add(const ContainerPort& port) {
    Add(port.name);
    Add(static_cast<uint64_t>(port.protocol));
    Add(static_cast<uint64_t>(port.port));
  }
  void Add(const PolicyPort& port) {
    Add(static_cast<uint64_t>(port.protocol));
    Add(static_cast<uint64_t>(port.port.index()));
    if (const auto* range = std::get_if<net::PortRange>(&port.port)) {
      Add(static_cast<uint64_t>(range->first));
      Add(static_cast<uint64_t>(range->last));
    } else if (const auto* name = std::get_if<std::string>(&port.port)) {
      Add(*name);
    }
  }
  void Add(const Peer& peer) {
    Add(static_cast<uint64_t>(peer.index()));
    if (const auto* block = std::get_if<IpBlock>(&peer)) {
      Add(block->cidr);
      AddAll(block->except);
    } else {
      const auto& pods = std::get<PodPeer>(peer);
      AddIfThere(pods.namespaces);
      AddIfThere(pods.pods);
    }
  }
  void Add(const Rule& rule) {
    AddAll(rule.peers);
    AddAll(rule.ports);
  }

  void Add(const ServicePort& port) {
    Add(port.name);
    Add(static_cast<uint64_t>(port.protocol));
    Add(static_cast<uint64_t>(port.port));
    Add(static_cast<uint64_t>(port.target_port.index()));
    if (const auto* number = std::get_if<uint16_t>(&port.target_port)) {
      Add(static_cast<uint64_t>(*number));
    } else {
      Add(std::get<std::string>(port.target_port));
    }
    Add(static_cast<uint64_t>(port.node_port));
  }
  void Add(const SlicePort& port) {
    Add(port.name);
    Add(static_cast<uint64_t>(port.protocol));
    Add(static_cast<uint64_t>(port.port ? *port.port : 0));
  }
  void Add(const SliceEndpoint& endpoint) {
    AddAll(endpoint.addresses);
    Add(static_cast<uint64_t>(endpoint.ready | endpoint.serving << 1 | endpoint.terminating << 2));
    Add(endpoint.node);
    Add(endpoint.pod);
  }

  template <typename T>
  void AddAll(const std::vector<T>& values) {
    Add(static_cast<uint64_t>(values.size()));
    for (const T& value : values) Add(value);
  }

  std::string ToString() const {
    static constexpr std::string_view kHex = "0123456789abcdef";
    std::string out;
    for (int shift = 60; shift >= 0; shift -= 4) out.push_back(kHex[value_ >> shift & 15]);
    return out;
  }

  void AddIfThere(const std::optional<Selector>& selector) {
    Add(static_cast<uint64_t>(selector.has_value()));
    if (selector) Add(*selector);
  }

 private:
  void Byte(uint8_t byte) { value_ = (value_ ^ byte) * 0x100000001b3; }
  uint64_t value_ = 0xcbf29ce484222325;
};

void Add(const Namespace& ns, Hasher& hasher) {
  hasher.Add(ns.name);
  hasher.Add(ns.labels);
}

void Add(const Node& node, Hasher& hasher) {
  hasher.Add(node.name);
  hasher.Add(node.labels);
  hasher.AddAll(node.addresses);
  hasher.AddAll(node.internal_addresses);
  hasher.AddAll(node.pod_cidrs);
  hasher.Add(static_cast<uint64_t>(node.ready | node.unschedulable << 1));
  hasher.Add(node.boot_id);
}

void Add(const Pod& pod, Hasher& hasher) {
  hasher.Add(pod.name);
  hasher.Add(pod.uid);
  hasher.Add(pod.labels);
  hasher.Add(pod.node);
  hasher.Add(static_cast<uint64_t>(pod.host_network));
  hasher.Add(static_cast<uint64_t>(pod.phase));
  hasher.AddAll(pod.addresses);
  hasher.AddAll(pod.ports);
}

void Add(const NetworkPolicy& policy, Hasher& hasher) {
  hasher.Add(policy.name);
  hasher.Add(policy.pods);
  hasher.Add(static_cast<uint64_t>(policy.isolates_ingress));
  hasher.Add(static_cast<uint64_t>(policy.isolates_egress));
  hasher.AddAll(policy.ingress);
  hasher.AddAll(policy.egress);
  hasher.Add(static_cast<uint64_t>(policy.keeps_established));
}

void Add(const Service& service, Hasher& hasher) {
  hasher.Add(service.name);
  hasher.Add(static_cast<uint64_t>(service.type));
  hasher.Add(static_cast<uint64_t>(service.headless | service.external_local << 1 |
                                   service.internal_local << 2 | service.publish_not_ready << 3 |
                                   service.session_affinity << 4));
  hasher.AddAll(service.cluster_ips);
  hasher.AddAll(service.external_ips);
  hasher.AddAll(service.load_balancer_ips);
  hasher.Add(service.external_name);
  hasher.AddAll(service.ports);
  hasher.Add(service.selector);
}

void Add(const EndpointSlice& slice, Hasher& hasher) {
  hasher.Add(slice.name);
  hasher.Add(slice.service);
  hasher.AddAll(slice.endpoints);
  hasher.AddAll(slice.ports);
}

void Add(const EgressGateway& gateway, Hasher& hasher) {
  hasher.Add(gateway.name);
  hasher.Add(gateway.uid);
  hasher.Add(gateway.created);
  hasher.Add(static_cast<uint64_t>(gateway.generation));
  hasher.AddAll(gateway.egress_ips);
  hasher.AddIfThere(gateway.namespaces);
  hasher.AddIfThere(gateway.pods);
  hasher.AddAll(gateway.destinations);
  hasher.AddAll(gateway.except);
  hasher.Add(gateway.gateways);
  hasher.Add(gateway.interface);
  hasher.Add(static_cast<uint64_t>(gateway.port_block_size));
}

template <typename Map>
void AddAll(const Map& objects, Hasher& hasher) {
  hasher.Add(static_cast<uint64_t>(objects.size()));
  for (const auto& [name, object] : objects) Add(*object, hasher);
}

}  // namespace

std::string Fingerprint(const Snapshot& snapshot) {
  Hasher hasher;
  AddAll(snapshot.namespaces, hasher);
  AddAll(snapshot.nodes, hasher);
  AddAll(snapshot.pods, hasher);
  AddAll(snapshot.policies, hasher);
  AddAll(snapshot.services, hasher);
  AddAll(snapshot.endpoint_slices, hasher);
  AddAll(snapshot.egress_gateways, hasher);
  return hasher.ToString();
}

}  // namespace sallyport::model
