// SPDX-License-Identifier: Apache-2.0
// A real agent on real interfaces that neither the lab nor Kubernetes made.
#include <signal.h>

#include <filesystem>

#include "lab/agent/agent_fixture.h"

namespace sallyport::test {
namespace {

using testing::HasSubstr;

// Interfaces that appear while an agent runs.
TEST_F(AgentTest, NewInterfacesAreClosedUntilTheyAreClaimedAndPolicyIsKnown) {
  AgentProcess agent(files_);
  ASSERT_TRUE(
      Becomes(files_, "/v1/status", [](const auto& status) { return status.Find("node"); }));
  Pod c(3), d(4);
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", c.device()));
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", d.device()));
  EXPECT_FALSE(Reaches(c, d));
  EXPECT_FALSE(Reaches(d, c, true));

  files_.WriteResult("c", {c.v4().ToString(), c.v6().ToString()}, c.device());
  ASSERT_TRUE(HasEndpoint(files_, "shop/c", "closed", c.device()));
  EXPECT_FALSE(Reaches(c, d)) << "its pod is not known";
  WritePod("c", c);
  ASSERT_TRUE(HasEndpoint(files_, "shop/c", "open", c.device()));
  EXPECT_FALSE(Reaches(c, d)) << "the other end is closed";

  WritePod("d", d);
  files_.WriteResult("d", {d.v4().ToString(), d.v6().ToString()}, d.device());
  ASSERT_TRUE(HasEndpoint(files_, "shop/d", "open", d.device()));
  EXPECT_TRUE(Reaches(c, d));
  EXPECT_TRUE(Reaches(d, c, true));
}

TEST_F(AgentTest, NewInterfaceIsClosedWithoutManifestsOrResults) {
  std::filesystem::remove_all(files_.manifests());
  AgentProcess agent(files_);
  ASSERT_TRUE(
      Becomes(files_, "/v1/status", [](const auto& status) { return status.Find("node"); }));
  Pod c(3);
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", c.device()));
  EXPECT_FALSE(Reaches(c, a_));
}

TEST_F(AgentTest, InterfacesFromBeforeTheFirstStartRunOnUntilTheirPolicyIsInForce) {
  files_.MakeResults();
  int from = Socket(a_, 6000), to = Socket(b_, kOtherPort);
  Send(from, b_.v4(), kOtherPort, "before");
  EXPECT_THAT(Arrived(to, b_.v4(), kOtherPort), testing::ElementsAre("before"));

  AgentProcess agent(files_);
  ASSERT_TRUE(Ready(files_));
  EXPECT_TRUE(AReachesB()) << "nobody's yet, and not cut off";
  ASSERT_TRUE(HasNoEndpoint(files_, a_.device()));

  OpenBoth();
  Send(from, b_.v4(), kOtherPort, "after");
  EXPECT_THAT(Arrived(to, b_.v4(), kOtherPort), testing::ElementsAre("after"));
  files_.WritePolicy("b");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  EXPECT_TRUE(ANeverReachesB());
}

TEST_F(AgentTest, PolicyDeniesAndSaysWhy) {
  AgentProcess agent(files_);
  OpenBoth();
  EXPECT_TRUE(AReachesB());
  files_.WritePolicy("b", "{from: [{podSelector: {matchLabels: {app: c}}}], ports: [{port: 80}]}");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_)) << "the other way is not isolated";
  EXPECT_TRUE(Becomes(files_, "/v1/events", [](const model::Value& events) {
    for (const model::Value& event : events.items) {
      if (event.Find("reason")->text == "policy" && event.Find("endpoint")->text == "shop/b" &&
          event.Find("source_pod")->text == "shop/a" &&
          event.Find("near_miss")->text.find("shop/b ingress[0]") == 0) {
        return true;
      }
    }
    return false;
  }));

  files_.WritePolicy("b", "{from: [{podSelector: {matchLabels: {app: a}}}]}");
  EXPECT_TRUE(Becomes(files_, "/v1/endpoints", [this](const auto&) { return AReachesB(); }));
  files_.RemoveManifest("policy-b.yaml");
  ASSERT_TRUE(HasPolicies(files_, ""));
  EXPECT_TRUE(AReachesB());
}

// One policy needs more rules and ports than there is room for: it is denied, and nobody else.
TEST_F(AgentTest, ATenantsGiantPolicyHurtsOnlyItself) {
  AgentProcess agent(files_, {"--max-rules=64", "--max-port-sets=16"});
  OpenBoth();
  ASSERT_TRUE(Ready(files_));
  EXPECT_TRUE(AReachesB());
  std::string giant =
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
      "metadata: {namespace: shop, name: giant}\nspec:\n"
      "  podSelector: {matchLabels: {app: a}}\n  ingress:\n";
  for (int i = 0; i < 200; ++i) {
    giant += "  - {from: [{ipBlock: {cidr: 100.64." + std::to_string(i) +
             ".0/24}}], ports: [{port: " + std::to_string(1000 + i) + "}]}\n";
  }
  files_.WriteManifest("giant.yaml", giant);
  files_.WritePolicy("b");
  auto is_short = [](const model::Value& status) {
    bool named = false;
    for (const model::Value& reason : status.Find("reasons")->items) {
      named |= reason.text.find("\" is full (") != std::string::npos;
    }
    for (const model::Value& table : status.Find("tables")->items) {
      if (table.Find("left_out")->text != "0" && named) return true;
    }
    return false;
  };
  ASSERT_TRUE(Becomes(files_, "/v1/status", is_short));
  ASSERT_TRUE(HasPolicies(files_, "shop/b shop/giant"));
  EXPECT_TRUE(ANeverReachesB()) << "a policy that denies is in force";
  EXPECT_FALSE(Reaches(b_, a_));

  files_.WritePolicy("b", "{from: [{podSelector: {matchLabels: {app: a}}}]}");
  EXPECT_TRUE(Becomes(files_, "/v1/endpoints", [this](const auto&) { return AReachesB(); }))
      << "and so is one that allows";
  EXPECT_TRUE(is_short(Ask(files_, "/v1/status")));
  EXPECT_FALSE(Reaches(b_, a_));

  files_.RemoveManifest("giant.yaml");
  ASSERT_TRUE(Ready(files_));
  EXPECT_TRUE(AReachesB() && Reaches(b_, a_));
}

TEST_F(AgentTest, SpoofedSourceIsDropped) {
  AgentProcess agent(files_);
  OpenBoth();
  Shell("ip -n spt1 addr add 10.99.9.9/32 dev eth0");
  auto address = *net::Address::Parse("10.99.9.9");
  int from = a_.UdpSocket(address, 7000), to = Socket(b_, kPort);
  Send(from, b_.v4(), kPort, "spoofed");
  EXPECT_TRUE(Arrived(to, b_.v4(), kPort).empty());
  close(from);
}

// The end of an agent.

TEST_F(AgentTest, EnforcementOutlivesSigtermAndTheNextStartAdoptsIt) {
  {
    AgentProcess agent(files_);
    OpenBoth();
    files_.WritePolicy("b");
    ASSERT_TRUE(HasPolicies(files_, "shop/b"));
    EXPECT_EQ(agent.End(SIGTERM), 0);
  }
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_));

  AgentProcess next(files_);
  ASSERT_TRUE(Ready(files_));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_));
  files_.RemoveManifest("policy-b.yaml");
  ASSERT_TRUE(HasPolicies(files_, ""));
  EXPECT_TRUE(AReachesB());
}

TEST_F(AgentTest, KilledAgentLeavesItsPolicyAndItsFlows) {
  AgentProcess agent(files_);
  OpenBoth();
  files_.WritePolicy("b",
                     "{from: [{podSelector: {matchLabels: {app: a}}}], ports: "
                     "[{port: 5000, protocol: UDP}]}");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  int from = Socket(a_, 6000), to = Socket(b_, kPort);
  Send(from, b_.v4(), kPort, "1");
  EXPECT_THAT(Arrived(to, b_.v4(), kPort), testing::ElementsAre("1"));
  EXPECT_EQ(agent.End(SIGKILL), -SIGKILL);
  Send(from, b_.v4(), kPort, "2");
  Send(to, a_.v4(), 6000, "reply");
  EXPECT_THAT(Arrived(to, b_.v4(), kPort), testing::ElementsAre("2"));
  EXPECT_THAT(Arrived(from, a_.v4(), 6000), testing::ElementsAre("reply"));

  AgentProcess next(files_);
  ASSERT_TRUE(Ready(files_));
  Send(from, b_.v4(), kPort, "3");
  EXPECT_THAT(Arrived(to, b_.v4(), kPort), testing::ElementsAre("3"));
}

TEST_F(AgentTest, NothingIsTakenAwayWhileObjectsCannotBeRead) {
  {
    AgentProcess agent(files_);
    OpenBoth();
    files_.WritePolicy("b");
    ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  }
  std::filesystem::rename(files_.manifests(), files_.manifests() + ".away");
  std::filesystem::rename(files_.results(), files_.results() + ".away");
  AgentProcess agent(files_);
  ASSERT_TRUE(Becomes(files_, "/v1/status", [](const model::Value& status) {
    const model::Value* reasons = status.Find("reasons");
    return reasons && reasons->items.size() == 2;
  }));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_)) << "what was open is open";
  std::filesystem::rename(files_.results() + ".away", files_.results());
  std::filesystem::rename(files_.manifests() + ".away", files_.manifests());
  ASSERT_TRUE(Ready(files_));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_));
}

TEST_F(AgentTest, InterfaceThatCameWhileNoAgentRanIsClosedAtTheNextStart) {
  {
    AgentProcess agent(files_);
    OpenBoth();
  }
  Pod c(3);
  AgentProcess agent(files_);
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", c.device()));
  EXPECT_FALSE(Reaches(c, a_));
  EXPECT_TRUE(AReachesB());
}

TEST_F(AgentTest, SighupIsNothing) {
  AgentProcess agent(files_);
  OpenBoth();
  agent.Signal(SIGHUP);
  EXPECT_TRUE(Ready(files_));
  EXPECT_EQ(agent.End(SIGINT), 0);
  EXPECT_THAT(agent.Log(), HasSubstr("SIGHUP"));
}

TEST_F(AgentTest, DetachTakesEverythingAway) {
  int code = 0;
  {
    AgentProcess agent(files_);
    OpenBoth();
    files_.WritePolicy("b");
    ASSERT_TRUE(HasPolicies(files_, "shop/b"));
    EXPECT_THAT(RunAgent({"--detach", "--pins", files_.pins()}, code), HasSubstr("another agent"));
    EXPECT_EQ(code, 1);
    EXPECT_TRUE(ANeverReachesB());
  }
  EXPECT_THAT(RunAgent({"--detach", "--pins", files_.pins()}, code), HasSubstr("removed"));
  EXPECT_EQ(code, 0);
  EXPECT_FALSE(std::filesystem::exists(files_.pins()));
  EXPECT_TRUE(AReachesB());
  EXPECT_THAT(RunAgent({"--detach", "--pins", files_.pins()}, code),
              HasSubstr("nothing to remove"));
  EXPECT_EQ(code, 0);
}

TEST_F(AgentTest, SecondAgentOnTheSamePinsOrSocketIsRefused) {
  AgentProcess agent(files_);
  ASSERT_TRUE(
      Becomes(files_, "/v1/status", [](const auto& status) { return status.Find("node"); }));
  int code = 0;
  EXPECT_THAT(RunAgent({"--node=n1", "--manifests", files_.manifests(), "--pins", files_.pins(),
                        "--socket=/run/spt-other.sock"},
                       code),
              HasSubstr("another agent uses"));
  EXPECT_EQ(code, 1);
  std::string pins = files_.pins() + "-other";
  EXPECT_THAT(RunAgent({"--node=n1", "--manifests", files_.manifests(), "--pins", pins, "--socket",
                        files_.socket()},
                       code),
              HasSubstr("another agent answers"));
  EXPECT_EQ(code, 1);
  RunAgent({"--detach", "--pins", pins}, code);
}

// `files`: of an agent that answers meanwhile.
bool Says(const AgentFiles& files, const AgentProcess& agent, const char* text) {
  return Becomes(files, "/v1/status",
                 [&](const auto&) { return agent.Log().find(text) != std::string::npos; });
}

// As in a rolling update.
TEST_F(AgentTest, StandsByUntilTheAgentThatRunsEnds) {
  auto first = std::make_unique<AgentProcess>(files_);
  OpenBoth();
  AgentProcess second(files_, {"--stand-by"});
  ASSERT_TRUE(Says(files_, second, "standing by for the agent that uses"));
  EXPECT_TRUE(Reaches(a_, b_));
  EXPECT_EQ(first->End(SIGKILL), -SIGKILL);
  ASSERT_TRUE(Ready(files_));
  EXPECT_THAT(second.Log(), HasSubstr("guarding the pods of node n1"));
  EXPECT_TRUE(Reaches(a_, b_));
  Pod c(3);
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", c.device()));
  EXPECT_EQ(second.End(SIGTERM), 0);
}

TEST_F(AgentTest, StandingByEndsWhenItIsTold) {
  AgentProcess first(files_);
  ASSERT_TRUE(
      Becomes(files_, "/v1/status", [](const auto& status) { return status.Find("node"); }));
  AgentProcess second(files_, {"--stand-by"});
  ASSERT_TRUE(Says(files_, second, "standing by"));
  EXPECT_EQ(second.End(SIGTERM), 0);
  EXPECT_THAT(second.Log(), HasSubstr("ended while another agent runs"));
}

TEST_F(AgentTest, PinsThatAreOnNoBpffsAreAClearError) {
  int code = 0;
  EXPECT_THAT(RunAgent({"--manifests", files_.manifests(), "--pins=/run/spt-no-bpffs", "--socket",
                        files_.socket()},
                       code),
              HasSubstr("bpf"));
  EXPECT_EQ(code, 1);
}

// Bad input.

TEST_F(AgentTest, GarbageManifestKeepsTheOldPolicyAndIsReported) {
  AgentProcess agent(files_);
  OpenBoth();
  files_.WritePolicy("b");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  files_.WriteManifest("policy-b.yaml", "kind: NetworkPolicy\n: garbage\n");
  ASSERT_TRUE(HasDiagnostic(files_, "policy-b.yaml:"));
  EXPECT_TRUE(ANeverReachesB());
  files_.WritePolicy("b", "{ports: [{port: 99999}]}");
  ASSERT_TRUE(HasDiagnostic(files_, "spec.ingress[0].ports[0].port"));
  EXPECT_TRUE(ANeverReachesB());
  files_.WritePolicy("b", "{}");
  EXPECT_TRUE(Becomes(files_, "/v1/endpoints", [this](const auto&) { return AReachesB(); }));
  EXPECT_TRUE(Becomes(files_, "/v1/status", [](const model::Value& status) {
    return status.Find("diagnostics") && status.Find("diagnostics")->items.empty();
  }));
}

TEST_F(AgentTest, GarbageResultOpensNothingAndIsReported) {
  AgentProcess agent(files_);
  OpenBoth();
  Pod c(3);
  WritePod("c", c);
  files_.WriteResult("c", {}, "garbage\" not json");
  ASSERT_TRUE(HasDiagnostic(files_, "CNI result hand-c-eth0"));
  EXPECT_FALSE(Reaches(c, a_));
  files_.WriteResult("c", {c.v4().ToString()}, c.device());
  ASSERT_TRUE(HasEndpoint(files_, "shop/c", "open", c.device()));
}

}  // namespace
}  // namespace sallyport::test
