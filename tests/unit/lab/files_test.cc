// SPDX-License-Identifier: Apache-2.0
// What the lab writes and what it is called: names, state, CNI cache.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lab/cni.h"
#include "lab/container_root.h"
#include "lab/layout.h"
#include "lab/pick_pod.h"
#include "lab/recipe_parts.h"
#include "lab/state.h"
#include "unit/lab/make.h"

namespace sallyport::lab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Layout, NamesOfLabs) {
  for (const char* good : {"lab", "a", "my-lab-2"}) EXPECT_TRUE(CheckLabName(good)) << good;
  for (const char* bad :
       {"", "-a", "a.b", "a/b", "..", "Lab", "a b", "a12345678901234567890123456789012"})
    EXPECT_FALSE(CheckLabName(bad)) << bad;
}

TEST(Layout, NamespacesOfOneLabAreNoOthers) {
  EXPECT_EQ(LabOfNetns(Layout("a").fabric_netns()), "a");
  EXPECT_EQ(LabOfNetns(Layout("a-b").node_netns("fabric")), "a-b");
  EXPECT_EQ(LabOfNetns(Layout("a").pod_netns({"b", "c.d"})), "a");
  EXPECT_EQ(LabOfNetns("spt-bench"), "");
  EXPECT_EQ(LabOfNetns("blue"), "");
}

TEST(Layout, LongPodNamesFitAndStayApart) {
  std::string ns(63, 'n');
  std::string name(252, 'p');
  std::string a = Layout("lab").pod_netns({ns, name + "a"});
  std::string b = Layout("lab").pod_netns({ns, name + "b"});
  EXPECT_LE(a.size(), 255u);
  EXPECT_NE(a, b);
  EXPECT_EQ(LabOfNetns(a), "lab");
}

TEST(State, SurvivesBeingWrittenAndRead) {
  PlanOptions options;
  Plan plan = MakePlan(MakeObjects("{apiVersion: v1, kind: Node, metadata: {name: n1}, status: "
                                   "{addresses: [{type: ExternalIP, address: 203.0.113.5}]}}"),
                       options);
  LabState state;
  state.name = "x";
  state.cni = "bridge";
  state.agent = "/a";
  state.complete = true;
  state.networks = options.networks;
  state.networks.outside_addresses = {net::Address::Parse("198.51.100.20").value()};
  state.outside = AssignOutsideAddresses(state.networks);
  state.nodes = plan.nodes;
  std::string text = ToJson(StateToTree(state));
  auto tree = FromJson(text, "state");
  ASSERT_TRUE(tree);
  auto again = StateFromTree(*tree);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(ToJson(StateToTree(*again)), text);
  EXPECT_EQ(again->nodes.at(0).addresses.external.at(0).ToString(), "203.0.113.5");
  EXPECT_THAT(text, HasSubstr("198.51.100.20/32"));
}

TEST(Cni, TheCacheIsLibcnis) {
  Value config = NetworkConfig("ptp", {net::Cidr::Parse("10.0.0.0/24").value()}, "/data");
  Sandbox sandbox{{"shop", "web"}, "uid-1", "0123", "/run/netns/x"};
  auto cache = FromJson(
      CacheText(config, "sallyport", "eth0", sandbox, MakeValue("{cniVersion: 1.0.0}")), "cache");
  ASSERT_TRUE(cache);
  std::vector<std::string> keys;
  for (const auto& [key, value] : cache->members) keys.push_back(key);
  EXPECT_THAT(keys, ElementsAre("kind", "containerId", "config", "ifName", "networkName", "cniArgs",
                                "capabilityArgs", "result"));
  EXPECT_EQ(TextAt(*cache, {"kind"}), "cniCacheV1");
  EXPECT_EQ(DecodeBase64(TextAt(*cache, {"config"})).value(), ToJson(config));
  EXPECT_THAT(ToJson(*cache->Find("cniArgs")), HasSubstr(R"(["K8S_POD_NAMESPACE","shop"])"));
}

TEST(Cni, BothFamiliesHaveARangeAndARoute) {
  Value config = NetworkConfig(
      "bridge", {net::Cidr::Parse("10.0.0.0/24").value(), net::Cidr::Parse("fd00::/64").value()},
      "/data");
  EXPECT_THAT(ToJson(config),
              HasSubstr(R"("ranges":[[{"subnet":"10.0.0.0/24"}],[{"subnet":"fd00::/64"}]])"));
  EXPECT_THAT(ToJson(config), HasSubstr(R"("routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}])"));
  EXPECT_THAT(ToJson(config), HasSubstr(R"("ipMasq":false)"));
}

TEST(ContainerRoot, PathsStayBelowTheRoot) {
  EXPECT_EQ(CleanPath("/a/./b//c"), "/a/b/c");
  EXPECT_EQ(CleanPath("../../etc"), "/etc");
  EXPECT_EQ(CleanPath("/a/../../b"), "/b");
  EXPECT_EQ(CleanPath(""), "/");
}

TEST(PickPod, ByNameOrByWorkload) {
  std::vector<PodState> pods(4);
  pods[0].pod = {"a", "web-1"};
  pods[0].owner = "Deployment a/web";
  pods[1].pod = {"a", "web-2"};
  pods[1].owner = "Deployment a/web";
  pods[2].pod = {"a", "db"};
  pods[3].pod = {"b", "db"};
  EXPECT_EQ(PickPod(pods, "a/web").value().name, "web-1");
  EXPECT_EQ(PickPod(pods, "web-2").value().name, "web-2");
  EXPECT_EQ(PickPod(pods, "b/db").value().ns, "b");
  EXPECT_THAT(PickPod(pods, "db").error().message, HasSubstr("NAMESPACE/NAME"));
  EXPECT_THAT(PickPod(pods, "none").error().message, HasSubstr("lab status"));
}

}  // namespace
}  // namespace sallyport::lab
