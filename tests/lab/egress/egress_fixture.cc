// SPDX-License-Identifier: Apache-2.0
#include "lab/egress/egress_fixture.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "lab/layout.h"
#include "lab/netns.h"
#include "lab/settle.h"
#include "lab/tree.h"

namespace sallyport::lab {
namespace {

constexpr const char* kLeaseNamespace = "sallyport-system";

std::string NodeYaml(const std::string& name) {
  return "---\n{apiVersion: v1, kind: Node, metadata: {name: " + name +
         (name.starts_with("gw") ? ", labels: {egress: \"true\"}" : "") + "}}\n";
}

}  // namespace

net::Address AddressOf(const std::string& text) { return net::Address::Parse(text).value(); }

std::vector<net::Address> Partners() { return {AddressOf(kPartnerV4), AddressOf(kPartnerV6)}; }

std::string Sleeper(const std::string& name, const std::string& node, const std::string& labels) {
  return "---\n{apiVersion: v1, kind: Pod, metadata: {name: " + name +
         ", namespace: app, labels: {" + labels + "}}, spec: {nodeName: " + node +
         ", containers: [{name: c, image: none, command: [sleep, infinity]}]}}\n";
}

std::string Gateway(const std::string& name, const std::string& ips, const std::string& spec) {
  return "---\n{apiVersion: sallyport.io/v1alpha1, kind: EgressGateway, metadata: {name: " + name +
         "}, spec: {egressIPs: [\"" + ips + "\"], pods: {podSelector: {matchLabels: {" + kPinned +
         "}}}, " + spec + (spec.empty() ? "" : ", ") +
         "gateways: {nodeSelector: {matchLabels: {egress: \"true\"}}}}}\n";
}

void EgressTest::UpEgress(const std::vector<std::string>& nodes, const std::string& yaml,
                          const std::vector<std::string>& more) {
  nodes_ = nodes;
  std::string all = "---\n{apiVersion: v1, kind: Namespace, metadata: {name: app}}\n";
  for (const std::string& node : nodes) all += NodeYaml(node);
  std::vector<std::string> up = {"lab",      "up",      "--no-dns",       "--name",
                                 name(),     "-f",      File(all + yaml), "--outside-address",
                                 kPartnerV4, kPartnerV6};
  up.insert(up.end(), more.begin(), more.end());
  ASSERT_EQ(Run(up).exit_code, 0);
  Capture::Rules rules;
  rules.reserved = {AddressOf(kPartnerV4), AddressOf(kPartnerV6)};
  rules.egress_ips = {AddressOf(kEgressV4), AddressOf(kEgressV6)};
  for (const char* inner : {"10.244.0.0/16", "fd00:10:244::/48", "172.30.0.0/24"})
    rules.inner.push_back(net::Cidr::Parse(inner).value());
  // The fabric's own: it is the router between nodes and outside.
  rules.free = {AddressOf("172.30.0.1")};
  capture_ = std::make_unique<Capture>(OutsideNetns(), "eth0", rules);
}

void EgressTest::TearDown() {
  if (capture_) EXPECT_EQ(capture_->Trouble(), "") << "seen outside, and not as an egress IP";
  capture_.reset();
  LabTest::TearDown();
}

std::string EgressTest::OutsideNetns() { return NetnsPath(Layout(name()).outside_netns()); }
std::string EgressTest::PodNetns(const std::string& pod) {
  return NetnsPath(Layout(name()).pod_netns({"app", pod}));
}

std::string EgressTest::Ip(const std::string& node, const std::vector<std::string>& arguments) {
  Command command;
  command.argv = {FindProgram("ip", getenv("PATH")), "-n", Layout(name()).node_netns(node)};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  auto done = RunCommand(command);
  EXPECT_TRUE(done) << done.error().message;
  return done ? done->output + done->errors : "";
}

bool EgressTest::Has(const std::string& node, const std::string& address) {
  return !Ip(node, {"-o", "address", "show", "to", address}).empty();
}

std::string EgressTest::Holder(const std::string& address) {
  std::string out;
  for (const std::string& node : nodes_) {
    if (cut_off_.contains(node) || !Has(node, address)) continue;
    if (!out.empty()) return "";
    out = node;
  }
  return out;
}

void EgressTest::AwaitHolder(const std::string& address, const std::string& node) {
  Await(address + " at " + node, [&] { return Holder(address) == node; });
}

std::string EgressTest::AwaitOtherHolder(const std::string& address, const std::string& node) {
  std::string holder;
  Await(address + " to be taken from " + (node.empty() ? "nobody" : node), [&] {
    holder = Holder(address);
    return !holder.empty() && holder != node;
  });
  return holder;
}

std::string EgressTest::LeaseHolder(const std::string& lease) {
  return Kubectl({"get", "lease", "-n", kLeaseNamespace, lease, "--ignore-not-found", "-o",
                  "jsonpath={.spec.holderIdentity}"})
      .output;
}

std::vector<std::string> EgressTest::Leases(const std::string& prefix) {
  std::istringstream lines(Kube({"get", "lease", "-n", kLeaseNamespace, "-o", "name"}));
  std::vector<std::string> out;
  const std::string kind = "lease.coordination.k8s.io/";
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(kind + prefix)) out.push_back(line.substr(kind.size()));
  return out;
}

void EgressTest::Agent(const std::string& verb, const std::string& node) {
  ASSERT_EQ(Run({"lab", "agent", verb, "--node", node, "--name", name()}).exit_code, 0)
      << verb << " " << node;
}

// At the fabric's bridge.
std::string EgressTest::PortOf(const std::string& node) {
  auto state = LoadState(name());
  EXPECT_TRUE(state) << state.error().message;
  for (size_t i = 0; state && i < state->nodes.size(); ++i)
    if (state->nodes[i].name() == node) return "node" + std::to_string(i);
  ADD_FAILURE() << "no node " << node;
  return "";
}

// Not taken off the bridge: that would change the bridge's own address, too.
void EgressTest::SetPort(const std::string& node, const char* state) {
  Command command;
  command.argv = {FindProgram("bridge", getenv("PATH")),
                  "-n",
                  Layout(name()).fabric_netns(),
                  "link",
                  "set",
                  "dev",
                  PortOf(node),
                  "state",
                  state};
  auto done = RunCommand(command);
  ASSERT_TRUE(done) << done.error().message;
  ASSERT_EQ(done->exit_code, 0) << done->errors;
}

void EgressTest::Unplug(const std::string& node) {
  cut_off_.insert(node);
  SetPort(node, "0");
}

void EgressTest::Plug(const std::string& node) {
  SetPort(node, "3");
  cut_off_.erase(node);
}

uint64_t EgressTest::Dropped(const std::string& pod, const std::string& reason) {
  Inventory inventory = Read();
  for (const NodePlace& node : inventory.nodes) {
    auto endpoints = AskAgent(node.agent_socket, "/v1/endpoints");
    if (!endpoints) continue;
    for (const Value& endpoint : Items(&*endpoints))
      if (TextAt(endpoint, {"pod"}) == "app/" + pod)
        return static_cast<uint64_t>(IntegerAt(endpoint, {"dropped", reason}).value_or(0));
  }
  return 0;
}

}  // namespace sallyport::lab
