// SPDX-License-Identifier: Apache-2.0
#include "control/reconcile_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "support/temporary.h"
#include "unit/agent/fake_dataplane.h"
#include "unit/agent/tracker_world.h"

namespace sallyport::control {
namespace {

using endpoint::ClaimOf;
using endpoint::Ip;
using endpoint::PodOf;
using endpoint::Veth;
using testing::ElementsAre;
using testing::IsEmpty;

class ReconcileLoopTest : public testing::Test {
 protected:
  void SetUp() override {
    loop_ = std::make_unique<ReconcileLoop>(
        "n1", kernel_,
        std::make_unique<Reconciler>("n1", kernel_, endpoint::Tracker("n1", {}, resolver_),
                                     left_alone_, SystemClock()),
        log_, watches_, SystemClock());
  }
  void Tell() {
    endpoint::LinkUpdate links{
        .set = {Veth(3, "veth3"), Veth(4, "veth4")}, .gone = {}, .addresses = {}};
    loop_->Push(LinksChanged{links, {.closed = {3, 4}, .left_alone = {}, .failure = {}}});
    endpoint::CniUpdate claims;
    claims.set = {ClaimOf{"web", {"veth3"}}.Make()};
    claims.listed = true;
    loop_->Push(claims);
    loop_->Push(ObjectsChanged{
        {model::Delta::Set(PodOf{"web", {"10.0.0.1"}}.Make()),
         model::Delta::Set(PodOf{.name = "far", .addresses = {"10.0.1.1"}, .node = "n2"}.Make())},
        {},
        true});
  }

  test::TemporaryDirectory pins_;
  dataplane::FakeDataplane kernel_;
  endpoint::FakeResolver resolver_;
  LeftAlone left_alone_{pins_.path()};
  observe::EventLog log_;
  observe::WatchBoard watches_;
  std::unique_ptr<ReconcileLoop> loop_;
};

TEST_F(ReconcileLoopTest, AnAnswerKnowsAllThatWasToldBefore) {
  auto status = loop_->ReadStatus().value();
  EXPECT_FALSE(status.ready);
  EXPECT_EQ(status.reasons.size(), 3u);
  Tell();
  status = loop_->ReadStatus().value();
  EXPECT_TRUE(status.ready) << testing::PrintToString(status.reasons);
  EXPECT_EQ(status.node, "n1");
  EXPECT_EQ(status.tables.size(), 1u);
}

TEST_F(ReconcileLoopTest, StatusSaysWhereWatchesStand) {
  watches_.Update("pods", [](observe::WatchView& watch) { watch.last_error = "refused"; });
  watches_.Update("pods", [](observe::WatchView& watch) { watch.synced = true; });
  auto status = loop_->ReadStatus().value();
  ASSERT_EQ(status.watches.size(), 1u);
  EXPECT_EQ(status.watches[0].resource, "pods");
  EXPECT_TRUE(status.watches[0].synced);
  EXPECT_EQ(status.watches[0].last_error, "refused");
}

TEST_F(ReconcileLoopTest, Metrics) {
  for (const char* os : {"linux", "windows", ""}) {
    auto node = std::make_shared<model::Node>();
    node->name = "n-" + std::string(os);
    if (*os != '\0') node->labels = model::Labels{{"kubernetes.io/os", os}};
    loop_->Push(ObjectsChanged{{model::Delta::Set(model::NodePtr(node))}, {}, true});
  }
  kernel_.counters[3].packets[1] = 7;
  kernel_.counters[3].dropped[0]["policy"] = 2;
  Tell();
  watches_.Update("pods", [](observe::WatchView& watch) { watch.last_error = "refused"; });
  std::promise<observe::MetricsView> promise;
  loop_->AskMetrics([&](observe::MetricsView view) { promise.set_value(std::move(view)); });
  auto view = promise.get_future().get();
  EXPECT_FALSE(view.ready) << "the API server is not followed";
  EXPECT_THAT(view.reasons, ElementsAre("pods could not be listed yet: refused"));
  EXPECT_EQ(view.generation, kernel_.generation());
  EXPECT_EQ(view.open, 1u);
  EXPECT_EQ(view.unclaimed, 1u);
  EXPECT_EQ(view.objects.at("Pod"), 2u);
  EXPECT_EQ(view.objects.at("Node"), 3u);
  EXPECT_EQ(view.linux_nodes, 1u) << "the others are not this DaemonSet's";
  EXPECT_EQ(view.traffic.packets()[1], 7u);
  EXPECT_EQ(view.traffic.dropped()[0].at("policy"), 2u);
  EXPECT_GE(view.timings.compile.count(), 1u);
  EXPECT_EQ(view.timings.apply.count(), kernel_.generation());
  EXPECT_EQ(view.timings.delay.count(), kernel_.generation());
}

TEST_F(ReconcileLoopTest, AQuestionThatCannotBeAnsweredEndsNothing) {
  Tell();
  EXPECT_TRUE(loop_->ReadStatus().value().ready);
  kernel_.out_of_memory = true;
  auto endpoints = loop_->ReadEndpoints();
  ASSERT_FALSE(endpoints);
  EXPECT_THAT(endpoints.error().message, testing::HasSubstr("could not answer: "));
  loop_->AskMetrics([](const observe::MetricsView&) { FAIL() << "there is no answer"; });
  EXPECT_TRUE(loop_->ReadStatus().value().ready) << "it goes on";
}

TEST_F(ReconcileLoopTest, AWatchThatHangsIsAReasonNotToBeReady) {
  Tell();
  watches_.Update("pods", [](observe::WatchView& watch) {
    watch.synced = true;
    watch.lost_since = SystemClock().WallNow() - std::chrono::minutes(1);
  });
  EXPECT_THAT(loop_->ReadStatus().value().reasons,
              ElementsAre(testing::HasSubstr("pods are not followed at the moment")));
}

TEST_F(ReconcileLoopTest, Endpoints) {
  kernel_.counters[3].packets[1] = 7;
  kernel_.counters[3].dropped[0]["policy"] = 1;
  kernel_.counters[3].dropped[1]["policy"] = 2;
  Tell();
  auto endpoints = loop_->ReadEndpoints().value();
  ASSERT_EQ(endpoints.size(), 2u);
  EXPECT_EQ(endpoints[0].pod, "");
  EXPECT_EQ(endpoints[0].interface, "veth4");
  EXPECT_FALSE(endpoints[0].open);
  EXPECT_EQ(endpoints[0].why_closed, "no CNI result claims it");
  EXPECT_EQ(endpoints[1].pod, "shop/web");
  EXPECT_TRUE(endpoints[1].open);
  EXPECT_THAT(endpoints[1].addresses, ElementsAre(Ip("10.0.0.1")));
  EXPECT_EQ(endpoints[1].packets[1], 7u);
  EXPECT_EQ(endpoints[1].dropped.at("policy"), 3u);
}

TEST_F(ReconcileLoopTest, ExplainByWhatIsKnownNow) {
  Tell();
  auto policy = std::make_shared<model::NetworkPolicy>();
  policy->name = {"shop", "deny"};
  policy->isolates_ingress = true;
  auto answer = loop_->Explain({"shop/far", "shop/web", net::Protocol::kTcp, "80"}).value();
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_TRUE(answer[0].Passes());
  EXPECT_EQ(answer[0].tuple.destination, Ip("10.0.0.1"));
  loop_->Push(ObjectsChanged{{model::Delta::Set(policy)}, {}, true});
  answer = loop_->Explain({"10.0.1.1", "shop/web", net::Protocol::kTcp, "80"}).value();
  EXPECT_FALSE(answer.at(0).Passes());
  EXPECT_THAT(answer[0].verdict.ingress.isolating, ElementsAre(model::ObjectName{"shop", "deny"}));
}

// A policy never sees a Service's address: its backends are judged, each on its own port.
TEST_F(ReconcileLoopTest, ExplainJudgesTheBackendsOfAService) {
  Tell();
  auto policy = std::make_shared<model::NetworkPolicy>();  // of web and far
  policy->name = {"shop", "deny"};
  policy->isolates_ingress = true;
  model::Rule rule;
  rule.ports = {{net::Protocol::kTcp, net::PortRange{8080, 8080}}};
  policy->ingress = {rule};
  auto service = std::make_shared<model::Service>();
  service->name = {"shop", "front"};
  service->cluster_ips = {Ip("10.96.0.1")};
  service->ports = {{"main", net::Protocol::kTcp, 80, uint16_t{0}, 0}};
  auto slice = std::make_shared<model::EndpointSlice>();
  slice->name = {"shop", "front-1"};
  slice->service = "front";
  slice->ports = {{"main", net::Protocol::kTcp, 8080}};
  slice->endpoints.resize(2);
  slice->endpoints[0].addresses = {Ip("10.0.0.1")};
  slice->endpoints[0].pod = {"shop", "web"};
  slice->endpoints[1].addresses = {Ip("192.0.2.7")};
  auto other = std::make_shared<model::EndpointSlice>(*slice);
  other->name = {"shop", "front-2"};
  other->ports[0].port = 9090;
  other->endpoints.resize(1);
  other->endpoints[0].addresses = {Ip("10.0.1.1")};
  other->endpoints[0].pod = {"shop", "far"};
  loop_->Push(ObjectsChanged{{model::Delta::Set(model::NetworkPolicyPtr(policy)),
                              model::Delta::Set(model::ServicePtr(service)),
                              model::Delta::Set(model::EndpointSlicePtr(slice)),
                              model::Delta::Set(model::EndpointSlicePtr(other))},
                             {},
                             true});
  const auto tcp = net::Protocol::kTcp;
  for (const observe::ExplainQuestion& question :
       {observe::ExplainQuestion{"198.51.100.9", "10.96.0.1", tcp, "80"},
        observe::ExplainQuestion{"198.51.100.9", "svc/shop/front", tcp, "main"}}) {
    SCOPED_TRACE(question.to);
    auto answer = loop_->Explain(question).value();
    ASSERT_EQ(answer.size(), 3u);
    EXPECT_EQ(answer[0].to, "shop/web");
    EXPECT_EQ(answer[0].tuple.destination, Ip("10.0.0.1"));
    EXPECT_EQ(answer[0].tuple.destination_port, 8080);
    EXPECT_EQ(answer[0].service, "shop/front:80/TCP");
    EXPECT_TRUE(answer[0].Passes());
    EXPECT_EQ(answer[1].to, "192.0.2.7");
    EXPECT_EQ(answer[1].tuple.destination_port, 8080);
    EXPECT_EQ(answer[2].to, "shop/far");
    EXPECT_EQ(answer[2].tuple.destination_port, 9090);
    EXPECT_FALSE(answer[2].Passes()) << "the rule is about the backend's port";
  }
  auto error = [this](const observe::ExplainQuestion& question) {
    auto answer = loop_->Explain(question);
    return answer ? "an answer" : answer.error().message;
  };
  EXPECT_EQ(error({"shop/far", "svc/shop/front", tcp, "81"}),
            "to: Service shop/front has no such port; it has 80/TCP");
  EXPECT_EQ(error({"shop/far", "10.96.0.1", tcp, "81"}),
            "to: 10.96.0.1: Service shop/front has no such port; it has 80/TCP");
  EXPECT_EQ(error({"shop/far", "svc/front", tcp, "80"}), "to: write svc/namespace/name");
}

TEST_F(ReconcileLoopTest, ExplainSaysWhatIsClosedHere) {
  Tell();
  kernel_.Fail("apply");
  loop_->Push(ObjectsChanged{{model::Delta::Remove(model::Kind::kPod, {"shop", "web"})}, {}, true});
  loop_->Push(ObjectsChanged{{model::Delta::Set(PodOf{"web", {"10.0.0.9"}}.Make())}, {}, true});
  auto answer = loop_->Explain({"shop/far", "shop/web", net::Protocol::kTcp, "80"}).value();
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_FALSE(answer[0].Passes());
  ASSERT_EQ(answer[0].closed.size(), 1u);
  EXPECT_THAT(answer[0].closed[0], testing::StartsWith("shop/web on veth3: "));
}

TEST_F(ReconcileLoopTest, ExplainSaysWhyThereIsNoAnswer) {
  Tell();
  auto error = [this](const observe::ExplainQuestion& question) {
    auto answer = loop_->Explain(question);
    return answer ? "an answer" : answer.error().message;
  };
  const auto tcp = net::Protocol::kTcp;
  EXPECT_EQ(error({"shop/nobody", "shop/web", tcp, "80"}), "from: there is no pod shop/nobody");
  EXPECT_EQ(error({"shop/far", "web", tcp, "80"}),
            "to: 'web' is neither a pod (namespace/name) nor an address");
  EXPECT_EQ(error({"shop/far", "shop/web", tcp, "http"}),
            "port: 'http' is neither a port from 1 to 65535 nor the name of a TCP port of "
            "shop/web");
  EXPECT_EQ(error({"shop/far", "shop/web", tcp, "0"}).substr(0, 6), "port: ");
  EXPECT_EQ(error({"fd00::1", "shop/web", tcp, "80"}),
            "fd00::1 and shop/web have no address of one family in common");
  EXPECT_EQ(error({"10.0.1.1", "shop/web", net::Protocol::kIcmp, ""}), "an answer");
}

TEST_F(ReconcileLoopTest, PoliciesThatSelectPodsHere) {
  Tell();
  auto policy = std::make_shared<model::NetworkPolicy>();
  policy->name = {"shop", "deny"};
  policy->isolates_egress = true;
  auto elsewhere = std::make_shared<model::NetworkPolicy>(*policy);
  elsewhere->name.ns = "other";
  loop_->Push(ObjectsChanged{{model::Delta::Set(model::NetworkPolicyPtr(policy)),
                              model::Delta::Set(model::NetworkPolicyPtr(elsewhere))},
                             {},
                             true});
  auto policies = loop_->ReadPolicies().value();
  ASSERT_EQ(policies.size(), 1u);
  EXPECT_EQ(policies[0].policy, "shop/deny");
  EXPECT_THAT(policies[0].selects, ElementsAre("shop/web"));
  EXPECT_THAT(policies[0].directions, ElementsAre("egress"));
}

// An exception to policy is seen wherever policy is.
TEST_F(ReconcileLoopTest, WhatIsKeptIsShown) {
  Tell();
  kernel_.kept = 3;
  auto flows_kept = [this] {
    std::promise<uint64_t> promise;
    loop_->AskMetrics(
        [&](const observe::MetricsView& view) { promise.set_value(view.flows_kept); });
    return promise.get_future().get();
  };
  auto policy = [](const char* name, bool keeps) {
    auto out = std::make_shared<model::NetworkPolicy>();
    out->name = {"shop", name};
    out->isolates_egress = true;
    out->isolates_ingress = keeps;
    out->keeps_established = keeps;
    return model::Delta::Set(model::NetworkPolicyPtr(out));
  };
  loop_->Push(ObjectsChanged{{policy("keeps", true)}, {}, true});
  EXPECT_TRUE(loop_->ReadPolicies().value().at(0).keeps);
  EXPECT_THAT(loop_->ReadEndpoints().value().at(1).keeps, ElementsAre("egress", "ingress"));
  EXPECT_EQ(flows_kept(), 3u);
  loop_->Push(ObjectsChanged{{policy("other", false)}, {}, true});
  EXPECT_FALSE(loop_->ReadPolicies().value().at(1).keeps);
  EXPECT_THAT(loop_->ReadEndpoints().value().at(1).keeps, ElementsAre("ingress"));
  loop_->Push(ObjectsChanged{
      {model::Delta::Remove(model::Kind::kNetworkPolicy, {"shop", "keeps"})}, {}, true});
  EXPECT_THAT(loop_->ReadEndpoints().value().at(1).keeps, IsEmpty());
  EXPECT_EQ(flows_kept(), 0u) << "nobody is asked where nobody keeps";
}

TEST_F(ReconcileLoopTest, Flows) {
  dataplane::FlowEntry here, there;
  here.tuple = {Ip("10.0.1.1"), Ip("10.0.0.1"), net::Protocol::kTcp, 1, 2};
  here.destination_ifindex = 3;
  here.ingress_allowed = true;
  there.tuple = {Ip("192.0.2.1"), Ip("10.0.0.9"), net::Protocol::kTcp, 1, 2};
  kernel_.flows = {there, here, here};
  Tell();
  auto flows = loop_->ReadFlows(10, "").value();
  ASSERT_EQ(flows.size(), 3u);
  EXPECT_EQ(flows[1].source_pod, "shop/far");
  EXPECT_EQ(flows[1].destination_pod, "shop/web");
  EXPECT_FALSE(flows[1].egress.has_value());
  EXPECT_EQ(flows[1].ingress, true);
  EXPECT_EQ(loop_->ReadFlows(1, "shop/web").value().size(), 1u);
  EXPECT_THAT(loop_->ReadFlows(10, "shop/none").value(), IsEmpty());
}

TEST_F(ReconcileLoopTest, FlowsAsTheOutsideSeesThem) {
  dataplane::FlowEntry flow;
  flow.tuple = {Ip("10.0.0.1"), Ip("198.51.100.20"), net::Protocol::kTcp, 1, 2};
  kernel_.flows = {flow, flow, flow};
  kernel_.flows[1].pinned = kernel_.flows[2].pinned = true;
  kernel_.flows[2].egress_ip = Ip("203.0.113.10");
  kernel_.flows[2].egress_port = 2048;
  auto flows = loop_->ReadFlows(10, "").value();
  EXPECT_FALSE(flows.at(0).pinned);
  EXPECT_TRUE(flows.at(1).pinned);
  EXPECT_EQ(flows[1].egress_ip, std::nullopt) << "it has no port yet";
  EXPECT_EQ(flows.at(2).egress_ip, Ip("203.0.113.10"));
  EXPECT_EQ(flows[2].egress_port, 2048);
}

TEST_F(ReconcileLoopTest, EgressIsAskedOfWhoSeesToIt) {
  EXPECT_EQ(loop_->ReadEgress().value().node, "n1");
  EXPECT_THAT(loop_->ReadEgress().value().addresses, IsEmpty());
  loop_->SetEgress([] {
    observe::EgressView view;
    view.takeovers = 3;
    return view;
  });
  EXPECT_EQ(loop_->ReadEgress().value().takeovers, 3u);
  std::promise<uint64_t> promise;
  loop_->AskMetrics(
      [&](const observe::MetricsView& view) { promise.set_value(view.egress.takeovers); });
  EXPECT_EQ(promise.get_future().get(), 3u);
}

TEST_F(ReconcileLoopTest, ExplainSaysHowItLeaves) {
  Tell();
  auto gateway = std::make_shared<model::EgressGateway>();
  gateway->name = "partner";
  gateway->egress_ips = {Ip("203.0.113.10")};
  gateway->destinations = {*net::Cidr::Parse("198.51.100.0/24"),
                           *net::Cidr::Parse("2001:db8::/32")};
  loop_->Push(ObjectsChanged{{model::Delta::Set(model::EgressGatewayPtr(gateway))}, {}, true});
  auto ask = [this](const char* from, const char* to) {
    return loop_->Explain({from, to, net::Protocol::kTcp, "443"}).value().at(0);
  };
  observe::ExplainView answer = ask("shop/web", "198.51.100.20");
  EXPECT_TRUE(answer.Passes());
  ASSERT_TRUE(answer.pin);
  EXPECT_EQ(answer.pin->gateway, "partner");
  EXPECT_EQ(answer.pin->target.egress_ip, Ip("203.0.113.10"));
  EXPECT_FALSE(ask("shop/web", "192.0.2.1").pin) << "another destination";
  EXPECT_FALSE(ask("192.0.2.1", "shop/web").pin) << "another source";
  auto nowhere = std::make_shared<model::EgressGateway>(*gateway);
  nowhere->egress_ips = {Ip("2001:db8:ffff::10")};
  loop_->Push(ObjectsChanged{{model::Delta::Set(model::EgressGatewayPtr(nowhere))}, {}, true});
  answer = ask("shop/web", "198.51.100.20");
  EXPECT_TRUE(answer.verdict.allowed);
  EXPECT_FALSE(answer.Passes()) << "it has no address to leave with";
}

TEST_F(ReconcileLoopTest, DropsReachTheLog) {
  Tell();
  dataplane::DropEvent event;
  event.ifindex = event.endpoint = 3;
  event.reason = "spoofed-source";
  uint64_t from = log_.End();
  loop_->Push(event);
  auto batch = log_.Read(from, 1, std::chrono::minutes(1));
  ASSERT_EQ(batch.events.size(), 1u);
  EXPECT_EQ(batch.events[0]->endpoint, "shop/web");
}

}  // namespace
}  // namespace sallyport::control
