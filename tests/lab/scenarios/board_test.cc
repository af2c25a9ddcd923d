// SPDX-License-Identifier: Apache-2.0
// retro-board: one Service with two verdicts, and a deployment that is scaled under traffic.
#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "lab/scenarios/scenario_fixture.h"

namespace sallyport::lab {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::StartsWith;

class RetroBoard : public ScenarioTest {
 protected:
  void Make() {
    ASSERT_NO_FATAL_FAILURE(
        UpScenario({Scenario("retro-board")},
                   {"--outside-address", "198.51.100.30", "198.51.100.31", "198.51.100.40"}));
  }
};

TEST_F(RetroBoard, OneNameForBothDatabasesOneVerdictEach) {
  ASSERT_NO_FATAL_FAILURE(Make());
  for (std::string version : {"v1", "v2"}) {
    std::string board = PodsOf("retro", "app=postfacto,version=" + version).at(0);
    // The other database has no such name in it: reaching it would give an error of its own.
    std::string tried =
        Sh(board,
           "export PGPASSWORD=retro-board PGCONNECT_TIMEOUT=2; for i in {1..24}; do psql -h "
           "db -U postgres -d postfacto_" +
               version + " -XAtc 'select current_database()' 2>&1 | tail -n 1 & done; wait")
            .output;
    EXPECT_THAT(tried, HasSubstr("postfacto_" + version + "\n"));
    EXPECT_THAT(tried, HasSubstr("timeout"));
    EXPECT_EQ(tried.find("does not exist"), std::string::npos) << tried;
    EXPECT_EQ(Sh(board, "timeout 5 redis-cli -h redis ping").output, "PONG\n");
  }
}

TEST_F(RetroBoard, TheWayInLeadsToTheThreeSitesOnly) {
  ASSERT_NO_FATAL_FAILURE(Make());
  std::string in = "http://" + AddressOf(PodsOf("ingress", "app=ingress-controller").at(0)) + "/";
  auto get = [&](const std::string& host, const std::string& path = "") {
    return Sh("--outside", "curl -sS -m 5 -H 'Host: " + host + "' " + in + path).output;
  };
  EXPECT_THAT(get("hello.example"), StartsWith("hello from hello-"));
  EXPECT_THAT(get("retro.example"), HasSubstr("I am retro/postfacto-v"));
  EXPECT_THAT(get("hello.example", ".well-known/acme-challenge/token"),
              HasSubstr("I am webfarm/cm-acme-http-solver-hello"));
  EXPECT_THAT(get("else.example"), HasSubstr("no such site"));
  std::string hello = PodsOf("webfarm", "app=hello").at(0);
  EXPECT_EQ(Reach(hello, "database.example", 5432), "refused");
  EXPECT_EQ(Reach(hello, "198.51.100.31", 5432), "blocked");
}

// From 2 to 6 while it is asked all the time: each new pod serves, nobody is turned away, and
// whoever may not reach them does not, from their first packet.
TEST_F(RetroBoard, HelloIsScaledUnderTraffic) {
  ASSERT_NO_FATAL_FAILURE(Make());
  std::string controller = PodsOf("ingress", "app=ingress-controller").at(0);
  Traffic asked(name(), controller,
                "while :; do curl -sS -m 3 http://hello.webfarm:8000/ 2>&1 || echo failed; done",
                TrafficLog());
  asked.AwaitMore(20);
  // Whoever takes part in nothing here tries the addresses that new pods are about to get.
  std::string stranger = PodsOf("retro", "app=redis").at(0);
  std::string prefix = AddressOf(PodsOf("webfarm", "app=hello").at(0));
  prefix.resize(prefix.rfind('.') + 1);
  Traffic tried(name(), stranger,
                "while :; do for i in {2..30}; do (timeout 1 bash -c \"</dev/tcp/" + prefix +
                    "\\$0/8000\" $i 2>/dev/null && echo \"reached " + prefix +
                    "$i\") & done; wait; echo round; done",
                TrafficLog());
  tried.AwaitMore(1);

  Kube({"-n", "webfarm", "scale", "deployment", "hello", "--replicas=6"});
  Kube({"-n", "webfarm", "rollout", "status", "deployment", "hello", "--timeout=60s"});
  std::vector<std::string> pods = PodsOf("webfarm", "app=hello");
  ASSERT_EQ(pods.size(), 6u);
  std::set<std::string> wanted;
  for (const std::string& pod : pods) wanted.insert("hello from " + pod.substr(pod.find('/') + 1));
  Await("an answer from each", [&] {
    std::vector<std::string> lines = asked.Lines();
    std::set<std::string> seen(lines.begin(), lines.end());
    return std::includes(seen.begin(), seen.end(), wanted.begin(), wanted.end());
  });
  tried.AwaitMore(2);
  asked.Stop();
  tried.Stop();
  EXPECT_THAT(asked.Lines(), Each(StartsWith("hello from hello-")));
  EXPECT_THAT(tried.Lines(), Each(std::string("round")));
  for (const std::string& pod : pods) {
    EXPECT_EQ(Reach(pod, "database.example", 5432), "refused");
    EXPECT_EQ(Reach(pod, "198.51.100.31", 5432), "blocked");
  }
}

}  // namespace
}  // namespace sallyport::lab
