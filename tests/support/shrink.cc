// SPDX-License-Identifier: Apache-2.0
#include <functional>

#include "support/world.h"

namespace sallyport::test {
namespace {

using Fails = std::function<bool(const World&)>;

// Puts a candidate in the world's place if it still fails.
bool Try(World& world, World candidate, const Fails& fails) {
  if (!fails(candidate)) return false;
  world = std::move(candidate);
  return true;
}

// Leaves out parts of a list, large ones first, as long as the world with the rest still fails.
template <typename T>
bool ShrinkList(std::vector<T> list, const std::function<bool(const std::vector<T>&)>& try_list) {
  bool any = false;
  for (size_t part = std::max<size_t>(list.size() / 2, 1); part > 0; part /= 2) {
    for (size_t at = 0; at < list.size();) {
      std::vector<T> rest = list;
      auto first = rest.begin() + static_cast<long>(at);
      rest.erase(first, first + static_cast<long>(std::min(part, list.size() - at)));
      if (try_list(rest)) {
        list = std::move(rest);
        any = true;
      } else {
        at += part;
      }
    }
  }
  return any;
}

template <typename Map>
bool ShrinkMap(World& world, Map model::Snapshot::*member, const Fails& fails) {
  std::vector<typename Map::value_type> all((world.snapshot.*member).begin(),
                                            (world.snapshot.*member).end());
  // Map entries have const keys: work on their positions.
  std::vector<size_t> kept;
  for (size_t i = 0; i < all.size(); ++i) kept.push_back(i);
  return ShrinkList<size_t>(kept, [&](const std::vector<size_t>& rest) {
    World candidate = world;
    Map map;
    for (size_t i : rest) map.insert(all[i]);
    candidate.snapshot.*member = std::move(map);
    return Try(world, std::move(candidate), fails);
  });
}

bool TryPolicy(World& world, const model::NetworkPolicy& policy, const Fails& fails) {
  World candidate = world;
  candidate.snapshot.policies[policy.name] = std::make_shared<const model::NetworkPolicy>(policy);
  return Try(world, std::move(candidate), fails);
}

bool ShrinkRules(World& world, const model::ObjectName& name,
                 std::vector<model::Rule> model::NetworkPolicy::*rules, const Fails& fails) {
  model::NetworkPolicy policy = *world.snapshot.policies.at(name);
  bool any = ShrinkList<model::Rule>(policy.*rules, [&](const std::vector<model::Rule>& rest) {
    model::NetworkPolicy smaller = policy;
    smaller.*rules = rest;
    return TryPolicy(world, smaller, fails);
  });
  policy = *world.snapshot.policies.at(name);
  for (size_t i = 0; i < (policy.*rules).size(); ++i) {
    // An empty list means everything: keep one.
    any |= ShrinkList<model::Peer>((policy.*rules)[i].peers, [&](const auto& rest) {
      model::NetworkPolicy smaller = policy;
      (smaller.*rules)[i].peers = rest;
      bool worked = !rest.empty() && TryPolicy(world, smaller, fails);
      if (worked) policy = smaller;
      return worked;
    });
    any |= ShrinkList<model::PolicyPort>((policy.*rules)[i].ports, [&](const auto& rest) {
      model::NetworkPolicy smaller = policy;
      (smaller.*rules)[i].ports = rest;
      bool worked = !rest.empty() && TryPolicy(world, smaller, fails);
      if (worked) policy = smaller;
      return worked;
    });
  }
  return any;
}

bool ShrinkPods(World& world, const Fails& fails) {
  bool any = false;
  std::map<model::ObjectName, model::PodPtr> pods = world.snapshot.pods;
  for (const auto& entry : pods) {
    const model::ObjectName& name = entry.first;
    auto try_pod = [&](const std::function<void(model::Pod&)>& change) {
      model::Pod smaller = *world.snapshot.pods.at(name);
      change(smaller);
      if (smaller == *world.snapshot.pods.at(name)) return;
      World candidate = world;
      candidate.snapshot.pods[name] = std::make_shared<const model::Pod>(smaller);
      any |= Try(world, std::move(candidate), fails);
    };
    try_pod([](model::Pod& p) { p.ports.clear(); });
    try_pod([](model::Pod& p) { p.labels = model::Labels(); });
    try_pod([](model::Pod& p) { p.addresses.resize(std::min<size_t>(p.addresses.size(), 1)); });
  }
  return any;
}

}  // namespace

World Shrink(World world, const Fails& fails) {
  for (bool again = true; again;) {
    again = ShrinkList<net::FlowTuple>(world.flows, [&](const auto& rest) {
      World candidate = world;
      candidate.flows = rest;
      return Try(world, std::move(candidate), fails);
    });
    again |= ShrinkMap(world, &model::Snapshot::policies, fails);
    again |= ShrinkMap(world, &model::Snapshot::pods, fails);
    again |= ShrinkMap(world, &model::Snapshot::namespaces, fails);
    again |= ShrinkMap(world, &model::Snapshot::nodes, fails);
    again |= ShrinkMap(world, &model::Snapshot::services, fails);
    again |= ShrinkMap(world, &model::Snapshot::endpoint_slices, fails);
    std::vector<model::ObjectName> names;
    for (const auto& [name, policy] : world.snapshot.policies) names.push_back(name);
    for (const model::ObjectName& name : names) {
      again |= ShrinkRules(world, name, &model::NetworkPolicy::ingress, fails);
      again |= ShrinkRules(world, name, &model::NetworkPolicy::egress, fails);
    }
    again |= ShrinkPods(world, fails);
  }
  return world;
}

Steps Shrink(Steps steps, const std::function<bool(const Steps&)>& fails) {
  for (bool again = true; again;) {
    again = ShrinkList<std::vector<model::Delta>>(steps, [&](const Steps& rest) {
      if (!fails(rest)) return false;
      steps = rest;
      return true;
    });
    for (size_t i = 0; i < steps.size(); ++i) {
      again |= ShrinkList<model::Delta>(steps[i], [&](const std::vector<model::Delta>& rest) {
        Steps candidate = steps;
        candidate[i] = rest;
        if (!fails(candidate)) return false;
        steps = std::move(candidate);
        return true;
      });
    }
  }
  return steps;
}

}  // namespace sallyport::test
