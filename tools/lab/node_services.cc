// SPDX-License-Identifier: Apache-2.0
#include "lab/node_services.h"

#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>
#include <utility>

#include "lab/cluster_watch.h"
#include "lab/files.h"
#include "lab/layout.h"
#include "lab/proxy.h"
#include "lab/workload_names.h"

namespace sallyport::lab {
namespace {

constexpr Duration kSyncAgain = std::chrono::seconds(1);

ProxyConfig ConfigOf(const LabState& state, const NodePlan& node) {
  ProxyConfig config;
  for (const InterfaceAddress& own : node.addresses.internal)
    config.node_addresses.push_back(own.address);
  config.node_addresses.insert(config.node_addresses.end(), node.addresses.external.begin(),
                               node.addresses.external.end());
  config.pod_cidrs = state.networks.pods;
  config.service_cidrs = state.networks.services;
  return config;
}

}  // namespace

std::string ServicesVersion(const Cluster& cluster) {
  std::string all;
  for (const char* kind : {"Service", "EndpointSlice"})
    for (const auto& [name, object] : cluster.Of(kind))
      all += name.ToString() + "=" + TextAt(*object, {"metadata", "resourceVersion"}) + "\n";
  return Letters(all, 12);
}

class NodeServices::Impl {
 public:
  Impl(const LabState& state, const NodePlan& node, kube::Client& client)
      : layout_(state.name),
        node_(node.name()),
        proxy_("", node.name(),
               state.proxy == "iptables" ? ProxyMode::kIptables : ProxyMode::kNftables,
               ConfigOf(state, node)),
        watch_(client, {{"Service", ""}, {"EndpointSlice", ""}}, [this] { Ring(); }),
        thread_([this](const std::stop_token& stop) { Run(stop); }) {}

 private:
  void Ring() {
    {
      std::lock_guard lock(mutex_);
      changed_ = true;
    }
    bell_.notify_all();
  }

  void Run(const std::stop_token& stop) {
    Status ready = proxy_.Prepare();
    Say(ready);
    bool done = true;
    while (ready && !stop.stop_requested()) {
      {
        std::unique_lock lock(mutex_);
        auto changed = [this] { return changed_; };
        if (done)
          bell_.wait(lock, stop, changed);
        else
          bell_.wait_for(lock, stop, kSyncAgain, changed);
        changed_ = false;
      }
      if (!stop.stop_requested() && watch_.synced()) done = Sync(watch_.Now());
    }
  }

  bool Sync(const Cluster& cluster) {
    Status synced = proxy_.Sync(All(cluster.Of("Service")), All(cluster.Of("EndpointSlice")));
    if (synced)
      synced = ReplaceFile(layout_.services(node_), ServicesVersion(cluster), layout_.scratch());
    Say(synced);
    return synced.ok();
  }

  // Each failure once.
  void Say(const Status& status) {
    std::string text = status ? "" : status.error().message;
    if (!text.empty() && text != said_) std::fprintf(stderr, "proxy: %s\n", text.c_str());
    said_ = std::move(text);
  }

  Layout layout_;
  std::string node_;
  Proxy proxy_;
  std::string said_;
  std::mutex mutex_;
  std::condition_variable_any bell_;
  bool changed_ = false;
  ClusterWatch watch_;
  std::jthread thread_;
};

NodeServices::NodeServices(const LabState& state, const NodePlan& node, kube::Client& client) {
  if (!state.proxy.empty()) impl_ = std::make_unique<Impl>(state, node, client);
}
NodeServices::~NodeServices() = default;

}  // namespace sallyport::lab
