// SPDX-License-Identifier: Apache-2.0
// ledger: a database outside that takes one address only, wherever it is and whoever holds the
// address.
#include <gmock/gmock.h>

#include <set>

#include "lab/scenarios/scenario_fixture.h"

namespace sallyport::lab {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr const char* kLoadBalancer = "198.51.100.200";
constexpr const char* kElsewhere = "192.0.2.80";
// Who the database sees, and where it is itself.
constexpr const char* kWho =
    "psql -XAtc \"select host(inet_client_addr()) || ' at ' || host(inet_server_addr())\" 2>&1";

class Ledger : public ScenarioTest {
 protected:
  void Make() {
    ASSERT_NO_FATAL_FAILURE(
        UpScenario({Scenario("ledger")}, {"--outside-address", "198.51.100.20", "198.51.100.84",
                                          "198.51.100.148", kLoadBalancer, kElsewhere}));
    WatchOutside({"198.51.100.20", "198.51.100.84", "198.51.100.148"}, {"203.0.113.20"});
    pods_ = PodsOf("ledger", "app=ledger-api");
    ASSERT_EQ(pods_.size(), 3u);
    // A lab is up when its egress IPs are held.
    EXPECT_EQ(Kube({"get", "egressgateway", "ledger", "-o",
                    "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}"}),
              "True");
    ASSERT_EQ(Database("start 198.51.100.20").exit_code, 0);
    for (const std::string& pod : pods_)
      Await("the address to be held, and ports of it to be had",
            [&] { return Sh(pod, kWho).output == "203.0.113.20 at 198.51.100.20\n"; });
  }
  const std::vector<std::string>& pods() const { return pods_; }

  Finished Database(const std::string& arguments) {
    // PostgreSQL is no root: it must get through to its folder.
    return Sh("--outside", "chmod 711 " + folder().path() + " && " +
                               Scenario("ledger/lab/database") + " " + (folder() / "database") +
                               " " + arguments);
  }
  std::string Field(const std::string& pod, const std::string& path) {
    return Kube({"-n", "ledger", "get", "pod", pod.substr(pod.find('/') + 1), "-o",
                 "jsonpath={" + path + "}"});
  }
  // To the pod, through its node, as the load balancer does; the answer and its status.
  std::string Request(const std::string& pod, const std::string& from, const std::string& words) {
    std::string port = Kube({"-n", "ledger", "get", "service", "ledger-api", "-o",
                             "jsonpath={.spec.ports[0].nodePort}"});
    return Sh("--outside", "curl -s -m 3 -w '%{http_code}' --interface " + from + " http://" +
                               Field(pod, ".status.hostIP") + ":" + port + words)
        .output;
  }
  // What the database wrote of those whom it turned away.
  std::string TurnedAway() {
    return Sh("--outside", "grep 'no pg_hba.conf entry' " + (folder() / "database/log")).output;
  }
  std::string Holder() {
    return Kube({"-n", "sallyport-system", "get", "lease", "address-203.0.113.20", "-o",
                 "jsonpath={.spec.holderIdentity}"});
  }

 private:
  std::vector<std::string> pods_;
};

TEST_F(Ledger, TheDatabaseTakesTheEgressIpOnly) {
  ASSERT_NO_FATAL_FAILURE(Make());
  std::set<std::string> nodes;
  for (const std::string& pod : pods()) {
    nodes.insert(Field(pod, ".spec.nodeName"));
    EXPECT_EQ(Sh(pod, kWho).output, "203.0.113.20 at 198.51.100.20\n");
    EXPECT_EQ(Request(pod, kLoadBalancer, "/entries -d 'rent 400'"), "201");
    EXPECT_EQ(Request(pod, kElsewhere, "/balance/rent"), "000");
  }
  EXPECT_THAT(nodes, UnorderedElementsAre("node-a", "node-b", "node-c"));
  EXPECT_EQ(Request(pods()[0], kLoadBalancer, "/balance/rent"), "1200\n200");

  EXPECT_EQ(TurnedAway(), "");

  // With the password and another address.
  EndWatch();
  std::string as_ledger =
      "PGPASSWORD=ledger-api psql -h 198.51.100.20 -U ledger -d ledger -c '' 2>&1";
  for (const std::string& node : {Field(pods()[0], ".spec.nodeName"), Holder()})
    EXPECT_THAT(Sh("--node=" + node, as_ledger).output,
                HasSubstr("no pg_hba.conf entry for host \"172.30.0."))
        << node;
  Kube({"delete", "egressgateway", "ledger"});
  Await("the database to turn away a pod that is not pinned", [&] {
    return Sh(pods()[0], kWho)
               .output.find("no pg_hba.conf entry for host \"" + AddressOf(pods()[0])) !=
           std::string::npos;
  });
  Kube({"apply", "-f", Scenario("ledger/egress.yaml")});
  Await("the database to take the pod again",
        [&] { return Sh(pods()[0], kWho).output == "203.0.113.20 at 198.51.100.20\n"; });
}

// The first connection after the fail-over works, and no object was changed for it.
TEST_F(Ledger, TheDatabaseFailsOverToAnotherSubnet) {
  ASSERT_NO_FATAL_FAILURE(Make());
  EXPECT_EQ(Request(pods()[0], kLoadBalancer, "/entries -d 'rent 1200'"), "201");
  for (std::string address : {"198.51.100.84", "198.51.100.148"}) {
    ASSERT_EQ(Database("start " + address).exit_code, 0);
    for (const std::string& pod : pods()) {
      EXPECT_EQ(Sh(pod, kWho).output, "203.0.113.20 at " + address + "\n");
      EXPECT_EQ(Request(pod, kLoadBalancer, "/balance/rent"), "1200\n200");
    }
  }
  EXPECT_EQ(Reach(pods()[0], "198.51.100.148", 443), "blocked");
  EXPECT_EQ(Reach(pods()[0], kLoadBalancer, 5432), "blocked");
  EXPECT_EQ(Reach(pods()[0], kElsewhere, 5432), "blocked");
}

TEST_F(Ledger, AGatewayDiesInALongTransaction) {
  ASSERT_NO_FATAL_FAILURE(Make());
  std::string entries = "sql \"select count(*) from entries where account = 'long'\"";
  Traffic transaction(
      name(), pods()[0],
      "(echo 'begin;'; until [ -e /tmp/enough ]; do echo \"insert into entries (account, amount) "
      "values ('long', 1);\"; sleep 0.02; done; echo 'commit;') | psql -XAt -v ON_ERROR_STOP=1 "
      "2>&1; echo \"ended $?\"",
      TrafficLog());
  transaction.AwaitMore(20);

  // No packet through its uplink, no word from its agent.
  std::string dead = Holder();
  EXPECT_EQ(Sh("--node=" + dead, "ip link set eth0 down").exit_code, 0);
  EXPECT_EQ(Run({"lab", "agent", "kill", "--name", name(), "--node", dead}).exit_code, 0);
  transaction.AwaitMore(50);
  Await("the Lease to say who has the address", [&] { return Holder() != dead; });
  for (const std::string& pod : pods())
    EXPECT_EQ(Sh(pod, kWho).output, "203.0.113.20 at 198.51.100.20\n");
  EXPECT_EQ(Database(entries).output, "0\n");

  EXPECT_EQ(Sh(pods()[0], "touch /tmp/enough").exit_code, 0);
  Await("the transaction's end", [&] { return transaction.Count("ended 0") == 1; });
  transaction.Stop();
  EXPECT_EQ(transaction.Count("COMMIT"), 1u);
  EXPECT_EQ(TurnedAway(), "");
  EXPECT_EQ(Database(entries).output, std::to_string(transaction.Count("INSERT 0 1")) + "\n");
}

}  // namespace
}  // namespace sallyport::lab
