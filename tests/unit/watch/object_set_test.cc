// SPDX-License-Identifier: Apache-2.0
#include "watch/object_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "watch/object_decoder.h"

namespace sallyport::watch {
namespace {

using model::Kind;
using model::ObjectName;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// As the API server writes it, with what nobody here needs.
std::string PodText(const std::string& name, const std::string& ip,
                    const std::string& label = "a") {
  return R"({"metadata":{"name":")" + name + R"(","namespace":"shop","uid":"u-)" + name +
         R"(","resourceVersion":"7","creationTimestamp":null,"labels":{"app":")" + label +
         R"("},"managedFields":[{"manager":"x","fieldsV1":{"f:metadata":{"f:name":{}}}}],)"
         R"("annotations":{"new in/this version":"yes"}},)"
         R"("spec":{"volumes":null,"containers":[{"name":"c","image":"i","env":[{"name":"E"}],)"
         R"("ports":[{"containerPort":80,"name":"http","protocol":"TCP"}],"newField":{"x":[1]}}],)"
         R"("nodeName":"n1","initContainers":null,"tolerations":[{}]},)"
         R"("status":{"phase":"Running","podIP":")" +
         ip + R"(","podIPs":[{"ip":")" + ip + R"("}],"conditions":null,"surprise":1}})";
}

std::string PolicyText(const std::string& spec) {
  return R"({"metadata":{"name":"p","namespace":"shop"},"spec":)" + spec + "}";
}

model::NetworkPolicyPtr PolicyOf(const model::Delta& delta) {
  return std::get<model::NetworkPolicyPtr>(delta.object);
}

TEST(DecodeObjectTest, Pod) {
  DecodedObject decoded = DecodeObject(Kind::kPod, PodText("web", "10.0.0.1"));
  EXPECT_THAT(decoded.errors, IsEmpty());
  ASSERT_TRUE(decoded.delta);
  const model::Pod& pod = *std::get<model::PodPtr>(decoded.delta->object);
  EXPECT_EQ(pod.name.ToString(), "shop/web");
  EXPECT_EQ(pod.uid, "u-web");
  EXPECT_EQ(pod.node, "n1");
  EXPECT_EQ(pod.labels.ToString(), "app=a");
  EXPECT_EQ(pod.phase, model::PodPhase::kRunning);
  EXPECT_THAT(pod.addresses, ElementsAre(net::Address::Parse("10.0.0.1").value()));
  ASSERT_THAT(pod.ports, SizeIs(1));
  EXPECT_EQ(pod.ports[0].name, "http");
  EXPECT_EQ(pod.place.ToString(), "");
}

TEST(DecodeObjectTest, OtherKinds) {
  auto good = [](Kind kind, const char* text) {
    DecodedObject decoded = DecodeObject(kind, text);
    EXPECT_THAT(decoded.errors, IsEmpty());
    return decoded.delta.has_value() && decoded.delta->kind == kind;
  };
  EXPECT_TRUE(good(Kind::kNamespace, R"({"kind":"Namespace","apiVersion":"v1","metadata":
      {"name":"shop","labels":{"kubernetes.io/metadata.name":"shop"}},"status":{"phase":"Active"}})"));
  EXPECT_TRUE(good(Kind::kNode, R"({"metadata":{"name":"n1"},"spec":{"podCIDR":"10.0.0.0/24",
      "podCIDRs":["10.0.0.0/24"],"taints":[]},"status":{"addresses":[{"type":"InternalIP",
      "address":"192.168.0.1"}],"images":[{"names":[]}]}})"));
  EXPECT_TRUE(good(Kind::kService, R"({"metadata":{"name":"s","namespace":"shop"},"spec":
      {"clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1"],"ports":[{"port":80,"targetPort":80,
      "protocol":"TCP"}],"type":"ClusterIP"},"status":{"loadBalancer":{}}})"));
  EXPECT_TRUE(good(Kind::kEndpointSlice, R"({"addressType":"IPv4","endpoints":null,"ports":null,
      "metadata":{"name":"s-1","namespace":"shop","generateName":"s-"}})"));
  EXPECT_TRUE(good(Kind::kNetworkPolicy, R"({"metadata":{"name":"p","namespace":"shop"},"spec":
      {"podSelector":{},"ingress":null,"policyTypes":["Ingress"]},"status":{}})"));
}

TEST(DecodeObjectTest, APolicyThatSaysMoreThanIsKnownIsNotUnderstood) {
  for (const char* spec :
       {R"({"podSelector":{},"ingress":[{"from":[{"podSelector":{}}],"narrow":1}]})",
        R"({"podSelector":{},"ingress":[{"from":[{"podSelector":{},"narrow":1}]}]})",
        R"({"podSelector":{},"egress":[{"ports":[{"protocol":"TCP","narrow":1}]}]})",
        R"({"podSelector":{"narrow":[]},"ingress":[{}]})",
        R"({"podSelector":{"matchExpressions":[{"key":"a","operator":"Exists","narrow":1}]}})",
        R"({"podSelector":{},"narrow":{}})", R"({"podSelector":{},"policyTypes":["Sideways"]})",
        R"({"podSelector":{"matchExpressions":[{"key":"a","operator":"Like","values":["x"]}]}})",
        R"({"podSelector":{},"ingress":[{"from":[{"service":"x"}]}]})"}) {
    DecodedObject decoded = DecodeObject(Kind::kNetworkPolicy, PolicyText(spec));
    EXPECT_FALSE(decoded.delta) << spec;
    EXPECT_THAT(decoded.errors, testing::Not(IsEmpty())) << spec;
    EXPECT_EQ(decoded.name.ToString(), "shop/p");
  }
}

std::string GatewayText(const std::string& spec) {
  return R"({"apiVersion":"sallyport.io/v1alpha1","kind":"EgressGateway","metadata":{"name":"g",)"
         R"("uid":"u-1","generation":3,"creationTimestamp":"2026-01-02T03:04:05Z",)"
         R"("resourceVersion":"9","managedFields":[{"manager":"kubectl"}]},"spec":)" +
         spec + R"(,"status":{"conditions":[{"type":"Ready"}],"addresses":[]}})";
}

// A good spec, but for what `more` says.
std::string GatewaySpec(const std::string& more, const std::string& pods = R"({"podSelector":{}})",
                        const std::string& destinations = R"({"cidrs":["198.51.100.0/24"]})") {
  return R"({"egressIPs":["203.0.113.10"],"gateways":{"nodeSelector":{}},"pods":)" + pods +
         R"(,"destinations":)" + destinations + more + "}";
}

model::EgressGatewayPtr GatewayOf(const model::Delta& delta) {
  return std::get<model::EgressGatewayPtr>(delta.object);
}

TEST(DecodeObjectTest, EgressGateway) {
  DecodedObject decoded =
      DecodeObject(Kind::kEgressGateway, GatewayText(GatewaySpec(R"(,"portBlockSize":128)")));
  EXPECT_THAT(decoded.errors, IsEmpty());
  EXPECT_THAT(decoded.warnings, IsEmpty());
  ASSERT_TRUE(decoded.delta);
  EXPECT_EQ(decoded.delta->name, (ObjectName{"", "g"}));
  auto gateway = GatewayOf(*decoded.delta);
  EXPECT_EQ(gateway->uid, "u-1");
  EXPECT_EQ(gateway->created, "2026-01-02T03:04:05Z");
  EXPECT_EQ(gateway->generation, 3);
  EXPECT_THAT(gateway->egress_ips, SizeIs(1));
  EXPECT_THAT(gateway->destinations, SizeIs(1));
  EXPECT_EQ(gateway->port_block_size, 128);
  decoded = DecodeObject(Kind::kEgressGateway, GatewayText(GatewaySpec("", "{}")));
  EXPECT_TRUE(decoded.delta);
  EXPECT_THAT(decoded.warnings, SizeIs(1)) << "nobody else says it";
}

TEST(DecodeObjectTest, AnEgressGatewayThatSaysMoreThanIsKnownIsNotUnderstood) {
  for (const std::string& spec :
       {GatewaySpec(R"(,"narrow":1)"), GatewaySpec("", R"({"podSelector":{},"narrow":1})"),
        GatewaySpec("", R"({"podSelector":{"narrow":1}})"),
        GatewaySpec("", "{}", R"({"narrow":["a"]})"),
        GatewaySpec(R"(,"gateways":{"nodeSelector":{},"narrow":1})"),
        GatewaySpec(R"(,"portBlockSize":100)")}) {
    DecodedObject decoded = DecodeObject(Kind::kEgressGateway, GatewayText(spec));
    EXPECT_FALSE(decoded.delta) << spec;
    EXPECT_THAT(decoded.errors, testing::Not(IsEmpty())) << spec;
    EXPECT_EQ(decoded.name, (ObjectName{"", "g"}));
  }
}

TEST(DecodeObjectTest, OfANodesStatusOnlyWhatIsUsed) {
  auto node = [](const std::string& heartbeat, const std::string& ready) {
    DecodedObject decoded = DecodeObject(
        Kind::kNode, R"({"metadata":{"name":"n1","resourceVersion":")" + heartbeat +
                         R"("},"spec":{"unschedulable":true},"status":{"addresses":
      [{"type":"InternalIP","address":"192.168.0.1"},{"type":"ExternalIP","address":"192.0.2.1"}],
      "conditions":[{"type":"MemoryPressure","status":"False","lastHeartbeatTime":")" +
                         heartbeat + R"("},{"type":"Ready","lastHeartbeatTime":")" + heartbeat +
                         R"(","status":")" + ready + R"("}],"nodeInfo":{"bootID":"b-1",
      "kernelVersion":"6.1"},"allocatable":{"cpu":")" +
                         heartbeat + R"("}}})");
    EXPECT_THAT(decoded.errors, IsEmpty());
    return *std::get<model::NodePtr>(decoded.delta.value().object);
  };
  model::Node ready = node("1", "True");
  EXPECT_TRUE(ready.ready && ready.unschedulable);
  EXPECT_EQ(ready.boot_id, "b-1");
  EXPECT_THAT(ready.internal_addresses, ElementsAre(net::Address::Parse("192.168.0.1").value()));
  EXPECT_THAT(ready.addresses, SizeIs(2));
  EXPECT_EQ(ready, node("2", "True")) << "a heartbeat is no news";
  EXPECT_NE(ready, node("2", "Unknown"));
}

TEST(DecodeObjectTest, AnnotationsAndEscapes) {
  DecodedObject decoded = DecodeObject(
      Kind::kPod, R"({"metadata":{"\u006eame":"web","namespace":"shop","labels":{"a":"\u0062"}},
      "spec":{"containers":[{"name":"c"}]}})");
  ASSERT_TRUE(decoded.delta) << decoded.errors.front().ToString();
  EXPECT_EQ(std::get<model::PodPtr>(decoded.delta->object)->labels.ToString(), "a=b");
  EXPECT_EQ(decoded.name.ToString(), "shop/web");
}

TEST(DecodeObjectTest, WhatAPolicySaysOfEstablishedConnections) {
  auto decode = [](const std::string& value, const std::string& spec) {
    return DecodeObject(Kind::kNetworkPolicy,
                        R"({"metadata":{"name":"p","namespace":"shop","annotations":)"
                        R"({"other":"x","sallyport.io/established":")" +
                            value + R"("}},"spec":)" + spec + "}");
  };
  DecodedObject keeping = decode("keep", R"({"podSelector":{}})");
  ASSERT_TRUE(keeping.delta);
  EXPECT_TRUE(PolicyOf(*keeping.delta)->keeps_established);
  EXPECT_THAT(keeping.warnings, IsEmpty());
  DecodedObject wrong = decode("kept", R"({"podSelector":{}})");
  ASSERT_TRUE(wrong.delta) << "the spec is in force all the same";
  EXPECT_FALSE(PolicyOf(*wrong.delta)->keeps_established);
  EXPECT_THAT(wrong.errors, IsEmpty());
  ASSERT_THAT(wrong.warnings, SizeIs(1));
  EXPECT_THAT(wrong.warnings[0].ToString(), HasSubstr("\"kept\""));
  model::Delta closed = ClosedPolicy(
      {"shop", "p"}, R"({"metadata":{"name":"p","namespace":"shop","annotations":)"
                     R"({"sallyport.io/established":"keep"}},"spec":{"podSelector":{},"new":1}})");
  EXPECT_FALSE(PolicyOf(closed)->keeps_established) << "not understood";
}

TEST(ClosedPolicyTest, SelectsWhatCanBeRead) {
  auto closed = [](const char* spec) {
    return PolicyOf(ClosedPolicy({"shop", "p"}, PolicyText(spec)));
  };
  auto policy = closed(R"({"podSelector":{"matchLabels":{"a":"b"}},"policyTypes":["Egress"],
                           "ingress":[{"odd":1}]})");
  EXPECT_EQ(policy->pods.ToString(), "a=b");
  EXPECT_FALSE(policy->isolates_ingress);
  EXPECT_TRUE(policy->isolates_egress);
  EXPECT_THAT(policy->ingress, IsEmpty());
  policy = closed(R"({"podSelector":{},"ingress":[{"odd":1}]})");
  EXPECT_TRUE(policy->isolates_ingress);
  EXPECT_FALSE(policy->isolates_egress) << "as policyTypes defaults";
  policy = closed(R"({"podSelector":{},"egress":[{"odd":1}]})");
  EXPECT_TRUE(policy->isolates_ingress && policy->isolates_egress);
  policy = closed(R"({"podSelector":{"odd":{}},"policyTypes":["Ingress"]})");
  EXPECT_TRUE(policy->pods.MatchesEverything());
  policy = closed(R"({"podSelector":"odd","policyTypes":["Ingress"]})");
  EXPECT_TRUE(policy->pods.MatchesEverything());
  EXPECT_TRUE(policy->isolates_ingress && policy->isolates_egress);
}

TEST(ClosedGatewayTest, SelectsWhatCanBeRead) {
  auto closed = [](const std::string& spec) {
    auto gateway = GatewayOf(ClosedGateway({"", "g"}, GatewayText(spec)));
    EXPECT_THAT(gateway->egress_ips, IsEmpty());
    EXPECT_EQ(gateway->name, "g");
    EXPECT_EQ(gateway->uid, "u-1");
    EXPECT_EQ(gateway->created, "2026-01-02T03:04:05Z") << "what is older counts first";
    return gateway;
  };
  const std::string team_a =
      R"({"namespaceSelector":{"matchLabels":{"team":"a"}},"podSelector":{"matchLabels":{"x":"y"}}})";
  auto gateway = closed(GatewaySpec(R"(,"odd":1)", team_a));
  EXPECT_EQ(gateway->namespaces.value().ToString(), "team=a");
  EXPECT_EQ(gateway->pods.value().ToString(), "x=y");
  ASSERT_THAT(gateway->destinations, SizeIs(1));
  EXPECT_EQ(gateway->destinations[0].ToString(), "198.51.100.0/24");
  gateway = closed(GatewaySpec("", R"({"namespaceSelector":{"matchLabels":{"team":"a"}},
                                       "podSelector":{"odd":1},"odd":2})"));
  EXPECT_EQ(gateway->namespaces.value().ToString(), "team=a");
  EXPECT_FALSE(gateway->pods) << "any";
  gateway = closed(GatewaySpec("", "[]", "[]"));
  EXPECT_FALSE(gateway->namespaces || gateway->pods);
  EXPECT_THAT(gateway->destinations, IsEmpty()) << "all that is not the cluster";
  gateway = closed(GatewaySpec("", team_a, R"({"cidrs":["10.0.0.0/8","odd"]})"));
  EXPECT_THAT(gateway->destinations, IsEmpty());
  gateway = closed(GatewaySpec("", team_a, R"({"cidrs":["10.0.0.0/8"],"except":["odd"]})"));
  EXPECT_THAT(gateway->destinations, SizeIs(1));
  EXPECT_THAT(gateway->except, IsEmpty());
  gateway = closed(GatewaySpec("", team_a, R"({"cidrs":["10.0.0.0/8"],"odd":["a.example"]})"));
  EXPECT_THAT(gateway->destinations, IsEmpty()) << "it may mean others";
  gateway = closed(
      GatewaySpec(R"(,"odd":1)", team_a, R"({"cidrs":["10.0.0.0/8"],"except":["10.1.0.0/16"]})"));
  EXPECT_THAT(gateway->except, SizeIs(1));
  gateway = closed("null");
  EXPECT_THAT(gateway->destinations, IsEmpty());
}

class ObjectSetTest : public testing::Test {
 protected:
  ObjectSet Make(Kind kind) {
    return ObjectSet(kind, [this](ObjectUpdate update) {
      for (const model::Delta& delta : update.deltas) {
        snapshot_.Apply(delta);
        told_.push_back((std::holds_alternative<std::monostate>(delta.object) ? "-" : "+") +
                        delta.name.name);
      }
      complete_ = update.complete;
      standing_ = std::move(update.standing);
    });
  }
  std::vector<std::string> Told() { return std::exchange(told_, {}); }

  model::Snapshot snapshot_;
  std::vector<std::string> told_;
  bool complete_ = false;
  model::Diagnostics standing_;
};

TEST_F(ObjectSetTest, AListSaysWhatIsGone) {
  ObjectSet set = Make(Kind::kPod);
  set.BeginList();
  set.Set(PodText("a", "10.0.0.1"));
  set.Set(PodText("b", "10.0.0.2"));
  set.Flush();
  EXPECT_FALSE(complete_);
  set.EndList();
  set.Flush();
  EXPECT_TRUE(complete_);
  EXPECT_THAT(Told(), ElementsAre("+a", "+b"));
  set.BeginList();
  set.Set(PodText("b", "10.0.0.2"));
  set.Set(PodText("c", "10.0.0.3"));
  set.BeginList();  // the first one broke off
  set.Set(PodText("b", "10.0.0.2"));
  set.Flush();
  EXPECT_TRUE(complete_);
  EXPECT_THAT(Told(), ElementsAre("+c")) << "nothing is gone before the list's end";
  set.EndList();
  set.Flush();
  EXPECT_THAT(Told(), ElementsAre("-a", "-c"));
}

TEST_F(ObjectSetTest, OnceTheyAreListedANamespaceThatIsNotThereIsUnknown) {
  ObjectSet set = Make(Kind::kNamespace);
  set.BeginList();
  set.Set(R"({"metadata":{"name":"shop","labels":null}})");
  set.Set(R"({"metadata":{"name":"evil","labels":{"a b":1}}})");
  set.Flush();
  EXPECT_FALSE(snapshot_.namespaces_listed);
  set.EndList();
  set.Flush();
  EXPECT_TRUE(snapshot_.namespaces_listed);
  EXPECT_TRUE(snapshot_.KnowsLabelsOf("shop"));
  EXPECT_FALSE(snapshot_.KnowsLabelsOf("evil")) << "it was not understood";
  set.Remove(R"({"metadata":{"name":"shop"}})");
  set.Flush();
  EXPECT_FALSE(snapshot_.KnowsLabelsOf("shop"));

  snapshot_ = {};
  ObjectSet pods = Make(Kind::kPod);
  pods.BeginList();
  pods.EndList();
  pods.Flush();
  EXPECT_FALSE(snapshot_.namespaces_listed);
}

TEST_F(ObjectSetTest, OnlyWhatIsNewIsTold) {
  ObjectSet set = Make(Kind::kPod);
  set.Set(PodText("a", "10.0.0.1"));
  set.Set(PodText("a", "10.0.0.1"));
  set.Flush();
  EXPECT_THAT(Told(), ElementsAre("+a"));
  set.Set(PodText("a", "10.0.0.1", "b"));
  set.Remove(PodText("a", "10.0.0.1", "old label"));
  set.Remove(PodText("a", "10.0.0.1"));
  set.Flush();
  EXPECT_THAT(Told(), ElementsAre("+a", "-a"));
}

TEST_F(ObjectSetTest, ABrokenPodKeepsWhatItWas) {
  ObjectSet set = Make(Kind::kPod);
  set.BeginList();
  set.Set(PodText("a", "10.0.0.1"));
  set.Set(PodText("b", "10.0.0.300"));
  set.EndList();
  set.Set(PodText("a", "nonsense"));
  set.Flush();
  EXPECT_TRUE(complete_);
  EXPECT_THAT(Told(), ElementsAre("+a"));
  ASSERT_FALSE(standing_.empty());
  EXPECT_THAT(standing_.front().ToString(), HasSubstr("Pod shop/a: status.podIP"));
  EXPECT_THAT(standing_.front().ToString(), HasSubstr("what it was before stays in force"));
  EXPECT_THAT(standing_.back().ToString(), HasSubstr("Pod shop/b"));
  EXPECT_THAT(standing_.back().ToString(), HasSubstr("it counts as absent"));
  set.Set(PodText("a", "10.0.0.2"));
  set.Remove(PodText("b", ""));
  set.Flush();
  EXPECT_THAT(Told(), ElementsAre("+a"));
  EXPECT_THAT(standing_, IsEmpty());
}

TEST_F(ObjectSetTest, ABrokenPolicyIsNeverAbsent) {
  ObjectSet set = Make(Kind::kNetworkPolicy);
  const std::string odd = PolicyText(R"({"podSelector":{},"ingress":[{"odd":1}]})");
  const std::string good = PolicyText(R"({"podSelector":{},"ingress":[{}]})");
  set.BeginList();
  set.Set(odd);
  set.EndList();
  set.Flush();
  ASSERT_EQ(snapshot_.policies.size(), 1u);
  EXPECT_THAT(snapshot_.policies.begin()->second->ingress, IsEmpty());
  EXPECT_TRUE(snapshot_.policies.begin()->second->isolates_ingress);
  EXPECT_THAT(standing_.front().ToString(), HasSubstr("allows nothing"));
  set.Set(good);
  set.Flush();
  EXPECT_THAT(snapshot_.policies.begin()->second->ingress, SizeIs(1));
  EXPECT_THAT(standing_, IsEmpty());
  set.Set(odd);
  set.Flush();
  EXPECT_THAT(snapshot_.policies.begin()->second->ingress, SizeIs(1)) << "the last good one stays";
  EXPECT_THAT(standing_, SizeIs(1));
  set.BeginList();
  set.EndList();
  set.Flush();
  EXPECT_THAT(snapshot_.policies, IsEmpty());
  EXPECT_THAT(standing_, IsEmpty());
}

TEST_F(ObjectSetTest, ABrokenGatewayIsNeverAbsent) {
  ObjectSet set = Make(Kind::kEgressGateway);
  const std::string odd = GatewayText(GatewaySpec(R"(,"odd":1)"));
  set.BeginList();
  set.Set(odd);
  set.EndList();
  set.Flush();
  ASSERT_EQ(snapshot_.egress_gateways.size(), 1u);
  EXPECT_THAT(snapshot_.egress_gateways.at("g")->egress_ips, IsEmpty());
  ASSERT_THAT(standing_, SizeIs(1));
  EXPECT_THAT(standing_[0].ToString(),
              HasSubstr("EgressGateway g: spec.odd: is a field that this"));
  EXPECT_THAT(standing_[0].ToString(), HasSubstr("do not reach its destinations"));
  set.Set(GatewayText(GatewaySpec("")));
  set.Flush();
  EXPECT_THAT(snapshot_.egress_gateways.at("g")->egress_ips, SizeIs(1));
  EXPECT_THAT(standing_, IsEmpty());
  Told();
  set.Set(GatewayText(GatewaySpec("")));
  set.Set(odd);
  set.Flush();
  EXPECT_THAT(Told(), IsEmpty()) << "the last good one stays";
  EXPECT_THAT(standing_, SizeIs(1));
  set.Remove(odd);
  set.Flush();
  EXPECT_TRUE(snapshot_.egress_gateways.empty());
}

TEST_F(ObjectSetTest, AListWithSomethingUnreadableRemovesNothing) {
  ObjectSet set = Make(Kind::kPod);
  set.BeginList();
  set.Set(PodText("a", "10.0.0.1"));
  set.EndList();
  set.BeginList();
  set.Set(R"({"metadata":{},"spec":{}})");
  set.EndList();
  set.Flush();
  EXPECT_THAT(Told(), ElementsAre("+a"));
  EXPECT_THAT(standing_, testing::Not(IsEmpty()));
  set.BeginList();
  set.EndList();
  set.Flush();
  EXPECT_THAT(Told(), ElementsAre("-a"));
  EXPECT_THAT(standing_, IsEmpty());
}

}  // namespace
}  // namespace sallyport::watch
