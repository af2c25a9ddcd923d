// SPDX-License-Identifier: Apache-2.0
#include "endpoint/cni_result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/agent/tracker_world.h"

namespace sallyport::endpoint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// As containerd's libcni writes it for the ptp plugin, less what nobody reads.
std::string File(const std::string& result, const std::string& uid = "u-1") {
  return R"({"kind":"cniCacheV1","containerId":"c0ffee","config":"e30=","ifName":"eth0",
    "networkName":"podnet","netns":"/var/run/netns/cni-1","cniArgs":[["IgnoreUnknown","1"],
    ["K8S_POD_NAMESPACE","shop"],["K8S_POD_NAME","web-0"],
    ["K8S_POD_INFRA_CONTAINER_ID","c0ffee"])" +
         (uid.empty() ? "" : R"(,["K8S_POD_UID",")" + uid + R"("])") + R"(],"result":)" + result +
         "}";
}

Claim Parsed(const std::string& text) {
  auto claim = ParseCniResult(text);
  EXPECT_TRUE(claim) << (claim ? "" : claim.error().message);
  return claim.value().value();
}

TEST(CniResultTest, Ptp) {
  Claim claim = Parsed(File(R"({"cniVersion":"1.0.0","interfaces":[
    {"name":"vethdab3acd6","mac":"b2:be:90:40:20:fd"},
    {"name":"eth0","sandbox":"/var/run/netns/cni-1"}],
    "ips":[{"interface":1,"address":"10.99.0.2/24","gateway":"10.99.0.1"},
           {"interface":1,"address":"fd99::2/64"}],"routes":[],"dns":{}})"));
  EXPECT_EQ(claim.pod, (model::ObjectName{"shop", "web-0"}));
  EXPECT_EQ(claim.uid, "u-1");
  EXPECT_EQ(claim.container, "c0ffee");
  EXPECT_EQ(claim.interface, "eth0");
  EXPECT_EQ(claim.netns, "/var/run/netns/cni-1");
  EXPECT_THAT(claim.host_interfaces, ElementsAre("vethdab3acd6"));
  EXPECT_THAT(claim.addresses, ElementsAre(Ip("10.99.0.2"), Ip("fd99::2")));
}

TEST(CniResultTest, BridgeNamesTheBridgeToo) {
  Claim claim = Parsed(File(R"({"interfaces":[{"name":"cni0"},{"name":"veth1"},
    {"name":"eth0","sandbox":"/proc/7/ns/net"}],"ips":[{"interface":2,"address":"10.1.0.2/16"}]})"));
  EXPECT_THAT(claim.host_interfaces, ElementsAre("cni0", "veth1"));
}

TEST(CniResultTest, OnlyThePodsInterfaceNamed) {
  Claim claim = Parsed(File(R"({"interfaces":[{"name":"eth0","sandbox":"/x"}],
                                "ips":[{"address":"10.1.0.2/16"}]})"));
  EXPECT_THAT(claim.host_interfaces, IsEmpty());
  EXPECT_THAT(claim.addresses, ElementsAre(Ip("10.1.0.2")));
}

TEST(CniResultTest, SandboxFromTheInterfaceWhereTheFileLacksIt) {
  std::string text =
      File(R"({"interfaces":[{"name":"eth0","sandbox":"/proc/7/ns/net"}],"ips":[]})");
  std::string netns = R"("netns":"/var/run/netns/cni-1",)";
  text.erase(text.find(netns), netns.size());
  EXPECT_EQ(Parsed(text).netns, "/proc/7/ns/net");
}

TEST(CniResultTest, OldResults) {
  EXPECT_THAT(Parsed(File(R"({"ip4":{"ip":"10.1.0.2/16"},"ip6":{"ip":"fd00::2/64"}})")).addresses,
              ElementsAre(Ip("10.1.0.2"), Ip("fd00::2")));
  EXPECT_THAT(Parsed(File(R"({"cniVersion":"0.3.1","interfaces":[{"name":"v"},
                {"name":"eth0","sandbox":"/x"}],"ips":[{"version":"4","interface":1,
                "address":"10.1.0.2/16"}]})"))
                  .addresses,
              ElementsAre(Ip("10.1.0.2")));
}

TEST(CniResultTest, AddressesOfHostInterfacesAreNotThePods) {
  EXPECT_THAT(Parsed(File(R"({"interfaces":[{"name":"v"},{"name":"eth0","sandbox":"/x"}],
                "ips":[{"interface":0,"address":"10.1.0.1/32"},
                       {"interface":1,"address":"10.1.0.2/16"}]})"))
                  .addresses,
              ElementsAre(Ip("10.1.0.2")));
}

TEST(CniResultTest, UidMayBeMissing) { EXPECT_EQ(Parsed(File("{}", "")).uid, ""); }

TEST(CniResultTest, NotAKubernetesPod) {
  auto claim = ParseCniResult(
      R"({"kind":"cniCacheV1","ifName":"eth0","cniArgs":[["IgnoreUnknown","1"]],"result":{}})");
  ASSERT_TRUE(claim);
  EXPECT_FALSE(claim->has_value());
}

TEST(CniResultTest, EveryHalfWrittenFileIsAnError) {
  std::string text = File(R"({"interfaces":[{"name":"v"}],"ips":[{"address":"10.1.0.2/16"}]})");
  for (size_t length = 0; length < text.size(); ++length) {
    EXPECT_FALSE(ParseCniResult(text.substr(0, length))) << length;
  }
  EXPECT_TRUE(ParseCniResult(text));
}

TEST(CniResultTest, WhatIsNoResultFile) {
  EXPECT_THAT(ParseCniResult("").error().message, HasSubstr("empty"));
  EXPECT_THAT(ParseCniResult("[]").error().message, HasSubstr("not a CNI result"));
  EXPECT_THAT(ParseCniResult(R"({"kind":"other"})").error().message, HasSubstr("cniCacheV1"));
  EXPECT_THAT(ParseCniResult(R"({"kind":"cniCacheV1"})").error().message, HasSubstr("no result"));
  EXPECT_FALSE(ParseCniResult(R"({"kind":"cniCacheV1","result":[]})"));
  EXPECT_FALSE(ParseCniResult(std::string(kLargestCniResult + 1, ' ')));
}

TEST(CniResultTest, HostileValuesAreLeftOut) {
  Claim claim = Parsed(File(R"({"interfaces":[{"name":"../../etc"},{"name":"a b"},{"name":7},
      {"name":"longer-than-fifteen"},5,null,{"name":"ok"},{"name":"x\u0000y"}],
    "ips":[{"interface":-1,"address":"10.1.0.2/16"},{"interface":99,"address":"10.1.0.3/16"},
      {"address":"nonsense"},{"address":7},7,{"address":"10.1.0.2/16"}]})"));
  EXPECT_THAT(claim.host_interfaces, ElementsAre("ok"));
  EXPECT_THAT(claim.addresses, ElementsAre(Ip("10.1.0.2"), Ip("10.1.0.3")));
  for (size_t depth : {200u, 50000u}) {
    std::string nested = std::string(depth, '[') + std::string(depth, ']');
    EXPECT_FALSE(ParseCniResult(nested)) << depth;
    EXPECT_FALSE(ParseCniResult(File(R"({"x":)" + nested + "}"))) << depth;
  }
}

}  // namespace
}  // namespace sallyport::endpoint
