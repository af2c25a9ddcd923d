// SPDX-License-Identifier: Apache-2.0
// Deltas, folded: each object that they touch once, as it was before and as it is after.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "model/snapshot.h"

namespace sallyport::policy {

// A null pointer: there is none. Both may be set and equal in value, but are never one object.
template <typename T>
using Change = std::pair<std::shared_ptr<const T>, std::shared_ptr<const T>>;

struct Batch {
  std::vector<Change<model::Namespace>> namespaces;
  std::vector<Change<model::Node>> nodes;
  std::vector<Change<model::EndpointSlice>> slices;
  std::vector<Change<model::Pod>> pods;
  std::vector<Change<model::NetworkPolicy>> policies;
  std::vector<Change<model::Service>> services;
  bool node = false;               // nodes or local addresses
  bool namespaces_listed = false;  // or no longer

  // Neither the node nor Services count: no policy reads them.
  bool empty() const {
    return namespaces.empty() && pods.empty() && policies.empty() && !namespaces_listed;
  }
};

// Applies the deltas to the snapshot, and says what came of it.
Batch Fold(model::Snapshot& snapshot, const std::vector<model::Delta>& deltas);
// All objects of a snapshot, as if they had just come.
Batch Everything(const model::Snapshot& snapshot);

}  // namespace sallyport::policy
