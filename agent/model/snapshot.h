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

// The addresses that the node of this agent has by itself (its interfaces), beyond those that its
// Node object lists. Known to the live agent only; empty offline.
using LocalAddresses = std::set<net::Address>;

enum class Kind {
  kNamespace,
  kNode,
  kPod,
  kNetworkPolicy,
  kService,
  kEndpointSlice,
  kLocalAddresses
};
// "Namespace", "Node", "Pod", "NetworkPolicy", "Service", "EndpointSlice", "LocalAddresses"
std::string ToString(Kind kind);

struct Delta {
  Kind kind;
  ObjectName name;  // empty for kLocalAddresses
  // The new object (never a null pointer), or monostate: it is gone.
  std::variant<std::monostate, NamespacePtr, NodePtr, PodPtr, NetworkPolicyPtr, ServicePtr,
               EndpointSlicePtr, LocalAddresses>
      object;

  static Delta Set(NamespacePtr object);
  static Delta Set(NodePtr object);
  static Delta Set(PodPtr object);
  static Delta Set(NetworkPolicyPtr object);
  static Delta Set(ServicePtr object);
  static Delta Set(EndpointSlicePtr object);
  static Delta Set(LocalAddresses addresses);
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
  LocalAddresses local_addresses;

  // False when the delta changes nothing (the object was so already).
  bool Apply(const Delta& delta);
  // Labels of a namespace; of one that is not known, only its name label.
  Labels NamespaceLabels(const std::string& name) const;
};

}  // namespace sallyport::model
