// SPDX-License-Identifier: Apache-2.0
// The Service proxy of one node: brings the rules of proxy_rules.h into the kernel, in the node's
// network namespace. What kube-proxy is to a cluster.
//
//   Services, EndpointSlices ──► ServicePorts ──► rules ──► nft | iptables-restore
//                                     └──► UDP flows to endpoints that are gone: forgotten
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "lab/proxy_rules.h"

namespace sallyport::lab {

enum class ProxyMode { kNftables, kIptables };

// Not thread-safe. Leaves the rules in place when it ends: Services outlive their proxy.
class Proxy {
 public:
  // `netns` is the path of the node's network namespace; "" is the caller's own.
  Proxy(std::string netns, std::string node, ProxyMode mode, ProxyConfig config);

  // Once, before the first Sync: what translation needs of the node's sysctls, set in its namespace
  // only (packets between ports of a bridge pass the packet filter). Fails where programs are
  // missing.
  Status Prepare();

  // Makes the kernel translate exactly these. Atomic for each address family; on failure the rules
  // are as before, and the next call tries again. A call that changes nothing does nothing.
  Status Sync(const std::vector<const Value*>& services, const std::vector<const Value*>& slices);

 private:
  Status Apply(const std::vector<ServicePort>& ports, bool v6);
  Status ApplyNft(const NftTable& wanted, std::optional<NftTable>* now);
  Status ApplyIptables(const std::vector<ServicePort>& ports, bool v6);
  Status Run(const std::string& program, const std::vector<std::string>& args,
             const std::string& input, std::string* output) const;

  std::string netns_;
  std::string node_;
  ProxyMode mode_;
  ProxyConfig config_;
  std::optional<NftTable> tables_[2];  // by family, as the kernel has them
  std::optional<std::vector<ServicePort>> done_;
};

}  // namespace sallyport::lab
