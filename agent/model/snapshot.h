// SPDX-License-Identifier: Apache-2.0
// The cluster as Sallyport knows it, and how it changes.
//
// A Snapshot is a value that shares its objects: copying it is cheap in memory. A Delta sets or
// removes one object; deltas may come in any order and more than once.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <variant>

#include "model/objects.h"

namespace sallyport::model {

using NamespacePtr = std::shared_ptr<const Namespace>;
using NodePtr = std::shared_ptr<const Node>;
using PodPtr = std::shared_ptr<const Pod>;
using NetworkPolicyPtr = std::shared_ptr<const NetworkPolicy>;
using ServicePtr = std::shared_ptr<const Service>;
using EndpointSlicePtr = std::shared_ptr<const EndpointSlice>;
using EgressGatewayPtr = std::shared_ptr<const EgressGateway>;

// The addresses that the node of this agent has by itself (its interfaces), beyond those that its
// Node object lists. Known to the live agent only; empty offline.
using LocalAddresses = std::set<net::Address>;

// Says that the namespaces that are told are all there are (an API server's list of them), where
// manifests may leave out what has nothing but a name.
struct NamespacesListed {
  friend bool operator==(const NamespacesListed&, const NamespacesListed&) = default;
};

enum class Kind {
  kNamespace,
  kNode,
  kPod,
  kNetworkPolicy,
  kService,
  kEndpointSlice,
  kEgressGateway,
  kLocalAddresses,
  kNamespacesListed
};
// "Namespace", "Node", "Pod", "NetworkPolicy", "Service", "EndpointSlice", "EgressGateway",
// "LocalAddresses", "NamespacesListed"
std::string ToString(Kind kind);

struct Delta {
  Kind kind;
  ObjectName name;  // empty for kLocalAddresses and kNamespacesListed
  // The new object (never a null pointer), or monostate: it is gone.
  std::variant<std::monostate, NamespacePtr, NodePtr, PodPtr, NetworkPolicyPtr, ServicePtr,
               EndpointSlicePtr, EgressGatewayPtr, LocalAddresses, NamespacesListed>
      object;

  static Delta Set(NamespacePtr object);
  static Delta Set(NodePtr object);
  static Delta Set(PodPtr object);
  static Delta Set(NetworkPolicyPtr object);
  static Delta Set(ServicePtr object);
  static Delta Set(EndpointSlicePtr object);
  static Delta Set(EgressGatewayPtr object);
  static Delta Set(LocalAddresses addresses);
  static Delta Set(NamespacesListed listed);
  static Delta Remove(Kind kind, ObjectName name);

  // Where the new object was read; nowhere if there is none.
  const Place& place() const;
};

struct Snapshot {
  std::map<std::string, NamespacePtr> namespaces;
  std::map<std::string, NodePtr> nodes;
  std::map<ObjectName, PodPtr> pods;
  std::map<ObjectName, NetworkPolicyPtr> policies;
  std::map<ObjectName, ServicePtr> services;
  std::map<ObjectName, EndpointSlicePtr> endpoint_slices;
  std::map<std::string, EgressGatewayPtr> egress_gateways;
  LocalAddresses local_addresses;
  // Then a namespace that is not among `namespaces` is one whose labels nobody has told yet.
  bool namespaces_listed = false;

  // False when the delta changes nothing (the object was so already).
  bool Apply(const Delta& delta);
  // Labels of a namespace; of one that is not among `namespaces`, only its name label.
  Labels NamespaceLabels(const std::string& name) const;
  // False: it may have other labels than its name.
  bool KnowsLabelsOf(const std::string& name) const;
  // Whether the selector matches the namespace. Where its labels are not known: whatever they are.
  bool NamespaceMatches(const Selector& selector, const std::string& name) const;
};

}  // namespace sallyport::model
