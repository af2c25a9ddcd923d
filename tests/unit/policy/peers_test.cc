// SPDX-License-Identifier: Apache-2.0
// Which peers the selectors of a rule mean.
#include <gtest/gtest.h>

#include "support/questions.h"
#include "support/village.h"

namespace sallyport::test {
namespace {

// shop/db accepts these peers, on any port.
model::Snapshot From(const std::string& peers) {
  return SnapshotOf(
      VillageWith("{podSelector: {matchLabels: {app: db}}, ingress: [{from: [" + peers + "]}]}"));
}

// Who of the village may reach shop/db, in the order web, cache, bank/web, bank/teller.
std::string Admitted(const std::string& peers) {
  model::Snapshot village = From(peers);
  std::string out;
  for (const char* pod : {"shop/web", "shop/cache", "bank/web", "bank/teller"}) {
    std::string answer = Answer(village, std::string(pod) + " -> shop/db:5432/TCP");
    std::string answer6 = Answer(village, std::string(pod) + "#1 -> shop/db#1:5432/TCP");
    EXPECT_EQ(answer, answer6) << pod;
    if (answer != "denied") out += (out.empty() ? "" : " ") + std::string(pod);
    if (answer != "denied" && answer != "allowed") out += " " + answer;
  }
  return out;
}

TEST(Peers, PodSelectorMeansThePolicysOwnNamespace) {
  EXPECT_EQ(Admitted("{podSelector: {matchLabels: {app: web}}}"), "shop/web");
}

TEST(Peers, EmptyPodSelectorMeansEveryPodOfTheNamespace) {
  EXPECT_EQ(Admitted("{podSelector: {}}"), "shop/web shop/cache");
}

TEST(Peers, NamespaceSelectorMeansEveryPodOfTheNamespaces) {
  EXPECT_EQ(Admitted("{namespaceSelector: {matchLabels: {team: blue}}}"), "bank/web bank/teller");
}

TEST(Peers, EmptyNamespaceSelectorMeansEveryNamespace) {
  EXPECT_EQ(Admitted("{namespaceSelector: {}}"), "shop/web shop/cache bank/web bank/teller");
}

TEST(Peers, BothSelectorsInOneItemMeanBothOnOnePod) {
  EXPECT_EQ(Admitted("{namespaceSelector: {matchLabels: {team: blue}},"
                     " podSelector: {matchLabels: {app: web}}}"),
            "bank/web");
}

TEST(Peers, TwoItemsMeanEither) {
  EXPECT_EQ(Admitted("{namespaceSelector: {matchLabels: {team: blue}}},"
                     "{podSelector: {matchLabels: {app: web}}}"),
            "shop/web bank/web bank/teller");
}

TEST(Peers, EveryNamespaceHasItsNameAsALabel) {
  EXPECT_EQ(Admitted("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: bank}}}"),
            "bank/web bank/teller");
  EXPECT_EQ(Admitted("{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name,"
                     " operator: NotIn, values: [bank]}]}}"),
            "shop/web shop/cache");
}

// bank's pods may reach shop/db by this namespaceSelector while no Namespace bank is known.
bool AdmitsUnknown(const std::string& selector, bool listed) {
  model::Snapshot village = From("{namespaceSelector: " + selector + "}");
  village.namespaces.erase("bank");
  village.namespaces_listed = listed;
  std::string answer = Answer(village, "bank/web -> shop/db:5432/TCP");
  EXPECT_TRUE(answer == "allowed" || answer == "denied") << answer;
  return answer == "allowed";
}

TEST(Peers, ANamespaceWhoseLabelsAreNotToldYetMatchesWhatHoldsForAll) {
  const std::string name = "{key: kubernetes.io/metadata.name, operator: ";
  for (bool listed : {false, true}) {
    SCOPED_TRACE(listed);
    EXPECT_TRUE(AdmitsUnknown("{}", listed));
    EXPECT_TRUE(AdmitsUnknown("{matchExpressions: [" + name + "In, values: [bank]}]}", listed));
    EXPECT_TRUE(AdmitsUnknown("{matchExpressions: [" + name + "In, values: [a, bank]}]}", listed));
    EXPECT_TRUE(AdmitsUnknown("{matchExpressions: [" + name + "NotIn, values: [a]}]}", listed));
    EXPECT_TRUE(AdmitsUnknown("{matchExpressions: [" + name + "Exists}]}", listed));
    EXPECT_FALSE(AdmitsUnknown("{matchExpressions: [" + name + "NotIn, values: [bank]}]}", listed));
    EXPECT_FALSE(AdmitsUnknown("{matchLabels: {team: blue}}", listed));
    EXPECT_EQ(AdmitsUnknown("{matchExpressions: [{key: env, operator: DoesNotExist}]}", listed),
              !listed);
    EXPECT_EQ(
        AdmitsUnknown("{matchExpressions: [{key: env, operator: NotIn, values: [evil]}]}", listed),
        !listed);
    EXPECT_EQ(AdmitsUnknown("{matchLabels: {kubernetes.io/metadata.name: bank}, matchExpressions:"
                            " [{key: env, operator: DoesNotExist}]}",
                            listed),
              !listed);
  }
}

TEST(Peers, PoliciesOfANamespaceThatIsNotToldYetIsolate) {
  model::Snapshot village = From("{podSelector: {}}");
  village.namespaces.clear();
  village.namespaces_listed = true;
  EXPECT_ALLOWED(village, "shop/web -> shop/db:5432/TCP");
  EXPECT_DENIED(village, "bank/web -> shop/db:5432/TCP");
}

TEST(Peers, SelectorsDoNotReachOutsideTheCluster) {
  model::Snapshot village = From("{namespaceSelector: {}}");
  EXPECT_DENIED(village, "203.0.113.1 -> shop/db:5432/TCP");
  EXPECT_DENIED(village, "[2001:db8::1] -> shop/db#1:5432/TCP");
}

TEST(Peers, InHoldsForAnyOfItsValues) {
  EXPECT_EQ(Admitted("{namespaceSelector: {}, podSelector: {matchExpressions:"
                     " [{key: app, operator: In, values: [cache, teller]}]}}"),
            "shop/cache bank/teller");
}

TEST(Peers, NotInHoldsWhereTheKeyIsAbsent) {
  EXPECT_EQ(Admitted("{namespaceSelector: {}, podSelector: {matchExpressions:"
                     " [{key: tier, operator: NotIn, values: [front]}]}}"),
            "shop/cache bank/teller");
}

TEST(Peers, DoesNotExistHoldsWhereTheKeyIsAbsent) {
  EXPECT_EQ(Admitted("{namespaceSelector: {}, podSelector: {matchExpressions:"
                     " [{key: env, operator: DoesNotExist}]}}"),
            "shop/web shop/cache bank/web");
}

TEST(Peers, ExistsHoldsForAnyValue) {
  EXPECT_EQ(Admitted("{namespaceSelector: {}, podSelector: {matchExpressions:"
                     " [{key: tier, operator: Exists}]}}"),
            "shop/web bank/web");
}

TEST(Peers, RequirementsAreAnded) {
  EXPECT_EQ(Admitted("{namespaceSelector: {}, podSelector: {matchLabels: {app: web},"
                     " matchExpressions: [{key: tier, operator: Exists},"
                     " {key: env, operator: DoesNotExist}]}}"),
            "shop/web bank/web");
  EXPECT_EQ(Admitted("{namespaceSelector: {}, podSelector: {matchLabels: {app: web},"
                     " matchExpressions: [{key: tier, operator: NotIn, values: [front]}]}}"),
            "");
}

TEST(Peers, EmptyFromMeansAnyPeerTheOutsideIncluded) {
  for (const char* rule : {"{}", "{from: []}"}) {
    model::Snapshot village = SnapshotOf(VillageWith(
        std::string("{podSelector: {matchLabels: {app: db}}, ingress: [") + rule + "]}"));
    EXPECT_ALLOWED(village, "shop/web -> shop/db:5432/TCP");
    EXPECT_ALLOWED(village, "203.0.113.1 -> shop/db:1/UDP");
    EXPECT_ALLOWED(village, "203.0.113.1 -> shop/db ICMP");
    EXPECT_ALLOWED(village, "[2001:db8::1] -> shop/db#1 ICMPv6");
  }
}

TEST(Peers, EmptyToMeansAnyPeerTheOutsideIncluded) {
  model::Snapshot village = SnapshotOf(
      VillageWith("{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress:"
                  " [{to: [], ports: [{port: 443}]}]}"));
  EXPECT_ALLOWED(village, "shop/db -> 203.0.113.1:443/TCP");
  EXPECT_ALLOWED(village, "shop/db -> bank/web:443/TCP");
  EXPECT_DENIED(village, "shop/db -> 203.0.113.1:80/TCP");
}

TEST(Peers, APodReachesItself) {
  model::Snapshot village =
      SnapshotOf(VillageWith("{podSelector: {}, policyTypes: [Ingress, Egress]}"));
  EXPECT_ALLOWED(village, "shop/db -> shop/db:5432/TCP");
  EXPECT_ALLOWED(village, "shop/db#1 -> shop/db#1 ICMPv6");
  EXPECT_DENIED(village, "shop/db -> shop/web:80/TCP");
}

TEST(Peers, APodAndItsOwnNodeReachEachOther) {
  model::Snapshot village =
      SnapshotOf(VillageWith("{podSelector: {}, policyTypes: [Ingress, Egress]}"));
  EXPECT_ALLOWED(village, "192.168.0.1 -> shop/db:5432/TCP");
  EXPECT_ALLOWED(village, "[fd00:a::1] -> shop/db#1:5432/TCP");
  EXPECT_ALLOWED(village, "shop/db -> 192.168.0.1:10250/TCP");
  EXPECT_DENIED(village, "192.168.0.2 -> shop/db:5432/TCP");
  EXPECT_DENIED(village, "shop/db -> 192.168.0.2:10250/TCP");
  EXPECT_ALLOWED(village, "192.168.0.2 -> shop/cache:80/TCP");
}

TEST(Peers, AddressesFoundOnTheNodeAreTheNodes) {
  model::Snapshot village = SnapshotOf(VillageWith("{podSelector: {}}"));
  EXPECT_DENIED(village, "10.1.0.254 -> shop/db:5432/TCP");
  village.Apply(model::Delta::Set(model::LocalAddresses{*net::Address::Parse("10.1.0.254")}));
  EXPECT_ALLOWED(village, "10.1.0.254 -> shop/db:5432/TCP");
}

// Two live pods with one address, as seen when one ends and its address is given away at once.
constexpr char kDouble[] = R"(
apiVersion: v1
kind: Pod
metadata: {name: old, namespace: shop, labels: {app: web, track: stable}}
spec: {nodeName: n2, containers: [{name: main, image: web, ports: [{name: metrics, containerPort: 1},
  {name: both, containerPort: 7}]}]}
status: {phase: Running, podIPs: [{ip: 10.2.0.7}]}
---
apiVersion: v1
kind: Pod
metadata: {name: new, namespace: bank, labels: {app: other, track: stable}}
spec: {nodeName: n2, containers: [{name: main, image: web, ports: [{name: metrics, containerPort: 2},
  {name: both, containerPort: 7}]}]}
status: {phase: Running, podIPs: [{ip: 10.2.0.7}]}
---
)";

TEST(SharedAddress, MatchesASelectorOnlyIfAllItsPodsDo) {
  auto ask = [&](const std::string& peer) {
    std::string spec = "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [" + peer + "]}]}";
    return Answer(SnapshotOf(kVillage + kDouble + Policy("in", spec)),
                  "10.2.0.7 -> shop/db:5432/TCP");
  };
  EXPECT_EQ(ask("{podSelector: {matchLabels: {app: web}}}"), "denied");
  EXPECT_EQ(ask("{namespaceSelector: {}, podSelector: {matchLabels: {app: other}}}"), "denied");
  // Each by another item: no item holds for both.
  EXPECT_EQ(ask("{podSelector: {}}, {namespaceSelector: {matchLabels: {team: blue}}}"), "denied");
  EXPECT_EQ(ask("{namespaceSelector: {}, podSelector: {matchLabels: {track: stable}}}"), "allowed");
  EXPECT_EQ(ask("{ipBlock: {cidr: 10.2.0.7/32}}"), "allowed");
}

TEST(SharedAddress, HasAPortNameOnlyIfAllItsPodsAgree) {
  model::Snapshot village =
      SnapshotOf(kVillage + kDouble +
                 Policy("out",
                        "{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress:"
                        " [{ports: [{port: metrics}, {port: both}]}]}"));
  EXPECT_DENIED(village, "shop/db -> 10.2.0.7:1/TCP");
  EXPECT_DENIED(village, "shop/db -> 10.2.0.7:2/TCP");
  EXPECT_ALLOWED(village, "shop/db -> 10.2.0.7:7/TCP");
}

TEST(SharedAddress, EachOfItsPodsMustAllow) {
  model::Snapshot village =
      SnapshotOf(kVillage + kDouble + Policy("in", "{podSelector: {matchLabels: {app: web}}}"));
  EXPECT_DENIED(village, "bank/teller -> 10.2.0.7:80/TCP");
}

}  // namespace
}  // namespace sallyport::test
