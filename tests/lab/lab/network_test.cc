// SPDX-License-Identifier: Apache-2.0
// What a lab's network is like, with each plugin.
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>

#include "cli/probe.h"
#include "lab/files.h"
#include "lab/lab/lab_fixture.h"
#include "lab/layout.h"
#include "lab/netlink.h"
#include "lab/netns.h"
#include "lab/tree.h"

namespace sallyport::lab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kPorts = "{containerPort: 80}, {containerPort: 53, protocol: UDP}";

class Network : public LabTest, public testing::WithParamInterface<const char*> {
 protected:
  Network() : LabTest(std::string("t-") + GetParam() + "-") {}
  // Four pods on two nodes.
  std::string Pods() {
    return StandIn("x", "a", kPorts) + StandIn("x", "b", kPorts) + StandIn("z", "c", kPorts) +
           StandIn("z", "d", kPorts);
  }
  void UpPods(const std::string& more = "") { Up(Pods() + more, {"--cni", GetParam()}); }
};

std::vector<probe::Target> AllTargets(const Inventory& lab) {
  std::vector<probe::Target> targets;
  for (const PodPlace& pod : lab.pods)
    for (const net::Address& address : pod.addresses)
      for (const model::ContainerPort& port : pod.ports)
        targets.push_back({address, {port.protocol, port.port}});
  return targets;
}

TEST_P(Network, EveryPodReachesEveryPodOnEveryPortInBothFamilies) {
  UpPods();
  Inventory lab = Read();
  ASSERT_EQ(lab.pods.size(), 4u);
  std::vector<probe::Target> targets = AllTargets(lab);
  ASSERT_EQ(targets.size(), 4u * 2 * 2);
  std::vector<probe::Source> sources;
  for (const PodPlace& pod : lab.pods) sources.push_back({pod.netns_path, targets});
  sources.push_back({lab.outside_netns_path, targets});
  for (const NodePlace& node : lab.nodes) sources.push_back({node.netns_path, targets});
  auto answers = probe::Probe(sources, {});
  ASSERT_TRUE(answers) << answers.error().message;
  for (size_t s = 0; s < sources.size(); ++s)
    for (size_t t = 0; t < targets.size(); ++t)
      EXPECT_EQ((*answers)[s][t].outcome, probe::Outcome::kOpen)
          << sources[s].netns << " -> " << targets[t].address.ToString() << " "
          << targets[t].port.ToString() << " " << (*answers)[s][t].detail;
}

TEST_P(Network, PodsAreSeenWithTheirOwnAddress) {
  UpPods();
  Inventory lab = Read();
  probe::Options options;
  options.greeting = std::chrono::seconds(2);
  PodPlace from = Pod("x", "a");
  std::vector<probe::Target> targets;
  for (const char* name : {"b", "c"})
    for (const net::Address& address : Pod(name[0] == 'b' ? "x" : "z", name).addresses)
      targets.push_back({address, {net::Protocol::kTcp, 80}});
  auto answers = probe::Probe({{from.netns_path, targets}}, options);
  ASSERT_TRUE(answers);
  for (size_t i = 0; i < targets.size(); ++i) {
    const net::Address& own = from.addresses[targets[i].address.IsV4() ? 0 : 1];
    EXPECT_THAT((*answers)[0][i].detail,
                HasSubstr("I see " + std::string(own.IsV4() ? "" : "[") + own.ToString()));
  }
}

TEST_P(Network, PodsAndNodesReachTheOutsideAndItThem) {
  UpPods();
  std::string outside = Read().outside_addresses.at(0).ToString();
  std::string outside6 = Read().outside_addresses.at(1).ToString();
  EXPECT_EQ(Exec("x/a", {"ping", "-c1", "-W5", outside}).exit_code, 0);
  EXPECT_EQ(Exec("x/a", {"ping", "-c1", "-W5", outside6}).exit_code, 0);
  std::string pod = Pod("z", "c").addresses.at(0).ToString();
  EXPECT_EQ(Run({"lab", "exec", "--name", name(), "--outside", "--", "ping", "-c1", "-W5", pod})
                .exit_code,
            0);
}

TEST_P(Network, EachPodHasItsCacheFileUntilItEnds) {
  UpPods();
  PodPlace pod = Pod("x", "a");
  auto files_of = [&](const std::string& wanted) {
    std::vector<Value> found;
    for (const NodePlace& node : Read().nodes)
      for (const std::string& file : ListDirectory(node.cni_results_dir)) {
        auto cache = FromJson(*ReadFile(node.cni_results_dir + "/" + file), file);
        EXPECT_TRUE(cache) << file;
        if (!cache || TextAt(*cache, {"ifName"}) != "eth0") continue;
        for (const Value& pair : Items(cache->Find("cniArgs")))
          if (Texts(&pair) == std::vector<std::string>{"K8S_POD_NAME", wanted} &&
              node.name == pod.node)
            found.push_back(*cache);
      }
    return found;
  };
  auto found = files_of("a");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(TextAt(found[0], {"kind"}), "cniCacheV1");
  std::vector<std::string> addresses;
  for (const Value& ip : Items(At(found[0], {"result", "ips"})))
    addresses.push_back(TextAt(ip, {"address"}));
  EXPECT_THAT(addresses, ElementsAre(pod.addresses.at(0).ToString() + "/24",
                                     pod.addresses.at(1).ToString() + "/64"));
  // The host interface that the result names is on the node.
  auto links = Netlink::Open(NetnsPath(Layout(name()).node_netns(pod.node)))->LinkNames();
  ASSERT_TRUE(links);
  std::vector<std::string> interfaces;
  for (const Value& interface : Items(At(found[0], {"result", "interfaces"})))
    if (!interface.Find("sandbox")) interfaces.push_back(TextAt(interface, {"name"}));
  ASSERT_FALSE(interfaces.empty());
  for (const std::string& interface : interfaces)
    EXPECT_EQ(std::count(links->begin(), links->end(), interface), 1) << interface;

  ASSERT_EQ(Run({"lab", "delete", "--name", name(), "pod", "x/a"}).exit_code, 0);
  EXPECT_TRUE(files_of("a").empty());
  EXPECT_NE(access(pod.netns_path.c_str(), F_OK), 0);
}

TEST_P(Network, HostNetworkPodsAreTheirNode) {
  UpPods(StandIn("x", "host", "{containerPort: 9100}", "hostNetwork: true, nodeName: node2"));
  PodPlace host = Pod("x", "host");
  EXPECT_TRUE(host.host_network);
  for (const NodePlace& node : Read().nodes) {
    if (node.name != "node2") continue;
    EXPECT_EQ(host.netns_path, node.netns_path);
    EXPECT_EQ(host.addresses, node.addresses);
  }
  auto answers = probe::Probe({{Pod("x", "a").netns_path,
                                {{host.addresses.at(0), {net::Protocol::kTcp, 9100}},
                                 {host.addresses.at(1), {net::Protocol::kTcp, 9100}}}}},
                              {});
  ASSERT_TRUE(answers);
  for (const probe::Answer& answer : (*answers)[0])
    EXPECT_EQ(answer.outcome, probe::Outcome::kOpen) << answer.detail;
}

TEST_P(Network, TheMachineIsLeftAlone) {
  auto machine = [] {
    auto links = Netlink::Open("/proc/self/ns/net")->LinkNames();
    return std::tuple(*links, *ReadFile("/proc/sys/net/ipv4/ip_forward"),
                      *ReadFile("/proc/sys/net/ipv6/conf/all/forwarding"),
                      *ReadFile("/proc/net/route"), *ReadFile("/proc/net/ipv6_route"));
  };
  auto before = machine();
  UpPods();
  EXPECT_EQ(machine(), before);
}

INSTANTIATE_TEST_SUITE_P(Cni, Network, testing::Values("ptp", "bridge"),
                         [](const auto& cni) { return cni.param; });

}  // namespace
}  // namespace sallyport::lab
