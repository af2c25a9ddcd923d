// SPDX-License-Identifier: Apache-2.0
// three-databases: names and Services, a real Prometheus, and a canary that earns its access.
#include <gmock/gmock.h>

#include "lab/scenarios/scenario_fixture.h"

namespace sallyport::lab {
namespace {

using testing::HasSubstr;

constexpr const char* kAsk =
    "PGPASSWORD=plato-admin PGCONNECT_TIMEOUT=2 psql -h db2 -U postgres -XAtc 'select 1' 2>&1";

class ThreeDatabases : public ScenarioTest {
 protected:
  void Make() { ASSERT_NO_FATAL_FAILURE(UpScenario({Scenario("three-databases")}, {})); }
  std::string Only(const std::string& selector) {
    std::vector<std::string> pods = PodsOf("project-plato", selector);
    EXPECT_EQ(pods.size(), 1u);
    return pods.empty() ? "none/none" : pods.front();
  }
};

TEST_F(ThreeDatabases, ByServiceNames) {
  ASSERT_NO_FATAL_FAILURE(Make());
  std::string backend = Only("app=backend,track=stable");
  EXPECT_EQ(Sh(backend, "timeout 5 redis-cli -h db1 ping").output, "PONG\n");
  EXPECT_EQ(Sh(backend, kAsk).output, "1\n");
  EXPECT_EQ(Reach(backend, "198.51.100.10", 80), "blocked");

  std::string frontend = Only("app=frontend");
  EXPECT_THAT(Sh(frontend, "curl -sS -m 5 http://backend:8080/").output, HasSubstr("backend"));
  EXPECT_EQ(Reach(frontend, "backend", 9090), "blocked");
  EXPECT_EQ(Reach(frontend, "db1", 6379), "blocked");
  EXPECT_EQ(Reach(frontend, "db2", 5432), "blocked");
}

TEST_F(ThreeDatabases, PrometheusScrapesByThePortsName) {
  ASSERT_NO_FATAL_FAILURE(Make());
  std::string prometheus = PodsOf("monitoring", "app=prometheus").at(0);
  // Both targets, a different number each, through their Services.
  auto query = [&](const std::string& promql) {
    return Sh(prometheus, "curl -sS -m 5 -G --data-urlencode 'query=" + promql +
                              "' http://localhost:9090/api/v1/query")
        .output;
  };
  Await("both targets to be up",
        [&] { return query("sum(up)").find("\"2\"]") != std::string::npos; });
  EXPECT_THAT(query("pg_up"), HasSubstr("\"1\"]"));
  EXPECT_THAT(query("nginx_connections_active"), HasSubstr("\"job\":\"project-plato\""));
  EXPECT_EQ(Reach(prometheus, "backend.project-plato", 8080), "blocked");
}

// While traffic flows, the canary becomes stable: from then on it reaches db2, and the stable pods
// feel nothing.
TEST_F(ThreeDatabases, ACanaryIsPromotedUnderTraffic) {
  ASSERT_NO_FATAL_FAILURE(Make());
  std::string stable = Only("version=v1");
  std::string canary = Only("version=v2");
  EXPECT_NE(Sh(canary, kAsk).exit_code, 0);
  std::string dropped = DropsOf(stable);

  // One connection that lives through it all, and a new one each time.
  Traffic session(
      name(), stable,
      "while echo 'select 1;'; do sleep 0.02; done | PGPASSWORD=plato-admin psql -h db2 "
      "-U postgres -XAt",
      TrafficLog());
  Traffic connections(name(), stable, std::string("while :; do ") + kAsk + " || echo failed; done",
                      TrafficLog());
  session.AwaitMore(20);
  connections.AwaitMore(5);
  EXPECT_NE(Sh(canary, kAsk).exit_code, 0);

  Kube({"-n", "project-plato", "label", "pod", "-l", "version=v2", "track=stable", "--overwrite"});
  Await("the canary to reach db2", [&] { return Sh(canary, kAsk).output == "1\n"; });
  session.AwaitMore(20);
  connections.AwaitMore(5);

  Kube({"-n", "project-plato", "label", "pod", "-l", "version=v2", "track=canary", "--overwrite"});
  Await("the canary to be cut off", [&] { return Sh(canary, kAsk).exit_code != 0; });
  session.AwaitMore(20);
  connections.AwaitMore(5);
  session.Stop();
  connections.Stop();
  for (const Traffic* traffic : {&session, &connections})
    for (const std::string& line : traffic->Lines()) EXPECT_EQ(line, "1");
  EXPECT_EQ(DropsOf(stable), dropped);
}

}  // namespace
}  // namespace sallyport::lab
