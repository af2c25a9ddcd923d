// SPDX-License-Identifier: Apache-2.0
// Follows all resources of an API server that the agent needs, a thread for each.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "kube/client.h"
#include "watch/object_set.h"
#include "watch/reflector.h"

namespace sallyport::watch {

// A resource and what its objects are.
struct WatchedKind {
  Resource resource;
  model::Kind kind;
};
// Those whose objects make a snapshot.
const std::vector<WatchedKind>& WatchedKinds();

class ApiWatch {
 public:
  // Called on the watches' threads, one at a time. `complete`: each resource was listed once.
  using Sink = std::function<void(ObjectUpdate)>;
  using OnState = std::function<void(const std::string& resource, const WatchState&)>;

  // Begins to watch. The client and what the functions refer to must outlive it.
  ApiWatch(kube::Client& client, Sink sink, OnState on_state,
           const ReflectorOptions& options = ReflectorOptions());
  // Ends the watches.
  ~ApiWatch();

 private:
  void Take(const std::string& resource, ObjectUpdate update);

  const Sink sink_;
  std::mutex mutex_;
  std::map<std::string, model::Diagnostics> standing_;  // by resource
  size_t incomplete_;
  std::map<std::string, bool> complete_;
  std::vector<std::jthread> threads_;
};

}  // namespace sallyport::watch
