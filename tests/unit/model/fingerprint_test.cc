// SPDX-License-Identifier: Apache-2.0
#include "model/fingerprint.h"

#include <gtest/gtest.h>

#include "model/manifest.h"

namespace sallyport::model {
namespace {

constexpr const char* kCluster = R"(
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n1},
 spec: {podCIDRs: [10.1.0.0/24], unschedulable: true},
 status: {addresses: [{type: InternalIP, address: 192.0.2.1}], nodeInfo: {bootID: boot-1},
 conditions: [{type: Ready, status: Unknown}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}},
 spec: {nodeName: n1, containers: [{name: c, image: i, ports: [{name: http, containerPort: 80}]}]},
 status: {phase: Running, podIPs: [{ip: 10.1.0.2}]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {}}, {ipBlock: {cidr: 198.51.100.0/24, except: [198.51.100.8/32]}}]
    ports: [{port: 80}, {port: http}, {port: 1000, endPort: 2000, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: LoadBalancer
  clusterIPs: [10.96.0.10]
  externalIPs: [198.51.100.40]
  selector: {app: web}
  ports: [{name: main, port: 8080, targetPort: named, nodePort: 30080}]
status: {loadBalancer: {ingress: [{ip: 198.51.100.41}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.9], conditions: {ready: true}, nodeName: n9}]
ports: [{name: main, port: 8088}]
---
apiVersion: sallyport.io/v1alpha1
kind: EgressGateway
metadata: {name: partner, uid: u-7, creationTimestamp: "2026-01-02T03:04:05Z", generation: 3}
spec:
  egressIPs: [203.0.113.10]
  pods: {namespaceSelector: {matchLabels: {tier: x}}, podSelector: {matchLabels: {role: db}}}
  destinations: {cidrs: [192.0.2.0/24], except: [192.0.2.64/26]}
  gateways: {nodeSelector: {matchLabels: {egress: z}}, interface: eth1}
  portBlockSize: 256
)";

Snapshot ReadSnapshot(const std::string& text) {
  Snapshot snapshot;
  for (const Delta& delta : ReadManifest(text, "test.yaml").objects) snapshot.Apply(delta);
  return snapshot;
}

TEST(Fingerprint, IsThatOfTheContentNotOfThePlace) {
  std::string text = kCluster;
  std::string fingerprint = Fingerprint(ReadSnapshot(text));
  EXPECT_EQ(fingerprint.size(), 16u);
  EXPECT_EQ(Fingerprint(ReadSnapshot("# moved down a line\n" + text)), fingerprint);
  Snapshot elsewhere = ReadSnapshot(text);
  elsewhere.Apply(Delta::Set(LocalAddresses{net::Address::V4(1)}));
  EXPECT_EQ(Fingerprint(elsewhere), fingerprint);
}

TEST(Fingerprint, EveryFieldThatPolicyReadsCounts) {
  std::string text = kCluster;
  std::string fingerprint = Fingerprint(ReadSnapshot(text));
  for (auto [before, after] : {std::pair("team: a", "team: b"),
                               std::pair("10.1.0.0/24", "10.1.0.0/25"),
                               std::pair("192.0.2.1", "192.0.2.2"),
                               std::pair("labels: {app: web}}", "labels: {app: x}}"),
                               std::pair("nodeName: n1", "nodeName: n2"),
                               std::pair("name: http,", "name: www,"),
                               std::pair("containerPort: 80", "containerPort: 81"),
                               std::pair("Running", "Failed"),
                               std::pair("10.1.0.2", "10.1.0.3"),
                               std::pair("matchLabels: {app: web}", "matchLabels: {}"),
                               std::pair("podSelector: {}}", "namespaceSelector: {}}"),
                               std::pair("198.51.100.0/24", "198.51.0.0/16"),
                               std::pair("[198.51.100.8/32]", "[]"),
                               std::pair("{port: 80}", "{port: 82}"),
                               std::pair("endPort: 2000", "endPort: 2001"),
                               std::pair("protocol: UDP", "protocol: SCTP"),
                               std::pair("ingress:", "egress: [{}]\n  ingress:"),
                               std::pair("containers:", "hostNetwork: true, containers:"),
                               std::pair("type: LoadBalancer", "type: NodePort"),
                               std::pair("10.96.0.10", "10.96.0.11"),
                               std::pair("198.51.100.40", "198.51.100.42"),
                               std::pair("198.51.100.41", "198.51.100.43"),
                               std::pair("selector: {app: web}", "selector: {app: x}"),
                               std::pair("8080", "8081"),
                               std::pair("targetPort: named", "targetPort: 80"),
                               std::pair("30080", "30081"),
                               std::pair("service-name: web", "service-name: x"),
                               std::pair("10.1.0.9", "10.1.0.8"),
                               std::pair("ready: true", "ready: false"),
                               std::pair("n9", "n8"),
                               std::pair("8088", "8089"),
                               std::pair("InternalIP", "ExternalIP"),
                               std::pair("unschedulable: true", "unschedulable: false"),
                               std::pair("boot-1", "boot-2"),
                               std::pair("status: Unknown", "status: 'True'"),
                               std::pair("u-7", "u-8"),
                               std::pair("03:04:05Z", "03:04:06Z"),
                               std::pair("generation: 3", "generation: 4"),
                               std::pair("203.0.113.10", "203.0.113.11"),
                               std::pair("tier: x", "tier: z"),
                               std::pair("role: db", "role: x"),
                               std::pair("192.0.2.0/24", "192.0.0.0/16"),
                               std::pair("192.0.2.64/26", "192.0.2.64/27"),
                               std::pair("egress: z", "egress: zz"),
                               std::pair("interface: eth1", "interface: eth2"),
                               std::pair("portBlockSize: 256", "portBlockSize: 512")}) {
    std::string changed = text;
    changed.replace(changed.find(before), std::string_view(before).size(), after);
    EXPECT_NE(Fingerprint(ReadSnapshot(changed)), fingerprint) << before << " -> " << after;
  }
}

}  // namespace
}  // namespace sallyport::model
