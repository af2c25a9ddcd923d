// SPDX-License-Identifier: Apache-2.0
// A real agent that watches an API server: what it enforces, while that server fails in every way.
#include "lab/agent/agent_fixture.h"
#include "lab/agent/fake_api.h"

namespace sallyport::test {
namespace {

constexpr const char* kPods = "pods";
constexpr const char* kPolicies = "networkpolicies";

class ApiTest : public AgentTest {
 protected:
  ApiTest() {
    files_.MakeResults();
    api_.Put("namespaces", "shop", "", R"("spec":{})");
    api_.Put("nodes", "n1", "", R"("status":{"addresses":[{"type":"Hostname","address":"n1"}]})");
  }
  void Start() { agent_ = std::make_unique<AgentProcess>(files_, Flags()); }
  std::vector<std::string> Flags() {
    return {"--kubeconfig=" + files_.manifests() + "/kubeconfig"};
  }

  void PutPod(const std::string& name, const Pod& pod, bool addresses = true) {
    std::string v4 = pod.v4().ToString(), v6 = pod.v6().ToString();
    std::string status = R"("phase":"Running","podIP":")" + v4 + R"(","podIPs":[{"ip":")" + v4 +
                         R"("},{"ip":")" + v6 + R"("}])";
    api_.Put(kPods, name,
             R"(,"namespace":"shop","uid":"uid-)" + name + R"(","labels":{"app":")" + name + "\"}",
             R"("spec":{"nodeName":"n1","containers":[{"name":"c"}]},"status":{)" +
                 (addresses ? status : R"("phase":"Pending")") + "}");
  }
  // Lets only app=`from` reach app=`name`.
  void PutPolicy(const std::string& name, const std::string& from) {
    api_.Put(kPolicies, name, R"(,"namespace":"shop")",
             R"("spec":{"podSelector":{"matchLabels":{"app":")" + name +
                 R"("}},"policyTypes":["Ingress"],"ingress":[{"from":[{"podSelector":)"
                 R"({"matchLabels":{"app":")" +
                 from + "\"}}}]}]}");
  }
  void OpenBothByApi() {
    PutPod("a", a_);
    PutPod("b", b_);
    Claim("a", a_);
    Claim("b", b_);
    ASSERT_TRUE(HasEndpoint(files_, "shop/a", "open", a_.device()));
    ASSERT_TRUE(HasEndpoint(files_, "shop/b", "open", b_.device()));
  }
  // Not ready, with a reason that has this text.
  bool SaysWhy(const std::string& text) {
    return Becomes(files_, "/v1/status", [&](const model::Value& status) {
      const model::Value* reasons = status.Find("reasons");
      if (!reasons || status.Find("ready")->boolean) return false;
      for (const model::Value& reason : reasons->items) {
        if (reason.text.find(text) != std::string::npos) return true;
      }
      return false;
    });
  }
  // A pod that comes while the server fails stays closed until it is told of; then its policy is in
  // force. `fail` and `heal` are called before and after it comes.
  template <typename Fail, typename Heal>
  void PodsComeDuring(Fail fail, Heal heal) {
    Start();
    OpenBothByApi();
    PutPolicy("b", "a");
    ASSERT_TRUE(HasPolicies(files_, "shop/b"));
    ASSERT_TRUE(Ready(files_));
    EXPECT_TRUE(AReachesB());
    fail();
    EXPECT_TRUE(AReachesB()) << "an outage changes nothing";
    Pod c(3);
    Claim("c", c);
    ASSERT_TRUE(HasEndpoint(files_, "shop/c", "closed", c.device()));
    EXPECT_FALSE(Reaches(c, b_));
    EXPECT_FALSE(Reaches(a_, c));
    PutPod("c", c);
    api_.Delete(kPods, "a");
    PutPolicy("b", "c");
    heal();
    ASSERT_TRUE(HasEndpoint(files_, "shop/c", "open", c.device()));
    ASSERT_TRUE(HasEndpoint(files_, "shop/a", "closed", a_.device())) << "it has gone meanwhile";
    ASSERT_TRUE(Ready(files_));
    EXPECT_TRUE(Becomes(files_, "/v1/status", [&](const auto&) { return Reaches(c, b_); }));
    EXPECT_TRUE(ANeverReachesB());
  }

  FakeApi api_{files_.manifests()};
  std::unique_ptr<AgentProcess> agent_;
};

TEST_F(ApiTest, EnforcesWhatTheServerSays) {
  Start();
  OpenBothByApi();
  ASSERT_TRUE(Ready(files_));
  EXPECT_TRUE(AReachesB());
  PutPolicy("b", "c");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  EXPECT_TRUE(ANeverReachesB());
  api_.Delete(kPolicies, "b");
  ASSERT_TRUE(HasPolicies(files_, ""));
  EXPECT_TRUE(AReachesB());
  EXPECT_EQ(agent_->End(SIGTERM), 0) << "at once, though watches are open";
}

TEST_F(ApiTest, NothingIsCutOffBeforeEverythingIsListed) {
  api_.Kill();
  Start();
  ASSERT_TRUE(SaysWhy("could not be listed yet: "));
  EXPECT_TRUE(AReachesB()) << "they ran before";
  Claim("a", a_);
  Claim("b", b_);
  EXPECT_TRUE(AReachesB());
  PutPod("a", a_);
  PutPod("b", b_);
  PutPolicy("b", "c");
  api_.Start();
  ASSERT_TRUE(HasEndpoint(files_, "shop/b", "open", b_.device()));
  ASSERT_TRUE(Ready(files_));
  EXPECT_TRUE(ANeverReachesB());
}

TEST_F(ApiTest, RestartOfTheAgentWithoutAServerLeavesWhatIsInForce) {
  Start();
  OpenBothByApi();
  PutPolicy("b", "c");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_));
  agent_.reset();
  api_.Kill();
  Start();
  ASSERT_TRUE(SaysWhy("could not be listed yet: "));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_));
  api_.Start(true);
  ASSERT_TRUE(Ready(files_));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_));
}

TEST_F(ApiTest, ServerKilledAndStarted) {
  PodsComeDuring(
      [&] {
        api_.Kill();
        EXPECT_TRUE(
            SaysWhy("pods are not followed at the moment: watching pods: https://127.0.0.1"));
        EXPECT_TRUE(SaysWhy("what was known stays in force"));
      },
      [&] { api_.Start(); });
}

TEST_F(ApiTest, ServerRestartedWithItsHistoryLost) {
  PodsComeDuring([&] { api_.Kill(); }, [&] { api_.Start(true); });
}

TEST_F(ApiTest, ServerHangs) {
  PodsComeDuring([&] { api_.Hang(); }, [&] { api_.Wake(); });
}

TEST_F(ApiTest, ServerHangsAndDies) {
  PodsComeDuring([&] { api_.Hang(); },
                 [&] {
                   api_.Kill();
                   api_.Start(true);
                 });
}

TEST_F(ApiTest, ConnectionsAreReset) {
  PodsComeDuring(
      [&] {
        for (int i = 0; i < 3; ++i) {
          api_.Reset();
          EXPECT_TRUE(Ready(files_));
        }
        api_.Hang();
      },
      [&] {
        api_.Reset();
        api_.Wake();
      });
}

TEST_F(ApiTest, APolicyThatIsNotUnderstoodAllowsNothing) {
  Start();
  OpenBothByApi();
  const std::string odd =
      R"("spec":{"podSelector":{"matchLabels":{"app":"b"}},"ingress":[{"from":[{"weather":{}}]}]})";
  api_.Put(kPolicies, "b", R"(,"namespace":"shop")", odd);
  ASSERT_TRUE(HasDiagnostic(files_, "NetworkPolicy shop/b: spec.ingress[0].from[0].weather"));
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_)) << "egress is not its affair";
  PutPolicy("b", "a");
  EXPECT_TRUE(Becomes(files_, "/v1/status", [&](const auto&) { return AReachesB(); }));
  api_.Put(kPolicies, "b", R"(,"namespace":"shop")", odd);
  ASSERT_TRUE(HasDiagnostic(files_, "what it was before stays in force"));
  EXPECT_TRUE(AReachesB());
}

TEST_F(ApiTest, BadAccessIsToldAtOnce) {
  std::string text = "apiVersion: v1\nkind: Config\n";
  files_.WriteManifest("broken", text);
  int code = 0;
  EXPECT_THAT(RunAgent({"--node=n1", "--kubeconfig=" + files_.manifests() + "/broken", "--pins",
                        files_.pins(), "--socket", files_.socket()},
                       code),
              testing::HasSubstr("no current-context"));
  EXPECT_EQ(code, 1);
}

}  // namespace
}  // namespace sallyport::test
