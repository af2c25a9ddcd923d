// SPDX-License-Identifier: Apache-2.0
// Pod networks by real CNI plugins, run as a container runtime's libcni runs them, with the result
// cache that it writes: that is how an agent on a real node learns which interface is whose.
//
//   ADD   loopback in the pod, then the node's network; the result of each goes to
//         <results>/<network>-<container>-<ifname> (kind cniCacheV1), written in place
//   DEL   the same backwards, with the cached result; then the cache file is removed
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "lab/layout.h"
#include "lab/state.h"

namespace sallyport::lab {

// Where the plugins are looked for.
inline constexpr const char* kPluginPath = "/usr/lib/cni:/opt/cni/bin";

struct Sandbox {
  model::ObjectName pod;
  std::string uid;
  std::string container_id;
  std::string netns_path;
};

// Fails with what to install where a plugin is missing.
Status CheckPlugins(const std::string& cni);

class PodNetwork {
 public:
  // Plugins run in the node's network namespace.
  PodNetwork(const LabState& state, const NodePlan& node);

  // The pod's addresses.
  Result<std::vector<net::Address>> Add(const Sandbox& sandbox) const;
  // What is gone already is no error.
  Status Del(const Sandbox& sandbox) const;

 private:
  struct Network;
  std::vector<Network> Networks() const;
  Result<Value> RunPlugin(const Network& network, const std::string& verb, const Sandbox& sandbox,
                          const Value* previous) const;
  std::string CachePath(const Network& network, const Sandbox& sandbox) const;

  Layout layout_;
  std::string cni_;
  std::string node_;
  std::vector<net::Cidr> pod_cidrs_;
};

// The network configuration list of a node: name "sallyport", one plugin.
Value NetworkConfig(const std::string& cni, const std::vector<net::Cidr>& pod_cidrs,
                    const std::string& data_dir);
// The text of a cache file, as libcni marshals it.
std::string CacheText(const Value& config, const std::string& network, const std::string& ifname,
                      const Sandbox& sandbox, const Value& result);

}  // namespace sallyport::lab
