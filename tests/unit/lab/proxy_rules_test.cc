// SPDX-License-Identifier: Apache-2.0
// What is translated, and the rules that do it: small golden ones. That they do it is tried with
// real traffic in tests/lab/net.
#include "lab/proxy_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "lab/conntrack.h"
#include "unit/lab/make.h"

namespace sallyport::lab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

Value Service(const std::string& spec, const std::string& meta = "",
              const std::string& status = "") {
  return MakeValue("{kind: Service, metadata: {name: web, namespace: shop" + meta +
                   "}, spec: {clusterIP: 10.96.0.20, ports: [{name: http, port: 80}], " + spec +
                   "}" + status + "}");
}

// Endpoints as "{addresses: ...}", each; the port is "http" 8080.
Value Slice(const std::string& endpoints, const std::string& name = "web-1") {
  return MakeValue("{kind: EndpointSlice, metadata: {name: " + name +
                   ", namespace: shop, labels: {kubernetes.io/service-name: web}}, addressType: "
                   "IPv4, endpoints: [" +
                   endpoints + "], ports: [{name: http, port: 8080}]}");
}

std::vector<ServicePort> Ports(const Value& service, const std::vector<Value>& slices) {
  std::vector<const Value*> list;
  for (const Value& slice : slices) list.push_back(&slice);
  return ServicePorts({&service}, list, "n1");
}

std::vector<std::string> Addresses(const std::vector<ProxyEndpoint>& endpoints) {
  std::vector<std::string> out;
  for (const ProxyEndpoint& endpoint : endpoints) out.push_back(endpoint.address.ToString());
  return out;
}

const char* const kTwo =
    "{addresses: [10.0.0.1], nodeName: n1, conditions: {ready: true}}, "
    "{addresses: [10.0.0.2], nodeName: n2}";

TEST(ServicePorts, ReadyEndpointsAreUsedAndUnknownMeansReady) {
  auto ports =
      Ports(Service(""),
            {Slice(std::string(kTwo) + ", {addresses: [10.0.0.3], conditions: {ready: false, "
                                       "serving: true, terminating: true}}")});
  ASSERT_THAT(ports, SizeIs(1));
  EXPECT_EQ(ports[0].ToString(), "shop/web:http");
  EXPECT_EQ(ports[0].port, 80);
  EXPECT_THAT(Addresses(ports[0].endpoints), ElementsAre("10.0.0.1", "10.0.0.2"));
  EXPECT_TRUE(ports[0].endpoints[0].local);
  EXPECT_FALSE(ports[0].endpoints[1].local);
  EXPECT_EQ(ports[0].endpoints[0].port, 8080);
  EXPECT_THAT(ports[0].local_endpoints, IsEmpty());  // nothing is Local
}

TEST(ServicePorts, LocalPoliciesChooseAmongTheNodesOwn) {
  const std::string going =
      "{addresses: [10.0.0.3], nodeName: n1, conditions: {ready: false, serving: true, "
      "terminating: true}}";
  auto ports = Ports(Service("internalTrafficPolicy: Local"),
                     {Slice("{addresses: [10.0.0.2], nodeName: n2}, " + going)});
  EXPECT_THAT(Addresses(ports.at(0).endpoints), ElementsAre("10.0.0.2"));
  EXPECT_THAT(Addresses(ports.at(0).local_endpoints), ElementsAre("10.0.0.3"));
}

TEST(ServicePorts, AnEndpointInTwoSlicesIsOne) {
  auto ports = Ports(Service(""), {Slice("{addresses: [10.0.0.1], conditions: {ready: false}}"),
                                   Slice("{addresses: [10.0.0.1]}", "web-2")});
  EXPECT_THAT(Addresses(ports.at(0).endpoints), ElementsAre("10.0.0.1"));
}

TEST(ServicePorts, SomeServicesAreNobodysToTranslate) {
  EXPECT_THAT(Ports(MakeValue("{kind: Service, metadata: {name: web, namespace: shop}, spec: "
                              "{clusterIP: None, ports: [{port: 80}]}}"),
                    {}),
              IsEmpty());
  EXPECT_THAT(Ports(Service("type: ExternalName, externalName: a.b"), {}), IsEmpty());
  EXPECT_THAT(Ports(Service("", ", labels: {service.kubernetes.io/service-proxy-name: other}"), {}),
              IsEmpty());
}

TEST(ServicePorts, ABrokenSourceRangeAdmitsNobody) {
  auto ports = Ports(Service("type: LoadBalancer, loadBalancerSourceRanges: [nonsense]", "",
                             ", status: {loadBalancer: {ingress: [{ip: 192.0.2.1}, {ip: 192.0.2.2, "
                             "ipMode: Proxy}]}}"),
                     {Slice(kTwo)});
  EXPECT_TRUE(ports.at(0).limited);
  EXPECT_THAT(ports.at(0).source_ranges, IsEmpty());
  EXPECT_EQ(ports.at(0).balancer_ips, std::vector{*net::Address::Parse("192.0.2.1")});
  NftTable table = MakeNftTable(ports, {}, false);
  const std::string& verdict = table.maps["firewall-ips"].elements["192.0.2.1 . tcp . 80"];
  ASSERT_TRUE(verdict.starts_with("goto firewall-")) << verdict;
  EXPECT_THAT(table.chains[verdict.substr(5)].rules, ElementsAre("drop"));
}

ProxyConfig Config() {
  ProxyConfig config;
  config.node_addresses = {*net::Address::Parse("172.30.0.11")};
  config.pod_cidrs = {*net::Cidr::Parse("10.244.0.0/16"), *net::Cidr::Parse("fd00:10:244::/56")};
  config.service_cidrs = {*net::Cidr::Parse("10.96.0.0/16")};
  return config;
}

// Hashes in names are hidden: what they are does not matter.
std::string WithoutHashes(const std::string& text) {
  static const std::regex hash("(service|local|external|firewall|endpoint|affinity)-[a-z0-9]{8}-");
  return std::regex_replace(text, hash, "$1-HASH-");
}

TEST(NftRules, OfOneServiceAreThese) {
  auto ports = Ports(Service("externalIPs: [203.0.113.1], sessionAffinity: ClientIP"),
                     {Slice("{addresses: [10.244.1.2]}, {addresses: [10.244.1.3]}")});
  ports.at(0).node_port = 30080;
  NftTable without = MakeNftTable({}, Config(), false);
  EXPECT_EQ(WithoutHashes(NftUpdate(without, MakeNftTable(ports, Config(), false))),
            R"(add chain ip kube-proxy endpoint-HASH-shop/web/tcp/http__10.244.1.3/8080
add chain ip kube-proxy endpoint-HASH-shop/web/tcp/http__10.244.1.2/8080
add chain ip kube-proxy external-HASH-shop/web/tcp/http
add chain ip kube-proxy service-HASH-shop/web/tcp/http
add set ip kube-proxy affinity-HASH-shop/web/tcp/http__10.244.1.3/8080/10800 { type ipv4_addr ; flags dynamic,timeout ; timeout 10800s ; }
add set ip kube-proxy affinity-HASH-shop/web/tcp/http__10.244.1.2/8080/10800 { type ipv4_addr ; flags dynamic,timeout ; timeout 10800s ; }
add rule ip kube-proxy endpoint-HASH-shop/web/tcp/http__10.244.1.3/8080 ip saddr 10.244.1.3 jump mark-for-masquerade
add rule ip kube-proxy endpoint-HASH-shop/web/tcp/http__10.244.1.3/8080 update @affinity-HASH-shop/web/tcp/http__10.244.1.3/8080/10800 { ip saddr }
add rule ip kube-proxy endpoint-HASH-shop/web/tcp/http__10.244.1.3/8080 meta l4proto tcp dnat to 10.244.1.3:8080
add rule ip kube-proxy endpoint-HASH-shop/web/tcp/http__10.244.1.2/8080 ip saddr 10.244.1.2 jump mark-for-masquerade
add rule ip kube-proxy endpoint-HASH-shop/web/tcp/http__10.244.1.2/8080 update @affinity-HASH-shop/web/tcp/http__10.244.1.2/8080/10800 { ip saddr }
add rule ip kube-proxy endpoint-HASH-shop/web/tcp/http__10.244.1.2/8080 meta l4proto tcp dnat to 10.244.1.2:8080
add rule ip kube-proxy external-HASH-shop/web/tcp/http jump mark-for-masquerade
add rule ip kube-proxy external-HASH-shop/web/tcp/http goto service-HASH-shop/web/tcp/http
add rule ip kube-proxy service-HASH-shop/web/tcp/http ip daddr 10.96.0.20 tcp dport 80 ip saddr != 10.244.0.0/16 jump mark-for-masquerade
add rule ip kube-proxy service-HASH-shop/web/tcp/http ip saddr @affinity-HASH-shop/web/tcp/http__10.244.1.2/8080/10800 goto endpoint-HASH-shop/web/tcp/http__10.244.1.2/8080
add rule ip kube-proxy service-HASH-shop/web/tcp/http ip saddr @affinity-HASH-shop/web/tcp/http__10.244.1.3/8080/10800 goto endpoint-HASH-shop/web/tcp/http__10.244.1.3/8080
add rule ip kube-proxy service-HASH-shop/web/tcp/http numgen random mod 2 vmap { 0 : goto endpoint-HASH-shop/web/tcp/http__10.244.1.2/8080, 1 : goto endpoint-HASH-shop/web/tcp/http__10.244.1.3/8080 }
add element ip kube-proxy cluster-ips { 10.96.0.20 }
add element ip kube-proxy service-ips { 10.96.0.20 . tcp . 80 : goto service-HASH-shop/web/tcp/http }
add element ip kube-proxy service-ips { 203.0.113.1 . tcp . 80 : goto external-HASH-shop/web/tcp/http }
add element ip kube-proxy service-nodeports { tcp . 30080 : goto external-HASH-shop/web/tcp/http }
)");
}

TEST(NftUpdate, TellsOnlyWhatChanged) {
  NftTable none = MakeNftTable({}, Config(), false);
  auto one = Ports(Service(""), {Slice("{addresses: [10.244.1.2]}")});
  auto two = Ports(Service(""), {Slice("{addresses: [10.244.1.2]}, {addresses: [10.244.1.3]}")});
  NftTable with_one = MakeNftTable(one, Config(), false);
  NftTable with_two = MakeNftTable(two, Config(), false);
  EXPECT_EQ(NftUpdate(with_one, with_one), "");
  std::string more = WithoutHashes(NftUpdate(with_one, with_two));
  EXPECT_THAT(more, Not(HasSubstr("endpoint-HASH-shop/web/tcp/http__10.244.1.2/8080 ip saddr")));
  EXPECT_THAT(more, Not(HasSubstr("element")));
  EXPECT_THAT(more, HasSubstr("flush chain ip kube-proxy service-"));
  std::string gone = NftUpdate(with_two, none);
  EXPECT_THAT(gone, HasSubstr("delete element ip kube-proxy service-ips { 10.96.0.20 . tcp . 80"));
  EXPECT_THAT(gone, HasSubstr("delete chain ip kube-proxy service-"));
}

TEST(NftUpdate, AnotherAffinityTimeIsAnotherSet) {
  auto ports = Ports(Service("sessionAffinity: ClientIP"), {Slice("{addresses: [10.244.1.2]}")});
  NftTable before = MakeNftTable(ports, Config(), false);
  ports.at(0).affinity_seconds = 60;
  std::string text = WithoutHashes(NftUpdate(before, MakeNftTable(ports, Config(), false)));
  const std::string name = "affinity-HASH-shop/web/tcp/http__10.244.1.2/8080/";
  size_t flushed = text.find("flush chain ip kube-proxy endpoint-");
  size_t removed = text.find("delete set ip kube-proxy " + name + "10800");
  size_t added = text.find("add set ip kube-proxy " + name + "60 ");
  ASSERT_NE(added, std::string::npos) << text;
  EXPECT_LT(flushed, removed);
  EXPECT_LT(removed, added);
}

TEST(IptablesRules, JumpsAreAddedOnceAndOldChainsGo) {
  IptablesState none;
  std::string first = MakeIptables({}, Config(), false, none);
  EXPECT_THAT(first, HasSubstr("-I PREROUTING -j KUBE-SERVICES\n"));
  IptablesState now = ParseIptablesSave(
      "# Generated by iptables-save\n*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n"
      ":KUBE-SEP-OLD - [0:0]\n:MINE - [0:0]\n-A PREROUTING -j KUBE-SERVICES\n"
      "-A PREROUTING -j MINE\n-A KUBE-SERVICES -j KUBE-SEP-OLD\nCOMMIT\n*filter\n"
      "-A INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES\nCOMMIT\n");
  std::string second = MakeIptables({}, Config(), false, now);
  EXPECT_THAT(second, Not(HasSubstr("-I PREROUTING")));
  EXPECT_THAT(second, HasSubstr("-I OUTPUT -j KUBE-SERVICES\n"));
  EXPECT_THAT(second, HasSubstr(":KUBE-SEP-OLD - [0:0]\n"));
  EXPECT_THAT(second, HasSubstr("-X KUBE-SEP-OLD\n"));
  EXPECT_THAT(second, Not(HasSubstr("MINE")));
  EXPECT_THAT(second, Not(HasSubstr("-I INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL")));
}

TEST(IptablesRules, ChoicesAreEven) {
  auto ports = Ports(Service(""), {Slice("{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}, "
                                         "{addresses: [10.0.0.3]}")});
  std::string text = MakeIptables(ports, Config(), false, {});
  EXPECT_THAT(text, HasSubstr("--probability 0.3333333333 "));
  EXPECT_THAT(text, HasSubstr("--probability 0.5000000000 "));
  EXPECT_THAT(text, HasSubstr("--to-destination 10.0.0.3:8080\n"));
}

TEST(UdpServices, AFlowIsStaleWhereItsServiceWouldSendItElsewhere) {
  Value service = MakeValue(
      "{kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.10, "
      "ports: [{name: http, port: 53, nodePort: 30053, protocol: UDP}]}}");
  auto ports = Ports(service, {});
  ports.at(0).endpoints = {{*net::Address::Parse("10.0.0.1"), 53, true}};
  UdpServices services(ports, {*net::Address::Parse("172.30.0.11")});
  auto stale = [&](const char* to, uint16_t to_port, const char* by, uint16_t by_port) {
    return services.IsStale(
        {{*net::Address::Parse(to), to_port}, {*net::Address::Parse(by), by_port}});
  };
  EXPECT_FALSE(stale("10.96.0.10", 53, "10.0.0.1", 53));
  EXPECT_TRUE(stale("10.96.0.10", 53, "10.0.0.2", 53));
  EXPECT_TRUE(stale("10.96.0.10", 53, "10.96.0.10", 53));  // it was not translated
  EXPECT_FALSE(stale("10.96.0.10", 54, "10.96.0.10", 54));
  EXPECT_TRUE(stale("172.30.0.11", 30053, "10.0.0.2", 53));
  EXPECT_FALSE(stale("172.30.0.12", 30053, "10.0.0.2", 53));
  EXPECT_FALSE(stale("10.0.0.2", 53, "10.0.0.2", 53));
}

}  // namespace
}  // namespace sallyport::lab
