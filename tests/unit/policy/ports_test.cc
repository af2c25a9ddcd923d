// SPDX-License-Identifier: Apache-2.0
// Which protocols and ports a rule means.
#include <gtest/gtest.h>

#include "support/questions.h"
#include "support/village.h"

namespace sallyport::test {
namespace {

// Everyone may reach shop/db on these ports.
model::Snapshot In(const std::string& ports) {
  return SnapshotOf(
      VillageWith("{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [" + ports + "]}]}"));
}

// shop/web may reach these peers ("" for anyone) on these ports.
model::Snapshot Out(const std::string& peers, const std::string& ports) {
  return SnapshotOf(VillageWith(
      "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [" + peers +
      "], ports: [" + ports + "]}]}"));
}

TEST(Ports, MissingPortsMeanEveryPortOfEveryProtocol) {
  for (const char* rule :
       {"{from: [{podSelector: {}}]}", "{from: [{podSelector: {}}], ports: []}"}) {
    model::Snapshot village = SnapshotOf(VillageWith(
        std::string("{podSelector: {matchLabels: {app: db}}, ingress: [") + rule + "]}"));
    for (const char* to : {":1/TCP", ":65535/UDP", ":9/SCTP", " ICMP"}) {
      EXPECT_ALLOWED(village, std::string("shop/web -> shop/db") + to);
      EXPECT_DENIED(village, std::string("bank/web -> shop/db") + to);
    }
    EXPECT_ALLOWED(village, "shop/web#1 -> shop/db#1 ICMPv6");
  }
}

TEST(Ports, OtherProtocolsAreAllowedWhereNoPortsAreListedOnly) {
  net::FlowTuple gre;
  gre.protocol = static_cast<net::Protocol>(47);
  for (const char* ports : {"", ", ports: [{port: 80}]"}) {
    model::Snapshot village = SnapshotOf(VillageWith(
        std::string(
            "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {}}]") +
        ports + "}]}"));
    gre.source = FlowOf(village, "shop/web -> shop/db ICMP").source;
    gre.destination = FlowOf(village, "shop/web -> shop/db ICMP").destination;
    EXPECT_EQ(Answer(village, gre), *ports == 0 ? "allowed" : "denied");
  }
}

TEST(Ports, AListAllowsWhatItListsAndNoIcmp) {
  model::Snapshot village = In("{port: 80, protocol: TCP}, {port: 53, protocol: UDP}");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:80/TCP");
  EXPECT_ALLOWED(village, "203.0.113.1 -> shop/db:53/UDP");
  EXPECT_DENIED(village, "shop/web -> shop/db:53/TCP");
  EXPECT_DENIED(village, "shop/web -> shop/db:80/UDP");
  EXPECT_DENIED(village, "shop/web -> shop/db:80/SCTP");
  EXPECT_DENIED(village, "shop/web -> shop/db ICMP");
  EXPECT_DENIED(village, "shop/web#1 -> shop/db#1 ICMPv6");
}

TEST(Ports, EveryPortOfEveryProtocolListedStillHasNoIcmp) {
  model::Snapshot village = In("{protocol: TCP}, {protocol: UDP}, {protocol: SCTP}");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:1/TCP");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:65535/SCTP");
  EXPECT_DENIED(village, "shop/web -> shop/db ICMP");
}

TEST(Ports, ProtocolDefaultsToTcp) {
  model::Snapshot village = In("{port: 80}");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:80/TCP");
  EXPECT_DENIED(village, "shop/web -> shop/db:80/UDP");
}

TEST(Ports, SctpIsAProtocolLikeTheOthers) {
  model::Snapshot village = In("{port: 2905, protocol: SCTP}");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:2905/SCTP");
  EXPECT_DENIED(village, "shop/web -> shop/db:2905/TCP");
  EXPECT_DENIED(village, "shop/web -> shop/db:2906/SCTP");
}

TEST(Ports, AProtocolWithoutAPortMeansEveryPortOfIt) {
  model::Snapshot village = In("{protocol: UDP}");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:1/UDP");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:65535/UDP");
  EXPECT_DENIED(village, "shop/web -> shop/db:1/TCP");
}

TEST(Ports, EndPortMakesARangeWithBothEnds) {
  model::Snapshot village = In("{port: 8000, endPort: 8100}, {port: 65535, endPort: 65535}");
  EXPECT_DENIED(village, "shop/web -> shop/db:7999/TCP");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:8000/TCP");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:8100/TCP");
  EXPECT_DENIED(village, "shop/web -> shop/db:8101/TCP");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:65535/TCP");
  EXPECT_DENIED(village, "shop/web -> shop/db:8050/UDP");
}

TEST(Ports, RangesThatOverlapOrTouchAddUp) {
  model::Snapshot village =
      In("{port: 10, endPort: 20}, {port: 21, endPort: 30}, {port: 25, endPort: 40}, {port: 5}");
  for (int port : {5, 10, 20, 21, 30, 40}) {
    EXPECT_ALLOWED(village, "shop/web -> shop/db:" + std::to_string(port) + "/TCP");
  }
  for (int port : {4, 6, 9, 41}) {
    EXPECT_DENIED(village, "shop/web -> shop/db:" + std::to_string(port) + "/TCP");
  }
}

TEST(NamedPorts, ResolveOnTheSelectedPodForIngress) {
  model::Snapshot village =
      SnapshotOf(VillageWith("{podSelector: {}, ingress: [{ports: [{port: metrics}]}]}"));
  EXPECT_ALLOWED(village, "bank/web -> shop/db:9187/TCP");
  EXPECT_DENIED(village, "bank/web -> shop/db:9121/TCP");
  EXPECT_ALLOWED(village, "bank/web -> shop/cache:9121/TCP");
  EXPECT_DENIED(village, "bank/web -> shop/cache:9187/TCP");
  // shop/web has no such port.
  EXPECT_DENIED(village, "bank/web -> shop/web:9187/TCP");
  EXPECT_DENIED(village, "bank/web -> shop/web:9121/TCP");
}

TEST(NamedPorts, ResolveOnThePeerForEgress) {
  model::Snapshot village = Out("{namespaceSelector: {}}", "{port: metrics}");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:9187/TCP");
  EXPECT_DENIED(village, "shop/web -> shop/db:9121/TCP");
  EXPECT_ALLOWED(village, "shop/web -> shop/cache:9121/TCP");
  EXPECT_DENIED(village, "shop/web -> bank/web:9121/TCP");
}

TEST(NamedPorts, MatchByNameAndProtocol) {
  // bank/teller's port metrics is UDP.
  model::Snapshot tcp = Out("{namespaceSelector: {}}", "{port: metrics}");
  EXPECT_DENIED(tcp, "shop/web -> bank/teller:8080/TCP");
  EXPECT_DENIED(tcp, "shop/web -> bank/teller:8080/UDP");
  model::Snapshot udp = Out("{namespaceSelector: {}}", "{port: metrics, protocol: UDP}");
  EXPECT_ALLOWED(udp, "shop/web -> bank/teller:8080/UDP");
  EXPECT_DENIED(udp, "shop/web -> bank/teller:8080/TCP");
  EXPECT_DENIED(udp, "shop/web -> shop/db:9187/UDP");
}

TEST(NamedPorts, ForAnyPeerMeanPodsThatHaveThem) {
  model::Snapshot village = Out("", "{port: metrics}, {port: 443}");
  EXPECT_ALLOWED(village, "shop/web -> shop/cache:9121/TCP");
  EXPECT_ALLOWED(village, "shop/web -> shop/cache:443/TCP");
  EXPECT_ALLOWED(village, "shop/web -> 203.0.113.1:443/TCP");
  EXPECT_DENIED(village, "shop/web -> 203.0.113.1:9121/TCP");
}

TEST(NamedPorts, OfAPodInAnIpBlockAreThePods) {
  model::Snapshot village = Out("{ipBlock: {cidr: 10.0.0.0/8}}", "{port: metrics}");
  EXPECT_ALLOWED(village, "shop/web -> shop/cache:9121/TCP");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:9187/TCP");
  EXPECT_DENIED(village, "shop/web -> 10.99.0.1:9121/TCP");
  EXPECT_DENIED(village, "shop/web#1 -> shop/cache#1:9121/TCP");
}

TEST(NamedPorts, CountForTheRulesPeersOnly) {
  model::Snapshot village = Out("{podSelector: {matchLabels: {app: db}}}", "{port: metrics}");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:9187/TCP");
  EXPECT_DENIED(village, "shop/web -> shop/cache:9121/TCP");
}

TEST(NamedPorts, OfEveryProtocol) {
  model::Snapshot village = In("{port: dns, protocol: UDP}, {port: m3, protocol: SCTP}");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:53/UDP");
  EXPECT_ALLOWED(village, "shop/web -> shop/db:2905/SCTP");
  EXPECT_DENIED(village, "shop/web -> shop/db:53/TCP");
}

}  // namespace
}  // namespace sallyport::test
