// SPDX-License-Identifier: Apache-2.0
// Which addresses stand behind a Service: its EndpointSlices (discovery.k8s.io/v1) and its
// Endpoints object, as the cluster's two controllers make them. Pure.
//
//   Service + pods + nodes ──► endpoints ──► grouped by family and port numbers ──► slices
//                                                 old slices keep their endpoints ──┘
//
// The rules are those of the API text and of the controllers: pods that are over, or without an
// address of the family, are no endpoints; a pod that is going away is not ready (but may still
// serve); publishNotReadyAddresses makes every pod ready; a named targetPort is looked up in each
// pod, by name and protocol; a slice holds at most 100 endpoints that all have the same ports.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lab/tree.h"

namespace sallyport::lab {

inline constexpr size_t kMostEndpointsInSlice = 100;
inline constexpr size_t kMostEndpointsInObject = 1000;  // an Endpoints object is cut there
inline constexpr const char* kServiceNameLabel = "kubernetes.io/service-name";
inline constexpr const char* kManagedByLabel = "endpointslice.kubernetes.io/managed-by";
inline constexpr const char* kSliceManager = "endpointslice-controller.k8s.io";

struct EndpointObjects {
  // False: the Service has no selector (or is an ExternalName): its slices and its Endpoints are
  // its user's, and nothing here is to be written or deleted.
  bool managed = false;
  // Complete objects. One that takes the place of an old slice has that one's metadata, so
  // resourceVersion and uid too: update it where it is not SameContent as the old one. One without
  // resourceVersion is to be created.
  std::vector<Value> slices;
  std::vector<std::string> stale;  // names of old slices of ours that are not needed any more
  // Without resourceVersion; nothing where the Service is not managed.
  std::optional<Value> endpoints;
};

// `pods` and `nodes` may be all of the cluster, of any namespace; nodes by name. `old` are all
// slices there are (those of other Services or managers are left alone), and `old_endpoints` is the
// Endpoints object of the Service's name, or nullptr; its metadata is kept likewise.
EndpointObjects MakeEndpointSlices(const Value& service, const std::vector<const Value*>& pods,
                                   const std::map<std::string, const Value*>& nodes,
                                   const std::vector<const Value*>& old,
                                   const Value* old_endpoints = nullptr);

}  // namespace sallyport::lab
