// SPDX-License-Identifier: Apache-2.0
// What a node's Service proxy has to translate: Services and EndpointSlices as trees, brought into
// the form that rules are written from. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lab/tree.h"
#include "net/address.h"
#include "net/flow.h"

namespace sallyport::lab {

struct ProxyEndpoint {
  net::Address address;
  uint16_t port = 0;
  bool local = false;  // on this node
  friend auto operator<=>(const ProxyEndpoint&, const ProxyEndpoint&) = default;
};

// One port of a Service in one address family.
struct ServicePort {
  model::ObjectName service;
  std::string name;  // of the port; may be empty
  net::Protocol protocol = net::Protocol::kTcp;
  net::Address cluster_ip;
  uint16_t port = 0;
  uint16_t node_port = 0;  // 0 none
  std::vector<net::Address> external_ips;
  std::vector<net::Address> balancer_ips;  // status.loadBalancer.ingress, but ipMode Proxy
  std::vector<net::Cidr> source_ranges;    // of this family; who may use balancer_ips
  bool limited = false;      // loadBalancerSourceRanges is not empty: who is in none, may not
  int affinity_seconds = 0;  // 0 none
  bool internal_local = false;
  bool external_local = false;

  // Sorted. Those to use: the ready ones, or, where none is, those that still serve while they go.
  std::vector<ProxyEndpoint> endpoints;
  // The same, chosen among this node's; only where a policy is Local.
  std::vector<ProxyEndpoint> local_endpoints;
  // "ns/name:port", or "ns/name"
  std::string ToString() const;
  friend bool operator==(const ServicePort&, const ServicePort&) = default;
};

// As rules write it: "tcp".
std::string LowerProtocol(net::Protocol protocol);

// The Services with a cluster IP of either family, sorted by namespace, name, port, family.
// Headless and ExternalName Services and those labelled service.kubernetes.io/service-proxy-name or
// headless are nobody's to translate. A field that cannot be read (an address, a CIDR) counts as
// absent, but a source range, which then admits nobody.
std::vector<ServicePort> ServicePorts(const std::vector<const Value*>& services,
                                      const std::vector<const Value*>& slices,
                                      const std::string& node);

}  // namespace sallyport::lab
