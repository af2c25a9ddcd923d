// SPDX-License-Identifier: Apache-2.0
#include "egress/agents.h"

#include <net/if.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <stdexcept>
#include <utility>
#include <vector>

#include "dataplane/egress_tables.h"
#include "egress/allowlist.h"
#include "egress/pin_plan.h"
#include "egress/ways.h"
#include "gateway/tunnel_device.h"
#include "policy/compile.h"
#include "shared/spaces.h"

namespace sallyport::bench {
namespace {

constexpr const char* kBpf = "/run/spt-bench-bpf";
constexpr uint16_t kBlockPorts = 1024, kTunnelPort = 4790, kHeartbeatPort = 4791;
constexpr uint32_t kVni = 23057;
constexpr int kTurns = 3;
static_assert(Ways::kFirstPort + 2 * kTurns * Ways::kPorts <= 65536);

net::Address Parse(const std::string& text) { return net::Address::Parse(text).value(); }
net::Cidr ParseCidr(const std::string& text) { return net::Cidr::Parse(text).value(); }

void Must(const Status& status) {
  if (!status) throw std::runtime_error(status.error().message);
}

void AddPodTo(model::Snapshot& s, const std::string& name, const std::string& node,
              const std::string& address) {
  model::Pod pod;
  pod.name = {"bench", name};
  pod.node = node;
  pod.phase = model::PodPhase::kRunning;
  pod.addresses = {Parse(address)};
  s.pods[pod.name] = std::make_shared<model::Pod>(pod);
}

void AddNodeTo(model::Snapshot& s, const std::string& name, const std::string& address) {
  model::Node node;
  node.name = name;
  node.addresses = node.internal_addresses = {Parse(address)};
  node.ready = true;
  s.nodes[name] = std::make_shared<model::Node>(node);
}

model::Snapshot Cluster(bool with_policy) {
  model::Snapshot s;
  s.namespaces["bench"] = std::make_shared<model::Namespace>();
  AddNodeTo(s, "source", kSourceAddress);
  AddNodeTo(s, "gateway", kGatewayAddress);
  AddPodTo(s, "pod", "source", kPodAddress);
  AddPodTo(s, "pod2", "source", kSecondPodAddress);
  AddPodTo(s, "near", "gateway", kNearPodAddress);
  if (!with_policy) return s;
  model::NetworkPolicy policy;
  policy.name = {"bench", "allowlist"};
  policy.isolates_egress = true;
  model::Rule rule;
  for (const std::string& block : Allowlist())
    rule.peers.emplace_back(model::IpBlock{ParseCidr(block), {}});
  policy.egress = {rule};
  s.policies[policy.name] = std::make_shared<model::NetworkPolicy>(policy);
  return s;
}

// All but the cluster leaves through the egress IP.
std::shared_ptr<const egress::PinSet> Pins() {
  egress::PinSet pins;
  pins[ParseCidr("0.0.0.0/0")] = egress::Target::Pinned(Parse(kEgressIp));
  pins[ParseCidr("10.78.0.0/16")] = egress::Target::NotPinned();
  pins[ParseCidr("192.168.78.0/24")] = egress::Target::NotPinned();
  return std::make_shared<const egress::PinSet>(pins);
}

// `first`: of the ports of the source node, before those of the gateway.
dataplane::EgressState StateOf(const std::string& node, uint32_t uplink, int first) {
  dataplane::EgressState state;
  state.self = node;
  state.nodes = {{"source", Parse(kSourceAddress)}, {"gateway", Parse(kGatewayAddress)}};
  dataplane::EgressState::Ip ip;
  ip.gateway = "gateway";
  ip.uplink = uplink;
  ip.block_ports = kBlockPorts;
  auto lease = [&](int first, const std::string& to) {
    for (int port = first; port < first + Ways::kPorts; port += kBlockPorts) {
      auto at = static_cast<uint16_t>(port);
      if (to == node) ip.blocks.push_back(at);
      ip.owners[{at, static_cast<uint16_t>(at + kBlockPorts - 1)}] = to;
    }
  };
  lease(first, "source");
  lease(first + Ways::kPorts, "gateway");
  state.ips[Parse(kEgressIp)] = ip;
  return state;
}

}  // namespace

struct Agents::Node {
  std::string name;
  const char* address;
  std::vector<std::pair<std::string, const char*>> pods;  // interfaces, which are named as pods are
  std::vector<std::string> uplinks;                       // the last one: to the outside
};

Agents::Agents() {
  ::umount2(kBpf, MNT_DETACH);
  ::mkdir(kBpf, 0700);
  if (::mount("bpf", kBpf, "bpf", 0, nullptr) != 0) throw std::runtime_error("mount bpf");
}

Agents::~Agents() {
  try {
    Off();
  } catch (const std::exception&) {  // the namespaces go anyway
  }
  ::umount2(kBpf, MNT_DETACH);
  ::rmdir(kBpf);
}

void Agents::Start(const Node& node, const model::Snapshot& cluster) {
  dataplane::Options options;
  options.pins = std::string(kBpf) + "/" + node.name;
  auto opened = dataplane::Dataplane::Open(options);
  if (!opened) throw std::runtime_error(opened.error().message);
  auto& dataplane = node.name == "source" ? source_ : gateway_;
  dataplane = std::move(*opened);

  uint32_t outmost = 0;
  for (const std::string& interface : node.uplinks) {
    outmost = ::if_nametoindex(interface.c_str());
    Must(dataplane->AttachNode(outmost, interface, dataplane::Role::kNode));
  }
  auto mtu = gateway::TunnelMtu(Parse(node.address));
  if (!mtu) throw std::runtime_error(mtu.error().message);
  auto tunnel = gateway::EnsureTunnel(
      {gateway::kTunnelName, kTunnelPort, *mtu}, [&](const gateway::TunnelDevice& device) {
        return dataplane->AttachNode(device.ifindex, gateway::kTunnelName,
                                     dataplane::Role::kEgress);
      });
  if (!tunnel) throw std::runtime_error(tunnel.error().message);
  dataplane::EgressState state =
      StateOf(node.name, node.name == "gateway" ? outmost : 0, first_port_);
  state.tunnel = {tunnel->ifindex, kVni, *mtu, kTunnelPort, kHeartbeatPort};
  Must(dataplane->egress()->Apply(state));

  dataplane->Defer(true);
  dataplane::Bindings bindings;
  for (const auto& [pod, address] : node.pods) {
    uint32_t ifindex = ::if_nametoindex(pod.c_str());
    bindings[{"bench", pod}] = {ifindex, {Parse(address)}, true, Pins()};
    Must(dataplane->Attach(ifindex, pod));
  }
  policy::Compiled compiled = policy::Compile(cluster, node.name);
  Must(dataplane->Apply(compiled.image, nullptr, bindings));
  Must(dataplane->Settle());
}

void Agents::On(bool with_policy) {
  // The outside remembers ports that were in use a moment ago, and tables that are new do not.
  turn_ = (turn_ + 1) % kTurns;
  first_port_ = Ways::kFirstPort + 2 * turn_ * Ways::kPorts;
  model::Snapshot cluster = Cluster(with_policy);
  CallIn("gateway", [&] {
    Start({"gateway", kGatewayAddress, {{"near", kNearPodAddress}}, {"eth0", "eth1"}}, cluster);
  });
  CallIn("source", [&] {
    Start({"source", kSourceAddress, {{"pod", kPodAddress}, {"pod2", kSecondPodAddress}}, {"eth0"}},
          cluster);
  });
}

void Agents::Off() {
  for (const char* node : {"source", "gateway"}) {
    CallIn(node, [&] {
      (node == std::string("source") ? source_ : gateway_).reset();
      Must(dataplane::Dataplane::RemoveAll(std::string(kBpf) + "/" + node));
      Must(gateway::RemoveTunnel());
    });
  }
}

}  // namespace sallyport::bench
