// SPDX-License-Identifier: Apache-2.0
// What Kubernetes gives every pod beyond its manifest: a service account's token, the way to the
// API server, and how names are resolved. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lab/tree.h"

namespace sallyport::lab {

// The same for all pods of a cluster.
struct ClusterFacts {
  std::string api_host;                  // the Service `kubernetes`; "" pods are not told
  std::vector<std::string> nameservers;  // of the cluster's DNS; none: there is none
  std::string domain = "cluster.local";
};

inline constexpr const char* kTokenPath = "/var/run/secrets/kubernetes.io/serviceaccount";

// The name of the pod's service account.
std::string AccountOf(const Value& pod);
// The pod as the ServiceAccount admission plugin makes it: with a projected volume (token, ca.crt,
// namespace) mounted at kTokenPath in every container that has nothing there. As it is, where
// automountServiceAccountToken is false in the pod, or in the account and not given in the pod.
Value WithServiceAccount(Value pod, const Value* account);
// Whether one of its volumes wants a token.
bool WantsToken(const Value& pod);

// The files /etc/hosts, /etc/hostname and /etc/resolv.conf of a pod's containers, by their name, as
// the kubelet writes them: spec.dnsPolicy, dnsConfig, hostAliases, hostname, subdomain. `addresses`
// are the pod's.
std::map<std::string, std::string> EtcFiles(const Value& pod, const std::string& hostname,
                                            const std::vector<std::string>& addresses,
                                            const ClusterFacts& cluster);

}  // namespace sallyport::lab
