// SPDX-License-Identifier: Apache-2.0
// A real agent on real interfaces that neither the lab nor Kubernetes made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "lab/agent/node.h"
#include "support/sandbox.h"

namespace sallyport::test {
namespace {

using testing::HasSubstr;

constexpr uint16_t kPort = 5000, kOtherPort = 5001;

class AgentTest : public testing::Test {
 protected:
  ~AgentTest() override {
    for (int fd : sockets_) close(fd);
  }
  void Claim(const std::string& name, const Pod& pod) {
    files_.WriteResult(name, {pod.v4().ToString(), pod.v6().ToString()}, pod.device());
  }
  void WritePod(const std::string& name, const Pod& pod) {
    files_.WritePod(name, {pod.v4().ToString(), pod.v6().ToString()});
  }
  // Pod objects and claims for both, and both are open.
  void OpenBoth() {
    WritePod("a", a_);
    WritePod("b", b_);
    Claim("a", a_);
    Claim("b", b_);
    ASSERT_TRUE(HasEndpoint(files_, "shop/a", "open", a_.device()));
    ASSERT_TRUE(HasEndpoint(files_, "shop/b", "open", b_.device()));
  }
  int Socket(const Pod& pod, uint16_t port, bool v6 = false) {
    sockets_.push_back(pod.UdpSocket(v6 ? pod.v6() : pod.v4(), port));
    return sockets_.back();
  }
  // Whether a datagram of a new flow from one pod reaches the other.
  static bool Reaches(const Pod& from, const Pod& to, bool v6 = false) {
    static uint16_t source = 20000;
    const net::Address& there = v6 ? to.v6() : to.v4();
    int out = from.UdpSocket(v6 ? from.v6() : from.v4(), ++source);
    int in = to.UdpSocket(there, kPort);
    Send(out, there, kPort, "hello");
    bool reached = !Arrived(in, there, kPort).empty();
    close(out);
    close(in);
    return reached;
  }
  bool AReachesB() { return Reaches(a_, b_) && Reaches(a_, b_, true); }
  bool ANeverReachesB() { return !Reaches(a_, b_) && !Reaches(a_, b_, true); }

  AgentFiles files_{"agent"};
  std::vector<int> sockets_;
  Pod a_{1}, b_{2};
};

// Interfaces that appear while an agent runs.
TEST_F(AgentTest, NewInterfacesAreClosedUntilTheyAreClaimedAndPolicyIsKnown) {
  AgentProcess agent(files_);
  ASSERT_TRUE(
      Becomes(files_, "/v1/status", [](const auto& status) { return status.Find("node"); }));
  Pod c(3), d(4);
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", c.device()));
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", d.device()));
  EXPECT_FALSE(Reaches(c, d));
  EXPECT_FALSE(Reaches(d, c, true));

  files_.WriteResult("c", {c.v4().ToString(), c.v6().ToString()}, c.device());
  ASSERT_TRUE(HasEndpoint(files_, "shop/c", "closed", c.device()));
  EXPECT_FALSE(Reaches(c, d)) << "its pod is not known";
  WritePod("c", c);
  ASSERT_TRUE(HasEndpoint(files_, "shop/c", "open", c.device()));
  EXPECT_FALSE(Reaches(c, d)) << "the other end is closed";

  WritePod("d", d);
  files_.WriteResult("d", {d.v4().ToString(), d.v6().ToString()}, d.device());
  ASSERT_TRUE(HasEndpoint(files_, "shop/d", "open", d.device()));
  EXPECT_TRUE(Reaches(c, d));
  EXPECT_TRUE(Reaches(d, c, true));
}

TEST_F(AgentTest, NewInterfaceIsClosedWithoutManifestsOrResults) {
  std::filesystem::remove_all(files_.manifests());
  AgentProcess agent(files_);
  ASSERT_TRUE(
      Becomes(files_, "/v1/status", [](const auto& status) { return status.Find("node"); }));
  Pod c(3);
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", c.device()));
  EXPECT_FALSE(Reaches(c, a_));
}

TEST_F(AgentTest, InterfacesFromBeforeTheFirstStartRunOnUntilTheirPolicyIsInForce) {
  files_.MakeResults();
  int from = Socket(a_, 6000), to = Socket(b_, kOtherPort);
  Send(from, b_.v4(), kOtherPort, "before");
  EXPECT_THAT(Arrived(to, b_.v4(), kOtherPort), testing::ElementsAre("before"));

  AgentProcess agent(files_);
  ASSERT_TRUE(Ready(files_));
  EXPECT_TRUE(AReachesB()) << "nobody's yet, and not cut off";
  ASSERT_TRUE(HasNoEndpoint(files_, a_.device()));

  OpenBoth();
  Send(from, b_.v4(), kOtherPort, "after");
  EXPECT_THAT(Arrived(to, b_.v4(), kOtherPort), testing::ElementsAre("after"));
  files_.WritePolicy("b");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  EXPECT_TRUE(ANeverReachesB());
}

TEST_F(AgentTest, PolicyDeniesAndSaysWhy) {
  AgentProcess agent(files_);
  OpenBoth();
  EXPECT_TRUE(AReachesB());
  files_.WritePolicy("b", "{from: [{podSelector: {matchLabels: {app: c}}}], ports: [{port: 80}]}");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_)) << "the other way is not isolated";
  EXPECT_TRUE(Becomes(files_, "/v1/events", [](const model::Value& events) {
    for (const model::Value& event : events.items) {
      if (event.Find("reason")->text == "policy" && event.Find("endpoint")->text == "shop/b" &&
          event.Find("source_pod")->text == "shop/a" &&
          event.Find("near_miss")->text.find("shop/b ingress[0]") == 0) {
        return true;
      }
    }
    return false;
  }));

  files_.WritePolicy("b", "{from: [{podSelector: {matchLabels: {app: a}}}]}");
  EXPECT_TRUE(Becomes(files_, "/v1/endpoints", [this](const auto&) { return AReachesB(); }));
  files_.RemoveManifest("policy-b.yaml");
  ASSERT_TRUE(HasPolicies(files_, ""));
  EXPECT_TRUE(AReachesB());
}

TEST_F(AgentTest, SpoofedSourceIsDropped) {
  AgentProcess agent(files_);
  OpenBoth();
  Shell("ip -n spt1 addr add 10.99.9.9/32 dev eth0");
  auto address = *net::Address::Parse("10.99.9.9");
  int from = a_.UdpSocket(address, 7000), to = Socket(b_, kPort);
  Send(from, b_.v4(), kPort, "spoofed");
  EXPECT_TRUE(Arrived(to, b_.v4(), kPort).empty());
  close(from);
}

// The end of an agent.

TEST_F(AgentTest, EnforcementOutlivesSigtermAndTheNextStartAdoptsIt) {
  {
    AgentProcess agent(files_);
    OpenBoth();
    files_.WritePolicy("b");
    ASSERT_TRUE(HasPolicies(files_, "shop/b"));
    EXPECT_EQ(agent.End(SIGTERM), 0);
  }
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_));

  AgentProcess next(files_);
  ASSERT_TRUE(Ready(files_));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_));
  files_.RemoveManifest("policy-b.yaml");
  ASSERT_TRUE(HasPolicies(files_, ""));
  EXPECT_TRUE(AReachesB());
}

TEST_F(AgentTest, KilledAgentLeavesItsPolicyAndItsFlows) {
  AgentProcess agent(files_);
  OpenBoth();
  files_.WritePolicy("b",
                     "{from: [{podSelector: {matchLabels: {app: a}}}], ports: "
                     "[{port: 5000, protocol: UDP}]}");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  int from = Socket(a_, 6000), to = Socket(b_, kPort);
  Send(from, b_.v4(), kPort, "1");
  EXPECT_THAT(Arrived(to, b_.v4(), kPort), testing::ElementsAre("1"));
  EXPECT_EQ(agent.End(SIGKILL), -SIGKILL);
  Send(from, b_.v4(), kPort, "2");
  Send(to, a_.v4(), 6000, "reply");
  EXPECT_THAT(Arrived(to, b_.v4(), kPort), testing::ElementsAre("2"));
  EXPECT_THAT(Arrived(from, a_.v4(), 6000), testing::ElementsAre("reply"));

  AgentProcess next(files_);
  ASSERT_TRUE(Ready(files_));
  Send(from, b_.v4(), kPort, "3");
  EXPECT_THAT(Arrived(to, b_.v4(), kPort), testing::ElementsAre("3"));
}

TEST_F(AgentTest, NothingIsTakenAwayWhileObjectsCannotBeRead) {
  {
    AgentProcess agent(files_);
    OpenBoth();
    files_.WritePolicy("b");
    ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  }
  std::filesystem::rename(files_.manifests(), files_.manifests() + ".away");
  std::filesystem::rename(files_.results(), files_.results() + ".away");
  AgentProcess agent(files_);
  ASSERT_TRUE(Becomes(files_, "/v1/status", [](const model::Value& status) {
    const model::Value* reasons = status.Find("reasons");
    return reasons && reasons->items.size() == 2;
  }));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_)) << "what was open is open";
  std::filesystem::rename(files_.results() + ".away", files_.results());
  std::filesystem::rename(files_.manifests() + ".away", files_.manifests());
  ASSERT_TRUE(Ready(files_));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_TRUE(Reaches(b_, a_));
}

TEST_F(AgentTest, InterfaceThatCameWhileNoAgentRanIsClosedAtTheNextStart) {
  {
    AgentProcess agent(files_);
    OpenBoth();
  }
  Pod c(3);
  AgentProcess agent(files_);
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", c.device()));
  EXPECT_FALSE(Reaches(c, a_));
  EXPECT_TRUE(AReachesB());
}

TEST_F(AgentTest, SighupIsNothing) {
  AgentProcess agent(files_);
  OpenBoth();
  agent.Signal(SIGHUP);
  EXPECT_TRUE(Ready(files_));
  EXPECT_EQ(agent.End(SIGINT), 0);
  EXPECT_THAT(agent.Log(), HasSubstr("SIGHUP"));
}

TEST_F(AgentTest, DetachTakesEverythingAway) {
  int code = 0;
  {
    AgentProcess agent(files_);
    OpenBoth();
    files_.WritePolicy("b");
    ASSERT_TRUE(HasPolicies(files_, "shop/b"));
    EXPECT_THAT(RunAgent({"--detach", "--pins", files_.pins()}, code), HasSubstr("another agent"));
    EXPECT_EQ(code, 1);
    EXPECT_TRUE(ANeverReachesB());
  }
  EXPECT_THAT(RunAgent({"--detach", "--pins", files_.pins()}, code), HasSubstr("removed"));
  EXPECT_EQ(code, 0);
  EXPECT_FALSE(std::filesystem::exists(files_.pins()));
  EXPECT_TRUE(AReachesB());
  EXPECT_THAT(RunAgent({"--detach", "--pins", files_.pins()}, code),
              HasSubstr("nothing to remove"));
  EXPECT_EQ(code, 0);
}

TEST_F(AgentTest, SecondAgentOnTheSamePinsOrSocketIsRefused) {
  AgentProcess agent(files_);
  ASSERT_TRUE(
      Becomes(files_, "/v1/status", [](const auto& status) { return status.Find("node"); }));
  int code = 0;
  EXPECT_THAT(RunAgent({"--node=n1", "--manifests", files_.manifests(), "--pins", files_.pins(),
                        "--socket=/run/spt-other.sock"},
                       code),
              HasSubstr("another agent uses"));
  EXPECT_EQ(code, 1);
  std::string pins = files_.pins() + "-other";
  EXPECT_THAT(RunAgent({"--node=n1", "--manifests", files_.manifests(), "--pins", pins, "--socket",
                        files_.socket()},
                       code),
              HasSubstr("another agent answers"));
  EXPECT_EQ(code, 1);
  RunAgent({"--detach", "--pins", pins}, code);
}

TEST_F(AgentTest, PinsThatAreOnNoBpffsAreAClearError) {
  int code = 0;
  EXPECT_THAT(RunAgent({"--manifests", files_.manifests(), "--pins=/run/spt-no-bpffs", "--socket",
                        files_.socket()},
                       code),
              HasSubstr("bpf"));
  EXPECT_EQ(code, 1);
}

// Bad input.

TEST_F(AgentTest, GarbageManifestKeepsTheOldPolicyAndIsReported) {
  AgentProcess agent(files_);
  OpenBoth();
  files_.WritePolicy("b");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  files_.WriteManifest("policy-b.yaml", "kind: NetworkPolicy\n: garbage\n");
  ASSERT_TRUE(HasDiagnostic(files_, "policy-b.yaml:"));
  EXPECT_TRUE(ANeverReachesB());
  files_.WritePolicy("b", "{ports: [{port: 99999}]}");
  ASSERT_TRUE(HasDiagnostic(files_, "spec.ingress[0].ports[0].port"));
  EXPECT_TRUE(ANeverReachesB());
  files_.WritePolicy("b", "{}");
  EXPECT_TRUE(Becomes(files_, "/v1/endpoints", [this](const auto&) { return AReachesB(); }));
  EXPECT_TRUE(Becomes(files_, "/v1/status", [](const model::Value& status) {
    return status.Find("diagnostics") && status.Find("diagnostics")->items.empty();
  }));
}

TEST_F(AgentTest, GarbageResultOpensNothingAndIsReported) {
  AgentProcess agent(files_);
  OpenBoth();
  Pod c(3);
  WritePod("c", c);
  files_.WriteResult("c", {}, "garbage\" not json");
  ASSERT_TRUE(HasDiagnostic(files_, "CNI result hand-c-eth0"));
  EXPECT_FALSE(Reaches(c, a_));
  files_.WriteResult("c", {c.v4().ToString()}, c.device());
  ASSERT_TRUE(HasEndpoint(files_, "shop/c", "open", c.device()));
}

// Which interface is whose.

TEST_F(AgentTest, StaleResultsOpenNothing) {
  AgentProcess agent(files_);
  OpenBoth();
  Pod c(3);
  WritePod("c", c);
  files_.WriteResult("c", {c.v4().ToString()}, c.device(), "", "uid-of-another");
  ASSERT_TRUE(HasEndpoint(files_, "shop/c", "closed", c.device()));
  files_.WriteResult("c", {"10.99.0.77"}, c.device(), "", "uid-c");
  ASSERT_TRUE(Becomes(files_, "/v1/endpoints", [](const model::Value& endpoints) {
    for (const model::Value& endpoint : endpoints.items) {
      if (endpoint.Find("why_closed")->text.find("10.99.0.77") != std::string::npos) return true;
    }
    return false;
  }));
  EXPECT_FALSE(Reaches(c, a_));
  files_.WriteResult("c", {c.v4().ToString()}, c.device(), "/run/netns/spt1", "uid-c");
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", c.device())) << "its sandbox is another pod's";
  files_.WriteResult("c", {c.v4().ToString()}, c.device(), "/run/netns/spt3", "uid-c");
  ASSERT_TRUE(HasEndpoint(files_, "shop/c", "open", c.device()));
}

TEST_F(AgentTest, ResultThatNamesOnlyThePodsInterface) {
  AgentProcess agent(files_);
  WritePod("a", a_);
  WritePod("b", b_);
  files_.WriteResult("a", {a_.v4().ToString()}, "", "/run/netns/spt1");
  ASSERT_TRUE(HasEndpoint(files_, "shop/a", "open", a_.device())) << "by the sandbox";
  files_.WriteResult("b", {b_.v4().ToString()}, "", "/run/netns/not-visible");
  ASSERT_TRUE(HasEndpoint(files_, "shop/b", "open", b_.device())) << "by the route";
}

TEST_F(AgentTest, PodThatIsDeletedClosesItsInterface) {
  AgentProcess agent(files_);
  OpenBoth();
  files_.RemoveManifest("pod-a.yaml");
  ASSERT_TRUE(HasEndpoint(files_, "shop/a", "closed", a_.device()));
  EXPECT_TRUE(ANeverReachesB());
}

TEST_F(AgentTest, NodesOwnInterfacesAreNotTouched) {
  AgentProcess agent(files_);
  OpenBoth();
  Shell("ip netns add sptup && ip link add sptuplink type veth peer name eth0 netns sptup");
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", "sptuplink")) << "it may be a pod's";
  Shell("ip addr add 192.0.2.1/24 dev sptuplink");
  ASSERT_TRUE(HasNoEndpoint(files_, "sptuplink"));
  Shell(
      "ip link set sptuplink up && ip -n sptup addr add 192.0.2.2/24 dev eth0 && "
      "ip -n sptup link set eth0 up && ip netns exec sptup ping -q -c 1 -W 10 192.0.2.1 >&2");
  Shell("ip addr flush dev sptuplink && ip netns del sptup");
}

TEST_F(AgentTest, ExcludedDevicesAreNotTouched) {
  AgentProcess agent(files_, {"--devices=spth*,!spth3"});
  OpenBoth();
  Pod c(3);
  Shell("ip link add sptother type veth peer name eth9 netns spt3");
  Pod d(4);
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", d.device()));
  ASSERT_TRUE(HasNoEndpoint(files_, c.device()));
  ASSERT_TRUE(HasNoEndpoint(files_, "sptother"));
}

TEST_F(AgentTest, ProgramsThatSomebodyTookOffArePutBack) {
  AgentProcess agent(files_, {"--attach=clsact"});
  OpenBoth();
  files_.WritePolicy("b");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  Shell("tc qdisc del dev " + b_.device() + " clsact");
  EXPECT_TRUE(Becomes(files_, "/v1/status", [&](const auto&) {
    return agent.Log().find("somebody took the programs off " + b_.device()) != std::string::npos;
  }));
  ASSERT_TRUE(HasEndpoint(files_, "shop/b", "open", b_.device()));
  EXPECT_TRUE(ANeverReachesB());
}

// Both ends are made here, and one is moved away: the kernel says nothing of the end that stays.
TEST_F(AgentTest, PairWhoseOtherEndMovesAwayIsClosed) {
  AgentProcess agent(files_);
  OpenBoth();
  Shell("ip netns add sptmove && ip link add sptstay type veth peer name sptgo");
  Shell("ip link add sptlast type bridge");  // news that comes after
  ASSERT_TRUE(HasNoEndpoint(files_, "sptstay"));
  Shell("ip link set sptgo netns sptmove");
  EXPECT_TRUE(HasEndpoint(files_, "", "closed", "sptstay"));
  Shell("ip link del sptstay; ip link del sptlast; ip netns del sptmove");
}

TEST_F(AgentTest, NewsThatTheKernelDroppedIsListedAgain) {
  AgentProcess agent(files_);
  OpenBoth();
  agent.Signal(SIGSTOP);
  Pod c(3);
  Shell(
      "ip link add sptmany type bridge && for i in $(seq 30); do for j in $(seq 200); do "
      "echo addr add 10.90.$i.$j/32 dev sptmany; done; done | ip -batch - && "
      "ip link del sptmany");
  Pod d(4);
  agent.Signal(SIGCONT);
  EXPECT_TRUE(HasEndpoint(files_, "", "closed", c.device()));
  EXPECT_TRUE(HasEndpoint(files_, "", "closed", d.device()));
  EXPECT_THAT(agent.Log(), HasSubstr("more news of interfaces than there was room for"));
  EXPECT_TRUE(AReachesB());
}

TEST_F(AgentTest, PodWithoutAnInterfaceSaysWhy) {
  AgentProcess agent(files_);
  files_.WritePod("web");
  ASSERT_TRUE(HasDiagnostic(files_, "pod shop/web has no interface here: no CNI result names it"));
  files_.WriteResult("web", {"10.99.0.9"}, "spth9");
  ASSERT_TRUE(HasDiagnostic(files_, "names spth9, which is not here"));
}

TEST_F(AgentTest, ManyInterfacesAtOnce) {
  AgentProcess agent(files_);
  OpenBoth();
  Shell(
      "ip netns add sptmany && for i in $(seq 60); do echo link add sptm$i type veth peer name "
      "e$i netns sptmany; done | ip -batch -");
  EXPECT_TRUE(Becomes(files_, "/v1/endpoints",
                      [](const model::Value& endpoints) { return endpoints.items.size() == 62; }));
  Shell("ip netns del sptmany");
  EXPECT_TRUE(Becomes(files_, "/v1/endpoints",
                      [](const model::Value& endpoints) { return endpoints.items.size() == 2; }));
  EXPECT_TRUE(AReachesB());
}

// A bridge plugin's way: the pods' interfaces are ports of a bridge that has the address.
TEST_F(AgentTest, PortsOfABridge) {
  AgentProcess agent(files_);
  ASSERT_TRUE(
      Becomes(files_, "/v1/status", [](const auto& status) { return status.Find("node"); }));
  Shell(
      "ip link add sptbr type bridge && ip addr add 10.98.0.1/24 dev sptbr && "
      "ip link set sptbr up");
  for (std::string i : {"5", "6"}) {
    Shell("ip netns add sptb" + i + " && ip link add sptbh" + i +
          " type veth peer name eth0 netns sptb" + i + " && ip link set sptbh" + i +
          " master sptbr up && ip -n sptb" + i + " addr add 10.98.0." + i +
          "/24 dev eth0 && ip -n sptb" + i + " link set eth0 up");
    files_.WritePod("p" + i, {"10.98.0." + i});
    files_.WriteResult("p" + i, {"10.98.0." + i}, "sptbr\"},{\"name\":\"sptbh" + i);
    ASSERT_TRUE(HasEndpoint(files_, "shop/p" + i, "open", "sptbh" + i));
  }
  Shell("ip netns exec sptb5 ping -q -c 1 -W 10 10.98.0.6 >&2");
  files_.WritePolicy("p6");
  ASSERT_TRUE(HasPolicies(files_, "shop/p6"));
  Shell("! ip netns exec sptb5 ping -q -c 1 -W 1 10.98.0.6 >&2");
  Shell("ip netns exec sptb6 ping -q -c 1 -W 10 10.98.0.5 >&2");
  Shell("ip netns del sptb5; ip netns del sptb6; ip link del sptbr");
}

// Two agents on one machine, each in its own network namespace.
TEST_F(AgentTest, TwoAgentsSideBySide) {
  AgentFiles other("other");
  Shell(
      "ip netns add sptn2 && ip -n sptn2 link set lo up && "
      "ip netns exec sptn2 sysctl -qw net.ipv4.ip_forward=1");
  {
    AgentProcess agent(files_);
    AgentProcess second(other, {"--mark=0x00200000"}, "sptn2");
    OpenBoth();
    for (std::string i : {"7", "8"}) {
      Shell("ip netns add sptx" + i + " && ip -n sptn2 link add sptxh" + i +
            " type veth peer name eth0 netns sptx" + i + " && ip -n sptn2 link set sptxh" + i +
            " up && ip -n sptn2 addr add 169.254.1.1/32 dev sptxh" + i +
            " && ip -n sptn2 route add 10.97.0." + i + " dev sptxh" + i + " && ip -n sptx" + i +
            " link set eth0 up && ip -n sptx" + i + " addr add 10.97.0." + i +
            "/32 dev eth0 && ip -n sptx" + i + " route add 169.254.1.1 dev eth0 && ip -n sptx" + i +
            " route add default via 169.254.1.1 dev eth0");
      other.WritePod("x" + i, {"10.97.0." + i});
      other.WriteResult("x" + i, {"10.97.0." + i}, "sptxh" + i);
      ASSERT_TRUE(HasEndpoint(other, "shop/x" + i, "open", "sptxh" + i));
    }
    other.WritePolicy("x8");
    ASSERT_TRUE(HasPolicies(other, "shop/x8"));
    Shell("! ip netns exec sptx7 ping -q -c 1 -W 1 10.97.0.8 >&2");
    Shell("ip netns exec sptx8 ping -q -c 1 -W 10 10.97.0.7 >&2");
    EXPECT_TRUE(AReachesB());
    EXPECT_TRUE(HasPolicies(files_, ""));
  }
  Shell("ip netns del sptx7; ip netns del sptx8; ip netns del sptn2");
}

}  // namespace
}  // namespace sallyport::test
