// SPDX-License-Identifier: Apache-2.0
#include "control/drops.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/log.h"
#include "model/document.h"
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
using testing::HasSubstr;
using testing::IsEmpty;

TEST(DropMailboxTest, SaysOnceThatItIsNotEmptyAndLosesWhatDoesNotFit) {
  DropMailbox mailbox;
  dataplane::DropEvent event;
  EXPECT_TRUE(mailbox.Put(event));
  EXPECT_FALSE(mailbox.Put(event));
  for (int i = 0; i < 3000; ++i) mailbox.Put(event);
  bool more = false;
  auto first = mailbox.Take(10, more);
  EXPECT_EQ(first.size(), 10u);
  EXPECT_TRUE(more);
  EXPECT_EQ(first.front().suppressed, 3002u - 2048u);
  EXPECT_EQ(mailbox.Take(5000, more).size(), 2038u);
  EXPECT_FALSE(more);
  EXPECT_TRUE(mailbox.Put(event));
}

// web (10.0.0.1) is isolated for ingress by "deny", with one rule that does not fit.
class DropReporterTest : public testing::Test {
 protected:
  void SetUp() override {
    endpoint::LinkUpdate links{.set = {Veth(3, "veth3")}, .gone = {}, .addresses = {}};
    reconciler_.Take(LinksChanged{links, {}});
    endpoint::CniUpdate claims;
    claims.set = {ClaimOf{"web", {"veth3"}}.Make()};
    claims.listed = true;
    reconciler_.Take(claims);
    auto policy = std::make_shared<model::NetworkPolicy>();
    policy->name = {"shop", "deny"};
    policy->isolates_ingress = true;
    model::Rule rule;
    rule.ports = {{net::Protocol::kTcp, net::PortRange{443, 443}}};
    policy->ingress = {rule};
    reconciler_.Take(ObjectsChanged{{model::Delta::Set(PodOf{"web", {"10.0.0.1"}}.Make()),
                                     model::Delta::Set(PodOf{"db", {"10.0.0.2"}}.Make()),
                                     model::Delta::Set(model::NetworkPolicyPtr(policy))},
                                    {},
                                    true});
    reconciler_.Reconcile();
  }
  static dataplane::DropEvent Event(const std::string& reason, uint16_t source_port = 1000) {
    dataplane::DropEvent event;
    event.ifindex = event.endpoint = 3;
    event.direction = policy::Direction::kIngress;
    event.reason = reason;
    event.description = "for a person";
    event.tuple = {Ip("10.0.0.2"), Ip("10.0.0.1"), net::Protocol::kTcp, source_port, 80};
    event.suppressed = 4;
    return event;
  }
  observe::EventView Report(const dataplane::DropEvent& event) {
    reporter_.Report(event, reconciler_);
    return *log_.Read(0, 100000, Duration::zero()).events.back();
  }

  test::TemporaryDirectory pins_;
  FakeClock clock_;
  dataplane::FakeDataplane kernel_;
  endpoint::FakeResolver resolver_;
  LeftAlone left_alone_{pins_.path()};
  Reconciler reconciler_{"n1", kernel_, endpoint::Tracker("n1", {}, resolver_), left_alone_,
                         clock_};
  observe::EventLog log_;
  DropReporter reporter_{log_, clock_};
};

TEST_F(DropReporterTest, NamesBothEndsThePoliciesAndTheNearestRule) {
  auto view = Report(Event("policy"));
  EXPECT_EQ(view.endpoint, "shop/web");
  EXPECT_EQ(view.interface, "veth3");
  EXPECT_EQ(view.direction, "ingress");
  EXPECT_EQ(view.source_pod, "shop/db");
  EXPECT_EQ(view.destination_pod, "shop/web");
  EXPECT_THAT(view.isolating, ElementsAre("shop/deny"));
  EXPECT_THAT(view.near_miss, HasSubstr("shop/deny ingress[0]: "));
  EXPECT_THAT(view.near_miss, HasSubstr("443"));
  EXPECT_EQ(view.suppressed, 4u);
}

// Every line that the log gets meanwhile, as the JSON it is.
template <typename Work>
std::vector<model::Value> JsonLog(Work work) {
  StartLog(LogLevel::kInfo, LogFormat::kJson);
  testing::internal::CaptureStderr();
  work();
  std::istringstream lines(testing::internal::GetCapturedStderr());
  StartLog(LogLevel::kInfo, LogFormat::kText);
  std::vector<model::Value> out;
  for (std::string line; std::getline(lines, line);) {
    auto parsed = model::ParseText(line, "log");
    EXPECT_FALSE(model::HasErrors(parsed.diagnostics)) << line;
    EXPECT_EQ(parsed.documents.size(), 1u) << line;
    out.push_back(parsed.documents.empty() ? model::Value() : parsed.documents.front());
  }
  return out;
}

std::string TextOf(const model::Value& value, const std::string& key) {
  const model::Value* member = value.Find(key);
  return member == nullptr ? "(none)" : member->text;
}

TEST_F(DropReporterTest, JsonLogHasAMemberForEachPart) {
  auto event = Event("policy");
  event.description = "odd \"text\" \\ and\nlines\x01";
  auto lines = JsonLog([&] { Report(event); });
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(TextOf(lines[0], "level"), "info");
  EXPECT_THAT(TextOf(lines[0], "time"), testing::EndsWith("Z"));
  EXPECT_THAT(TextOf(lines[0], "message"),
              testing::StartsWith("drop: shop/db -> shop/web (10.0.0.2:1000 -> 10.0.0.1:80/TCP) "
                                  "at ingress of shop/web: policy: odd \"text\" \\ and\nlines\x01; "
                                  "isolated by shop/deny; nearest: shop/deny ingress[0]: "));
  const model::Value* drop = lines[0].Find("drop");
  ASSERT_NE(drop, nullptr);
  for (const auto& [key, text] : std::map<std::string, std::string>{{"source_pod", "shop/db"},
                                                                    {"source", "10.0.0.2"},
                                                                    {"source_port", "1000"},
                                                                    {"destination_pod", "shop/web"},
                                                                    {"destination", "10.0.0.1"},
                                                                    {"destination_port", "80"},
                                                                    {"protocol", "TCP"},
                                                                    {"direction", "ingress"},
                                                                    {"endpoint", "shop/web"},
                                                                    {"interface", "veth3"},
                                                                    {"reason", "policy"},
                                                                    {"suppressed", "4"}}) {
    EXPECT_EQ(TextOf(*drop, key), text) << key;
  }
  ASSERT_EQ(drop->Find("isolating")->items.size(), 1u);
  EXPECT_EQ(drop->Find("isolating")->items[0].text, "shop/deny");
  EXPECT_THAT(TextOf(*drop, "near_miss"), testing::StartsWith("shop/deny ingress[0]: "));
}

TEST_F(DropReporterTest, TextLogHasOneLine) {
  testing::internal::CaptureStderr();
  auto event = Event("policy");
  event.description = "two\nlines";
  Report(event);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::AllOf(HasSubstr(" info: drop: shop/db -> shop/web "),
                             HasSubstr(": policy: two lines; isolated by shop/deny; nearest: "),
                             testing::Not(HasSubstr("{\"")), testing::EndsWith("not shown\n")));
}

TEST_F(DropReporterTest, OtherReasonsNameNoPolicy) {
  auto view = Report(Event("malformed"));
  EXPECT_THAT(view.isolating, IsEmpty());
  EXPECT_EQ(view.near_miss, "");
  EXPECT_EQ(view.source_pod, "shop/db");
}

TEST_F(DropReporterTest, WhatFoundNoRoomNamesTheTable) {
  auto allowed = Event("policy");
  allowed.tuple.destination_port = 443;
  EXPECT_THAT(Report(allowed).near_miss, testing::Not(HasSubstr("room")));
  kernel_.short_of = {{{"rules", 240, 256}, 12, {}, false}};
  reconciler_.Take(ObjectsChanged{{model::Delta::Set(PodOf{"db", {"10.0.0.3"}}.Make())}, {}, true});
  reconciler_.Reconcile();
  for (const char* reason : {"policy", "no-room"}) {
    allowed.reason = reason;
    EXPECT_THAT(Report(allowed).near_miss, HasSubstr("found no room: full: rules")) << reason;
    EXPECT_THAT(Report(allowed).isolating, ElementsAre("shop/deny"));
  }
  EXPECT_THAT(Report(Event("policy")).near_miss, testing::StartsWith("shop/deny ingress[0]: "));
}

TEST_F(DropReporterTest, PlacedPodIsNamedBeforeItsStatusIsWritten) {
  reconciler_.Take(ObjectsChanged{{model::Delta::Set(PodOf{"web"}.Make())}, {}, true});
  reconciler_.Reconcile();
  EXPECT_EQ(Report(Event("policy")).destination_pod, "shop/web");
}

TEST_F(DropReporterTest, InterfaceThatIsNobodys) {
  auto event = Event("closed");
  event.ifindex = event.endpoint = 9;
  auto view = Report(event);
  EXPECT_EQ(view.endpoint, "");
  EXPECT_EQ(view.interface, "9");
}

TEST_F(DropReporterTest, FloodIsReportedWithoutTheNearestRule) {
  for (uint16_t port = 80; port < 230; ++port) {
    auto event = Event("policy");
    event.tuple.destination_port = port;
    Report(event);
  }
  auto late = Event("policy");
  late.tuple.destination_port = 999;
  EXPECT_EQ(Report(late).near_miss, "");
  EXPECT_EQ(Report(late).endpoint, "shop/web");
  EXPECT_NE(Report(Event("policy", 77)).near_miss, "") << "was worked out before";
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_NE(Report(late).near_miss, "");
}

TEST_F(DropReporterTest, OneEndpointDoesNotUseUpExplanations) {
  auto of = [](uint32_t endpoint, uint16_t port) {
    auto event = Event("policy");
    event.endpoint = endpoint;
    event.tuple.destination_port = port;
    return event;
  };
  for (uint16_t port = 1; port <= 1000; ++port) Report(of(9, port));
  EXPECT_NE(Report(of(3, 80)).near_miss, "");
  // Many together still have a bound.
  int explained = 0;
  for (uint32_t endpoint = 10; endpoint < 20; ++endpoint) {
    for (uint16_t port = 1; port <= 50; ++port) {
      explained += Report(of(endpoint, port)).source_pod.empty() ? 0 : 1;
    }
  }
  EXPECT_EQ(explained, 100 - 25 - 1);
}

TEST_F(DropReporterTest, ExplanationFollowsThePolicy) {
  EXPECT_THAT(Report(Event("policy")).isolating, ElementsAre("shop/deny"));
  reconciler_.Take(ObjectsChanged{
      {model::Delta::Remove(model::Kind::kNetworkPolicy, {"shop", "deny"})}, {}, true});
  reconciler_.Reconcile();
  EXPECT_THAT(Report(Event("policy")).isolating, IsEmpty());
}

}  // namespace
}  // namespace sallyport::control
