// SPDX-License-Identifier: Apache-2.0
#include "cli/read_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/expect.h"

namespace sallyport::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kDeployment = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: i, ports: [{containerPort: 80, name: http}]}]}
)";

constexpr const char* kStatefulSet = R"(
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: i}]}
)";

constexpr const char* kPod = R"(
apiVersion: v1
kind: Pod
metadata: {name: web-x7k2p, namespace: shop}
spec: {containers: [{name: c, image: i}]}
)";

std::vector<std::string> Names(const World& world) {
  std::vector<std::string> out;
  for (const Side& side : world.LivePods()) out.push_back(side.name);
  return out;
}

TEST(WorldOf, WorkloadsHaveTheirPods) {
  auto world = WorldOf({{"a.yaml", kDeployment}, {"b.yaml", kStatefulSet}});
  ASSERT_TRUE(world) << world.error().message;
  auto pods = world->LivePods();
  ASSERT_EQ(pods.size(), 3u);
  EXPECT_EQ(pods[0].name, "shop/db-0");
  EXPECT_TRUE(IsOwnedName("web", pods[1].ShortName())) << pods[1].name;
  EXPECT_THAT(DeclaredPorts(pods[1]), ElementsAre(Port{net::Protocol::kTcp, 80}));
  EXPECT_TRUE(pods[1].made_up);
  EXPECT_NE(pods[1].addresses, pods[2].addresses);
}

TEST(WorldOf, PodsThatAreThereStandForTheirWorkload) {
  auto world = WorldOf({{"a.yaml", kDeployment}, {"b.yaml", kPod}});
  ASSERT_TRUE(world) << world.error().message;
  EXPECT_THAT(Names(*world), ElementsAre("shop/web-x7k2p"));
}

TEST(WorldOf, ErrorsAreListedOnceWithTheirPlace) {
  auto twice = WorldOf({{"a.yaml", kPod}, {"b.yaml", kPod}});
  ASSERT_FALSE(twice);
  EXPECT_THAT(twice.error().message,
              AllOf(HasSubstr("the manifests have errors:\nb.yaml"), HasSubstr("shop/web-x7k2p")));
  auto bad = WorldOf({{"a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {namespace: shop}\n"}});
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message, HasSubstr("a.yaml:"));
  EXPECT_FALSE(WorldOf({{"a.yaml", "kind: ["}}));
}

}  // namespace
}  // namespace sallyport::cli
