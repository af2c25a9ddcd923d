// SPDX-License-Identifier: Apache-2.0
// Services on a node of its own: real rules, real traffic, in both forms of the rules.
#include "lab/proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <set>

#include "lab/net/servers.h"
#include "unit/lab/make.h"

namespace sallyport::lab {
namespace {

using test::Ask;
using test::Backend;
using test::Client;
using test::Pod;
using testing::StartsWith;
using testing::UnorderedElementsAre;

constexpr uint16_t kBackendPort = 8080;
constexpr int kTcp = SOCK_STREAM;
constexpr int kUdp = SOCK_DGRAM;
// What the node's masquerading makes of a client, on the way to a pod.
const char* const kNodeSeen[] = {"169.254.1.1", "fd00:172:30::b"};
const char* const kNode[] = {"172.30.0.11", "fd00:172:30::b"};
const char* const kVip[] = {"10.96.0.20", "fd00:10:96::14"};
const char* const kExternal[] = {"203.0.113.20", "2001:db8:20::1"};
const char* const kBalancer[] = {"203.0.113.30", "2001:db8:30::1"};

std::string AddressOf(const Pod& pod, int family) {
  return (family ? pod.v6() : pod.v4()).ToString();
}

// The sandbox is the node; pods up to 127 are in the pod CIDRs, those above are strangers.
class ServiceProxy : public testing::TestWithParam<ProxyMode> {
 protected:
  ServiceProxy() {
    test::EnterSandbox();
    static const bool once = [] {
      test::Shell(
          "ip link add spt0 type veth peer name spt0p && ip link set spt0p up && ip link set spt0 "
          "up && ip addr add "
          "172.30.0.11/32 dev spt0 && ip addr add fd00:172:30::b/128 dev spt0 nodad && "
          "ip route add default dev spt0 && ip -6 route add default dev spt0 && "
          // Every refusal is told.
          "sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0");
      return true;
    }();
    (void)once;
    test::Shell("nft flush ruleset");
    for (const char* address : kNode)
      config_.node_addresses.push_back(*net::Address::Parse(address));
    for (const char* cidr : {"10.99.0.0/25", "fd99::/121"})
      config_.pod_cidrs.push_back(*net::Cidr::Parse(cidr));
    Restart();
  }
  ~ServiceProxy() override { test::Shell("nft flush ruleset"); }

  void Restart() {
    proxy_.emplace("", "n1", GetParam(), config_);
    Status ready = proxy_->Prepare();
    ASSERT_TRUE(ready.ok()) << ready.error().message;
  }

  // A Service of both families with TCP and UDP port 80 and node port 30080.
  static Value Service(const std::string& more = "") {
    return MakeValue(
        "{kind: Service, metadata: {name: web, namespace: shop}, spec: {type: LoadBalancer, "
        "clusterIP: 10.96.0.20, "
        "clusterIPs: [10.96.0.20, \"fd00:10:96::14\"], externalIPs: [203.0.113.20, "
        "\"2001:db8:20::1\"], ports: [{name: t, port: 80, nodePort: 30080}, {name: u, port: 80, "
        "protocol: UDP, nodePort: 30080}]" +
        more +
        "}, status: {loadBalancer: {ingress: [{ip: 203.0.113.30}, {ip: \"2001:db8:30::1\"}]}}}");
  }
  struct At {
    const Pod* pod;
    std::string node = "n1";
    std::string conditions = "{}";
  };
  void Sync(const Value& service, const std::vector<At>& endpoints) {
    std::vector<Value> slices;
    for (int family : {0, 1}) {
      std::string items;
      for (const At& at : endpoints)
        items += (items.empty() ? "" : ", ") + std::string("{addresses: [\"") +
                 AddressOf(*at.pod, family) + "\"], nodeName: " + at.node +
                 ", conditions: " + at.conditions + "}";
      slices.push_back(MakeValue(
          std::string("{kind: EndpointSlice, metadata: {name: s, namespace: shop, labels: "
                      "{kubernetes.io/service-name: web}}, addressType: ") +
          (family ? "IPv6" : "IPv4") + ", endpoints: [" + items +
          "], ports: [{name: t, port: 8080}, {name: u, port: 8080, protocol: UDP}]}"));
    }
    Status synced = proxy_->Sync({&service}, {&slices[0], &slices[1]});
    ASSERT_TRUE(synced.ok()) << synced.error().message;
  }
  // Who answered in so many tries: with any luck, everybody.
  static std::set<std::string> Askers(const Pod* from, int type, const std::string& address,
                                      uint16_t port) {
    std::set<std::string> out;
    for (int i = 0; i < 60; ++i) out.insert(Ask(from, type, address, port));
    return out;
  }

  ProxyConfig config_;
  std::optional<Proxy> proxy_;
  Pod a_{1}, b_{2}, client_{3}, stranger_{200};
  Backend at_a_{a_, kBackendPort, "a"}, at_b_{b_, kBackendPort, "b"};
};

INSTANTIATE_TEST_SUITE_P(Modes, ServiceProxy,
                         testing::Values(ProxyMode::kNftables, ProxyMode::kIptables),
                         [](const auto& mode) {
                           return mode.param == ProxyMode::kNftables ? "Nftables" : "Iptables";
                         });

TEST_P(ServiceProxy, AClusterIpLeadsToEveryEndpointAndPodsStayWhoTheyAre) {
  Sync(Service(), {{&a_}, {&b_, "n2"}});
  for (int family : {0, 1})
    for (int type : {kTcp, kUdp})
      EXPECT_THAT(Askers(&client_, type, kVip[family], 80),
                  UnorderedElementsAre("a " + AddressOf(client_, family),
                                       "b " + AddressOf(client_, family)));
}

TEST_P(ServiceProxy, WhoIsNoPodIsMasqueraded) {
  Sync(Service(), {{&a_}});
  for (int family : {0, 1})
    for (int type : {kTcp, kUdp}) {
      std::string masqueraded = std::string("a ") + kNodeSeen[family];
      EXPECT_EQ(Ask(&stranger_, type, kVip[family], 80), masqueraded);
      EXPECT_EQ(Ask(nullptr, type, kVip[family], 80), masqueraded);
      for (const Pod* from : {&stranger_, &client_})
        for (const char* address : {kExternal[family], kBalancer[family]})
          EXPECT_EQ(Ask(from, type, address, 80), masqueraded) << address;
      EXPECT_EQ(Ask(&stranger_, type, kNode[family], 30080), masqueraded);
      EXPECT_EQ(Ask(&client_, type, kNode[family], 30080), masqueraded);
      EXPECT_EQ(Ask(nullptr, type, kNode[family], 30080), masqueraded);
    }
}

TEST_P(ServiceProxy, MasqueradeAllMeansPodsToo) {
  config_.masquerade_all = true;
  Restart();
  Sync(Service(), {{&a_}});
  for (int family : {0, 1})
    EXPECT_EQ(Ask(&client_, kTcp, kVip[family], 80), std::string("a ") + kNodeSeen[family]);
}

TEST_P(ServiceProxy, APodReachesItselfThroughItsService) {
  Sync(Service(), {{&a_}});
  for (int family : {0, 1})
    for (int type : {kTcp, kUdp})
      EXPECT_EQ(Ask(&a_, type, kVip[family], 80), std::string("a ") + kNodeSeen[family]);
}

TEST_P(ServiceProxy, WithoutEndpointsIsRefused) {
  Sync(Service(), {{&a_, "n1", "{ready: false}"}});
  for (int family : {0, 1}) {
    for (const Pod* from : {&client_, &stranger_}) {
      EXPECT_EQ(Ask(from, kUdp, kVip[family], 80), "refused");
      EXPECT_EQ(Ask(from, kUdp, kExternal[family], 80), "refused");
      EXPECT_EQ(Ask(from, kUdp, kBalancer[family], 80), "refused");
      EXPECT_EQ(Ask(from, kUdp, kNode[family], 30080), "refused");
    }
    EXPECT_EQ(Ask(&client_, kTcp, kVip[family], 80), "refused");
    EXPECT_EQ(Ask(&stranger_, kTcp, kNode[family], 30080), "refused");
    // What the node itself sends fails at once.
    EXPECT_EQ(Ask(nullptr, kUdp, kVip[family], 80), "Operation not permitted");
  }
}

TEST_P(ServiceProxy, WhatGoesAwayStillServesWhereNothingElseDoes) {
  const std::string going = "{ready: false, serving: true, terminating: true}";
  Sync(Service(), {{&a_, "n1", going}, {&b_}});
  EXPECT_THAT(Askers(&client_, kTcp, kVip[0], 80), UnorderedElementsAre(StartsWith("b ")));
  Sync(Service(), {{&a_, "n1", going}, {&b_, "n1", "{ready: false}"}});
  EXPECT_THAT(Askers(&client_, kTcp, kVip[0], 80), UnorderedElementsAre(StartsWith("a ")));
}

TEST_P(ServiceProxy, AffinityKeepsAClientWhereItIs) {
  Value service = Service(", sessionAffinity: ClientIP");
  for (int family : {0, 1}) {
    Sync(service, {{&a_}, {&b_}});
    std::string first = Ask(&client_, kTcp, kVip[family], 80);
    for (int i = 0; i < 30; ++i) EXPECT_EQ(Ask(&client_, kTcp, kVip[family], 80), first);
    // Also while endpoints come and go.
    Pod c(10 + family);
    Backend at_c(c, kBackendPort, "c");
    Sync(service, {{&a_}, {&b_}, {&c}});
    for (int i = 0; i < 30; ++i) EXPECT_EQ(Ask(&client_, kTcp, kVip[family], 80), first);
    const Pod& other = first.starts_with("a") ? b_ : a_;
    Sync(service, {{&other}});
    EXPECT_NE(Ask(&client_, kTcp, kVip[family], 80), first);
  }
}

TEST_P(ServiceProxy, ExternalPolicyLocalKeepsTheSourceAndStaysHere) {
  Value service = Service(", externalTrafficPolicy: Local");
  Sync(service, {{&a_}, {&b_, "n2"}});
  for (int family : {0, 1}) {
    std::string true_source = "a " + AddressOf(stranger_, family);
    EXPECT_THAT(Askers(&stranger_, kTcp, kExternal[family], 80), UnorderedElementsAre(true_source));
    EXPECT_THAT(Askers(&stranger_, kUdp, kNode[family], 30080), UnorderedElementsAre(true_source));
    // Who is in the cluster may go anywhere.
    EXPECT_THAT(
        Askers(&client_, kTcp, kBalancer[family], 80),
        UnorderedElementsAre("a " + AddressOf(client_, family), "b " + AddressOf(client_, family)));
  }
  // No endpoint here: a stranger is dropped (its next datagram, sent straight to the pod, is the
  // first that arrives), a pod and the node are not.
  Sync(service, {{&b_, "n2"}});
  for (int family : {0, 1}) {
    Client from(&stranger_, kUdp);
    from.Tell(kExternal[family], 80);
    from.Tell(kBalancer[family], 80);
    from.Tell(kNode[family], 30080);
    from.Tell(AddressOf(b_, family), kBackendPort);
    EXPECT_EQ(from.Answer(), "b " + AddressOf(stranger_, family));
    Client last(&stranger_, kUdp);
    EXPECT_EQ(last.Ask(AddressOf(b_, family), kBackendPort), "b " + AddressOf(stranger_, family));
    EXPECT_EQ(from.Pending(), 0);
    EXPECT_THAT(Ask(&client_, kTcp, kExternal[family], 80), StartsWith("b "));
    EXPECT_THAT(Ask(nullptr, kTcp, kExternal[family], 80), StartsWith("b "));
  }
}

TEST_P(ServiceProxy, InternalPolicyLocalStaysHere) {
  Value service = Service(", internalTrafficPolicy: Local");
  Sync(service, {{&a_}, {&b_, "n2"}});
  EXPECT_THAT(Askers(&client_, kTcp, kVip[0], 80), UnorderedElementsAre(StartsWith("a ")));
  EXPECT_EQ(Askers(&client_, kTcp, kNode[0], 30080).size(), 2u);
  Sync(service, {{&b_, "n2"}});
  Client from(&client_, kUdp);
  from.Tell(kVip[0], 80);
  from.Tell(AddressOf(b_, 0), kBackendPort);
  EXPECT_EQ(from.Answer(), "b " + AddressOf(client_, 0));
  EXPECT_EQ(from.Pending(), 0);
}

TEST_P(ServiceProxy, SourceRangesLimitTheBalancerOnly) {
  Pod other(201);
  Sync(Service(", loadBalancerSourceRanges: [10.99.0.200/32, \"fd99::c8/128\"]"), {{&a_}});
  for (int family : {0, 1}) {
    EXPECT_THAT(Ask(&stranger_, kTcp, kBalancer[family], 80), StartsWith("a "));
    EXPECT_THAT(Ask(&other, kTcp, kExternal[family], 80), StartsWith("a "));
    Client from(&other, kUdp);
    from.Tell(kBalancer[family], 80);
    from.Tell(AddressOf(a_, family), kBackendPort);
    EXPECT_EQ(from.Answer(), "a " + AddressOf(other, family));
    EXPECT_EQ(from.Pending(), 0);
  }
}

TEST_P(ServiceProxy, AUdpFlowFollowsItsService) {
  Sync(Service(), {{&a_}});
  for (int family : {0, 1})
    for (auto [address, port] :
         {std::pair(kVip[family], uint16_t{80}), std::pair(kNode[family], uint16_t{30080})}) {
      Client client(&client_, kUdp);
      EXPECT_THAT(client.Ask(address, port), StartsWith("a "));
      Sync(Service(), {{&b_}});
      EXPECT_THAT(client.Ask(address, port), StartsWith("b "));
      Sync(Service(), {{&a_}});
    }
}

TEST_P(ServiceProxy, ATcpConnectionOutlivesASync) {
  Sync(Service(), {{&a_}});
  Client client(&client_, kTcp);
  Sync(Service(), {{&a_}, {&b_}});
  EXPECT_EQ(client.Ask(kVip[0], 80).size(), std::string("a 10.99.0.3").size());
}

TEST_P(ServiceProxy, NothingIsLeftOfAServiceThatIsGone) {
  Sync(Service(", sessionAffinity: ClientIP"), {{&a_}, {&b_}});
  Status synced = proxy_->Sync({}, {});
  ASSERT_TRUE(synced.ok()) << synced.error().message;
  test::Shell("! nft list ruleset | grep -E 'web|10\\.99|fd99::1|10\\.96'");
}

TEST_P(ServiceProxy, RulesThatSomebodyTookAwayComeBackAndARestartChangesNothing) {
  Sync(Service(), {{&a_}});
  test::Shell("nft flush ruleset");
  Sync(Service(), {{&b_}});
  EXPECT_THAT(Ask(&client_, kTcp, kVip[0], 80), StartsWith("b "));
  Restart();
  Sync(Service(), {{&a_}});
  EXPECT_THAT(Ask(&client_, kTcp, kVip[0], 80), StartsWith("a "));
  // Each jump is there once.
  test::Shell(
      "! nft list ruleset | grep -E 'jump (services|KUBE-POSTROUTING)' | sort | uniq -d "
      "| grep -q masquerading");
}

}  // namespace
}  // namespace sallyport::lab
