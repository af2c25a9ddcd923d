// SPDX-License-Identifier: Apache-2.0
// What pinned pods are seen as, from their first packet on, while objects change; and what is
// dropped rather than sent with another address.
#include <gmock/gmock.h>

#include <cstdlib>
#include <thread>

#include "lab/egress/egress_fixture.h"
#include "lab/layout.h"
#include "lab/netns.h"
#include "lab/settle.h"
#include "lab/state.h"
#include "lab/tree.h"

namespace sallyport::lab {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::chrono::seconds kSoon(1), kPatient(60);

class Pinned : public EgressTest {
 protected:
  // A connection that comes about, and is kept.
  void Reach(Crowd& crowd, const std::string& pod, const std::string& to, bool tcp = true) {
    ASSERT_EQ(crowd.Open(PodNetns(pod), AddressOf(to), tcp, 1), 1u) << pod << " to " << to;
    ASSERT_EQ(crowd.AwaitPasses(1), "") << pod << " to " << to;
  }
  std::set<net::Address> SeenAs(const std::string& pod, const std::string& to) {
    Crowd crowd(OutsideNetns(), Everybody(), ++port_);
    EXPECT_NO_FATAL_FAILURE(Reach(crowd, pod, to));
    return crowd.Sources();
  }
  void AwaitSeenAs(const std::string& pod, const std::string& to, const net::Address& as) {
    Await(pod + " to be seen as " + as.ToString(), [&] {
      Crowd crowd(OutsideNetns(), Everybody(), ++port_);
      // One that began before is cut at any moment, and passes nothing.
      return crowd.Open(PodNetns(pod), AddressOf(to), true, 1, kSoon) == 1 &&
             crowd.Sources() == std::set{as} && crowd.AwaitPasses(1).empty();
    });
  }
  std::string Condition(const std::string& gateway, const std::string& type,
                        const std::string& field) {
    return Kube({"get", "egressgateway", gateway, "-o",
                 "jsonpath={.status.conditions[?(@.type==\"" + type + "\")]." + field + "}"});
  }
  // Where a person looks: the object, the tool, and metrics.
  void ExpectRefusalsSaid(const std::string& gateway, const std::string& node) {
    Await("the object to say so",
          [&] { return Condition(gateway, "Degraded", "reason") == "PortsExhausted"; });
    EXPECT_EQ(Condition(gateway, "Degraded", "status"), "True");
    EXPECT_THAT(Condition(gateway, "Degraded", "message"),
                AllOf(HasSubstr(kEgressV4), HasSubstr(node), HasSubstr("add an egress IP")));
    Finished shown = Run({"egress", "--lab", name(), "--node", node});
    EXPECT_EQ(shown.exit_code, 1);
    EXPECT_THAT(shown.output + shown.errors, HasSubstr("no block of 64 ports is free"));
    auto refused = [&] {
      std::string page = Run({"lab", "exec", "--name", name(), "--node=" + node, "--", "curl", "-s",
                              "http://127.0.0.1:9469/metrics"})
                             .output;
      std::string row =
          std::string("sallyport_egress_flows_refused_total{address=\"") + kEgressV4 + "\"} ";
      size_t at = page.find(row);
      return at == std::string::npos ? -1 : std::atoi(page.c_str() + at + row.size());
    };
    Await("the metric", [&] { return refused() > 0; });
  }
  // What the node's agent tells of an egress IP it tells when pods are pinned to it.
  void AwaitPinned(const std::string& node, const net::Address& egress_ip) {
    Await("pods of " + node + " to be pinned to " + egress_ip.ToString(), [&] {
      auto view = AskAgent(Layout(name()).socket(node), "/v1/egress");
      for (const Value& address : Items(view ? view->Find("addresses") : nullptr))
        if (TextAt(address, {"ip"}) == egress_ip.ToString()) return true;
      return false;
    });
  }
  static std::vector<net::Address> Everybody() {
    std::vector<net::Address> out = Partners();
    out.push_back(AddressOf(kAnyoneV4));
    return out;
  }

 private:
  uint16_t port_ = kPort;
};

// A pod that sends as soon as it runs, and goes on.
std::string Eager(const std::string& name) {
  std::string send = std::string("while true; do for to in ") + kPartnerV4 + " " + kPartnerV6 +
                     "; do echo hello > /dev/udp/$to/9; timeout 0.1 bash -c \"< /dev/tcp/$to/9\"; "
                     "done; done 2> /dev/null";
  return "---\n{apiVersion: v1, kind: Pod, metadata: {name: " + name +
         ", namespace: app, labels: {" + kPinned +
         "}}, spec: {nodeName: n1, containers: [{name: c, image: none, command: [bash, -c, '" +
         send + "']}]}}\n";
}

// Before there is a gateway, and before the agent knows them: never with their own address.
TEST_F(Pinned, FromTheirFirstPacket) {
  std::string later = std::string(kEgressV4) + "\", \"" + kEgressV6;
  UpEgress({"n1", "gw1"}, Gateway("partner", later));
  AwaitOtherHolder(kEgressV4, "");
  Apply(Eager("one") + Eager("two"));
  Await("their packets outside", [&] {
    return capture().SeenFrom(AddressOf(kEgressV4)) > 10 &&
           capture().SeenFrom(AddressOf(kEgressV6)) > 10;
  });
  // Nobody can hold it any more, and so nothing leaves.
  Kube({"label", "node", "gw1", "egress-"});
  uint64_t dropped = Dropped("one", "no-gateway");
  Await("drops for want of a gateway", [&] { return Dropped("one", "no-gateway") > dropped + 5; });
  Apply(Eager("three"));
  Await("drops of a pod that began then", [&] { return Dropped("three", "no-gateway") > 5; });
  Kube({"label", "node", "gw1", "egress=true"});
  uint64_t seen = capture().SeenFrom(AddressOf(kEgressV4));
  Await("their packets again",
        [&] { return capture().SeenFrom(AddressOf(kEgressV4)) > seen + 50; });
}

struct Unseen {
  const char* cni;
  bool masquerades;  // the node, whatever pods send beyond the pods
};

class UnseenPods : public Pinned, public testing::WithParamInterface<Unseen> {};
INSTANTIATE_TEST_SUITE_P(, UnseenPods,
                         testing::Values(Unseen{"ptp", false}, Unseen{"ptp", true},
                                         Unseen{"bridge", true}),
                         [](const auto& info) {
                           return std::string(info.param.cni) +
                                  (info.param.masquerades ? "Masquerading" : "");
                         });

constexpr const char* kMasquerade =
    "add table inet spt; add chain inet spt out { type nat hook postrouting priority 100; }; "
    "add rule inet spt out ip saddr 10.244.0.0/16 ip daddr != 10.244.0.0/16 masquerade; "
    "add rule inet spt out ip6 saddr fd00:10:244::/48 ip6 daddr != fd00:10:244::/48 masquerade";

// What begins where no agent runs sends nothing, whoever else runs there.
TEST_P(UnseenPods, SendNothing) {
  UpEgress({"n1", "gw1"}, Sleeper("a", "n1") + Gateway(), {"--cni", GetParam().cni});
  if (GetParam().masquerades) {
    Finished done = Run({"lab", "exec", "--name", name(), "--node=n1", "--", "nft", kMasquerade});
    ASSERT_EQ(done.exit_code, 0) << done.errors;
  }
  AwaitOtherHolder(kEgressV4, "");
  AwaitPinned("n1", AddressOf(kEgressV4));
  Agent("kill", "n1");
  Apply(Eager("one") + Eager("two"));
  Await("them to run", [&] {
    return Kube({"get", "pods", "-n", "app", "-o", "jsonpath={.items[*].status.phase}"}) ==
           "Running Running Running";
  });
  std::this_thread::sleep_for(kSoon);
  EXPECT_EQ(capture().SeenFrom(AddressOf(kEgressV4)), 0u);
  Agent("start", "n1");
  Await("their packets outside", [&] { return capture().SeenFrom(AddressOf(kEgressV4)) > 10; });
}

// Labels, destinations, addresses, and the object itself.
TEST_F(Pinned, FollowWhatObjectsSay) {
  UpEgress({"n1", "gw1"}, Sleeper("a", "n1") + Sleeper("b", "n1") +
                              Sleeper("free", "n1", "tier: web") + Gateway());
  AwaitOtherHolder(kEgressV4, "");
  capture().AllowFree(Pod("app", "free").addresses.at(0));
  Crowd crowd(OutsideNetns(), Everybody(), kPort);
  Reach(crowd, "a", kPartnerV4);
  Reach(crowd, "a", kPartnerV4, false);
  Reach(crowd, "a", kPartnerV6);
  Reach(crowd, "b", kPartnerV4);
  EXPECT_THAT(crowd.Sources(), ElementsAre(AddressOf(kEgressV4), AddressOf(kEgressV6)));
  EXPECT_THAT(SeenAs("free", kAnyoneV4), ElementsAre(Pod("app", "free").addresses.at(0)));

  // Not pinned any more: what is established stops, what is new leaves as it is.
  Kube({"label", "pod", "-n", "app", "b", "pinned-"});
  capture().AllowFree(Pod("app", "b").addresses.at(0));
  AwaitSeenAs("b", kAnyoneV4, Pod("app", "b").addresses.at(0));
  Await("its connection to be cut", [&] { return Dropped("b", "other-address") > 0; });

  // Other addresses: what is established is cut, what is new has the new one.
  capture().AllowEgress(AddressOf("203.0.113.77"));
  Apply(Gateway("partner", "203.0.113.77"));
  AwaitSeenAs("a", kPartnerV4, AddressOf("203.0.113.77"));
  Await("established ones to be cut", [&] { return Dropped("a", "other-address") > 0; });
  Await("none of IPv6", [&] {
    return crowd.Open(PodNetns("a"), AddressOf(kPartnerV6), false, 1) == 1 &&
           Dropped("a", "no-egress-ip") > 0;
  });
}

std::string Destinations(const std::string& text) { return "destinations: {" + text + "}"; }

// Pods that were there before, exceptions, two objects for one destination, and the end of one.
TEST_F(Pinned, ByTheMostSpecificObject) {
  UpEgress({"n1", "gw1"}, Sleeper("a", "n1"));
  const net::Address own = Pod("app", "a").addresses.at(0), other = AddressOf("203.0.113.77");
  capture().AllowFree(own);
  capture().AllowEgress(other);
  Crowd before(OutsideNetns(), Everybody(), kPort);
  Reach(before, "a", kAnyoneV4);
  EXPECT_THAT(before.Sources(), ElementsAre(own));

  // What began without an object is cut where it is pinned from now on, and goes on where not.
  Apply(Gateway("wide", "203.0.113.77",
                Destinations("cidrs: [198.51.100.0/24], except: [198.51.100.10/32]")));
  AwaitPinned("n1", other);  // before that the pod reaches the partner as itself
  AwaitSeenAs("a", kPartnerV4, other);
  EXPECT_EQ(before.AwaitPasses(3), "");
  EXPECT_THAT(SeenAs("a", kAnyoneV4), ElementsAre(own));
  Apply(Gateway("wide", "203.0.113.77", Destinations("cidrs: [198.51.100.0/24]")));
  AwaitSeenAs("a", kAnyoneV4, other);
  Await("what was not pinned to be cut", [&] { return Dropped("a", "other-address") > 0; });

  // The longer prefix has it, whoever is older.
  Apply(Gateway("narrow", kEgressV4, Destinations("cidrs: [198.51.100.20/32]")));
  AwaitSeenAs("a", kPartnerV4, AddressOf(kEgressV4));
  EXPECT_THAT(SeenAs("a", kAnyoneV4), ElementsAre(other));
  Await("the loser to say so",
        [&] { return Condition("wide", "Degraded", "reason") == "Conflict"; });
  EXPECT_THAT(Condition("wide", "Degraded", "message"),
              HasSubstr("198.51.100.20/32 leaves by EgressGateway narrow, which is more specific"));
  EXPECT_EQ(Condition("narrow", "Degraded", "status"), "False");
  Apply(Gateway("late", kEgressV4, Destinations("cidrs: [198.51.100.20/32]")));
  Await("the younger one to say so", [&] {
    return Condition("late", "Degraded", "message").find("narrow, which is older") !=
           std::string::npos;
  });
  Kube({"delete", "egressgateway", "late"});

  // Its end cuts what is open, and gives the address up; the other one has the destination.
  Crowd open(OutsideNetns(), Everybody(), kPort + 500);
  Reach(open, "a", kPartnerV4);
  uint64_t cut = Dropped("a", "other-address");
  Kube({"delete", "egressgateway", "narrow"});
  AwaitSeenAs("a", kPartnerV4, other);
  Await("what is open to be cut", [&] { return Dropped("a", "other-address") > cut; });
  Await("the address to be given up", [&] {
    return Ip("gw1", {"-o", "address", "show", "to", kEgressV4}).empty();
  });
  Await("the loser to have it again",
        [&] { return Condition("wide", "Degraded", "status") == "False"; });
}

// A block that another node has taken is not this one's: its connections are not sent on, and what
// is new has other ports.
TEST_F(Pinned, WithoutABlockThatAnotherHas) {
  UpEgress({"n1", "n2", "gw1"},
           Sleeper("a", "n1") + Gateway("partner", kEgressV4, "portBlockSize: 64"));
  AwaitOtherHolder(kEgressV4, "");
  Agent("stop", "n2");  // it would give back what it does not need
  Crowd crowd(OutsideNetns(), Partners(), kPort);
  Reach(crowd, "a", kPartnerV4);
  for (const std::string& lease : Leases("ports-"))
    Kube({"patch", "lease", "-n", "sallyport-system", lease, "--type", "merge", "-p",
          "{\"spec\": {\"holderIdentity\": \"n2\"}}"});
  Await("the gateway to refuse the ports", [&] {
    auto view = AskAgent(Layout(name()).socket("gw1"), "/v1/egress");
    for (const Value& address : Items(view ? view->Find("addresses") : nullptr))
      if (IntegerAt(address, {"foreign"}).value_or(0) > 0) return true;
    return false;
  });
  AwaitSeenAs("a", kPartnerV4, AddressOf(kEgressV4));
  for (const std::string& lease : Leases("ports-"))
    if (LeaseHolder(lease) == "n1") return;
  ADD_FAILURE() << "seen with a port of nobody's";
}

// Of the address's ports all but these are another node's.
constexpr int kLeft = 128;

std::string LeaseOf(int first, int size) {
  return "---\n{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: ports-" +
         std::string(kEgressV4) + "-" + std::to_string(first) +
         ", namespace: sallyport-system, labels: {sallyport.io/lease: ports}, annotations: "
         "{sallyport.io/ports: \"" +
         std::to_string(size) +
         "\"}}, spec: {holderIdentity: another, leaseDurationSeconds: 900, "
         "renewTime: \"2026-01-01T00:00:00.000000Z\"}}\n";
}

// Connections beyond the ports there are are refused and counted, and come about when others ended.
TEST_F(Pinned, WithoutAPortTheyAreRefused) {
  UpEgress({"n1", "gw1"}, Sleeper("a", "n1"));
  std::string leases;
  int first = 1024;
  for (int size = 32768; size >= 64; size /= 2) {
    if (first + size > 65536 - kLeft) continue;
    leases += LeaseOf(first, size);
    first += size;
  }
  ASSERT_EQ(first, 65536 - kLeft);
  Apply(leases);
  Apply(Gateway("partner", kEgressV4, "portBlockSize: 64"));
  AwaitOtherHolder(kEgressV4, "");
  Crowd crowd(OutsideNetns(), Partners(), kPort);
  auto open = [&](size_t count, std::chrono::seconds patience) {
    return crowd.Open(PodNetns("a"), AddressOf(kPartnerV4), true, count, patience);
  };
  ASSERT_EQ(open(kLeft, kPatient), size_t{kLeft});
  ASSERT_EQ(crowd.AwaitPasses(1), "");
  EXPECT_EQ(open(2, kSoon), 0u);
  EXPECT_GT(Dropped("a", "no-port"), 0u);
  ExpectRefusalsSaid("partner", "n1");
  crowd.Close(kLeft / 2);
  EXPECT_EQ(open(kLeft / 4, kPatient), size_t{kLeft / 4});
  EXPECT_EQ(crowd.AwaitPasses(1), "");
}

constexpr const char* kService = R"(---
apiVersion: v1
kind: Service
metadata: {name: partner, namespace: app}
spec:
  clusterIP: 10.96.0.50
  ports: [{name: t, port: 9000}, {name: u, port: 9000, protocol: UDP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: partner-1, namespace: app, labels: {kubernetes.io/service-name: partner}}
addressType: IPv4
ports: [{name: t, port: 9000}, {name: u, port: 9000, protocol: UDP}]
endpoints: [{addresses: [198.51.100.20], conditions: {ready: true}}]
)";

// By the address of a Service whose backend is outside: translated by the node, and then pinned.
class ByService : public Pinned, public testing::WithParamInterface<const char*> {};

TEST_P(ByService, SeenAsTheEgressIp) {
  // The pod "b" is where the gateway is.
  UpEgress({"n1", "gw1"}, Sleeper("a", "n1") + Sleeper("b", "gw1") + Gateway() + kService,
           {"--proxy", GetParam()});
  AwaitOtherHolder(kEgressV4, "");
  Crowd crowd(OutsideNetns(), Partners(), kPort);
  for (const char* pod : {"a", "b"}) {
    for (bool tcp : {true, false}) Reach(crowd, pod, "10.96.0.50", tcp);
  }
  EXPECT_EQ(crowd.AwaitPasses(3), "");
  EXPECT_THAT(crowd.Sources(), ElementsAre(AddressOf(kEgressV4)));
}

INSTANTIATE_TEST_SUITE_P(Proxy, ByService, testing::Values("nftables", "iptables"),
                         [](const auto& proxy) { return proxy.param; });

// With the agent's enforcement goes what it put on interfaces.
TEST_F(Pinned, NothingIsLeftOfADetachedGateway) {
  UpEgress({"n1", "gw1"}, Sleeper("a", "n1") + Gateway());
  AwaitOtherHolder(kEgressV4, "");
  AwaitOtherHolder(kEgressV6, "");
  EXPECT_THAT(SeenAs("a", kPartnerV4), ElementsAre(AddressOf(kEgressV4)));
  for (const char* node : {"gw1", "n1"}) {
    EXPECT_THAT(Ip(node, {"link", "show"}), testing::HasSubstr("sallyport"));
    Agent("stop", node);
    Command detach;
    detach.argv = {LoadState(name()).value().agent, "--detach", "--pins",
                   Layout(name()).pins(node)};
    detach.netns = NetnsPath(Layout(name()).node_netns(node));
    auto done = RunCommand(detach);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->exit_code, 0) << done->errors;
    EXPECT_THAT(Ip(node, {"link", "show"}), testing::Not(testing::HasSubstr("sallyport"))) << node;
  }
  for (const char* address : {kEgressV4, kEgressV6}) EXPECT_EQ(Holder(address), "");
  // The pod is nobody's now, and is free to say who it is.
  for (const net::Address& address : Pod("app", "a").addresses) capture().AllowFree(address);
}

}  // namespace
}  // namespace sallyport::lab
