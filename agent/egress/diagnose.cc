// SPDX-License-Identifier: Apache-2.0
#include "egress/diagnose.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "egress/addresses.h"
#include "egress/cluster.h"
#include "egress/selects.h"

namespace sallyport::egress {
namespace {

using Gateways = std::vector<model::EgressGatewayPtr>;

// Pods that the same gateways select.
struct Group {
  std::string first;  // of the pods' names
  size_t pods = 0;
};
using Groups = std::map<std::vector<size_t>, Group>;

std::string Words(const Group& group) {
  std::string out = "for pod " + group.first;
  if (group.pods == 2) out += " and another";
  if (group.pods > 2) out += " and " + std::to_string(group.pods - 1) + " others";
  return out;
}

void Warn(const model::EgressGateway& gateway, std::string_view field, std::string message,
          std::map<std::string, model::Diagnostics>& out) {
  out[gateway.name].push_back({model::Severity::kWarning, gateway.place,
                               "EgressGateway " + gateway.name, std::string(field),
                               std::move(message)});
}

bool Excepts(const model::EgressGateway& gateway, const net::Cidr& cidr) {
  return std::any_of(gateway.except.begin(), gateway.except.end(),
                     [&](const net::Cidr& hole) { return hole.Contains(cidr); });
}

// Among those that select a pod, whose CIDR decides for all of `cidr` that no longer one is in.
size_t Winner(const Gateways& gateways, const std::vector<size_t>& selecting,
              const net::Cidr& cidr) {
  size_t winner = gateways.size();
  int longest = -1;
  for (size_t rank : selecting) {
    if (Excepts(*gateways[rank], cidr)) continue;
    for (const net::Cidr& candidate : DestinationsOf(*gateways[rank])) {
      if (!candidate.Contains(cidr) || candidate.length() <= longest) continue;
      winner = rank;
      longest = candidate.length();
    }
  }
  return winner;
}

Groups GroupPods(const model::Snapshot& snapshot, const Gateways& gateways) {
  Groups groups;
  for (const auto& [name, pod] : snapshot.pods) {
    std::vector<size_t> selecting;
    for (size_t rank = 0; rank < gateways.size(); ++rank) {
      if (SelectsPod(snapshot, *gateways[rank], *pod) != Selects::kNo) selecting.push_back(rank);
    }
    if (selecting.size() < 2) continue;
    Group& group = groups[std::move(selecting)];
    if (group.pods++ == 0) group.first = name.ToString();
  }
  return groups;
}

// The destinations of `taker` that are some of the loser's, for pods of a group.
std::vector<net::Cidr> Taken(const Gateways& gateways, const std::vector<size_t>& selecting,
                             size_t loser, size_t taker, const Ranges& cluster) {
  std::vector<net::Cidr> out;
  for (const net::Cidr& cidr : DestinationsOf(*gateways[taker])) {
    if (Covers(cluster, cidr) || Excepts(*gateways[loser], cidr)) continue;
    const std::vector<net::Cidr>& lost = DestinationsOf(*gateways[loser]);
    bool reaches = std::any_of(lost.begin(), lost.end(),
                               [&](const net::Cidr& own) { return own.Contains(cidr); });
    if (reaches && Winner(gateways, selecting, cidr) == taker) out.push_back(cidr);
  }
  return out;
}

void DiagnoseOverlaps(const model::Snapshot& snapshot, const Gateways& gateways,
                      const Ranges& cluster, std::map<std::string, model::Diagnostics>& out) {
  // loser, taker, destination: for whom.
  std::map<std::pair<size_t, size_t>, std::map<net::Cidr, Group>> taken;
  for (const auto& [selecting, group] : GroupPods(snapshot, gateways)) {
    for (size_t loser : selecting) {
      for (size_t taker : selecting) {
        if (loser == taker) continue;
        for (const net::Cidr& cidr : Taken(gateways, selecting, loser, taker, cluster)) {
          Group& sum = taken[{loser, taker}][cidr];
          if (sum.pods == 0 || group.first < sum.first) sum.first = group.first;
          sum.pods += group.pods;
        }
      }
    }
  }
  for (const auto& [who, destinations] : taken) {
    const model::EgressGateway& loser = *gateways[who.first];
    const model::EgressGateway& taker = *gateways[who.second];
    for (const auto& [cidr, group] : destinations) {
      const std::vector<net::Cidr>& own = DestinationsOf(loser);
      bool equal = std::find(own.begin(), own.end(), cidr) != own.end();
      Warn(loser, "spec.destinations",
           Words(group) + ", " + cidr.ToString() + " leaves by EgressGateway " + taker.name +
               (equal ? ", which is older" : ", which is more specific"),
           out);
    }
  }
}

// Of the cluster's every pod some are their nodes, always; that is worth a word where fewer are
// meant.
void DiagnoseHostNetwork(const model::Snapshot& snapshot, const model::EgressGateway& gateway,
                         std::map<std::string, model::Diagnostics>& out) {
  bool some = (gateway.pods && !gateway.pods->MatchesEverything()) ||
              (gateway.namespaces && !gateway.namespaces->MatchesEverything());
  if (!some) return;
  Group group;
  for (const auto& [name, pod] : snapshot.pods) {
    if (!pod->host_network) continue;
    model::Pod otherwise = *pod;
    otherwise.host_network = false;
    if (SelectsPod(snapshot, gateway, otherwise) != Selects::kYes) continue;
    if (group.pods++ == 0) group.first = name.ToString();
  }
  if (group.pods == 0) return;
  Warn(gateway, "spec.pods",
       Words(group) + ": a pod with hostNetwork has its node's addresses and is not pinned; keep " +
           "it from the destinations by other means, or take hostNetwork away",
       out);
}

}  // namespace

std::map<std::string, model::Diagnostics> Diagnose(const model::Snapshot& snapshot) {
  std::map<std::string, model::Diagnostics> out;
  if (snapshot.egress_gateways.empty()) return out;
  const Gateways gateways = ByAge(snapshot);
  const Addresses addresses = AddressesOf(snapshot);
  const Ranges cluster = ClusterOf(snapshot).ranges;
  for (const model::EgressGatewayPtr& gateway : gateways) {
    for (const net::Address& address : gateway->egress_ips) {
      std::string why = WhyNotIts(addresses, *gateway, address);
      if (why.empty()) continue;
      Warn(*gateway, "spec.egressIPs",
           "no pod can be seen as " + address.ToString() + ": " + why +
               "; packets of the pods that would be are dropped",
           out);
    }
    for (const net::Cidr& cidr : gateway->destinations) {
      if (!Covers(cluster, cidr)) continue;
      Warn(*gateway, "spec.destinations.cidrs",
           cidr.ToString() + " is not pinned: " +
               "it lies within the cluster (pods, nodes, Services) or does not leave a link",
           out);
    }
    DiagnoseHostNetwork(snapshot, *gateway, out);
  }
  DiagnoseOverlaps(snapshot, gateways, cluster, out);
  return out;
}

}  // namespace sallyport::egress
