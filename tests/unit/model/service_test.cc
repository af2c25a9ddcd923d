// SPDX-License-Identifier: Apache-2.0
// Service and EndpointSlice: what is read of them, every rule with a valid and an invalid twin, and
// who answers for a Service.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/backends.h"
#include "unit/model/manifest_cases.h"

namespace sallyport::model {
namespace {

using testing::Values;

template <typename Ptr>
Ptr ReadSound(const std::string& text) {
  Manifest manifest = ReadManifest(text, "f");
  EXPECT_EQ(Compare(manifest, {}), "") << text;
  if (manifest.objects.size() != 1) return nullptr;
  return std::get<Ptr>(manifest.objects[0].object);
}

std::string ServiceText(const std::string& rest) {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n" + rest;
}

std::string SliceText(const std::string& rest) {
  return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: web-x7\n"
         "  namespace: shop\n  labels: {kubernetes.io/service-name: web}\n" +
         rest;
}

void CheckService(const std::string& text, const std::vector<std::string>& wants) {
  Manifest manifest = ReadManifest(text, "f");
  EXPECT_EQ(Compare(manifest, wants), "") << text;
  EXPECT_EQ(manifest.objects.size(), WantsError(wants) ? 0u : 1u) << text;
  EXPECT_EQ(manifest.broken.size(), WantsError(wants) ? 1u : 0u) << text;
}

net::Address Ip(const char* text) { return *net::Address::Parse(text); }

TEST(Service, AsOnTheServer) {
  ServicePtr service = ReadSound<ServicePtr>(ServiceText(R"(spec:
  type: LoadBalancer
  allocateLoadBalancerNodePorts: true
  clusterIP: 10.96.7.1
  clusterIPs: [10.96.7.1, "fd00:10:96::7"]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: PreferDualStack
  externalIPs: [198.51.100.40]
  externalTrafficPolicy: Local
  internalTrafficPolicy: Cluster
  healthCheckNodePort: 31000
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 10800}}
  publishNotReadyAddresses: true
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: www, nodePort: 30080, protocol: TCP}
  - {name: dns, port: 53, protocol: UDP}
  - {name: number, port: 81, targetPort: 8081}
status:
  loadBalancer:
    ingress: [{ip: 198.51.100.41, ipMode: VIP}, {ip: 198.51.100.42, ipMode: Proxy}, {hostname: x}]
)"));
  ASSERT_TRUE(service);
  EXPECT_EQ(service->name.ToString(), "shop/web");
  EXPECT_EQ(service->type, ServiceType::kLoadBalancer);
  EXPECT_EQ(service->cluster_ips, (std::vector{Ip("10.96.7.1"), Ip("fd00:10:96::7")}));
  EXPECT_EQ(service->external_ips, std::vector{Ip("198.51.100.40")});
  EXPECT_EQ(service->load_balancer_ips, std::vector{Ip("198.51.100.41")});
  EXPECT_TRUE(service->external_local);
  EXPECT_FALSE(service->internal_local);
  EXPECT_TRUE(service->session_affinity);
  EXPECT_TRUE(service->publish_not_ready);
  EXPECT_EQ(service->selector.ToString(), "app=web");
  using net::Protocol;
  EXPECT_EQ(service->ports,
            (std::vector<ServicePort>{{"http", Protocol::kTcp, 80, std::string("www"), 30080},
                                      {"dns", Protocol::kUdp, 53, uint16_t{53}, 0},
                                      {"number", Protocol::kTcp, 81, uint16_t{8081}, 0}}));
}

TEST(Service, HeadlessAndExternalNameHaveNoAddresses) {
  ServicePtr headless =
      ReadSound<ServicePtr>(ServiceText("spec: {clusterIP: None, clusterIPs: [None]}"));
  ASSERT_TRUE(headless);
  EXPECT_TRUE(headless->headless);
  EXPECT_TRUE(headless->cluster_ips.empty());
  ServicePtr other = ReadSound<ServicePtr>(
      ServiceText("spec: {type: ExternalName, externalName: db.example.com}"));
  ASSERT_TRUE(other);
  EXPECT_EQ(other->type, ServiceType::kExternalName);
  EXPECT_EQ(other->external_name, "db.example.com");
  EXPECT_TRUE(other->cluster_ips.empty());
}

TEST(EndpointSlice, AsOnTheServer) {
  EndpointSlicePtr slice = ReadSound<EndpointSlicePtr>(SliceText(R"(addressType: IPv4
endpoints:
- addresses: [10.1.0.2]
  conditions: {ready: true, serving: true, terminating: false}
  nodeName: n1
  targetRef: {kind: Pod, name: web-1, namespace: shop, uid: x}
- {addresses: [10.1.0.3], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.1.0.4], targetRef: {kind: Node, name: n2}}
- {addresses: [10.1.0.5], conditions: {ready: false}, zone: a, hints: {forZones: []}}
ports: [{name: http, port: 8080, protocol: TCP, appProtocol: http}, {name: any}]
)"));
  ASSERT_TRUE(slice);
  EXPECT_EQ(slice->service, "web");
  using net::Protocol;
  EXPECT_EQ(slice->endpoints, (std::vector<SliceEndpoint>{
                                  {{Ip("10.1.0.2")}, true, true, false, "n1", {"shop", "web-1"}},
                                  {{Ip("10.1.0.3")}, false, true, true, "", {}},
                                  {{Ip("10.1.0.4")}, true, true, false, "", {}},
                                  {{Ip("10.1.0.5")}, false, false, false, "", {}}}));
  EXPECT_EQ(slice->ports, (std::vector<SlicePort>{{"http", Protocol::kTcp, 8080},
                                                  {"any", Protocol::kTcp, std::nullopt}}));
}

TEST(EndpointSlice, EmptyListsAreNullOnTheWire) {
  EndpointSlicePtr slice = ReadSound<EndpointSlicePtr>(
      R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"x"},)"
      R"("addressType":"FQDN","endpoints":null,"ports":null})");
  ASSERT_TRUE(slice);
  EXPECT_TRUE(slice->endpoints.empty());
  EXPECT_TRUE(slice->service.empty());
}

class ServiceTest : public testing::TestWithParam<Case> {};

TEST_P(ServiceTest, Validates) { CheckService(ServiceText(GetParam().text), GetParam().wants); }

INSTANTIATE_TEST_SUITE_P(
    All, ServiceTest,
    Values(Case{"Plain", "spec: {ports: [{port: 80}]}", {}},
           Case{"NoSpec", "", {"error: spec: is required, with its ports"}},
           Case{"NoPorts", "spec: {}", {"error: spec.ports: is required: at least one"}},
           Case{"EmptyStrings",
                "spec: {type: \"\", clusterIP: \"\", ports: [{port: 80, protocol: \"\"}]}",
                {}},
           Case{"UnknownType",
                "spec: {type: Nodeport, ports: [{port: 80}]}",
                {"error: spec.type: \"Nodeport\" must be one of ClusterIP, NodePort"}},
           Case{"BadClusterIp",
                "spec: {clusterIP: 10.96.0, ports: [{port: 80}]}",
                {"error: spec.clusterIP: 10.96.0"}},
           Case{"NoneAndAddress",
                "spec: {clusterIPs: [None, 10.96.0.1], ports: [{port: 80}]}",
                {"error: spec.clusterIPs: beside None"}},
           Case{"TwoOfOneFamily",
                "spec: {clusterIPs: [10.96.0.2, 10.96.0.1], ports: [{port: 80}]}",
                {"error: spec.clusterIPs: no more than one address for each"}},
           Case{"PortZero",
                "spec: {ports: [{port: 0}]}",
                {"error: spec.ports[0].port: 0 must be between"}},
           Case{"PortMissing",
                "spec: {ports: [{name: a}]}",
                {"error: spec.ports[0].port: is required"}},
           Case{"NamesAmongSeveral",
                "spec: {ports: [{name: a, port: 80}, {port: 81}]}",
                {"error: spec.ports[1].name: is required where there are several"}},
           Case{"NameTwice",
                "spec: {ports: [{name: a, port: 80}, {name: a, port: 81}]}",
                {"error: spec.ports[1].name: another port already"}},
           Case{"PortTwice",
                "spec: {ports: [{name: a, port: 80}, {name: b, port: 80}]}",
                {"error: spec.ports[1]: has this number"}},
           Case{"SamePortOtherProtocol",
                "spec: {ports: [{name: a, port: 80}, {name: b, port: 80, protocol: UDP}]}",
                {}},
           Case{"BadProtocol",
                "spec: {ports: [{port: 80, protocol: tcp}]}",
                {"error: spec.ports[0].protocol: \"tcp\" must be one of TCP, UDP, SCTP"}},
           Case{"BadTargetName",
                "spec: {ports: [{port: 80, targetPort: Web!}]}",
                {"error: spec.ports[0].targetPort: \"Web!\""}},
           Case{"BadTargetNumber",
                "spec: {ports: [{port: 80, targetPort: 70000}]}",
                {"error: spec.ports[0].targetPort: 70000 must be between"}},
           Case{"BadNodePort",
                "spec: {ports: [{port: 80, nodePort: 70000}]}",
                {"error: spec.ports[0].nodePort: 70000 must be between"}},
           Case{"BadTrafficPolicy",
                "spec: {externalTrafficPolicy: local, ports: [{port: 80}]}",
                {"error: spec.externalTrafficPolicy: must be one of Cluster, Local"}},
           Case{"NoExternalName",
                "spec: {type: ExternalName}",
                {"error: spec.externalName: is required"}},
           Case{"BadExternalIp",
                "spec: {externalIPs: [x], ports: [{port: 80}]}",
                {"error: spec.externalIPs[0]: x"}},
           Case{"Unknown",
                "spec: {port: 80, ports: [{port: 80}]}",
                {"warning: spec.port: unknown field, ignored; did you mean ports?"}}),
    CaseName<testing::TestParamInfo<Case>>);

class SliceTest : public testing::TestWithParam<Case> {};

TEST_P(SliceTest, Validates) { CheckService(SliceText(GetParam().text), GetParam().wants); }

INSTANTIATE_TEST_SUITE_P(
    All, SliceTest,
    Values(
        Case{"V6", "addressType: IPv6\nendpoints: [{addresses: [\"fd00::1\"]}]", {}},
        Case{"NoType", "endpoints: []", {"error: addressType: is required"}},
        Case{"BadType",
             "addressType: IP\nendpoints: []",
             {"error: addressType: \"IP\" must be one of IPv4, IPv6, FQDN"}},
        Case{"OtherFamily",
             "addressType: IPv4\nendpoints: [{addresses: [\"fd00::1\"]}]",
             {"error: endpoints[0].addresses: fd00::1 is not of the slice's addressType"}},
        Case{"NoAddresses",
             "addressType: IPv4\nendpoints: [{nodeName: a}]",
             {"error: endpoints[0].addresses: is required"}},
        Case{"NamesAreNames", "addressType: FQDN\nendpoints: [{addresses: [db.example.com]}]", {}},
        Case{"BadPort",
             "addressType: IPv4\nports: [{port: 0}]",
             {"error: ports[0].port: 0 must be between"}},
        Case{"NameTwice",
             "addressType: IPv4\nports: [{name: a, port: 1}, {name: a, port: 2}]",
             {"error: ports[1].name: another port already"}}),
    CaseName<testing::TestParamInfo<Case>>);

TEST(ServiceKinds, OtherGroupsHaveTheirOwn) {
  Manifest knative = ReadManifest(
      "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: a}\nspec: 1\n", "f");
  EXPECT_EQ(Compare(knative, {}), "");
  EXPECT_EQ(knative.skipped.at("serving.knative.dev/v1 Service"), 1);
  Manifest old = ReadManifest("apiVersion: v1\nkind: EndpointSlice\nmetadata: {name: a}\n", "f");
  EXPECT_EQ(Compare(old, {"error: kind: write apiVersion: discovery.k8s.io/v1"}), "");
  Manifest list = ReadManifest(
      "apiVersion: v1\nkind: ServiceList\nitems:\n- metadata: {name: a}\n"
      "  spec: {ports: [{port: 80}]}\n",
      "f");
  EXPECT_EQ(Compare(list, {}), "");
  EXPECT_EQ(list.objects.size(), 1u);
}

// Dual stack: front's pods are a (both families, both slices) and b (IPv4, not ready); c is no pod.
constexpr const char* kFront = R"(
{apiVersion: v1, kind: Node, metadata: {name: n1},
 status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop, labels: {app: web}},
 spec: {nodeName: n1, containers: [{name: c, image: i, ports: [{name: www, containerPort: 8080}]}]},
 status: {podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: shop, labels: {app: web, old: x}},
 spec: {nodeName: n1, containers: [{name: c, image: i}]}, status: {podIPs: [{ip: 10.0.0.2}]}}
---
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec:
  type: NodePort
  clusterIPs: [10.96.0.10, "fd00:96::10"]
  clusterIP: 10.96.0.10
  externalIPs: [198.51.100.1]
  selector: {app: web}
  ports: [{name: main, port: 80, targetPort: www, nodePort: 30080}]
)";

std::string FrontSlice(const std::string& family, const std::string& endpoints) {
  return "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: front-" +
         family +
         ", namespace: shop, labels: {kubernetes.io/service-name: front}}\naddressType: IPv" +
         family + "\nports: [{name: main, port: 8080}]\nendpoints: " + endpoints + "\n";
}

std::string FrontWithSlices() {
  return kFront + FrontSlice("4", R"(
- {addresses: [10.0.0.1], targetRef: {kind: Pod, name: a, namespace: shop}}
- {addresses: [198.51.100.7]}
- {addresses: [10.0.0.2], conditions: {ready: false, serving: true, terminating: true},
   targetRef: {kind: Pod, name: b, namespace: shop}})") +
         FrontSlice("6", R"(
- {addresses: ["fd00::1"], targetRef: {kind: Pod, name: a, namespace: shop}})");
}

Snapshot SnapshotOf(const std::string& text) {
  Manifest manifest = ReadManifest(text, "f");
  EXPECT_EQ(Compare(manifest, {}), "") << text;
  Snapshot out;
  for (const Delta& delta : manifest.objects) out.Apply(delta);
  return out;
}

// "shop/a 10.0.0.1 fd00::1 :8080, 198.51.100.7 :8080", or the error.
std::string Backends(const Snapshot& snapshot, const ServiceTarget& target,
                     const Pod* sender = nullptr) {
  auto backends = BackendsOf(snapshot, sender, target);
  if (!backends) return backends.error().message;
  std::string out;
  for (const Backend& backend : *backends) {
    out += out.empty() ? "" : ", ";
    if (backend.pod) out += backend.pod->name.ToString() + " ";
    for (const net::Address& address : backend.addresses) out += address.ToString() + " ";
    out += ":" + std::to_string(backend.port);
  }
  return out;
}

std::string BackendsAt(const Snapshot& snapshot, const char* address, const PortName& port,
                       net::Protocol protocol = net::Protocol::kTcp, const Pod* sender = nullptr) {
  auto target = FindServiceAt(snapshot, sender, Ip(address), protocol, port);
  if (!target) return target.error().message;
  return *target ? Backends(snapshot, **target, sender) : "no Service";
}

TEST(Backends, BySlices) {
  Snapshot snapshot = SnapshotOf(FrontWithSlices());
  const ObjectName front{"shop", "front"};
  for (const PortName& port : {PortName(uint16_t{80}), PortName("main")}) {
    auto target = FindService(snapshot, front, net::Protocol::kTcp, port).value();
    EXPECT_EQ(target.ToString(), "shop/front:80/TCP");
    EXPECT_EQ(Backends(snapshot, target), "shop/a 10.0.0.1 fd00::1 :8080, 198.51.100.7 :8080");
  }
  auto error = [&](const ObjectName& name, net::Protocol protocol, uint16_t port) {
    return FindService(snapshot, name, protocol, PortName(port)).error().message;
  };
  EXPECT_EQ(error({"shop", "x"}, net::Protocol::kTcp, 80), "there is no Service shop/x");
  EXPECT_EQ(error(front, net::Protocol::kUdp, 80),
            "Service shop/front has no such port; it has 80/TCP");
  EXPECT_EQ(error(front, net::Protocol::kTcp, 8080),
            "Service shop/front has no such port; it has 80/TCP")
      << "that is the backends'";
}

TEST(Backends, ByEachOfItsAddressesOfThatFamily) {
  Snapshot snapshot = SnapshotOf(FrontWithSlices());
  const std::string v4 = "shop/a 10.0.0.1 :8080, 198.51.100.7 :8080";
  EXPECT_EQ(BackendsAt(snapshot, "10.96.0.10", uint16_t{80}), v4);
  EXPECT_EQ(BackendsAt(snapshot, "10.96.0.10", "main"), v4);
  EXPECT_EQ(BackendsAt(snapshot, "198.51.100.1", uint16_t{80}), v4);
  EXPECT_EQ(BackendsAt(snapshot, "192.0.2.1", uint16_t{30080}), v4) << "a node's";
  Pod sender;
  sender.node = "n1";
  EXPECT_EQ(BackendsAt(snapshot, "192.0.2.1", uint16_t{30080}, net::Protocol::kTcp, &sender), v4);
  sender.node = "n2";
  EXPECT_EQ(BackendsAt(snapshot, "192.0.2.1", uint16_t{30080}, net::Protocol::kTcp, &sender),
            "no Service")
      << "another node's";
  EXPECT_EQ(BackendsAt(snapshot, "fd00:96::10", uint16_t{80}), "shop/a fd00::1 :8080");
  EXPECT_EQ(BackendsAt(snapshot, "192.0.2.9", uint16_t{30080}), "no Service");
  snapshot.local_addresses = {Ip("192.0.2.9")};
  EXPECT_EQ(BackendsAt(snapshot, "192.0.2.9", uint16_t{30080}), v4);
  EXPECT_EQ(BackendsAt(snapshot, "192.0.2.1", uint16_t{80}), "no Service");
  EXPECT_EQ(BackendsAt(snapshot, "192.0.2.1", uint16_t{30080}, net::Protocol::kUdp), "no Service");
  // Only a cluster IP is nothing but a Service's.
  EXPECT_EQ(BackendsAt(snapshot, "198.51.100.1", uint16_t{81}), "no Service");
  EXPECT_EQ(BackendsAt(snapshot, "10.96.0.10", uint16_t{81}),
            "10.96.0.10: Service shop/front has no such port; it has 80/TCP");
  EXPECT_EQ(BackendsAt(snapshot, "10.96.0.10", uint16_t{0}, net::Protocol::kIcmp), "no Service")
      << "echo requests are not translated";
}

TEST(Backends, WithinTheCluster) {
  Snapshot snapshot = SnapshotOf(FrontWithSlices());
  auto service = std::make_shared<Service>(*snapshot.services.at({"shop", "front"}));
  service->internal_local = true;
  snapshot.services[service->name] = service;
  auto slice = std::make_shared<EndpointSlice>(*snapshot.endpoint_slices.at({"shop", "front-4"}));
  slice->endpoints[0].node = "n1";
  slice->endpoints[1].node = "n2";
  snapshot.endpoint_slices[slice->name] = slice;
  auto at = [&](const char* address, uint16_t port, const char* node) {
    Pod sender;
    sender.node = node;
    return BackendsAt(snapshot, address, port, net::Protocol::kTcp, &sender);
  };
  const std::string all = "shop/a 10.0.0.1 :8080, 198.51.100.7 :8080";
  EXPECT_EQ(at("10.96.0.10", 80, "n1"), "shop/a 10.0.0.1 :8080");
  EXPECT_EQ(at("10.96.0.10", 80, "n2"), "198.51.100.7 :8080");
  EXPECT_EQ(at("10.96.0.10", 80, "n3"),
            "Service shop/front has no ready backend for this port on node n3 "
            "(internalTrafficPolicy: Local): nobody would answer");
  EXPECT_EQ(at("10.96.0.10", 80, ""), all) << "not known";
  slice->endpoints[2].node = "n3";
  EXPECT_EQ(at("10.96.0.10", 80, "n3"), "shop/b 10.0.0.2 :8080") << "ends, but serves there";
  EXPECT_EQ(at("198.51.100.1", 80, "n3"), all) << "not the cluster's own address";
  EXPECT_EQ(at("192.0.2.1", 30080, "n1"), all);
  service->internal_local = false;
  EXPECT_EQ(at("10.96.0.10", 80, "n1"), all) << "wherever they are";
}

TEST(Backends, WithoutSlicesByTheSelector) {
  Snapshot snapshot = SnapshotOf(kFront);
  EXPECT_EQ(BackendsAt(snapshot, "10.96.0.10", uint16_t{80}), "shop/a 10.0.0.1 :8080")
      << "b has no port of that name";
}

TEST(Backends, WhereNoneIsReadyThoseThatEndStillServe) {
  Snapshot snapshot = SnapshotOf(FrontWithSlices());
  auto slice = std::make_shared<EndpointSlice>(*snapshot.endpoint_slices.at({"shop", "front-4"}));
  for (SliceEndpoint& endpoint : slice->endpoints) endpoint.ready = false;
  snapshot.endpoint_slices[slice->name] = slice;
  EXPECT_EQ(BackendsAt(snapshot, "10.96.0.10", uint16_t{80}), "shop/b 10.0.0.2 :8080");
  for (SliceEndpoint& endpoint : slice->endpoints) endpoint.serving = false;
  EXPECT_EQ(BackendsAt(snapshot, "10.96.0.10", uint16_t{80}),
            "Service shop/front has no ready backend for this port: nobody would answer");
}

TEST(Backends, WithinTheClusterWithoutSlices) {
  Snapshot snapshot = SnapshotOf(kFront);
  auto service = std::make_shared<Service>(*snapshot.services.at({"shop", "front"}));
  service->internal_local = true;
  snapshot.services[service->name] = service;
  Pod sender;
  sender.node = "n1";
  EXPECT_EQ(BackendsAt(snapshot, "10.96.0.10", uint16_t{80}, net::Protocol::kTcp, &sender),
            "shop/a 10.0.0.1 :8080");
  sender.node = "n2";
  EXPECT_THAT(BackendsAt(snapshot, "10.96.0.10", uint16_t{80}, net::Protocol::kTcp, &sender),
              testing::HasSubstr("on node n2"));
}

}  // namespace
}  // namespace sallyport::model
