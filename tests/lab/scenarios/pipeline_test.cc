// SPDX-License-Identifier: Apache-2.0
// message-pipeline: what was taken in arrives, whatever policy did meanwhile.
#include <gmock/gmock.h>

#include "lab/files.h"
#include "lab/layout.h"
#include "lab/scenarios/scenario_fixture.h"

namespace sallyport::lab {
namespace {

using testing::HasSubstr;

constexpr const char* kBalancer = "130.211.0.5";

class MessagePipeline : public ScenarioTest {
 protected:
  void Make() {
    ASSERT_NO_FATAL_FAILURE(UpScenario(
        {Scenario("message-pipeline")},
        {"--outside-address", kBalancer, "198.51.100.20", "198.51.100.21", "198.51.100.22"}));
    WatchOutside({"198.51.100.20", "198.51.100.21"}, {"203.0.113.10"});
    std::string api = PodsOf("pipeline", "app=api").at(0);
    node_ = Kube({"-n", "pipeline", "get", "pod", api.substr(api.find('/') + 1), "-o",
                  "jsonpath={.status.hostIP}"});
    port_ = Kube(
        {"-n", "pipeline", "get", "service", "api", "-o", "jsonpath={.spec.ports[0].nodePort}"});
  }
  // Through the api's node, as the load balancer does; the answer's status.
  std::string Post(const std::string& message, const std::string& from = kBalancer) {
    return Sh("--outside", "curl -s -m 3 -o /dev/null -w '%{http_code}' --interface " + from +
                               " -d '" + message + "' http://" + node_ + ":" + port_ + "/messages")
        .output;
  }
  std::string Archive() {
    return Sh("pipeline/dbd-postgres-0",
              "psql -h /run/postgresql -U postgres -XAtc 'select body from messages order by at'")
        .output;
  }
  std::string Queue() {
    return Sh(PodsOf("pipeline", "app=api").at(0), "redis-cli -h api-redis llen queue").output;
  }

 private:
  std::string node_, port_;
};

TEST_F(MessagePipeline, AMessagePostedWhileDbdIsCutOffArrivesAfterwards) {
  ASSERT_NO_FATAL_FAILURE(Make());
  EXPECT_EQ(Post("first"), "202");
  Await("the first message", [&] { return Archive() == "first\n"; });
  EXPECT_EQ(Post("not from the load balancer", "198.51.100.22"), "000");

  Kube({"-n", "pipeline", "delete", "networkpolicy", "dbd"});
  std::string courier = PodsOf("pipeline", "app=api").at(0);
  Await("dbd to be cut off",
        [&] { return Sh(courier, "timeout 2 bash -c '</dev/tcp/dbd/3001' 2>&1").exit_code != 0; });
  EXPECT_EQ(Post("second"), "202");
  EXPECT_EQ(Post("third"), "202");
  std::string api_log = "pipeline_" + courier.substr(courier.find('/') + 1) + "_courier";
  Await("the courier to have tried in vain", [&] {
    auto log = ReadFile(Layout(name()).log(api_log));
    return log && log->find("again in a second: dbd:3001") != std::string::npos;
  });
  EXPECT_EQ(Queue(), "2\n");
  EXPECT_EQ(Archive(), "first\n");

  Kube({"apply", "-f", Scenario("message-pipeline/policies.yaml")});
  Await("what was posted meanwhile", [&] { return Archive() == "first\nsecond\nthird\n"; });
  Await("the queue to be empty", [&] { return Queue() == "0\n"; });
}

TEST_F(MessagePipeline, TheApiOpensNothingElse) {
  ASSERT_NO_FATAL_FAILURE(Make());
  std::string api = PodsOf("pipeline", "app=api").at(0);
  std::string ask = "PGPASSWORD=x PGCONNECT_TIMEOUT=2 psql -U postgres -c '' -h ";
  EXPECT_THAT(Sh(api, ask + "api-postgres 2>&1").output, HasSubstr("password authentication"));
  EXPECT_THAT(Sh(api, ask + "dbd-postgres 2>&1").output, HasSubstr("timeout"));
  std::string notifier = PodsOf("pipeline", "app=notifier").at(0);
  // Refused: it got there, and nobody listens.
  Await("a gateway", [&] { return Reach(notifier, "198.51.100.20", 443) == "refused"; });
  EXPECT_EQ(Reach(notifier, "198.51.100.21", 443), "refused");
  EXPECT_EQ(Reach(notifier, "198.51.100.22", 443), "blocked");
  EXPECT_EQ(Reach(notifier, "198.51.100.20", 80), "blocked");
  EXPECT_EQ(Reach(api, "198.51.100.20", 443), "blocked");
}

// The partner takes one address: the namespace's. Who has another is turned away by the partner,
// who may not reach it by policy; and answers to the load balancer go back as they came.
TEST_F(MessagePipeline, ThePartnerTakesOneAddressOnly) {
  ASSERT_NO_FATAL_FAILURE(Make());
  std::string files = folder() / "partner";
  ASSERT_EQ(Sh("--outside", Scenario("message-pipeline/lab/partner") + " " + files +
                                " 198.51.100.20 203.0.113.10")
                .exit_code,
            0);
  auto ask = [&](const std::string& from) {
    return Sh(from, "curl -sk -m 3 -o /dev/null -w '%{http_code}' https://198.51.100.20/news")
        .output;
  };
  std::string notifier = PodsOf("pipeline", "app=notifier").at(0);
  Await("a gateway", [&] { return ask(notifier) == "200"; });
  Await("the partner to write whom it saw", [&] {
    auto seen = ReadFile(files + "/access.log");
    return seen && *seen == "203.0.113.10 200\n";
  });
  EndWatch();
  for (std::string node : {"node-1", "node-2", "gateway-1", "gateway-2"})
    EXPECT_EQ(ask("--node=" + node), "403") << node;

  EXPECT_EQ(Reach(PodsOf("pipeline", "app=api").at(0), "198.51.100.20", 443), "blocked");
  EXPECT_EQ(Reach(notifier, "198.51.100.20", 80), "blocked");
  EXPECT_EQ(Reach(notifier, "198.51.100.22", 443), "blocked");
  EXPECT_EQ(Post("through the load balancer"), "202");

  Kube({"delete", "egressgateway", "pipeline"});
  Await("the partner to turn the notifier away", [&] { return ask(notifier) == "403"; });
}

}  // namespace
}  // namespace sallyport::lab
