// SPDX-License-Identifier: Apache-2.0
// Who answers for a Service: what a policy is asked about instead of the Service's address. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "model/snapshot.h"

namespace sallyport::model {

// In front of a Service's name, where a pod's could stand: "svc/shop/front".
inline constexpr std::string_view kServicePrefix = "svc/";

// A port as somebody asks for it: by its number, or by its name.
using PortName = std::variant<uint16_t, std::string>;

// A port of a Service, as a connection finds it.
struct ServiceTarget {
  ServicePtr service;
  ServicePort port;
  std::optional<net::Address> address;  // found by it: only backends of its family answer

  // "shop/front:8080/TCP"
  std::string ToString() const;
};

// By the Service's name. The error says what is there instead.
Result<ServiceTarget> FindService(const Snapshot& snapshot, const ObjectName& name,
                                  net::Protocol protocol, const PortName& port);

// By an address that nodes translate: one of a Service's own, or a node's, with the Service's node
// port. nullopt: it is judged as it is; also a pod's (`sender`, or null) with a port of another
// node than its own, which policy/evaluate.h judges as a whole. The error: a cluster IP, on a port
// that leads nowhere.
Result<std::optional<ServiceTarget>> FindServiceAt(const Snapshot& snapshot, const Pod* sender,
                                                   const net::Address& address,
                                                   net::Protocol protocol, const PortName& port);

// Where a connection to a Service may end.
struct Backend {
  PodPtr pod;                           // null: the snapshot has no such pod
  std::vector<net::Address> addresses;  // at least one
  uint16_t port = 0;                    // the backend's own
};

// By the Service's EndpointSlices (model/endpoint_slices.h); with internalTrafficPolicy Local,
// those on the node of the pod that asks (`sender`, or null). Of a Service without slices, the pods
// that its selector matches. Each pod once, with the addresses that it answers on. The error:
// nobody would answer.
Result<std::vector<Backend>> BackendsOf(const Snapshot& snapshot, const Pod* sender,
                                        const ServiceTarget& target);

}  // namespace sallyport::model
