// SPDX-License-Identifier: Apache-2.0
#include "egress/pin_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "egress/addresses.h"
#include "egress/diagnose.h"

namespace sallyport::egress {
namespace {

using model::Delta;
using model::EgressGateway;
using model::Selector;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

net::Address A(const std::string& text) { return *net::Address::Parse(text); }
net::Cidr C(const std::string& text) { return *net::Cidr::Parse(text); }
Selector Is(const std::string& key, const std::string& value) {
  return Selector({{key, model::Operator::kIn, {value}}});
}

// Node n1 (192.168.0.1, pods 10.1.0.0/24) with pods a/web (app=web) and a/db (app=db); node n2 with
// b/far; the partner is 198.51.100.0/24.
class PinPlanTest : public ::testing::Test {
 protected:
  PinPlanTest() {
    Add(Delta::Set(std::make_shared<model::Namespace>(
        model::Namespace{"a", {{"kubernetes.io/metadata.name", "a"}, {"team", "red"}}, {}})));
    AddNode("n1", "192.168.0.1", "10.1.0.0/24");
    AddNode("n2", "192.168.0.2", "10.2.0.0/24");
    AddPod("a", "web", "n1", {"10.1.0.1", "fd00:1::1"});
    AddPod("a", "db", "n1", {"10.1.0.2"});
    AddPod("b", "far", "n2", {"10.2.0.1"});
  }

  void Add(const Delta& delta) { snapshot_.Apply(delta); }
  void AddNode(const std::string& name, const std::string& address, const std::string& pods) {
    model::Node node;
    node.name = name;
    node.addresses = node.internal_addresses = {A(address)};
    node.pod_cidrs = {C(pods)};
    Add(Delta::Set(std::make_shared<model::Node>(node)));
  }
  void AddPod(const std::string& ns, const std::string& name, const std::string& node,
              const std::vector<std::string>& addresses) {
    model::Pod pod;
    pod.name = {ns, name};
    pod.labels = {{"app", name}};
    pod.node = node;
    pod.phase = model::PodPhase::kRunning;
    for (const std::string& address : addresses) pod.addresses.push_back(A(address));
    Add(Delta::Set(std::make_shared<model::Pod>(pod)));
  }
  void AddGateway(const std::string& name, const std::string& created,
                  const std::vector<std::string>& ips, const std::vector<std::string>& destinations,
                  const std::vector<std::string>& except = {}) {
    EgressGateway gateway;
    gateway.name = name;
    gateway.created = created;
    for (const std::string& ip : ips) gateway.egress_ips.push_back(A(ip));
    for (const std::string& cidr : destinations) gateway.destinations.push_back(C(cidr));
    for (const std::string& cidr : except) gateway.except.push_back(C(cidr));
    gateway.gateways = Is("role", "gateway");
    Change(gateway);
  }
  EgressGateway Get(const std::string& name) { return *snapshot_.egress_gateways.at(name); }
  void Change(const EgressGateway& gateway) {
    Add(Delta::Set(std::make_shared<EgressGateway>(gateway)));
  }

  // What becomes of a packet of this pod; explained in the same way, or the test fails.
  std::string To(const std::string& destination, const model::ObjectName& pod = {"a", "web"}) {
    PinPlan plan = MakePinPlan(snapshot_, "n1");
    auto it = plan.pods.find(pod);
    Target target = it == plan.pods.end() ? Target() : Find(*it->second, A(destination));
    auto answer = PinOf(snapshot_, *snapshot_.pods.at(pod), A(destination));
    EXPECT_EQ((answer ? answer->target : Target()).ToString(), target.ToString()) << destination;
    why_ = answer ? answer->why : "";
    return (answer ? answer->gateway + ": " : "") + target.ToString();
  }
  std::vector<std::string> Complaints(const std::string& gateway) {
    std::vector<std::string> out;
    model::Diagnostics diagnostics = Diagnose(snapshot_)[gateway];
    for (const model::Diagnostic& d : diagnostics) {
      out.push_back(d.field + ": " + d.message);
    }
    return out;
  }

  model::Snapshot snapshot_;
  std::string why_;
};

TEST_F(PinPlanTest, PinsItsDestinationsAndNothingElse) {
  AddGateway("partner", "2026-01-01T00:00:00Z", {"203.0.113.10"}, {"198.51.100.0/24"});
  EXPECT_EQ(To("198.51.100.1"), "partner: 203.0.113.10");
  EXPECT_EQ(To("198.51.101.1"), "not pinned");
  PinPlan plan = MakePinPlan(snapshot_, "n1");
  EXPECT_EQ(plan.pods.size(), 2u);
  EXPECT_EQ(plan.pods.at({"a", "web"}), plan.pods.at({"a", "db"}));
  EXPECT_EQ(ToString(*plan.pods.at({"a", "web"})), "198.51.100.0/24 203.0.113.10\n");
  EXPECT_THAT(plan.block_sizes, ElementsAre(std::pair(A("203.0.113.10"), 1024)));
}

// They are their node: who asks for them by name is told.
TEST_F(PinPlanTest, PodsOnTheirNodesNetworkAreNotPinned) {
  AddPod("b", "proxy", "n1", {"192.168.0.1"});
  model::Pod proxy = *snapshot_.pods.at({"b", "proxy"});
  proxy.host_network = true;
  Add(Delta::Set(std::make_shared<model::Pod>(proxy)));
  AddGateway("all", "2026-01-01T00:00:00Z", {"203.0.113.10"}, {"198.51.100.0/24"});
  EXPECT_EQ(To("198.51.100.1", {"b", "proxy"}), "not pinned");
  EXPECT_THAT(Complaints("all"), IsEmpty()) << "every pod: those of the nodes are not meant";
  EgressGateway gateway = Get("all");
  gateway.pods = Is("app", "proxy");
  Change(gateway);
  EXPECT_THAT(Complaints("all"),
              ElementsAre("spec.pods: for pod b/proxy: a pod with hostNetwork has its node's "
                          "addresses and is not pinned; keep it from the destinations by other "
                          "means, or take hostNetwork away"));
  proxy.phase = model::PodPhase::kSucceeded;
  Add(Delta::Set(std::make_shared<model::Pod>(proxy)));
  EXPECT_THAT(Complaints("all"), IsEmpty());
}

TEST_F(PinPlanTest, TheClusterIsNeverPinned) {
  model::Service service;
  service.name = {"a", "api"};
  service.cluster_ips = {A("172.20.0.7")};
  service.external_ips = {A("100.64.0.9")};
  Add(Delta::Set(std::make_shared<model::Service>(service)));
  Add(Delta::Set(model::LocalAddresses{A("192.168.9.9"), A("203.0.113.10")}));
  AddPod("b", "stray", "n2", {"172.31.0.5"});
  AddGateway("all", "2026-01-01T00:00:00Z", {"203.0.113.10"}, {});
  for (const char* inside : {"10.2.0.77", "172.31.0.5", "192.168.0.2", "192.168.9.9", "172.20.0.7",
                             "100.64.0.9", "169.254.1.1", "fe80::1", "224.0.0.1", "ff02::1",
                             "127.0.0.1", "::1", "0.0.0.0", "255.255.255.255", "::"}) {
    EXPECT_EQ(To(inside), "not pinned") << inside;
  }
  EXPECT_EQ(To("1.1.1.1"), "all: 203.0.113.10");
  // Held here just now, or not: an egress IP is a destination like others.
  EXPECT_EQ(To("203.0.113.10"), "all: 203.0.113.10");
}

TEST_F(PinPlanTest, AFamilyWithoutAnEgressIpIsDropped) {
  AddGateway("all", "2026-01-01T00:00:00Z", {"203.0.113.10"}, {});
  EXPECT_EQ(To("2001:db8::1"), "all: dropped");
  EXPECT_EQ(why_, "it has no egress IP of IPv6");
}

TEST_F(PinPlanTest, WhatWasNeverUnderstoodIsDropped) {
  AddGateway("odd", "2026-01-01T00:00:00Z", {}, {"198.51.100.0/24"});
  EXPECT_EQ(To("198.51.100.1"), "odd: dropped");
}

TEST_F(PinPlanTest, TheLongerPrefixWinsThenTheOlderObject) {
  AddGateway("wide", "2026-01-01T00:00:00Z", {"203.0.113.10"}, {"198.51.0.0/16"});
  AddGateway("young", "2026-01-03T00:00:00Z", {"203.0.113.11"}, {"198.51.100.0/24"});
  AddGateway("old", "2026-01-02T00:00:00Z", {"203.0.113.12"}, {"198.51.100.0/24"});
  AddGateway("new", "", {"203.0.113.13"}, {"198.51.100.0/24"});
  EXPECT_EQ(To("198.51.100.1"), "old: 203.0.113.12");
  EXPECT_EQ(To("198.51.1.1"), "wide: 203.0.113.10");
  Add(Delta::Remove(model::Kind::kEgressGateway, {"", "old"}));
  EXPECT_EQ(To("198.51.100.1"), "young: 203.0.113.11");
  Add(Delta::Remove(model::Kind::kEgressGateway, {"", "young"}));
  EXPECT_EQ(To("198.51.100.1"), "new: 203.0.113.13");
}

TEST_F(PinPlanTest, WhatOneObjectExceptsAnotherMayPin) {
  AddGateway("wide", "2026-01-02T00:00:00Z", {"203.0.113.10"}, {"198.51.0.0/16"});
  AddGateway("fine", "2026-01-03T00:00:00Z", {"203.0.113.11"}, {"198.51.100.0/24"},
             {"198.51.100.128/25"});
  EXPECT_EQ(To("198.51.100.1"), "fine: 203.0.113.11");
  EXPECT_EQ(To("198.51.100.200"), "wide: 203.0.113.10");
  Add(Delta::Remove(model::Kind::kEgressGateway, {"", "wide"}));
  EXPECT_EQ(To("198.51.100.200"), "not pinned");
}

TEST_F(PinPlanTest, SelectorsChoosePods) {
  AddGateway("partner", "2026-01-01T00:00:00Z", {"203.0.113.10"}, {"198.51.100.0/24"});
  EgressGateway gateway = Get("partner");
  gateway.pods = Is("app", "db");
  Change(gateway);
  EXPECT_EQ(To("198.51.100.1"), "not pinned");
  EXPECT_EQ(To("198.51.100.1", {"a", "db"}), "partner: 203.0.113.10");
  gateway.pods.reset();
  gateway.namespaces = Is("team", "blue");
  Change(gateway);
  EXPECT_EQ(To("198.51.100.1"), "not pinned");
}

TEST_F(PinPlanTest, PodsOfTheHostAndEndedOnesAreNotPinned) {
  AddGateway("partner", "2026-01-01T00:00:00Z", {"203.0.113.10"}, {});
  model::Pod pod = *snapshot_.pods.at({"a", "web"});
  pod.host_network = true;
  Add(Delta::Set(std::make_shared<model::Pod>(pod)));
  EXPECT_EQ(To("198.51.100.1"), "not pinned");
  pod.host_network = false;
  pod.phase = model::PodPhase::kSucceeded;
  Add(Delta::Set(std::make_shared<model::Pod>(pod)));
  EXPECT_EQ(To("198.51.100.1"), "not pinned");
}

TEST_F(PinPlanTest, ANamespaceWithoutLabelsYetIsClosed) {
  AddPod("new", "web", "n1", {"10.1.0.9"});
  Add(Delta::Set(model::NamespacesListed{}));
  AddGateway("partner", "2026-01-01T00:00:00Z", {"203.0.113.10"}, {"198.51.100.0/24"});
  EgressGateway gateway = Get("partner");
  gateway.namespaces = Is("team", "red");
  Change(gateway);
  EXPECT_EQ(To("198.51.100.1", {"new", "web"}), "partner: dropped");
  EXPECT_THAT(why_, HasSubstr("labels of its namespace"));
  EXPECT_EQ(To("1.1.1.1", {"new", "web"}), "not pinned");
  // Its name is known, and says no, or makes no difference.
  gateway.namespaces = Selector({{"team", model::Operator::kIn, {"red"}},
                                 {"kubernetes.io/metadata.name", model::Operator::kIn, {"a"}}});
  Change(gateway);
  EXPECT_EQ(To("198.51.100.1", {"new", "web"}), "not pinned");
  gateway.namespaces = Selector();
  Change(gateway);
  EXPECT_EQ(To("198.51.100.1", {"new", "web"}), "partner: 203.0.113.10");
}

TEST_F(PinPlanTest, AnAddressOfTwoObjectsWithOtherNodesIsTheOlderOnes) {
  AddGateway("old", "2026-01-01T00:00:00Z", {"203.0.113.10"}, {"198.51.100.0/24"});
  AddGateway("same", "2026-01-02T00:00:00Z", {"203.0.113.10"}, {"198.51.101.0/24"});
  AddGateway("other", "2026-01-03T00:00:00Z", {"203.0.113.10"}, {"198.51.102.0/24"});
  EgressGateway other = Get("other");
  other.gateways = Is("role", "another");
  other.port_block_size = 64;
  Change(other);
  EXPECT_EQ(To("198.51.100.1"), "old: 203.0.113.10");
  EXPECT_EQ(To("198.51.101.1"), "same: 203.0.113.10");
  EXPECT_EQ(To("198.51.102.1"), "other: dropped");
  EXPECT_THAT(Complaints("old"), IsEmpty());
  EXPECT_THAT(Complaints("same"), IsEmpty());
  EXPECT_THAT(Complaints("other"), ElementsAre(HasSubstr("is that of EgressGateway old, which")));
  EXPECT_EQ(AddressesOf(snapshot_).at(A("203.0.113.10")).block_size, 1024);
}

TEST_F(PinPlanTest, AnAddressOfTheClusterCannotBeAnEgressIp) {
  AddGateway("tunnel", "2026-01-01T00:00:00Z", {"192.168.0.2"}, {"198.51.100.0/24"});
  EXPECT_EQ(To("198.51.100.1"), "tunnel: dropped");
  EXPECT_THAT(why_, HasSubstr("it is an address of Node n2"));
  AddGateway("pods", "2026-01-02T00:00:00Z", {"10.2.0.200"}, {"198.51.101.0/24"});
  EXPECT_EQ(To("198.51.101.1"), "pods: dropped");
}

TEST_F(PinPlanTest, OfSeveralAddressesAPodKeepsItsOwn) {
  std::vector<std::string> ips = {"203.0.113.10", "203.0.113.11", "203.0.113.12"};
  for (int i = 0; i < 100; ++i) {
    AddPod("c", "p" + std::to_string(i), "n1", {"10.1.0." + std::to_string(100 + i)});
  }
  auto all = [&] {
    std::map<std::string, std::string> out;
    for (int i = 0; i < 100; ++i) {
      std::string name = "p" + std::to_string(i);
      out[name] = To("198.51.100.1", {"c", name});
    }
    return out;
  };
  AddGateway("partner", "2026-01-01T00:00:00Z", ips, {"198.51.100.0/24"});
  auto three = all();
  std::map<std::string, int> share;
  for (const auto& [name, ip] : three) ++share[ip];
  ASSERT_EQ(share.size(), 3u);
  for (const auto& [ip, count] : share) EXPECT_GT(count, 15) << ip;
  // Another order, one less: only those move that had it.
  AddGateway("partner", "2026-01-01T00:00:00Z", {ips[2], ips[0]}, {"198.51.100.0/24"});
  for (const auto& [name, ip] : all()) {
    if (three[name] != "partner: " + ips[1]) EXPECT_EQ(ip, three[name]) << name;
  }
}

TEST_F(PinPlanTest, OverlapsAreSaidOfTheLoser) {
  AddGateway("wide", "2026-01-01T00:00:00Z", {"203.0.113.10"}, {"198.51.0.0/16"});
  AddGateway("old", "2026-01-02T00:00:00Z", {"203.0.113.11"}, {"198.51.100.0/24"});
  AddGateway("young", "2026-01-03T00:00:00Z", {"203.0.113.12"}, {"198.51.100.0/24"});
  EXPECT_THAT(Complaints("wide"),
              ElementsAre("spec.destinations: for pod a/db and 2 others, 198.51.100.0/24 leaves by "
                          "EgressGateway old, which is more specific"));
  EXPECT_THAT(Complaints("old"), IsEmpty());
  EXPECT_THAT(Complaints("young"),
              ElementsAre("spec.destinations: for pod a/db and 2 others, 198.51.100.0/24 leaves by "
                          "EgressGateway old, which is older"));
  // No pod is selected by both.
  EgressGateway old = Get("old");
  old.pods = Is("app", "nobody");
  Change(old);
  EXPECT_THAT(Complaints("young"), IsEmpty());
  EXPECT_THAT(Complaints("wide"), ElementsAre(HasSubstr("leaves by EgressGateway young")));
}

TEST_F(PinPlanTest, ADestinationWithinTheClusterIsSaid) {
  AddGateway("in", "2026-01-01T00:00:00Z", {"203.0.113.10"}, {"10.2.0.0/25", "198.51.100.0/24"});
  EXPECT_EQ(To("10.2.0.1"), "not pinned");
  EXPECT_THAT(Complaints("in"), ElementsAre(HasSubstr("10.2.0.0/25 is not pinned")));
}

TEST_F(PinPlanTest, ChangesElsewhereDoNotMatter) {
  AddGateway("all", "2026-01-01T00:00:00Z", {"203.0.113.10"}, {});
  PinPlan plan = MakePinPlan(snapshot_, "n1");
  model::Pod far = *snapshot_.pods.at({"b", "far"});
  far.labels = {{"app", "x"}};
  using Effect = PinPlan::Effect;
  auto effect = [&](const Delta& delta) { return plan.EffectOf(delta, "n1"); };
  EXPECT_EQ(effect(Delta::Set(std::make_shared<model::Pod>(far))), Effect::kNone);
  EXPECT_EQ(effect(Delta::Remove(model::Kind::kPod, far.name)), Effect::kNone);
  far.addresses = {A("172.31.0.5")};
  EXPECT_EQ(effect(Delta::Set(std::make_shared<model::Pod>(far))), Effect::kWorld);
  EXPECT_EQ(effect(Delta::Remove(model::Kind::kPod, {"a", "db"})), Effect::kPlan);
  EXPECT_EQ(effect(Delta::Remove(model::Kind::kNamespace, {"", "a"})), Effect::kPlan);
  EXPECT_EQ(effect(Delta::Remove(model::Kind::kNode, {"", "n2"})), Effect::kWorld);
  EXPECT_EQ(effect(Delta::Remove(model::Kind::kNetworkPolicy, {"a", "x"})), Effect::kNone);
  EXPECT_EQ(PinPlan().EffectOf(Delta::Remove(model::Kind::kNode, {"", "n1"}), "n1"), Effect::kNone);
}

TEST(Ranges, AreAsFewAsItTakes) {
  Ranges ranges = Fewest({C("10.0.1.0/24"), C("10.0.0.0/24"), C("10.0.2.0/23"), C("10.0.0.7/32"),
                          C("fd00::/64"), C("fd00:0:0:1::/64"), C("10.0.4.0/24")});
  EXPECT_THAT(ranges, ElementsAre(C("fd00::/63"), C("10.0.0.0/22"), C("10.0.4.0/24")));
  EXPECT_TRUE(Find(ranges, A("10.0.3.255")));
  EXPECT_FALSE(Find(ranges, A("10.0.5.0")));
  EXPECT_FALSE(Find(ranges, A("9.255.255.255")));
  EXPECT_TRUE(Covers(ranges, C("10.0.2.0/23")));
  EXPECT_FALSE(Covers(ranges, C("10.0.0.0/21")));
}

}  // namespace
}  // namespace sallyport::egress
