// SPDX-License-Identifier: Apache-2.0
// Clusters of the shapes that are measured, smaller: what is kept up to date by changes, one by
// one, is what is compiled afresh, and judges as the API text. Worlds of a dozen pods do not get as
// far as the short cuts for large ones.
#include <gtest/gtest.h>

#include "policy/compile.h"
#include "support/cluster.h"
#include "support/image_checks.h"
#include "support/world.h"

namespace sallyport::test {
namespace {

using policy::Canonical;

template <typename Map>
const typename Map::mapped_type& PickFrom(Random& random, const Map& map) {
  return std::next(map.begin(), static_cast<long>(random.Below(map.size())))->second;
}

// Something of the cluster goes, comes back, or takes another's place.
model::Delta ClusterDelta(Random& random, const model::Snapshot& cluster) {
  const model::PodPtr& pod = PickFrom(random, cluster.pods);
  const model::NetworkPolicyPtr& policy = PickFrom(random, cluster.policies);
  switch (random.Between(0, 6)) {
    case 0:
      return model::Delta::Remove(model::Kind::kPod, pod->name);
    case 1:
      return model::Delta::Remove(model::Kind::kNetworkPolicy, policy->name);
    case 2: {
      model::Pod changed = *pod;
      changed.labels = PickFrom(random, cluster.pods)->labels;
      changed.node = PickFrom(random, cluster.pods)->node;
      return model::Delta::Set(std::make_shared<const model::Pod>(std::move(changed)));
    }
    case 3: {
      model::NetworkPolicy changed = *policy;
      const model::NetworkPolicy& other = *PickFrom(random, cluster.policies);
      changed.ingress = other.ingress;
      changed.pods = other.pods;
      return model::Delta::Set(std::make_shared<const model::NetworkPolicy>(std::move(changed)));
    }
    case 4: {
      model::Namespace changed = *PickFrom(random, cluster.namespaces);
      std::vector<model::Labels::Entry> labels = changed.labels.entries();
      labels.emplace_back("team", "team-" + std::to_string(random.Between(0, 4)));
      changed.labels = model::Labels(std::move(labels));
      return model::Delta::Set(std::make_shared<const model::Namespace>(std::move(changed)));
    }
    case 5: {
      model::EndpointSlice changed = *PickFrom(random, cluster.endpoint_slices);
      changed.endpoints = PickFrom(random, cluster.endpoint_slices)->endpoints;
      return model::Delta::Set(std::make_shared<const model::EndpointSlice>(std::move(changed)));
    }
    default:
      return random.Chance(50) ? model::Delta::Set(pod) : model::Delta::Set(policy);
  }
}

std::string WhatFails(const policy::Compiler& compiler, Random& random) {
  std::string wrong = Inconsistency(compiler.image());
  if (!wrong.empty()) return wrong;
  policy::Image afresh = policy::Compile(compiler.snapshot(), kClusterNode).image;
  if (Canonical(afresh) != Canonical(compiler.image())) return "differs from compiling afresh";
  World world{0, compiler.snapshot(), kClusterNode, RandomFlows(random, compiler.snapshot(), 5)};
  return Disagreement(world, compiler.image());
}

class ClusterProperty : public ::testing::TestWithParam<ClusterShape> {};

TEST_P(ClusterProperty, ChangesEndInWhatIsCompiledAfresh) {
  ClusterSize size{.pods = 400, .policies = 250, .namespaces = 10, .pods_per_node = 40, .cidrs = 5};
  size.node_ports = 120;
  size.shape = GetParam();
  const model::Snapshot cluster = MakeCluster(size);
  for (uint64_t seed : Seeds(2)) {
    Random random(seed);
    policy::Compiler compiler(kClusterNode);
    for (const auto& [name, object] : cluster.namespaces) {
      compiler.Apply({model::Delta::Set(object)});
    }
    std::vector<model::Delta> rest;
    for (const auto& [name, object] : cluster.nodes) rest.push_back(model::Delta::Set(object));
    for (const auto& [name, object] : cluster.pods) rest.push_back(model::Delta::Set(object));
    for (const auto& [name, object] : cluster.policies) rest.push_back(model::Delta::Set(object));
    for (const auto& [name, object] : cluster.services) rest.push_back(model::Delta::Set(object));
    for (const auto& [name, object] : cluster.endpoint_slices) {
      rest.push_back(model::Delta::Set(object));
    }
    compiler.Apply(rest);
    for (int i = 0; i < 25; ++i) {
      policy::Image before = compiler.image();
      policy::Changes changes = compiler.Apply({ClusterDelta(random, cluster)});
      ASSERT_EQ(ToString(changes), ToString(Difference(before, compiler.image())))
          << "SALLYPORT_SEED=" << seed;
      ASSERT_EQ(Mutation(before, compiler.image()), "") << "SALLYPORT_SEED=" << seed;
      ASSERT_EQ(WhatFails(compiler, random), "") << "SALLYPORT_SEED=" << seed << " step " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ClusterProperty,
                         ::testing::Values(ClusterShape::kTypical, ClusterShape::kCidrHeavy,
                                           ClusterShape::kPoliciesOnOne,
                                           ClusterShape::kUniqueLabels,
                                           ClusterShape::kEveryNamespace),
                         [](const auto& parameter) {
                           std::string name = ToString(parameter.param);
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace sallyport::test
