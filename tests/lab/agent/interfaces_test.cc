// SPDX-License-Identifier: Apache-2.0
// Which interface is whose, and what becomes of the others.
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <signal.h>

#include <cstring>

#include "dataplane/bpf_calls.h"
#include "lab/agent/agent_fixture.h"

namespace sallyport::test {
namespace {

using testing::HasSubstr;

// As a router of 2001:db8:bad::/64 that is the way to everywhere. The kernel fills in the checksum.
void AdvertiseItself(const Pod& pod) {
  struct {
    nd_router_advert advert{};
    nd_opt_prefix_info prefix{};
  } message;
  message.advert.nd_ra_type = ND_ROUTER_ADVERT;
  message.advert.nd_ra_router_lifetime = htons(1800);
  message.prefix.nd_opt_pi_type = ND_OPT_PREFIX_INFORMATION;
  message.prefix.nd_opt_pi_len = 4;
  message.prefix.nd_opt_pi_prefix_len = 64;
  message.prefix.nd_opt_pi_flags_reserved = ND_OPT_PI_FLAG_ONLINK | ND_OPT_PI_FLAG_AUTO;
  message.prefix.nd_opt_pi_valid_time = message.prefix.nd_opt_pi_preferred_time = htonl(86400);
  inet_pton(AF_INET6, "2001:db8:bad::", &message.prefix.nd_opt_pi_prefix);
  pod.Inside([&] {
    int out = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);
    int hops = 255;
    setsockopt(out, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops));
    sockaddr_in6 all{};
    all.sin6_family = AF_INET6;
    inet_pton(AF_INET6, "ff02::1", &all.sin6_addr);
    all.sin6_scope_id = if_nametoindex("eth0");
    EXPECT_GT(
        sendto(out, &message, sizeof(message), 0, reinterpret_cast<sockaddr*>(&all), sizeof(all)),
        0);
    close(out);
  });
}

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

// The host listens to advertisements on the pod's interface, and the pod sends one: that gives the
// interface an address with a subnet and a default route.
TEST_F(AgentTest, PodThatPlaysTheRouterStaysGuarded) {
  AgentProcess agent(files_, {"--anti-spoofing=false"});
  OpenBoth();
  files_.WritePolicy("b");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  Shell("sysctl -qw net.ipv6.conf." + b_.device() + ".accept_ra=2 && " +
        "sysctl -qw net.ipv6.conf." + b_.device() + ".autoconf=1");
  Shell("ip -n spt2 addr add fe80::2/64 dev eth0 nodad");
  AdvertiseItself(b_);
  Shell("for i in $(seq 100); do ip -6 route show default dev " + b_.device() +
        " | grep -q . && exit 0; sleep 0.1; done; exit 1");
  Shell("for i in $(seq 100); do ip -6 addr show dev " + b_.device() +
        " -tentative | grep -q 2001:db8:bad: && exit 0; sleep 0.1; done; exit 1");
  Pod later(4);
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", later.device())) << "news that comes after";
  ASSERT_TRUE(HasEndpoint(files_, "shop/b", "open", b_.device()));
  EXPECT_TRUE(ANeverReachesB());
  files_.RemoveResult("b");
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", b_.device())) << "nor is it an uplink now";
  Claim("b", b_);
  ASSERT_TRUE(HasEndpoint(files_, "shop/b", "open", b_.device()));

  Shell("ip addr add 192.0.2.1/24 dev " + b_.device());
  Pod last(5);
  ASSERT_TRUE(HasEndpoint(files_, "", "closed", last.device()));
  ASSERT_TRUE(HasEndpoint(files_, "shop/b", "open", b_.device()));
  EXPECT_TRUE(ANeverReachesB());
  EXPECT_THAT(agent.Log(), testing::Not(HasSubstr("it is not a pod's")));
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

// The kernel tells nobody of tcx programs.
TEST_F(AgentTest, LinksThatSomebodyDetachedOrDisplacedArePutBack) {
  using namespace dataplane;
  bpf_insn pass[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  UniqueFd foreign = LoadTcProgram(pass);
  if (!HasTcx(foreign.get())) GTEST_SKIP() << "this kernel has no tcx";
  AgentProcess agent(files_);
  OpenBoth();
  files_.WritePolicy("b");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  Shell("ip link add sptway type veth peer name sptwayx");
  auto says = [&](const std::string& text) {
    return Becomes(files_, "/v1/status",
                   [&](const auto&) { return agent.Log().find(text) != std::string::npos; });
  };
  for (const std::string& device : {b_.device(), std::string("sptway")}) {
    std::string pin =
        files_.pins() + "/links/" + std::to_string(if_nametoindex(device.c_str())) + "-ingress";
    Result<UniqueFd> link = OpenPin(pin);
    while (!link) link = OpenPin(pin);
    ASSERT_TRUE(DetachLink(link->get()).ok());
    EXPECT_TRUE(says("somebody took the programs off " + device + "; they are put back"));
  }
  EXPECT_TRUE(ANeverReachesB());
  ASSERT_TRUE(Ready(files_));
  auto before_us = AttachTcx(foreign.get(), b_.ifindex(), SP_INGRESS);
  ASSERT_TRUE(before_us);
  EXPECT_TRUE(says(b_.device() + ": a tcx program on egress comes before ours"));
  EXPECT_TRUE(says("; ours are first again"));
  EXPECT_TRUE(ANeverReachesB());
  ASSERT_TRUE(Ready(files_));
  Shell("ip link del sptway");
}

// A filter that comes later is before ours, unless we look.
TEST_F(AgentTest, FiltersBeforeOursAreNoticed) {
  AgentProcess agent(files_, {"--attach=clsact"});
  OpenBoth();
  files_.WritePolicy("b");
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  bpf_insn pass[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  std::string pin = EnterSandbox() + "/spt-foreign";
  ASSERT_TRUE(dataplane::Pin(LoadTcProgram(pass).get(), pin).ok());
  Shell("tc filter add dev " + b_.device() + " egress prio 1 bpf da pinned " + pin);
  unlink(pin.c_str());
  EXPECT_TRUE(Becomes(files_, "/v1/status", [&](const auto&) {
    return agent.Log().find("ours are first again") != std::string::npos;
  }));
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
