// SPDX-License-Identifier: Apache-2.0
// The Kubernetes objects that Sallyport reads, reduced to what it uses. Values: immutable once
// built, comparable. Built by model/decode.h from valid manifests only.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/labels.h"
#include "net/address.h"
#include "net/flow.h"

namespace sallyport::model {

// Namespace and name; the namespace is empty for cluster-scoped objects.
struct ObjectName {
  std::string ns;
  std::string name;
  // "ns/name", or "name"
  std::string ToString() const { return ns.empty() ? name : ns + "/" + name; }
  friend auto operator<=>(const ObjectName&, const ObjectName&) = default;
};

// Where an object was read: for messages. Not part of an object's value.
struct Place {
  std::string file;  // "" when it came from the API server
  int line = 0;      // 1-based, 0 unknown
  // "file:12", "file", or ""
  std::string ToString() const;
  friend bool operator==(const Place&, const Place&) { return true; }
};

struct Namespace {
  std::string name;
  Labels labels;  // always has kNamespaceNameLabel
  Place place;
  friend bool operator==(const Namespace&, const Namespace&) = default;
};

struct Node {
  std::string name;
  Labels labels;
  std::vector<net::Address> addresses;  // status.addresses of type InternalIP and ExternalIP
  std::vector<net::Address> internal_addresses;  // those of type InternalIP, in order
  std::vector<net::Cidr> pod_cidrs;              // spec.podCIDRs
  bool ready = false;                            // status.conditions: Ready is True
  bool unschedulable = false;                    // spec.unschedulable
  std::string boot_id;                           // status.nodeInfo.bootID, may be empty
  Place place;
  friend bool operator==(const Node&, const Node&) = default;
};

// spec.containers[].ports[] (containers only, in order).
struct ContainerPort {
  std::string name;  // may be empty
  net::Protocol protocol = net::Protocol::kTcp;
  uint16_t port = 0;
  friend auto operator<=>(const ContainerPort&, const ContainerPort&) = default;
};

enum class PodPhase { kUnknown, kPending, kRunning, kSucceeded, kFailed };

struct Pod {
  ObjectName name;
  std::string uid;  // may be empty
  Labels labels;
  std::string node;  // spec.nodeName, empty while unscheduled
  bool host_network = false;
  PodPhase phase = PodPhase::kUnknown;
  std::vector<net::Address> addresses;  // status.podIPs (status.podIP if that is all there is)
  std::vector<ContainerPort> ports;
  Place place;

  // Takes part in policy as a pod: not hostNetwork, not Succeeded or Failed, and has an address.
  // A pod without an address can be selected (it will have one), but matches no peer.
  bool IsLive() const {
    return !host_network && phase != PodPhase::kSucceeded && phase != PodPhase::kFailed;
  }
  friend bool operator==(const Pod&, const Pod&) = default;
};

// networking/v1 IPBlock. `except` narrows this block only.
struct IpBlock {
  net::Cidr cidr;
  std::vector<net::Cidr> except;  // sorted, unique
  bool Contains(const net::Address& address) const;
  std::string ToString() const;
  friend auto operator<=>(const IpBlock&, const IpBlock&) = default;
};

// networking/v1 NetworkPolicyPeer with selectors. Without `namespaces`: the policy's own namespace.
// With both: both hold on one pod.
struct PodPeer {
  std::optional<Selector> namespaces;
  std::optional<Selector> pods;  // absent: every pod of the namespaces
  friend auto operator<=>(const PodPeer&, const PodPeer&) = default;
};

using Peer = std::variant<PodPeer, IpBlock>;

// networking/v1 NetworkPolicyPort. No port: every port of the protocol. A name is resolved on the
// destination pod, by name and protocol.
struct PolicyPort {
  net::Protocol protocol = net::Protocol::kTcp;
  std::variant<std::monostate, net::PortRange, std::string> port;
  friend auto operator<=>(const PolicyPort&, const PolicyPort&) = default;
};

// networking/v1 NetworkPolicyIngressRule and NetworkPolicyEgressRule.
struct Rule {
  std::vector<Peer> peers;        // empty: any peer at all, outside addresses included
  std::vector<PolicyPort> ports;  // empty: any port and any protocol
  int line = 0;                   // in the manifest; not part of the value
  friend bool operator==(const Rule& a, const Rule& b) {
    return a.peers == b.peers && a.ports == b.ports;
  }
};

inline constexpr std::string_view kEstablished = "sallyport.io/established";
struct NetworkPolicy {
  ObjectName name;
  Selector pods;
  bool isolates_ingress = false;  // policyTypes, with its default applied
  bool isolates_egress = false;
  std::vector<Rule> ingress;
  std::vector<Rule> egress;
  // The annotation kEstablished: connections that it does not allow any more stay, if every policy
  // that isolates the pod for the direction says so.
  bool keeps_established = false;
  Place place;
  friend bool operator==(const NetworkPolicy&, const NetworkPolicy&) = default;
};

enum class ServiceType { kClusterIp, kNodePort, kLoadBalancer, kExternalName };
// "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"
std::string ToString(ServiceType type);

// core/v1 ServicePort.
struct ServicePort {
  std::string name;  // may be empty
  net::Protocol protocol = net::Protocol::kTcp;
  uint16_t port = 0;
  std::variant<uint16_t, std::string> target_port;  // `port` if absent; a name is the pod's
  uint16_t node_port = 0;                           // 0: none
  friend auto operator<=>(const ServicePort&, const ServicePort&) = default;
};

// core/v1 Service. Which addresses it has does not say which backends are behind them: that is what
// its EndpointSlices say.
struct Service {
  ObjectName name;
  ServiceType type = ServiceType::kClusterIp;
  bool headless = false;                   // clusterIP: None
  std::vector<net::Address> cluster_ips;   // empty: none given yet, headless, or ExternalName
  std::vector<net::Address> external_ips;  // spec.externalIPs
  std::vector<net::Address>
      load_balancer_ips;      // status, those that a node translates (not "Proxy")
  std::string external_name;  // of kExternalName only
  std::vector<ServicePort> ports;
  Labels selector;              // empty: somebody else writes the EndpointSlices
  bool external_local = false;  // externalTrafficPolicy: Local
  bool internal_local = false;  // internalTrafficPolicy: Local
  bool publish_not_ready = false;
  bool session_affinity = false;  // ClientIP
  Place place;
  // Those that a node translates, for these ports: in the order above.
  std::vector<net::Address> Addresses() const;
  friend bool operator==(const Service&, const Service&) = default;
};

// discovery/v1 Endpoint, with its conditions' defaults applied: ready if not said, serving as
// ready.
struct SliceEndpoint {
  std::vector<net::Address> addresses;
  bool ready = true;
  bool serving = true;
  bool terminating = false;
  std::string node;  // may be empty
  ObjectName pod;    // targetRef of kind Pod; empty if it is something else
  friend bool operator==(const SliceEndpoint&, const SliceEndpoint&) = default;
};

// discovery/v1 EndpointPort.
struct SlicePort {
  std::string name;  // that of the Service's port
  net::Protocol protocol = net::Protocol::kTcp;
  std::optional<uint16_t> port;  // absent: all ports
  friend auto operator<=>(const SlicePort&, const SlicePort&) = default;
};

// discovery/v1 EndpointSlice. One of address type FQDN has no addresses here.
struct EndpointSlice {
  ObjectName name;
  std::string service;  // label kubernetes.io/service-name, in the slice's namespace; may be empty
  std::vector<SliceEndpoint> endpoints;
  std::vector<SlicePort> ports;
  Place place;
  friend bool operator==(const EndpointSlice&, const EndpointSlice&) = default;
};

// sallyport.io/v1alpha1 EgressGateway: the pods that it selects are seen by its destinations as one
// of its egress IPs (of the destination's family; none: they do not get there). Cluster-scoped.
struct EgressGateway {
  std::string name;
  std::string uid;      // may be empty
  std::string created;  // metadata.creationTimestamp (RFC 3339 in UTC: sorts as text); "" has none
                        // yet, and is the youngest
  int64_t generation = 0;                // metadata.generation; 0 unknown
  std::vector<net::Address> egress_ips;  // in order, unique; empty: pinned to nothing
  std::optional<Selector> namespaces;    // spec.pods.namespaceSelector; absent: every namespace
  std::optional<Selector> pods;          // spec.pods.podSelector; absent: every pod
  std::vector<net::Cidr> destinations;   // sorted, unique; empty: all that is not the cluster
  std::vector<net::Cidr> except;         // sorted, unique: not pinned by this object
  Selector gateways;                     // spec.gateways.nodeSelector, for the labels of nodes
  std::string interface;                 // spec.gateways.interface; "": the route's
  int port_block_size = 1024;            // a power of two from 64 to 16384
  Place place;
  friend bool operator==(const EgressGateway&, const EgressGateway&) = default;
};

}  // namespace sallyport::model
