// SPDX-License-Identifier: Apache-2.0
// A small world to ask about: namespaces shop and mon, dual stack, one policy.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/row.h"
#include "cli/world.h"

namespace sallyport::cli {

inline net::Address Ip(const std::string& text) { return *net::Address::Parse(text); }

inline model::Pod MakePod(const std::string& ns, const std::string& name,
                          const std::vector<std::string>& addresses) {
  model::Pod pod;
  pod.name = {ns, name};
  pod.labels = model::Labels({{"app", name.substr(0, name.find('-'))}});
  pod.node = "n1";
  pod.phase = model::PodPhase::kRunning;
  for (const std::string& address : addresses) pod.addresses.push_back(Ip(address));
  return pod;
}

inline void Add(model::Snapshot& snapshot, model::Pod pod) {
  auto shared = std::make_shared<const model::Pod>(std::move(pod));
  snapshot.pods[shared->name] = shared;
}

// shop/web -> shop/db on 5432/TCP only; shop/db is isolated for ingress. mon/scraper is free.
inline model::Snapshot SmallSnapshot() {
  model::Snapshot snapshot;
  model::Pod web = MakePod("shop", "web", {"10.0.0.1", "fd00::1"});
  web.ports = {{"http", net::Protocol::kTcp, 80}};
  model::Pod db = MakePod("shop", "db-0", {"10.0.0.2", "fd00::2"});
  db.ports = {{"sql", net::Protocol::kTcp, 5432}, {"sync", net::Protocol::kUdp, 5433}};
  Add(snapshot, web);
  Add(snapshot, db);
  Add(snapshot, MakePod("mon", "scraper", {"10.0.1.1"}));
  auto policy = std::make_shared<model::NetworkPolicy>();
  policy->name = {"shop", "db"};
  policy->place = {"db.yaml", 1};
  policy->pods = model::Selector({{"app", model::Operator::kIn, {"db"}}});
  policy->isolates_ingress = true;
  model::Rule rule;
  rule.line = 9;
  rule.peers.push_back(
      model::PodPeer{std::nullopt, model::Selector({{"app", model::Operator::kIn, {"web"}}})});
  rule.ports.push_back({net::Protocol::kTcp, net::PortRange{5432, 5432}});
  policy->ingress.push_back(rule);
  snapshot.policies[policy->name] = policy;
  return snapshot;
}

inline Side SideOf(const World& world, const std::string& text) {
  return *world.Resolve(*ParseParty(text));
}

inline std::vector<Row> RowsOf(const World& world, const std::string& from, const std::string& to) {
  Destination destination = *ParseDestination(to);
  Side target = *world.Resolve(destination.party);
  return *Ask(world, SideOf(world, from), target, *world.ResolvePort(target, destination));
}

}  // namespace sallyport::cli
