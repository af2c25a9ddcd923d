// SPDX-License-Identifier: Apache-2.0
#include "pods/variants.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <fstream>
#include <stdexcept>

#include "dataplane/dataplane.h"
#include "pods/workloads.h"
#include "policy/compile.h"
#include "shared/spaces.h"
#include "support/temporary.h"

namespace sallyport::bench {
namespace {

constexpr const char* kBpf = "/run/spt-bench-bpf";
const model::ObjectName kClient{"bench", "client"}, kServer{"bench", "server"};

net::Address Parse(const char* text) { return net::Address::Parse(text).value(); }

model::PodPtr MakePod(const model::ObjectName& name, const char* address) {
  model::Pod pod;
  pod.name = name;
  pod.labels = model::Labels({{"app", name.name}});
  pod.node = "bench";
  pod.phase = model::PodPhase::kRunning;
  pod.addresses = {Parse(address)};
  return std::make_shared<model::Pod>(pod);
}

// All ports that the workloads use but the denied one.
std::vector<model::PolicyPort> AllowedPorts() {
  return {{net::Protocol::kTcp, {}}, {net::Protocol::kUdp, net::PortRange{kUdpPort, kUdpPort}}};
}

// Networks that cover nobody here, spread over the address space, and last one that covers the
// pods.
std::vector<model::Peer> Blocks(int count) {
  std::vector<model::Peer> peers;
  for (int i = 0; i + 1 < count; ++i) {
    uint32_t network = 0x0b000000u + static_cast<uint32_t>(i) * 0x1f31u * 256u;
    if (network >> 24 == 10) network ^= 0x80000000u;
    peers.emplace_back(model::IpBlock{net::Cidr(net::Address::V4(network), 24), {}});
  }
  peers.emplace_back(model::IpBlock{net::Cidr(Parse("10.77.0.0"), 28), {}});
  return peers;
}

model::NetworkPolicyPtr MakePolicy(const std::string& name, std::vector<model::Peer> peers) {
  model::NetworkPolicy policy;
  policy.name = {"bench", name};
  policy.isolates_ingress = policy.isolates_egress = true;
  policy.ingress = policy.egress = {model::Rule{std::move(peers), AllowedPorts()}};
  return std::make_shared<model::NetworkPolicy>(policy);
}

model::Snapshot Cluster() {
  model::Snapshot s;
  s.namespaces["bench"] = std::make_shared<model::Namespace>();
  s.pods[kClient] = MakePod(kClient, kClientAddress);
  s.pods[kServer] = MakePod(kServer, kServerAddress);
  return s;
}

model::Snapshot WithBlocks(int count) {
  model::Snapshot s = Cluster();
  s.policies[{"bench", "blocks"}] = MakePolicy("blocks", Blocks(count));
  return s;
}

// Each policy of its own allows another label; one of them the pods'.
model::Snapshot WithPolicies(int count) {
  model::Snapshot s = Cluster();
  for (int i = 0; i < count; ++i) {
    std::string name = "policy-" + std::to_string(i);
    model::Requirement app{"app", model::Operator::kIn, {"other-" + std::to_string(i)}};
    if (i == count / 2) app.values = {"client", "server"};
    model::PodPeer peer{std::nullopt, model::Selector({app})};
    s.policies[{"bench", name}] = MakePolicy(name, {peer});
  }
  return s;
}

// The same allowlist for a forwarding host: connection tracking, a set of networks, a drop.
std::string NftRules(int count) {
  std::string set;
  for (const model::Peer& peer : Blocks(count)) {
    set += (set.empty() ? "" : ", ") + std::get<model::IpBlock>(peer).cidr.ToString();
  }
  std::string ports = "meta l4proto tcp accept; udp dport " + std::to_string(kUdpPort) + " accept;";
  return "table ip bench {\n set peers { type ipv4_addr; flags interval; elements = { " + set +
         " } }\n chain allowed { " + ports +
         " drop; }\n"
         " chain forward { type filter hook forward priority 0; policy drop;\n"
         "  ct state established,related accept\n  ip saddr @peers ip daddr @peers goto allowed\n"
         " }\n}\n";
}

std::string IpsetRules(int count) {
  std::string text = "create bench hash:net maxelem 200000\n";
  for (const model::Peer& peer : Blocks(count)) {
    text += "add bench " + std::get<model::IpBlock>(peer).cidr.ToString() + "\n";
  }
  return text;
}

// `command` on the node, its last argument a file with this text.
void RunOn(const std::string& command, const std::string& text) {
  test::TemporaryDirectory directory;
  directory.Write("rules", text);
  RunIn("node", command + " " + (directory / "rules"));
}

}  // namespace

// The data plane, on and off the arena's interfaces. Its calls are made inside the node.
class Variants::Agent {
 public:
  explicit Agent(const Arena& arena) : arena_(arena) {
    ::umount2(kBpf, MNT_DETACH);
    ::mkdir(kBpf, 0700);
    if (::mount("bpf", kBpf, "bpf", 0, nullptr) != 0) throw std::runtime_error("mount bpf");
  }
  ~Agent() {
    InNode([&] { dataplane_.reset(); });
    (void)dataplane::Dataplane::RemoveAll(std::string(kBpf) + "/bench");
    ::umount2(kBpf, MNT_DETACH);
    ::rmdir(kBpf);
  }

  void On(const model::Snapshot& snapshot) {
    InNode([&] {
      dataplane::Options options;
      options.pins = std::string(kBpf) + "/bench";
      auto opened = dataplane::Dataplane::Open(options);
      if (!opened) throw std::runtime_error(opened.error().message);
      dataplane_ = std::move(*opened);
      policy::Compiled compiled = policy::Compile(snapshot, "bench");
      Need(dataplane_->Apply(compiled.image, nullptr,
                             {{kClient, Bind(arena_.client_ifindex(), kClientAddress)},
                              {kServer, Bind(arena_.server_ifindex(), kServerAddress)}}));
      Need(dataplane_->Attach(arena_.client_ifindex(), "client"));
      Need(dataplane_->Attach(arena_.server_ifindex(), "server"));
      Need(dataplane_->Settle());
    });
  }
  void Off() {
    InNode([&] {
      dataplane_.reset();
      Need(dataplane::Dataplane::RemoveAll(std::string(kBpf) + "/bench"));
    });
  }

  bool direct = true;

 private:
  static void Need(const Status& status) {
    if (!status) throw std::runtime_error(status.error().message);
  }
  dataplane::Binding Bind(uint32_t ifindex, const char* address) const {
    return {ifindex, {Parse(address)}, direct};
  }
  void InNode(const std::function<void()>& body) { CallIn("node", body); }

  const Arena& arena_;
  std::unique_ptr<dataplane::Dataplane> dataplane_;
};

Variants::Variants(const Arena& arena) : agent_(std::make_unique<Agent>(arena)) {
  auto nothing = [] {};
  auto sallyport = [this](const std::string& name, model::Snapshot snapshot, bool direct = true) {
    auto shared = std::make_shared<model::Snapshot>(std::move(snapshot));
    all_.push_back({name,
                    [this, shared, direct] {
                      agent_->direct = direct;
                      agent_->On(*shared);
                    },
                    [this] { agent_->Off(); }});
  };
  all_.push_back({"nothing", nothing, nothing});
  all_.push_back({"nothing again", nothing, nothing});
  sallyport("agent, no policy", Cluster());
  sallyport("agent, 10 CIDRs", WithBlocks(10));
  sallyport("agent, 1,000 CIDRs", WithBlocks(1000));
  sallyport("agent, 10,000 CIDRs", WithBlocks(10000));
  sallyport("agent, 10,000 policies", WithPolicies(10000));
  sallyport("agent, 1,000 CIDRs, no hand-over", WithBlocks(1000), false);
  for (int count : {10, 10000}) {
    std::string label = count == 10 ? "10" : "10,000";
    all_.push_back({"nftables, " + label + " CIDRs", [count] { RunOn("nft -f", NftRules(count)); },
                    [] { RunIn("node", "nft flush ruleset"); }});
    all_.push_back({"ipset, " + label + " CIDRs",
                    [count] {
                      RunOn("ipset restore -f", IpsetRules(count));
                      RunIn("node",
                            "iptables -P FORWARD DROP"
                            " && iptables -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED"
                            " -j ACCEPT"
                            " && iptables -A FORWARD -p tcp -m set --match-set bench src"
                            " -m set --match-set bench dst -j ACCEPT"
                            " && iptables -A FORWARD -p udp --dport " +
                                std::to_string(kUdpPort) +
                                " -m set --match-set bench src"
                                " -m set --match-set bench dst -j ACCEPT");
                    },
                    [] {
                      RunIn("node",
                            "iptables -P FORWARD ACCEPT && iptables -F FORWARD"
                            " && ipset destroy bench && nft flush ruleset");
                    }});
  }
}

Variants::~Variants() = default;

}  // namespace sallyport::bench
