// SPDX-License-Identifier: Apache-2.0
// The local API over a real socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <thread>

#include "base/unique_fd.h"
#include "observe/event_log.h"
#include "observe/json.h"
#include "observe/query.h"
#include "observe/server.h"
#include "support/temporary.h"
#include "unit/agent/tracker_world.h"

namespace sallyport::observe {
namespace {

using endpoint::Ip;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class FixedSource : public Source {
 public:
  Result<StatusView> ReadStatus() override {
    if (!error.empty()) return Error{error};
    WatchView pods;
    pods.resource = "pods";
    pods.synced = true;
    return StatusView{"n1", "0.1", 7, false, {"because"}, {{"flows", 1, 100}}, {"x.yaml:1: bad"},
                      "c1", {pods}};
  }
  Result<std::vector<EndpointView>> ReadEndpoints() override {
    EndpointView view;
    view.pod = "shop/web";
    view.interface = "veth3";
    view.ifindex = 3;
    view.addresses = {Ip("10.0.0.1"), Ip("fd00::1")};
    view.open = true;
    view.egress_set = 4;
    view.keeps = {"egress"};
    view.packets[0] = 5;
    view.dropped["policy"] = 6;
    return std::vector{view};
  }
  Result<std::vector<PolicyView>> ReadPolicies() override {
    return std::vector{PolicyView{"shop/deny", {"shop/web"}, {"ingress"}, "deny.yaml:3", true}};
  }
  Result<std::vector<FlowView>> ReadFlows(size_t limit, const std::string& endpoint) override {
    FlowView view;
    view.tuple = {Ip("10.0.0.1"), Ip("10.0.0.2"), net::Protocol::kUdp, 1000, 53};
    view.source_pod = endpoint;
    view.egress = true;
    view.idle_seconds = static_cast<int>(limit);
    view.pinned = pinned;
    if (pinned && limit > 1) view.egress_ip = Ip("203.0.113.10");
    view.egress_port = 2048;
    return std::vector{view};
  }
  Result<std::vector<ExplainView>> Explain(const ExplainQuestion& question) override {
    asked = question;
    if (question.from.empty()) return Error{"from: nobody", EINVAL};
    ExplainView view{question.from, question.to, {}, {}, {"shop/db on veth3: not yet"},
                     service,       {}};
    view.tuple = {Ip("10.0.0.1"), Ip("10.0.0.2"), question.protocol, 1, 53};
    view.verdict.allowed = true;
    view.verdict.egress.allowed = view.verdict.ingress.allowed = true;
    view.verdict.egress.why = policy::Why::kNotIsolated;
    view.verdict.ingress.why = policy::Why::kRule;
    view.verdict.ingress.rule = {{"shop", "web"}, policy::Direction::kIngress, 1, {"w.yaml", 3}};
    view.pin = pin;
    return std::vector{view};
  }
  Result<EgressView> ReadEgress() override {
    EgressView view;
    view.node = "n1";
    return view;
  }
  ExplainQuestion asked;
  std::string error;
  std::string service;
  std::optional<egress::PinAnswer> pin;
  bool pinned = false;  // the flow
};

// One request; reads until the server closes, or `until` was seen.
class Client {
 public:
  Client(const std::string& path, const std::string& request) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    fd_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    connected_ = connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    std::string text = "GET " + request + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    if (connected_) (void)!write(fd_.get(), text.data(), text.size());
  }
  bool connected() const { return connected_; }
  std::string Read(const std::string& until = "") {
    char buffer[4096];
    while (until.empty() || text_.find(until) == std::string::npos) {
      ssize_t got = read(fd_.get(), buffer, sizeof(buffer));
      if (got <= 0) break;
      text_.append(buffer, static_cast<size_t>(got));
    }
    return text_;
  }

 private:
  UniqueFd fd_;
  bool connected_ = false;
  std::string text_;
};

TEST(QueryTest, WhatIsNotGivenHasADefault) {
  EXPECT_EQ(ReadFlowsQuestion({}).value().limit, 1000u);
  EXPECT_EQ(ReadFlowsQuestion({{"limit", "0"}, {"endpoint", "a/b"}}).value().endpoint, "a/b");
  EXPECT_FALSE(ReadFlowsQuestion({{"limit", "50001"}}));
  EXPECT_FALSE(ReadFlowsQuestion({{"limit", ""}}));
  EXPECT_TRUE(ReadFollow({{"follow", "1"}}).value());
  EXPECT_FALSE(ReadFollow({}).value());
  EXPECT_EQ(ReadExplainQuestion({{"from", "a"}, {"from", "b"}}).value().from, "a");
}

// Which of the two it is, the addresses say.
TEST(QueryTest, IcmpIsOfEitherFamily) {
  for (const char* name : {"ICMP", "ICMPv6"}) {
    EXPECT_EQ(ReadExplainQuestion({{"protocol", name}}).value().protocol, net::Protocol::kIcmp);
  }
  EXPECT_FALSE(ReadExplainQuestion({{"protocol", "icmp"}}));
}

class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto server = Server::Start(path_, source_, events_);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  std::string Get(const std::string& request) {
    std::string answer = Client(path_, request).Read();
    size_t body = answer.find("\r\n\r\n");
    return answer.substr(9, 3) + " " + (body == std::string::npos ? "" : answer.substr(body + 4));
  }

  test::TemporaryDirectory directory_;
  std::string path_ = directory_ / "run/agent.sock";
  FixedSource source_;
  EventLog events_{4};
  std::unique_ptr<Server> server_;
};

EventView Drop(const std::string& reason) {
  EventView event;
  event.time = WallTime() + std::chrono::milliseconds(1'700'000'000'123);
  event.reason = reason;
  event.endpoint = "shop/web";
  event.tuple = {Ip("10.0.0.1"), Ip("10.0.0.2"), net::Protocol::kTcp, 1000, 80};
  return event;
}

TEST_F(ServerTest, SocketIsForItsOwnerOnly) {
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat((directory_ / "run").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(ServerTest, Views) {
  EXPECT_EQ(
      Get("/v1/status"),
      R"(200 {"node":"n1","version":"0.1","generation":7,"ready":false,)"
      R"("reasons":["because"],"tables":[{"name":"flows","used":1,"capacity":100,"left_out":0}],)"
      R"("diagnostics":["x.yaml:1: bad"],"cluster":"c1",)"
      R"("watches":[{"resource":"pods","installed":true,"synced":true,"connected":false,)"
      R"("lost_since":null,)"
      R"("last_event":null,"events":0,"reconnects":0,"relists":0,"errors":0,)"
      R"("last_error":""}]})");
  EXPECT_EQ(
      Get("/v1/endpoints"),
      R"(200 [{"pod":"shop/web","interface":"veth3","ifindex":3,)"
      R"("addresses":["10.0.0.1","fd00::1"],"state":"open","why_closed":"",)"
      R"("egress_set":4,"ingress_set":0,"keeps":["egress"],"packets":{"egress":5,"ingress":0},)"
      R"("bytes":{"egress":0,"ingress":0},"dropped":{"policy":6}}])");
  EXPECT_EQ(Get("/v1/policies"),
            R"(200 [{"policy":"shop/deny","selects":["shop/web"],"directions":["ingress"],)"
            R"("established":"keep","place":"deny.yaml:3"}])");
  EXPECT_EQ(Get("/v1/flows?limit=5&endpoint=shop/web"),
            R"(200 [{"source":"10.0.0.1","source_port":1000,"destination":"10.0.0.2",)"
            R"("destination_port":53,"protocol":"UDP","source_pod":"shop/web",)"
            R"("destination_pod":"","idle_s":5,"answered":false,"closing":false,"cut":false,)"
            R"("egress":true,"ingress":null}])");
}

TEST_F(ServerTest, FlowsThatTheOutsideSeesOtherwise) {
  source_.pinned = true;
  EXPECT_THAT(Get("/v1/flows?limit=5"),
              EndsWith(R"("ingress":null,"egress_ip":"203.0.113.10","egress_port":2048}])"));
  EXPECT_THAT(Get("/v1/flows?limit=1"), EndsWith(R"("egress_ip":null,"egress_port":null}])"));
}

TEST_F(ServerTest, Egress) { EXPECT_THAT(Get("/v1/egress"), StartsWith(R"(200 {"node":"n1",)")); }

TEST_F(ServerTest, ExplainSaysHowItLeaves) {
  source_.pin = {"partner", *net::Cidr::Parse("10.0.0.0/24"),
                 egress::Target::Pinned(Ip("203.0.113.10")), ""};
  EXPECT_THAT(
      Get("/v1/explain?from=shop/web&to=shop/db&port=53"),
      AllOf(HasSubstr(R"("pin":{"gateway":"partner","cidr":"10.0.0.0/24","ip":"203.0.113.10",)"
                      R"("why":""})"),
            HasSubstr(R"(\n  outside: leaves as 203.0.113.10, by EgressGateway partner )"
                      R"((10.0.0.0/24)\n)")));
  source_.pin->target = egress::Target::Drop();
  source_.pin->why = "it has no IPv4 address";
  EXPECT_THAT(Get("/v1/explain?from=shop/web&to=shop/db&port=53"),
              AllOf(HasSubstr(R"("ip":null,"why":"it has no IPv4 address")"),
                    HasSubstr(R"(outside: dropped: pinned to nothing by EgressGateway partner )"
                              R"((10.0.0.0/24): it has no IPv4 address\n)")));
}

TEST(ExplainViewTest, PassesWhereNothingIsInTheWay) {
  ExplainView view;
  view.verdict.allowed = true;
  EXPECT_TRUE(view.Passes());
  view.pin = {"partner", {}, egress::Target::Pinned(Ip("203.0.113.10")), ""};
  EXPECT_TRUE(view.Passes());
  view.pin->target = egress::Target::Drop();
  EXPECT_FALSE(view.Passes());
  view.pin.reset();
  view.closed = {"shop/db"};
  EXPECT_FALSE(view.Passes());
}

TEST_F(ServerTest, Explain) {
  EXPECT_EQ(Get("/v1/explain?from=shop%2Fweb&to=shop/db&port=dns&protocol=UDP"),
            R"(200 [{"from":"shop/web","to":"shop/db","address":"10.0.0.2","port":53,)"
            R"("protocol":"UDP","allowed":false,"egress":{"allowed":true,"why":"not-isolated",)"
            R"("isolating":[],"rule":null,"near_miss":null},"ingress":{"allowed":true,)"
            R"("why":"rule","isolating":[],"rule":{"policy":"shop/web","direction":"ingress",)"
            R"("index":1,"file":"w.yaml","line":3},"near_miss":null},)"
            R"("closed":["shop/db on veth3: not yet"],"words":"shop/web -> shop/db:53/UDP )"
            R"((10.0.0.2): denied\n  egress of shop/web: allowed: no policy isolates it for )"
            R"(egress\n  ingress of shop/db: allowed: rule shop/web ingress[1] (w.yaml:3)\n)"
            R"(  closed: shop/db on veth3: not yet\n"}])");
  EXPECT_EQ(source_.asked.port, "dns");
  source_.service = "shop/front:80/TCP";
  EXPECT_THAT(Get("/v1/explain?from=shop/web&to=svc/shop/front&port=80"),
              AllOf(HasSubstr(R"("service":"shop/front:80/TCP")"),
                    HasSubstr(R"(: denied\n  behind Service shop/front:80/TCP\n  egress of )")));
  EXPECT_EQ(source_.asked.to, "svc/shop/front");
  EXPECT_THAT(Get("/v1/explain?from=a/b&protocol=IPX"), StartsWith("400 "));
  EXPECT_EQ(Get("/v1/explain?to=a/b"), R"(400 {"error":"from: nobody"})");
}

TEST_F(ServerTest, Errors) {
  EXPECT_THAT(Get("/v1/nothing"), StartsWith("404 {\"error\":\"/v1/nothing is not there"));
  EXPECT_THAT(Get("/v1/flows?limit=many"), StartsWith("400 {\"error\":\"limit=many"));
  EXPECT_THAT(Get("/v1/events?follow=yes"), StartsWith("400 "));
  source_.error = "busy";
  EXPECT_EQ(Get("/v1/status"), R"(503 {"error":"busy"})");
}

TEST_F(ServerTest, RecentEvents) {
  EXPECT_EQ(Get("/v1/events"), "200 []");
  for (const char* reason : {"a", "b", "c", "d", "e"}) events_.Add(Drop(reason));
  std::string answer = Get("/v1/events");
  EXPECT_THAT(answer, StartsWith(R"(200 [{"time":"2023-11-14T22:13:20.123Z","verdict":"drop",)"
                                 R"("reason":"b")"))
      << "the oldest made room";
  EXPECT_THAT(answer, HasSubstr(R"("reason":"e")"));
  EXPECT_THAT(answer, EndsWith("}]"));
}

TEST_F(ServerTest, FollowedEvents) {
  events_.Add(Drop("before"));
  Client follower(path_, "/v1/events?follow=1");
  follower.Read("\r\n\r\n");
  events_.Add(Drop("first"));
  EXPECT_THAT(follower.Read("}\n"), HasSubstr(R"("reason":"first")"));
  events_.Add(Drop("second"));
  EXPECT_THAT(follower.Read(R"("reason":"second")"), Not(HasSubstr("before")));
}

TEST_F(ServerTest, EndsWithFollowersAndLeavesNoSocket) {
  Client follower(path_, "/v1/events?follow=1");
  follower.Read("\r\n\r\n");
  server_.reset();
  EXPECT_THAT(follower.Read(), HasSubstr("0\r\n\r\n"));
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
}

TEST_F(ServerTest, SomeFollowersAreEnough) {
  std::vector<std::unique_ptr<Client>> followers;
  for (int i = 0; i < 8; ++i) {
    followers.push_back(std::make_unique<Client>(path_, "/v1/events?follow=1"));
    followers.back()->Read("\r\n\r\n");
  }
  EXPECT_THAT(Get("/v1/events?follow=1"), StartsWith("503 "));
  EXPECT_THAT(Get("/v1/policies"), StartsWith("200 "));
}

TEST_F(ServerTest, LivingSocketIsNotTakenOver) {
  EventLog events;
  auto second = Server::Start(path_, source_, events);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("another agent answers on"));
  EXPECT_THAT(Get("/v1/policies"), StartsWith("200 "));
}

TEST(ServerStartTest, DeadSocketIsReplacedAndOtherFilesAreNot) {
  test::TemporaryDirectory directory;
  std::string path = directory / "agent.sock";
  FixedSource source;
  {
    UniqueFd dead(socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  EventLog events;
  EXPECT_TRUE(Server::Start(path, source, events));

  directory.Write("file", "precious");
  auto server = Server::Start(directory / "file", source, events);
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().message, HasSubstr("is no socket"));
  EXPECT_FALSE(Server::Start(directory / std::string(200, 'x'), source, events));
}

TEST(EventLogTest, SlowReaderLosesTheOldestAndIsTold) {
  EventLog log(2);
  uint64_t from = log.End();
  for (const char* reason : {"a", "b", "c"}) log.Add(Drop(reason));
  auto batch = log.Read(from, 10, Duration::zero());
  EXPECT_EQ(batch.lost, 1u);
  ASSERT_EQ(batch.events.size(), 2u);
  EXPECT_EQ(batch.events[0]->reason, "b");
  EXPECT_EQ(log.Read(batch.next, 10, Duration::zero()).events.size(), 0u);
}

TEST(EventLogTest, CloseWakesReaders) {
  EventLog log;
  std::thread reader([&] { log.Read(log.End(), 1, std::chrono::hours(1)); });
  log.Close();
  reader.join();
}

TEST(JsonTest, NamesThatAreNoText) {
  EXPECT_EQ(ErrorJson("a\xff\"b\n"), "{\"error\":\"a\xEF\xBF\xBD\\\"b\\n\"}");
  EXPECT_EQ(ErrorJson("\x7f\x7f"), R"({"error":"\u007f\u007f"})") << "ours reads no other";
}

}  // namespace
}  // namespace sallyport::observe
