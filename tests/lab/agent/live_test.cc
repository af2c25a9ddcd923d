// SPDX-License-Identifier: Apache-2.0
// Connections that live while objects change: those that policy leaves are cut at once, both ways;
// those that it allows, or keeps, feel nothing.
#include <signal.h>

#include "lab/agent/agent_fixture.h"
#include "lab/agent/conversation.h"

namespace sallyport::test {
namespace {

const char* const kFriends = "{podSelector: {matchLabels: {role: friend}}}";
const char* const kKeep = ", annotations: {sallyport.io/established: keep}";

// Pod 3 of the sandbox is no endpoint of this node: whose its address is, objects say.
class LiveTest : public AgentTest {
 protected:
  LiveTest() { Start(); }

  void Start() {
    agent_ = std::make_unique<AgentProcess>(
        files_, std::vector<std::string>{"--devices=!" + far_.device() + ",*"});
  }
  void WriteAs(const std::string& name, const Pod& pod, const std::string& role,
               const std::string& node = "n1", const std::string& space = "shop") {
    files_.WriteManifest(
        "pod-" + name + ".yaml",
        "{apiVersion: v1, kind: Pod, metadata: {name: " + name + ", namespace: " + space +
            ", uid: uid-" + name + ", labels: {app: " + name + ", role: " + role +
            "}}, spec: {nodeName: " + node +
            ", containers: [{name: c, image: i}]}, status: {phase: Running, " + "podIPs: [{ip: \"" +
            pod.v4().ToString() + "\"}, {ip: \"" + pod.v6().ToString() + "\"}]}}\n");
  }
  void WriteSpace(const std::string& name, const std::string& team) {
    files_.WriteManifest("space-" + name + ".yaml",
                         "{apiVersion: v1, kind: Namespace, metadata: {name: " + name +
                             ", labels: {team: " + team + "}}}\n");
  }
  // Isolates b both ways, but for `peer`.
  void WriteIsolating(const std::string& name, const std::string& peer,
                      const std::string& metadata = "") {
    std::string only = peer.empty() ? "[]" : "[{PEER: [" + peer + "]}]";
    auto with = [&](const char* word) {
      std::string out = only;
      if (!peer.empty()) out.replace(out.find("PEER"), 4, word);
      return out;
    };
    files_.WriteManifest("policy-" + name + ".yaml",
                         "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: "
                         "{name: " +
                             name + ", namespace: shop" + metadata +
                             "}, spec: {podSelector: {matchLabels: {app: b}}, policyTypes: "
                             "[Ingress, Egress], ingress: " +
                             with("from") + ", egress: " + with("to") + "}}\n");
  }
  // May these two open connections, both ways, by what is in force?
  bool MayTalk(const std::string& a, const std::string& b, bool may) {
    auto says = [&](const std::string& from, const std::string& to) {
      return Becomes(files_, "/v1/explain?protocol=TCP&port=5002&from=" + from + "&to=" + to,
                     [&](const model::Value& rows) {
                       bool all = !rows.items.empty();
                       for (const model::Value& row : rows.items)
                         all &= row.Find("allowed")->boolean == may;
                       return all;
                     });
    };
    return says(a, b) && says(b, a);
  }
  // a and c are friends, and b talks to friends only.
  void OpenFriends(const std::string& metadata = "") {
    WriteAs("a", a_, "friend");
    WriteAs("b", b_, "server");
    Claim("a", a_);
    Claim("b", b_);
    WriteIsolating("b", kFriends, metadata);
    ASSERT_TRUE(HasEndpoint(files_, "shop/a", "open", a_.device()));
    ASSERT_TRUE(HasEndpoint(files_, "shop/b", "open", b_.device()));
    ASSERT_TRUE(MayTalk("shop/a", "shop/b", true));
  }
  // So many conversations stay although policy allows no such ones any more.
  bool HasKept(size_t count) {
    return Becomes(files_, "/v1/flows?limit=4096", [&](const model::Value& flows) {
      size_t kept = 0;
      for (const model::Value& flow : flows.items) kept += flow.Find("kept") != nullptr;
      return kept == count;
    });
  }

  Pod far_{3};
  std::unique_ptr<AgentProcess> agent_;
};

TEST_F(LiveTest, LiveConnectionsFollowPodLabels) {
  OpenFriends();
  WriteAs("far", far_, "friend", "n2");
  ASSERT_TRUE(MayTalk("shop/far", "shop/b", true));
  Conversations leaving = Talk(a_, b_);
  Bystanders staying(Talk(far_, b_));
  WriteAs("a", a_, "stranger");
  ASSERT_TRUE(MayTalk("shop/a", "shop/b", false));
  EXPECT_TRUE(AreCut(leaving));
  EXPECT_EQ(staying.End(), "");

  WriteAs("a", a_, "friend");
  ASSERT_TRUE(MayTalk("shop/a", "shop/b", true));
  for (const auto& one : leaving) EXPECT_TRUE(one->Revives()) << one->name();
  EXPECT_TRUE(Carry(leaving));
}

TEST_F(LiveTest, LiveConnectionsFollowNamespaceLabels) {
  WriteSpace("shop", "us");
  WriteSpace("guests", "us");
  OpenFriends();
  WriteIsolating("b", "{namespaceSelector: {matchLabels: {team: us}}}");
  WriteAs("far", far_, "friend", "n2", "guests");
  ASSERT_TRUE(MayTalk("guests/far", "shop/b", true));
  ASSERT_TRUE(MayTalk("shop/a", "shop/b", true));
  Conversations leaving = Talk(far_, b_);
  Bystanders staying(Talk(a_, b_));
  WriteSpace("guests", "them");
  ASSERT_TRUE(MayTalk("guests/far", "shop/b", false));
  EXPECT_TRUE(AreCut(leaving));
  EXPECT_EQ(staying.End(), "");
}

TEST_F(LiveTest, LiveConnectionsFollowADeletedPolicy) {
  OpenFriends();
  WriteAs("far", far_, "stranger", "n2");
  WriteIsolating("strangers", "{podSelector: {matchLabels: {role: stranger}}}");
  ASSERT_TRUE(MayTalk("shop/far", "shop/b", true));
  Conversations leaving = Talk(a_, b_);
  Bystanders staying(Talk(far_, b_));
  files_.RemoveManifest("policy-b.yaml");
  ASSERT_TRUE(MayTalk("shop/a", "shop/b", false));
  EXPECT_TRUE(AreCut(leaving));
  files_.RemoveManifest("policy-strangers.yaml");  // nobody isolates it now
  ASSERT_TRUE(MayTalk("shop/a", "shop/b", true));
  EXPECT_TRUE(Carry(Talk(a_, b_)));
  EXPECT_EQ(staying.End(), "");
}

// The address of a friend on another node becomes a stranger's.
TEST_F(LiveTest, LiveConnectionsFollowAnAddress) {
  OpenFriends();
  WriteAs("far", far_, "friend", "n2");
  ASSERT_TRUE(MayTalk("shop/far", "shop/b", true));
  Conversations leaving = Talk(far_, b_);
  Bystanders staying(Talk(a_, b_));
  files_.RemoveManifest("pod-far.yaml");
  WriteAs("next", far_, "stranger", "n2");
  ASSERT_TRUE(MayTalk("shop/next", "shop/b", false));
  EXPECT_TRUE(AreCut(leaving));
  EXPECT_EQ(staying.End(), "");
}

TEST_F(LiveTest, KeptConnectionsStayAndNewOnesDoNot) {
  OpenFriends(kKeep);
  WriteAs("far", far_, "friend", "n2");
  ASSERT_TRUE(MayTalk("shop/far", "shop/b", true));
  Bystanders kept(Talk(a_, b_));
  Conversations far = Talk(far_, b_);
  WriteAs("a", a_, "stranger");
  WriteAs("far", far_, "stranger", "n2");
  ASSERT_TRUE(MayTalk("shop/a", "shop/b", false));
  ASSERT_TRUE(MayTalk("shop/far", "shop/b", false));
  EXPECT_TRUE(Carry(far));
  EXPECT_TRUE(HasKept(16));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_FALSE(Reaches(b_, a_));
  EXPECT_FALSE(Reaches(far_, b_) || Reaches(b_, far_, true));

  // With nobody there, and with somebody who was not there when they were opened.
  EXPECT_EQ(agent_->End(SIGKILL), -SIGKILL);
  EXPECT_TRUE(Carry(far));
  EXPECT_TRUE(ANeverReachesB());
  Start();
  ASSERT_TRUE(Ready(files_));
  EXPECT_TRUE(Carry(far));
  EXPECT_TRUE(HasKept(16));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_EQ(kept.End(), "");
}

TEST_F(LiveTest, KeptConnectionsAreCutByOneWhoDoesNotKeep) {
  OpenFriends(kKeep);
  Conversations kept = Talk(a_, b_);
  WriteAs("a", a_, "stranger");
  ASSERT_TRUE(MayTalk("shop/a", "shop/b", false));
  EXPECT_TRUE(Carry(kept));
  WriteIsolating("another", kFriends, kKeep);
  ASSERT_TRUE(HasPolicies(files_, "shop/another shop/b"));
  EXPECT_TRUE(Carry(kept)) << "all ask for it";
  WriteIsolating("cutting", "");
  ASSERT_TRUE(HasPolicies(files_, "shop/another shop/b shop/cutting"));
  EXPECT_TRUE(AreCut(kept));
  files_.RemoveManifest("policy-cutting.yaml");
  ASSERT_TRUE(HasPolicies(files_, "shop/another shop/b"));
  EXPECT_TRUE(AreCut(kept)) << "what was cut is not kept";
}

TEST_F(LiveTest, KeptConnectionsAreCutWhenTheAnnotationGoes) {
  OpenFriends(kKeep);
  Conversations kept = Talk(a_, b_);
  WriteAs("a", a_, "stranger");
  ASSERT_TRUE(MayTalk("shop/a", "shop/b", false));
  EXPECT_TRUE(Carry(kept));
  EXPECT_TRUE(HasKept(8));
  WriteIsolating("b", kFriends);
  ASSERT_TRUE(HasKept(0));
  EXPECT_TRUE(AreCut(kept));
}

}  // namespace
}  // namespace sallyport::test
