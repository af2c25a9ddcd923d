// SPDX-License-Identifier: Apache-2.0
// How agents learn the cluster: the lab sets objects and their status as the API server, the
// scheduler and the kubelets would; what carries them to the agents is behind this interface.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "lab/layout.h"
#include "lab/objects.h"

namespace sallyport::lab {

class ClusterFeed {
 public:
  virtual ~ClusterFeed() = default;
  // Creates the object or replaces all of it but its status, which stays as it was.
  virtual Status Set(const Value& object) = 0;
  // Replaces the status of an object. One that is gone: Ok, nothing happens.
  virtual Status SetStatus(const ObjectKey& key, const Value& status) = 0;
  // Not there: Ok.
  virtual Status Remove(const ObjectKey& key) = 0;
};

// A directory of manifests, one JSON file an object, each replaced as a whole. Safe to use from
// several processes at once.
std::unique_ptr<ClusterFeed> OpenFeed(const Layout& layout);

}  // namespace sallyport::lab
