// SPDX-License-Identifier: Apache-2.0
#include "lab/workloads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lab/selector.h"
#include "unit/lab/make.h"

namespace sallyport::lab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;

std::string ShopWorkload(const std::string& kind, const std::string& more) {
  return "{kind: " + kind + ", metadata: {name: web, namespace: shop}, spec: {" + more +
         (more.empty() ? "" : ", ") +
         "selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, "
         "spec: {containers: [{name: c, image: i}]}}}}";
}

std::vector<ExpandedPod> Expand(const std::string& yaml, const std::vector<std::string>& nodes = {},
                                model::Diagnostics* diagnostics = nullptr) {
  ObjectSet objects = MakeObjects(yaml);
  model::Diagnostics own;
  auto pods = ExpandWorkload(objects.begin()->first, objects.begin()->second, nodes,
                             diagnostics ? diagnostics : &own);
  for (const model::Diagnostic& diagnostic : own) ADD_FAILURE() << diagnostic.ToString();
  return pods;
}

std::vector<std::string> Names(const std::vector<ExpandedPod>& pods) {
  std::vector<std::string> names;
  for (const ExpandedPod& pod : pods) names.push_back(NameOf(pod.tree).ToString());
  return names;
}

TEST(Workloads, StatefulSetPodsAreNumberedAndKnowTheirNumber) {
  auto pods = Expand(ShopWorkload("StatefulSet", "replicas: 2"));
  EXPECT_THAT(Names(pods), ElementsAre("shop/web-0", "shop/web-1"));
  EXPECT_EQ(LabelsOf(pods[1].tree).ToString(),
            "app=web,apps.kubernetes.io/pod-index=1,statefulset.kubernetes.io/pod-name=web-1");
  EXPECT_EQ(pods[0].owner, "StatefulSet shop/web");
}

TEST(Workloads, StatefulSetOrdinalsMayStartElsewhere) {
  EXPECT_THAT(Names(Expand(ShopWorkload("StatefulSet", "replicas: 2, ordinals: {start: 5}"))),
              ElementsAre("shop/web-5", "shop/web-6"));
}

TEST(Workloads, ClaimsBecomeVolumesOfThePod) {
  auto pods = Expand(
      ShopWorkload("StatefulSet", "volumeClaimTemplates: [{metadata: {name: data}, spec: {}}]"));
  const auto& volumes = Items(At(pods.at(0).tree, {"spec", "volumes"}));
  ASSERT_EQ(volumes.size(), 1u);
  EXPECT_EQ(TextAt(volumes[0], {"name"}), "data");
}

TEST(Workloads, DeploymentPodsHaveTheHashOfTheirTemplate) {
  auto pods = Expand(ShopWorkload("Deployment", "replicas: 3"));
  ASSERT_EQ(pods.size(), 3u);
  const std::string* hash = LabelsOf(pods[0].tree).Find("pod-template-hash");
  ASSERT_TRUE(hash);
  for (const std::string& name : Names(pods))
    EXPECT_THAT(name, MatchesRegex("shop/web-[b-z2-9]{10}-[b-z2-9]{5}"));
  EXPECT_NE(Names(pods)[0], Names(pods)[1]);
  EXPECT_EQ(Names(pods), Names(Expand(ShopWorkload("Deployment", "replicas: 3"))));
}

TEST(Workloads, ScalingKeepsThePodsThatWereThere) {
  auto two = Names(Expand(ShopWorkload("Deployment", "replicas: 2")));
  auto four = Names(Expand(ShopWorkload("Deployment", "replicas: 4")));
  ASSERT_EQ(four.size(), 4u);
  EXPECT_EQ(two, std::vector(four.begin(), four.begin() + 2));
}

TEST(Workloads, ReplicasDefaultToOneAndMayBeNone) {
  EXPECT_EQ(Expand(ShopWorkload("Deployment", "")).size(), 1u);
  EXPECT_EQ(Expand(ShopWorkload("ReplicaSet", "replicas: 0")).size(), 0u);
}

TEST(Workloads, DaemonSetHasAPodOnEachNode) {
  auto pods = Expand(ShopWorkload("DaemonSet", ""), {"n1", "n2"});
  ASSERT_EQ(pods.size(), 2u);
  EXPECT_EQ(TextAt(pods[0].tree, {"spec", "nodeName"}), "n1");
  EXPECT_EQ(TextAt(pods[1].tree, {"spec", "nodeName"}), "n2");
}

TEST(Workloads, LongNamesAreCutAsKubernetesCutsThem) {
  std::string name(63, 'n');
  auto pods = Expand("{kind: ReplicaSet, metadata: {name: " + name +
                     "}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: "
                     "b}}, spec: {containers: []}}}}");
  EXPECT_EQ(NameOf(pods.at(0).tree).name.size(), 63u);
}

TEST(Workloads, ASelectorThatMissesItsTemplateIsRefused) {
  model::Diagnostics diagnostics;
  auto pods = Expand(
      "{kind: Deployment, metadata: {name: web}, spec: {selector: {matchLabels: {app: other}}, "
      "template: {metadata: {labels: {app: web}}, spec: {containers: []}}}}",
      {}, &diagnostics);
  EXPECT_TRUE(pods.empty());
  ASSERT_EQ(diagnostics.size(), 1u);
  EXPECT_EQ(diagnostics[0].field, "spec.selector");
  EXPECT_THAT(diagnostics[0].message, HasSubstr("app=web"));
}

TEST(Workloads, ReplicasThatAreNoNumberAreRefused) {
  for (const char* replicas : {"replicas: -1", "replicas: many", "replicas: 1000000"}) {
    model::Diagnostics diagnostics;
    EXPECT_TRUE(Expand(ShopWorkload("Deployment", replicas), {}, &diagnostics).empty());
    ASSERT_EQ(diagnostics.size(), 1u) << replicas;
    EXPECT_EQ(diagnostics[0].field, "spec.replicas");
  }
}

}  // namespace
}  // namespace sallyport::lab
