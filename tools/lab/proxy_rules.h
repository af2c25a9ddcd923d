// SPDX-License-Identifier: Apache-2.0
// Service translation as rules of the kernel's packet filter: what kube-proxy writes in its
// nftables mode and in its iptables mode, so that whatever must live beside it in a cluster (marks,
// hooks, priorities, names) meets the same here. Pure.
//
//   prerouting, output ──► (address, protocol, port) ──► service or external chain
//                                                          │  masquerade mark where needed
//                                                          ▼
//                                                 one endpoint's chain: DNAT
//   postrouting ──► marked 0x4000: mark taken off, masquerade
//
// Masqueraded are: hairpin (an endpoint that reached itself), who is no pod and uses a cluster IP,
// whoever comes by node port, external or load-balancer address with externalTrafficPolicy Cluster,
// and with `masquerade_all` whoever uses a cluster IP.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lab/proxy_services.h"

namespace sallyport::lab {

inline constexpr uint32_t kMasqueradeMark = 0x4000;

struct ProxyConfig {
  std::vector<net::Address> node_addresses;  // where node ports are served
  // Of the cluster: who is a pod. The first of each family counts, as in kube-proxy's
  // --cluster-cidr; without one nobody is told apart from a pod.
  std::vector<net::Cidr> pod_cidrs;
  std::vector<net::Cidr> service_cidrs;  // unallocated addresses of it are dropped
  bool masquerade_all = false;
};

// One family's table of the nftables form, as names and texts: two of them can be compared.
struct NftTable {
  bool v6 = false;
  struct Map {
    std::string declaration;                      // "type inet_proto . inet_service : verdict ;"
    std::map<std::string, std::string> elements;  // key to verdict; a set's verdicts are ""
    friend bool operator==(const Map&, const Map&) = default;
  };
  struct Chain {
    std::string hook;  // of base chains
    std::vector<std::string> rules;
    friend bool operator==(const Chain&, const Chain&) = default;
  };
  // And sets; dynamic ones have no elements here. One name has one declaration, in all tables.
  std::map<std::string, Map> maps;
  std::map<std::string, Chain> chains;
  friend bool operator==(const NftTable&, const NftTable&) = default;
};

NftTable MakeNftTable(const std::vector<ServicePort>& ports, const ProxyConfig& config, bool v6);
// Input for `nft -f -` that makes the table anew, in one transaction.
std::string NftReplace(const NftTable& table);
// The same from a table that is there already; what did not change keeps its state (the clients
// that session affinity remembers). "" where nothing changed.
std::string NftUpdate(const NftTable& from, const NftTable& to);

// What a node has of the iptables form.
struct IptablesState {
  using Chain = std::pair<std::string, std::string>;  // table, chain
  std::set<Chain> chains;                             // those named KUBE-...
  std::set<std::pair<Chain, std::string>> jumps;      // from other chains to those
};
// From the output of `iptables-save`; others' chains and rules are left out.
IptablesState ParseIptablesSave(const std::string& text);
// Input for `iptables-restore --noflush`: tables filter and nat, each in one transaction. What is
// not ours stays; chains of ours that are not needed any more go.
std::string MakeIptables(const std::vector<ServicePort>& ports, const ProxyConfig& config, bool v6,
                         const IptablesState& now);

}  // namespace sallyport::lab
