// SPDX-License-Identifier: Apache-2.0
// Whom policies select, what they isolate, and how several add up.
#include <gtest/gtest.h>

#include "support/questions.h"
#include "support/village.h"

namespace sallyport::test {
namespace {

TEST(Isolation, WithoutAPolicyEverythingIsAllowed) {
  model::Snapshot village = SnapshotOf(kVillage);
  EXPECT_ALLOWED(village, "shop/web -> shop/db:5432/TCP");
  EXPECT_ALLOWED(village, "bank/teller -> shop/db:1/SCTP");
  EXPECT_ALLOWED(village, "203.0.113.1 -> shop/db ICMP");
  EXPECT_ALLOWED(village, "shop/web#1 -> [2001:db8::1]:443/TCP");
}

TEST(Isolation, MissingPolicyTypesMeanIngress) {
  model::Snapshot village = SnapshotOf(VillageWith("{podSelector: {matchLabels: {app: db}}}"));
  EXPECT_DENIED(village, "shop/web -> shop/db:5432/TCP");
  EXPECT_ALLOWED(village, "shop/db -> shop/web:80/TCP");
}

TEST(Isolation, MissingPolicyTypesMeanEgressTooIfEgressHasRules) {
  model::Snapshot village = SnapshotOf(VillageWith(
      "{podSelector: {matchLabels: {app: db}}, egress: [{ports: [{port: 53, protocol: UDP}]}]}"));
  EXPECT_DENIED(village, "shop/web -> shop/db:5432/TCP");
  EXPECT_DENIED(village, "shop/db -> shop/web:80/TCP");
  EXPECT_ALLOWED(village, "shop/db -> shop/web:53/UDP");
}

TEST(Isolation, MissingPolicyTypesWithAnEmptyEgressMeanIngressOnly) {
  model::Snapshot village =
      SnapshotOf(VillageWith("{podSelector: {matchLabels: {app: db}}, egress: []}"));
  EXPECT_ALLOWED(village, "shop/db -> shop/web:80/TCP");
  EXPECT_DENIED(village, "shop/web -> shop/db:5432/TCP");
}

TEST(Isolation, EgressAloneLeavesIngressOpen) {
  model::Snapshot village = SnapshotOf(VillageWith("{podSelector: {}, policyTypes: [Egress]}"));
  EXPECT_DENIED(village, "shop/db -> bank/web:80/TCP");
  EXPECT_ALLOWED(village, "bank/web -> shop/db:80/TCP");
}

TEST(Isolation, RulesOfADirectionThatIsNotATypeAreVoid) {
  model::Snapshot village =
      SnapshotOf(VillageWith("{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress],"
                             " ingress: [{ports: [{port: 1}]}], egress: [{}]}"));
  EXPECT_ALLOWED(village, "shop/web -> shop/db:2/TCP");
  EXPECT_ALLOWED(village, "shop/db -> shop/web:2/TCP");
}

TEST(Isolation, NoIngressRulesAllowNothing) {
  for (const char* ingress : {"", ", ingress: []"}) {
    model::Snapshot village = SnapshotOf(
        VillageWith(std::string("{podSelector: {}, policyTypes: [Ingress]") + ingress + "}"));
    EXPECT_DENIED(village, "shop/web -> shop/db:5432/TCP");
    EXPECT_DENIED(village, "203.0.113.1 -> shop/db ICMP");
    EXPECT_DENIED(village, "bank/web -> shop/cache:80/SCTP");
  }
}

TEST(Isolation, EmptyPodSelectorIsEveryPodOfItsNamespaceOnly) {
  model::Snapshot village = SnapshotOf(VillageWith("{podSelector: {}}"));
  for (const char* pod : {"web", "db", "cache"}) {
    EXPECT_DENIED(village, std::string("bank/web -> shop/") + pod + ":80/TCP");
  }
  EXPECT_ALLOWED(village, "shop/web -> bank/web:80/TCP");
}

TEST(Isolation, ASelectorOfItsNamespaceDoesNotReachOthers) {
  model::Snapshot village = SnapshotOf(VillageWith("{podSelector: {matchLabels: {app: web}}}"));
  EXPECT_DENIED(village, "shop/db -> shop/web:80/TCP");
  EXPECT_ALLOWED(village, "shop/db -> bank/web:80/TCP");
}

TEST(Union, OneRuleOfOnePolicyIsEnough) {
  model::Snapshot village = SnapshotOf(
      kVillage + Policy("deny", "{podSelector: {}}") +
      Policy("web",
             "{podSelector: {matchLabels: {app: db}}, ingress:"
             " [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]}") +
      Policy("cache",
             "{podSelector: {matchLabels: {tier: back}}, ingress:"
             " [{from: [{podSelector: {matchLabels: {app: cache}}}]},"
             "  {from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 9187}]}]}"));
  EXPECT_ALLOWED(village, "shop/web -> shop/db:5432/TCP");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:9187/TCP");
  EXPECT_DENIED(village, "shop/web -> shop/db:9188/TCP");
  EXPECT_ALLOWED(village, "shop/cache -> shop/db:1/UDP");
  EXPECT_DENIED(village, "bank/web -> shop/db:5432/TCP");
}

TEST(Union, RulesDoNotMix) {
  // The peer of one rule and the port of another allow nothing together.
  model::Snapshot village = SnapshotOf(
      VillageWith("{podSelector: {matchLabels: {app: db}}, ingress:"
                  " [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 1}]},"
                  "  {from: [{podSelector: {matchLabels: {app: cache}}}], ports: [{port: 2}]}]}"));
  EXPECT_ALLOWED(village, "shop/web -> shop/db:1/TCP");
  EXPECT_DENIED(village, "shop/web -> shop/db:2/TCP");
  EXPECT_ALLOWED(village, "shop/cache -> shop/db:2/TCP");
  EXPECT_DENIED(village, "shop/cache -> shop/db:1/TCP");
}

TEST(Union, BothEndsMustAllow) {
  std::string egress = Policy("out",
                              "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress],"
                              " egress: [{ports: [{port: 1}, {port: 2}]}]}");
  std::string ingress = Policy("in",
                               "{podSelector: {matchLabels: {app: db}},"
                               " ingress: [{ports: [{port: 2}, {port: 3}]}]}");
  model::Snapshot village = SnapshotOf(kVillage + egress + ingress);
  EXPECT_DENIED(village, "shop/web -> shop/db:1/TCP");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:2/TCP");
  EXPECT_DENIED(village, "shop/web -> shop/db:3/TCP");
  EXPECT_ALLOWED(village, "shop/cache -> shop/db:3/TCP");
  EXPECT_ALLOWED(village, "shop/web -> shop/cache:1/TCP");
}

TEST(Pods, OnTheHostsNetworkAreNotSelected) {
  std::string host = R"(
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: shop, labels: {app: agent}}
spec: {nodeName: n2, hostNetwork: true, containers: [{name: main, image: agent}]}
status: {phase: Running, podIPs: [{ip: 192.168.0.2}]}
---
)";
  model::Snapshot village = SnapshotOf(kVillage + host + Policy("deny", "{podSelector: {}}"));
  EXPECT_ALLOWED(village, "shop/web -> 192.168.0.2:80/TCP");
}

TEST(Pods, OnTheHostsNetworkAreNotMatchedAsPods) {
  std::string host = R"(
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: shop, labels: {app: agent}}
spec: {nodeName: n2, hostNetwork: true, containers: [{name: main, image: agent}]}
status: {phase: Running, podIPs: [{ip: 192.168.0.2}]}
---
)";
  std::string rule = "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [";
  model::Snapshot by_pod = SnapshotOf(
      kVillage + host + Policy("p", rule + "{podSelector: {matchLabels: {app: agent}}}]}]}"));
  EXPECT_DENIED(by_pod, "192.168.0.2 -> shop/db:5432/TCP");
  model::Snapshot by_everyone =
      SnapshotOf(kVillage + host + Policy("p", rule + "{namespaceSelector: {}}]}]}"));
  EXPECT_DENIED(by_everyone, "192.168.0.2 -> shop/db:5432/TCP");
  model::Snapshot by_address =
      SnapshotOf(kVillage + host + Policy("p", rule + "{ipBlock: {cidr: 192.168.0.2/32}}]}]}"));
  EXPECT_ALLOWED(by_address, "192.168.0.2 -> shop/db:5432/TCP");
}

TEST(Pods, ThatHaveEndedMatchNothingAndAreNotSelected) {
  for (const char* phase : {"Succeeded", "Failed"}) {
    // The job's address has become the teller's.
    std::string job = R"(
apiVersion: v1
kind: Pod
metadata: {name: job, namespace: shop, labels: {app: job}}
spec: {nodeName: n1, containers: [{name: main, image: job}]}
status: {phase: )" + std::string(phase) +
                      R"(, podIPs: [{ip: 10.1.0.3}]}
---
)";
    model::Snapshot village =
        SnapshotOf(kVillage + job +
                   Policy("in",
                          "{podSelector: {matchLabels: {app: db}}, ingress:"
                          " [{from: [{podSelector: {matchLabels: {app: job}}}]}]}") +
                   Policy("job", "{podSelector: {matchLabels: {app: job}}}"));
    EXPECT_DENIED(village, "bank/teller -> shop/db:5432/TCP");
    EXPECT_ALLOWED(village, "shop/web -> bank/teller:80/TCP");
  }
}

TEST(Pods, WithoutAnAddressMatchNothing) {
  std::string pending = R"(
apiVersion: v1
kind: Pod
metadata: {name: job, namespace: shop, labels: {app: job}}
spec: {nodeName: n1, containers: [{name: main, image: job}]}
status: {phase: Pending}
---
)";
  model::Snapshot village =
      SnapshotOf(kVillage + pending +
                 Policy("in",
                        "{podSelector: {matchLabels: {app: db}}, ingress:"
                        " [{from: [{podSelector: {matchLabels: {app: job}}}]}]}"));
  EXPECT_DENIED(village, "shop/web -> shop/db:5432/TCP");
  EXPECT_DENIED(village, "10.1.0.9 -> shop/db:5432/TCP");
}

TEST(Pods, OfANamespaceThatIsNotKnownHaveItsNameOnly) {
  std::string stray = R"(
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: new}
spec: {nodeName: n2, containers: [{name: main, image: web}]}
status: {phase: Running, podIPs: [{ip: 10.2.0.9}]}
---
)";
  std::string rule =
      "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: ";
  auto ask = [&](const std::string& selector) {
    return Answer(SnapshotOf(kVillage + stray + Policy("in", rule + selector + "}]}]}")),
                  "new/web -> shop/db:5432/TCP");
  };
  EXPECT_EQ(ask("{}"), "allowed");
  EXPECT_EQ(ask("{matchLabels: {kubernetes.io/metadata.name: new}}"), "allowed");
  EXPECT_EQ(ask("{matchExpressions: [{key: team, operator: DoesNotExist}]}"), "allowed");
  EXPECT_EQ(ask("{matchLabels: {team: red}}"), "denied");
}

}  // namespace
}  // namespace sallyport::test
