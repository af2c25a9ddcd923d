// SPDX-License-Identifier: Apache-2.0
#include "failover/cluster.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "lab/layout.h"
#include "lab/netns.h"
#include "lab/process.h"
#include "lab/settle.h"
#include "lab/state.h"
#include "lab/tree.h"

namespace sallyport::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr const char* kLab = "spt-failover";
constexpr const char* kGateways[] = {"gw1", "gw2"};
constexpr auto kPatience = std::chrono::seconds(60);
// A gateway that starts listens for two seconds before it takes an address.
constexpr auto kListens = milliseconds(2500);

constexpr const char* kManifests = R"(---
{apiVersion: v1, kind: Node, metadata: {name: n1}}
---
{apiVersion: v1, kind: Node, metadata: {name: gw1, labels: {egress: "true"}}}
---
{apiVersion: v1, kind: Node, metadata: {name: gw2, labels: {egress: "true"}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: app}}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: app}
spec: {nodeName: n1, containers: [{name: c, image: none, command: [sleep, infinity]}]}
---
apiVersion: sallyport.io/v1alpha1
kind: EgressGateway
metadata: {name: partner}
spec:
  egressIPs: [203.0.113.10]
  pods: {namespaceSelector: {}}
  gateways: {nodeSelector: {matchLabels: {egress: "true"}}}
)";

lab::Finished Do(std::vector<std::string> argv) {
  lab::Command command;
  std::string words;
  for (const std::string& word : argv) words += word + " ";
  command.argv = std::move(argv);
  command.env = lab::EnvironmentWith({});
  auto done = lab::RunCommand(command);
  if (!done) throw std::runtime_error(words + ": " + done.error().message);
  if (done->exit_code != 0) throw std::runtime_error(words + ": " + done->errors);
  return *std::move(done);
}

std::string Program(const char* name) {
  std::string path = lab::FindProgram(name, lab::kStandardPath);
  if (path.empty()) throw std::runtime_error(std::string(name) + " is not installed");
  return path;
}

void Await(const std::string& what, const std::function<bool()>& condition) {
  for (auto end = steady_clock::now() + kPatience; !condition();) {
    if (steady_clock::now() > end) throw std::runtime_error("waited in vain for " + what);
    std::this_thread::sleep_for(milliseconds(5));
  }
}

}  // namespace

Cluster::Cluster() {
  folder_ = std::filesystem::temp_directory_path() / "spt-failover.XXXXXX";
  if (!mkdtemp(folder_.data())) throw std::runtime_error("no temporary directory");
  std::ofstream(folder_ + "/lab.yaml") << kManifests;
  Tool({"up", "--no-dns", "-f", folder_ + "/lab.yaml", "--outside-address", Partner().ToString()});
  AwaitOtherHolder("");
}

Cluster::~Cluster() {
  try {
    Tool({"down"});
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_failover: %s\n", e.what());
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string Cluster::pod() const {
  return lab::NetnsPath(lab::Layout(kLab).pod_netns({"app", "client"}));
}
std::string Cluster::outside() const { return lab::NetnsPath(lab::Layout(kLab).outside_netns()); }
net::Address Cluster::Partner() { return net::Address::Parse("198.51.100.20").value(); }
net::Address Cluster::EgressIp() { return net::Address::Parse("203.0.113.10").value(); }

void Cluster::Tool(std::vector<std::string> arguments) const {
  std::vector<std::string> argv = {SALLYPORT_TOOL, "lab"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  argv.insert(argv.end(), {"--name", kLab});
  Do(std::move(argv));
}

void Cluster::Kubectl(std::vector<std::string> arguments) const {
  std::vector<std::string> argv = {Program("kubectl"), "--kubeconfig",
                                   lab::Layout(kLab).kubeconfig()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  Do(std::move(argv));
}

std::string Cluster::Holder() const {
  std::string out;
  for (const char* node : kGateways) {
    if (node == killed_) continue;
    lab::Finished shown = Do({Program("ip"), "-n", lab::Layout(kLab).node_netns(node), "-o",
                              "address", "show", "to", EgressIp().ToString()});
    if (shown.output.empty()) continue;
    if (!out.empty()) return "";
    out = node;
  }
  return out;
}

std::string Cluster::AwaitOtherHolder(const std::string& node) const {
  std::string holder;
  Await("another gateway than " + node + " to take the address", [&] {
    holder = Holder();
    return !holder.empty() && holder != node;
  });
  return holder;
}

// At the fabric's bridge, in silence: nobody loses a carrier.
void Cluster::SetPort(const std::string& node, const char* state) const {
  auto lab = lab::LoadState(kLab);
  if (!lab) throw std::runtime_error(lab.error().message);
  for (size_t i = 0; i < lab->nodes.size(); ++i)
    if (lab->nodes[i].name() == node)
      Do({Program("bridge"), "-n", lab::Layout(kLab).fabric_netns(), "link", "set", "dev",
          "node" + std::to_string(i), "state", state});
}

void Cluster::Kill(const std::string& node) {
  killed_ = node;
  SetPort(node, "0");
  Tool({"agent", "kill", "--node", node});
}

void Cluster::Cordon(const std::string& node) {
  cordoned_ = node;
  Kubectl({"cordon", node});
}

void Cluster::Stop(const std::string& node) {
  stopped_ = node;
  Tool({"agent", "stop", "--node", node});
}

bool Cluster::Hears(const std::string& node, const std::string& other) const {
  auto view = lab::AskAgent(lab::Layout(kLab).socket(node), "/v1/egress");
  if (!view) return false;
  for (const lab::Value& peer : lab::Items(view->Find("peers")))
    if (lab::TextAt(peer, {"node"}) == other)
      return lab::IntegerAt(peer, {"heard_ms_ago"}).value_or(1'000'000) < 1500;
  return false;
}

void Cluster::Revive(const std::string& node) {
  bool again = killed_ == node || stopped_ == node;
  if (killed_ == node) SetPort(node, "3");
  if (again) Tool({"agent", "start", "--node", node});
  if (cordoned_ == node) Kubectl({"uncordon", node});
  killed_.clear();
  stopped_.clear();
  cordoned_.clear();
  std::string other = node == kGateways[0] ? kGateways[1] : kGateways[0];
  Await(node + " and " + other + " to hear each other",
        [&] { return Hears(node, other) && Hears(other, node); });
  if (again) std::this_thread::sleep_for(kListens);
}

}  // namespace sallyport::bench
