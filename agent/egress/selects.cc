// SPDX-License-Identifier: Apache-2.0
#include "egress/selects.h"

#include <algorithm>

#include "egress/hash.h"

namespace sallyport::egress {
namespace {

// With some labels beside its name, whatever they are.
bool CouldMatch(const model::Selector& selector, const model::Labels& name_label) {
  const std::vector<model::Requirement>& all = selector.requirements();
  return std::all_of(all.begin(), all.end(), [&](const model::Requirement& requirement) {
    return requirement.key != model::kNamespaceNameLabel || requirement.Matches(name_label);
  });
}

}  // namespace

Selects SelectsPod(const model::Snapshot& snapshot, const model::EgressGateway& gateway,
                   const model::Pod& pod) {
  if (!pod.IsLive()) return Selects::kNo;
  if (gateway.pods && !gateway.pods->Matches(pod.labels)) return Selects::kNo;
  if (!gateway.namespaces || snapshot.NamespaceMatches(*gateway.namespaces, pod.name.ns)) {
    return Selects::kYes;
  }
  bool told = snapshot.KnowsLabelsOf(pod.name.ns) ||
              gateway.namespaces->AsksOnlyFor(model::kNamespaceNameLabel) ||
              !CouldMatch(*gateway.namespaces, snapshot.NamespaceLabels(pod.name.ns));
  return told ? Selects::kNo : Selects::kPerhaps;
}

Choice ChooseFor(const Addresses& addresses, const model::EgressGateway& gateway,
                 const model::ObjectName& pod, bool v4) {
  const net::Address* best = nullptr;
  uint64_t best_score = 0;
  const std::string name = pod.ToString();
  for (const net::Address& address : gateway.egress_ips) {
    if (address.IsV4() != v4) continue;
    uint64_t score = Score(name, address);
    if (best && (score < best_score || (score == best_score && *best < address))) continue;
    best = &address;
    best_score = score;
  }
  if (gateway.egress_ips.empty()) {
    return {Target::Drop(), "it has no egress IP that could be understood"};
  }
  if (!best)
    return {Target::Drop(), std::string("it has no egress IP of ") + (v4 ? "IPv4" : "IPv6")};
  std::string why = WhyNotIts(addresses, gateway, *best);
  if (why.empty()) return {Target::Pinned(*best), ""};
  return {Target::Drop(), "its egress IP " + best->ToString() + " cannot be used: " + why};
}

const std::vector<net::Cidr>& DestinationsOf(const model::EgressGateway& gateway) {
  static const std::vector<net::Cidr> everything = {net::Cidr(), net::Cidr(net::Address::V4(0), 0)};
  return gateway.destinations.empty() ? everything : gateway.destinations;
}

}  // namespace sallyport::egress
