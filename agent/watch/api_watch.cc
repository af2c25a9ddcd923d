// SPDX-License-Identifier: Apache-2.0
#include "watch/api_watch.h"

#include <utility>

namespace sallyport::watch {

const std::vector<WatchedKind>& WatchedKinds() {
  using model::Kind;
  static const std::vector<WatchedKind> kinds = {
      {{"namespaces", "/api/v1/namespaces", "", false}, Kind::kNamespace},
      {{"nodes", "/api/v1/nodes", "", false}, Kind::kNode},
      {{"pods", "/api/v1/pods", "", false}, Kind::kPod},
      {{"services", "/api/v1/services", "", false}, Kind::kService},
      {{"endpointslices.discovery.k8s.io", "/apis/discovery.k8s.io/v1/endpointslices", "", true},
       Kind::kEndpointSlice},
      {{"networkpolicies.networking.k8s.io", "/apis/networking.k8s.io/v1/networkpolicies", "",
        false},
       Kind::kNetworkPolicy},
      {{"egressgateways.sallyport.io", "/apis/sallyport.io/v1alpha1/egressgateways", "", true},
       Kind::kEgressGateway},
  };
  return kinds;
}

ApiWatch::ApiWatch(kube::Client& client, Sink sink, OnState on_state,
                   const ReflectorOptions& options)
    : sink_(std::move(sink)), incomplete_(WatchedKinds().size()) {
  for (const WatchedKind& watched : WatchedKinds()) {
    threads_.emplace_back([this, &client, &watched, on_state, options](const std::stop_token& s) {
      const std::string& name = watched.resource.name;
      ObjectSet objects(watched.kind, [&](ObjectUpdate update) { Take(name, std::move(update)); });
      auto tell = [&](const WatchState& state) { on_state(name, state); };
      RunReflector(watched.resource, client, objects, options, tell, s);
    });
  }
}

ApiWatch::~ApiWatch() {
  for (std::jthread& thread : threads_) thread.request_stop();
}

// One resource's news, as news of all.
void ApiWatch::Take(const std::string& resource, ObjectUpdate update) {
  std::lock_guard lock(mutex_);
  standing_[resource] = std::move(update.standing);
  if (update.complete && !std::exchange(complete_[resource], true)) --incomplete_;
  update.complete = incomplete_ == 0;
  update.standing.clear();
  for (const auto& [name, standing] : standing_) {
    update.standing.insert(update.standing.end(), standing.begin(), standing.end());
  }
  sink_(std::move(update));
}

}  // namespace sallyport::watch
