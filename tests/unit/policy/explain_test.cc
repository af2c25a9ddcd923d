// SPDX-License-Identifier: Apache-2.0
// Verdicts in words: who isolates, which rule allows, what the nearest one lacks.
#include "policy/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/questions.h"
#include "support/village.h"

namespace sallyport::test {
namespace {

using policy::Direction;
using policy::FlowVerdict;
using policy::Why;
using ::testing::HasSubstr;

FlowVerdict Ask(const std::string& yaml, const std::string& question) {
  model::Snapshot snapshot = SnapshotOf(yaml);
  return policy::Evaluate(snapshot, FlowOf(snapshot, question));
}

// What the nearest rule for shop/db lacked, of policies with these ingress rules.
std::string Lacked(const std::string& rules, const std::string& question) {
  FlowVerdict verdict = Ask(
      VillageWith("{podSelector: {matchLabels: {app: db}}, ingress: [" + rules + "]}"), question);
  EXPECT_FALSE(verdict.allowed);
  if (!verdict.ingress.near_miss) return "no near miss";
  return verdict.ingress.near_miss->lacked;
}

TEST(Verdict, SaysWhy) {
  EXPECT_EQ(Ask(kVillage, "shop/web -> shop/db:1/TCP").ingress.why, Why::kNotIsolated);
  std::string deny = VillageWith("{podSelector: {}, policyTypes: [Ingress, Egress]}");
  EXPECT_EQ(Ask(deny, "shop/web -> shop/db:1/TCP").ingress.why, Why::kNoRule);
  EXPECT_EQ(Ask(deny, "shop/db -> shop/db:1/TCP").ingress.why, Why::kSelf);
  EXPECT_EQ(Ask(deny, "192.168.0.1 -> shop/db:1/TCP").ingress.why, Why::kOwnNode);
  EXPECT_EQ(Ask(deny, "192.168.0.1 -> shop/db:1/TCP").egress.why, Why::kNotAPod);
  std::string allow = VillageWith("{podSelector: {}, ingress: [{}]}");
  EXPECT_EQ(Ask(allow, "shop/web -> shop/db:1/TCP").ingress.why, Why::kRule);
}

TEST(Verdict, WordsForScriptsStay) {
  EXPECT_EQ(ToString(Why::kNotIsolated), "not-isolated");
  EXPECT_EQ(ToString(Why::kRule), "rule");
  EXPECT_EQ(ToString(Why::kOwnNode), "own-node");
  EXPECT_EQ(ToString(Why::kSelf), "self");
  EXPECT_EQ(ToString(Why::kNotAPod), "not-a-pod");
  EXPECT_EQ(ToString(Why::kNoRule), "no-rule");
}

TEST(Verdict, NamesThePodsAtBothEnds) {
  FlowVerdict verdict = Ask(kVillage, "shop/web -> 203.0.113.1:443/TCP");
  EXPECT_EQ(verdict.source, (model::ObjectName{"shop", "web"}));
  EXPECT_EQ(verdict.destination, std::nullopt);
}

TEST(Verdict, NamesThePoliciesThatIsolate) {
  std::string yaml = kVillage + Policy("b", "{podSelector: {}}") +
                     Policy("a", "{podSelector: {matchLabels: {app: db}}}") +
                     Policy("c", "{podSelector: {matchLabels: {app: web}}}") +
                     Policy("d", "{podSelector: {}, policyTypes: [Egress], egress: [{}]}");
  FlowVerdict verdict = Ask(yaml, "shop/web -> shop/db:1/TCP");
  EXPECT_EQ(Explain(verdict.ingress, Direction::kIngress),
            "denied: isolated by shop/a, shop/b, which allow no ingress at all");
  EXPECT_EQ(Explain(verdict.egress, Direction::kEgress),
            "allowed: rule shop/d egress[0] (test.yaml:" +
                std::to_string(verdict.egress.rule->place.line) + ")");
}

TEST(Verdict, NamesTheFirstRuleThatAllowsByPolicyName) {
  std::string yaml =
      kVillage + Policy("b", "{podSelector: {}, ingress: [{}]}") +
      Policy("a", "{podSelector: {}, ingress: [{ports: [{port: 9}]}, {ports: [{port: 1}]}]}");
  FlowVerdict verdict = Ask(yaml, "shop/web -> shop/db:1/TCP");
  ASSERT_TRUE(verdict.ingress.rule);
  EXPECT_EQ(verdict.ingress.rule->ToString(), "shop/a ingress[1]");
  EXPECT_FALSE(verdict.ingress.near_miss);
}

TEST(NearMiss, OfThePort) {
  EXPECT_EQ(Lacked("{ports: [{port: 6379}]}", "shop/web -> shop/db:5432/TCP"),
            "peer matches; port 5432/TCP is not among 6379/TCP");
  EXPECT_EQ(Lacked("{ports: [{port: 80}, {port: 8000, endPort: 8100}, {protocol: UDP}]}",
                   "shop/web -> shop/db:5432/TCP"),
            "peer matches; port 5432/TCP is not among 80/TCP, 8000-8100/TCP, every port/UDP");
}

TEST(NearMiss, OfAPortName) {
  EXPECT_EQ(Lacked("{ports: [{port: metrics}]}", "shop/web -> shop/db:5432/TCP"),
            "peer matches; port 5432/TCP is not among metrics/TCP (9187)");
  EXPECT_EQ(Lacked("{ports: [{port: http}]}", "shop/web -> shop/db:80/TCP"),
            "peer matches; port 80/TCP is not among http/TCP; shop/db has no port named http/TCP");
  FlowVerdict outside =
      Ask(VillageWith("{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress:"
                      " [{ports: [{port: metrics}]}]}"),
          "shop/web -> 203.0.113.1:9187/TCP");
  EXPECT_EQ(
      outside.egress.near_miss->lacked,
      "peer matches; port 9187/TCP is not among metrics/TCP; 203.0.113.1, which is no pod, has"
      " no port named metrics/TCP");
}

TEST(NearMiss, OfAProtocolWithoutPorts) {
  EXPECT_EQ(Lacked("{ports: [{port: 80}]}", "shop/web -> shop/db ICMP"),
            "peer matches; ICMP has no ports: only a rule that lists none allows it");
}

TEST(NearMiss, OfTheNamespace) {
  EXPECT_EQ(
      Lacked("{from: [{podSelector: {matchLabels: {app: web}}}]}", "bank/web -> shop/db:1/TCP"),
      "pod bank/web is not in namespace shop; port matches");
  EXPECT_EQ(Lacked("{from: [{namespaceSelector: {matchLabels: {team: red}}}]}",
                   "bank/web -> shop/db:1/TCP"),
            "namespace bank has team=blue (wanted team=red); port matches");
}

TEST(NearMiss, OfLabels) {
  EXPECT_EQ(Lacked("{from: [{podSelector: {matchLabels: {app: web, track: stable}}}]}",
                   "shop/web -> shop/db:1/TCP"),
            "pod shop/web has no label track (wanted track=stable); port matches");
  EXPECT_EQ(Lacked("{from: [{podSelector: {matchExpressions:"
                   " [{key: tier, operator: DoesNotExist}]}}]}",
                   "shop/web -> shop/db:1/TCP"),
            "pod shop/web has tier=front (wanted !tier); port matches");
}

TEST(NearMiss, NamesANamespaceWhoseLabelsAreNotToldYet) {
  model::Snapshot village = SnapshotOf(
      VillageWith("{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector:"
                  " {matchExpressions: [{key: env, operator: NotIn, values: [evil]}]}}]}]}"));
  village.namespaces.erase("bank");
  village.namespaces_listed = true;
  auto verdict = policy::Evaluate(village, FlowOf(village, "bank/web -> shop/db:1/TCP"));
  ASSERT_TRUE(verdict.ingress.near_miss);
  EXPECT_EQ(verdict.ingress.near_miss->lacked,
            "namespace bank is not known yet (wanted env!=evil); port matches");
}

TEST(NearMiss, OfAnAddress) {
  EXPECT_EQ(Lacked("{from: [{podSelector: {}}]}", "203.0.113.1 -> shop/db:1/TCP"),
            "203.0.113.1 is not a pod's address; port matches");
  EXPECT_EQ(Lacked("{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}", "198.51.100.1 -> shop/db:1/TCP"),
            "198.51.100.1 is not in 203.0.113.0/24; port matches");
  EXPECT_EQ(Lacked("{from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/28]}}]}",
                   "203.0.113.1 -> shop/db:1/TCP"),
            "203.0.113.1 is in 203.0.113.0/24, but excepted by 203.0.113.0/28; port matches");
}

TEST(NearMiss, OfBoth) {
  EXPECT_EQ(Lacked("{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}",
                   "shop/cache -> shop/db:1/TCP"),
            "pod shop/cache has app=cache (wanted app=web); port 1/TCP is not among 80/TCP");
}

TEST(NearMiss, IsTheNearestOfSeveralPeers) {
  EXPECT_EQ(Lacked("{from: [{ipBlock: {cidr: 203.0.113.0/24}},"
                   " {namespaceSelector: {matchLabels: {team: red}},"
                   "  podSelector: {matchLabels: {app: x}}},"
                   " {podSelector: {matchLabels: {app: web, tier: back}}}]}",
                   "shop/web -> shop/db:1/TCP"),
            "pod shop/web has app=web (wanted app=x) (nearest of 3 peers); port matches");
}

TEST(NearMiss, PrefersAWrongPortToAWrongPeer) {
  std::string rules =
      "{from: [{podSelector: {matchLabels: {app: cache}}}], ports: [{port: 1}]},"
      "{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 2}]},"
      "{from: [{podSelector: {matchLabels: {app: x}}}], ports: [{port: 2}]}";
  FlowVerdict verdict =
      Ask(VillageWith("{podSelector: {matchLabels: {app: db}}, ingress: [" + rules + "]}"),
          "shop/web -> shop/db:1/TCP");
  EXPECT_EQ(verdict.ingress.near_miss->rule.index, 1);
}

TEST(NearMiss, OfAnAddressThatSeveralPodsClaim) {
  std::string twin = R"(
apiVersion: v1
kind: Pod
metadata: {name: twin, namespace: shop, labels: {app: twin}}
spec: {nodeName: n2, containers: [{name: main, image: web}]}
status: {phase: Running, podIPs: [{ip: 10.1.0.1}]}
---
)";
  FlowVerdict verdict = Ask(kVillage + twin +
                                Policy("in",
                                       "{podSelector: {matchLabels: {app: db}}, ingress: [{from:"
                                       " [{podSelector: {matchLabels: {app: web}}}]}]}"),
                            "10.1.0.1 -> shop/db:1/TCP");
  EXPECT_EQ(verdict.ingress.near_miss->lacked,
            "pod shop/twin has app=twin (wanted app=web) (2 pods claim 10.1.0.1: all must match);"
            " port matches");
}

TEST(Explain, TheWholeAnswer) {
  std::string yaml = kVillage + Policy("deny", "{podSelector: {}}") +
                     Policy("db",
                            "{podSelector: {matchLabels: {app: db}}, ingress:"
                            " [{from: [{podSelector: {}}], ports: [{port: 6379}]}]}");
  model::Snapshot snapshot = SnapshotOf(yaml);
  net::FlowTuple flow = FlowOf(snapshot, "shop/web -> shop/db:5432/TCP");
  FlowVerdict verdict = policy::Evaluate(snapshot, flow);
  std::string line = std::to_string(verdict.ingress.near_miss->rule.place.line);
  EXPECT_EQ(Explain(verdict, flow),
            "10.1.0.1:40000 -> 10.1.0.2:5432/TCP: denied\n"
            "  egress of shop/web: allowed: no policy isolates it for egress\n"
            "  ingress of shop/db: denied: isolated by shop/db, shop/deny; nearest: shop/db"
            " ingress[0] (test.yaml:" +
                line +
                "): peer matches; port 5432/TCP is not among"
                " 6379/TCP\n");
}

TEST(Explain, OutsideIsNotJudged) {
  model::Snapshot snapshot = SnapshotOf(kVillage);
  net::FlowTuple flow = FlowOf(snapshot, "203.0.113.1 -> shop/db:1/TCP");
  EXPECT_THAT(Explain(policy::Evaluate(snapshot, flow), flow),
              HasSubstr("egress of 203.0.113.1: allowed: not a pod, nothing to judge"));
}

}  // namespace
}  // namespace sallyport::test
