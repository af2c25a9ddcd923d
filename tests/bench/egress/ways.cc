// SPDX-License-Identifier: Apache-2.0
#include "egress/ways.h"

#include "egress/agents.h"
#include "egress/allowlist.h"
#include "shared/spaces.h"
#include "support/temporary.h"

namespace sallyport::bench {
namespace {

void ApplyNft(const std::string& place, const std::string& rules) {
  test::TemporaryDirectory directory;
  directory.Write("rules", rules);
  RunIn(place, "nft -f " + (directory / "rules"));
}

// What routers and addresses that are not the pod's own cost on each node.
void TranslateAtGateway(const std::string& to) {
  ApplyNft("gateway",
           "table ip egress {\n chain out { type nat hook postrouting priority srcnat;\n"
           "  oifname \"eth1\" ip saddr 10.78.0.0/16 " +
               to + "\n }\n}\n");
}

// An allowlist on the pods' node: connection tracking, a set of networks, a drop.
void AllowAt(const std::string& node, const std::string& pods) {
  std::string set;
  for (const std::string& block : Allowlist()) set += (set.empty() ? "" : ", ") + block;
  ApplyNft(node,
           "table ip allowlist {\n set peers { type ipv4_addr; flags interval; elements = { " +
               set +
               " } }\n chain forward { type filter hook forward priority 0; policy drop;\n"
               "  ct state established,related accept\n"
               "  ip saddr " +
               pods +
               " ip daddr @peers accept\n"
               "  ip saddr != " +
               pods + " ip daddr != " + pods + " accept\n }\n}\n");
}

void AddOverlay(const std::string& node, const std::string& own, const std::string& other,
                const std::string& own_inner, const std::string& to, const std::string& through) {
  RunIn(node, "ip link add vx0 type vxlan id 7 local " + own + " remote " + other +
                  " dev eth0 dstport 8472 nolearning noudpcsum && ip addr add " + own_inner +
                  "/30 dev vx0 && ip link set vx0 up && ip route replace " + to + " via " +
                  through);
}

void OverlayOn() {
  AddOverlay("source", kSourceAddress, kGatewayAddress, "10.79.0.1", "default", "10.79.0.2");
  AddOverlay("gateway", kGatewayAddress, kSourceAddress, "10.79.0.2", "10.78.0.0/24", "10.79.0.1");
}

void OverlayOff() {
  RunIn("source",
        std::string("ip link del vx0 && ip route replace default via ") + kGatewayAddress);
  RunIn("gateway",
        std::string("ip link del vx0 && ip route replace 10.78.0.0/24 via ") + kSourceAddress);
}

void FlushNft() {
  for (const char* node : {"source", "gateway"}) RunIn(node, "nft flush ruleset");
}

constexpr const char* kTwoNodes = "10.78.0.0/24";
constexpr const char* kOneNode = "10.78.1.0/24";

const std::string kToEgressIp = std::string("snat to ") + kEgressIp;

}  // namespace

Ways::Ways(const Site&) : agents_(std::make_unique<Agents>()) {
  auto nothing = [] {};
  auto usual = [](bool policy, const std::string& translation) {
    return [=] {
      OverlayOn();
      TranslateAtGateway(translation);
      if (policy) AllowAt("source", kTwoNodes);
    };
  };
  auto usual_off = [] {
    FlushNft();
    OverlayOff();
  };
  auto near = [](bool policy) {
    return [=] {
      TranslateAtGateway(kToEgressIp);
      if (policy) AllowAt("gateway", kOneNode);
    };
  };
  auto pinned = [this](bool policy) { return [this, policy] { agents_->On(policy); }; };
  auto unpin = [this] { agents_->Off(); };

  two_nodes_ = {
      {"plain routing", "pod", kPodAddress, nothing, nothing},
      {"plain routing again", "pod", kPodAddress, nothing, nothing},
      {"VXLAN", "pod", kPodAddress, OverlayOn, OverlayOff},
      {"VXLAN, nftables", "pod", kEgressIp, usual(false, kToEgressIp), usual_off},
      {"VXLAN, nftables, 10 CIDRs", "pod", kEgressIp, usual(true, kToEgressIp), usual_off},
      {"pinned", "pod", kEgressIp, pinned(false), unpin},
      {"pinned, 10 CIDRs", "pod", kEgressIp, pinned(true), unpin},
  };
  one_node_ = {
      {"plain routing", "near", kNearPodAddress, nothing, nothing},
      {"plain routing again", "near", kNearPodAddress, nothing, nothing},
      {"nftables", "near", kEgressIp, near(false), FlushNft},
      {"nftables, 10 CIDRs", "near", kEgressIp, near(true), FlushNft},
      {"pinned", "near", kEgressIp, pinned(false), unpin},
      {"pinned, 10 CIDRs", "near", kEgressIp, pinned(true), unpin},
  };
  std::string ports = std::to_string(kFirstPort) + "-" + std::to_string(kFirstPort + kPorts - 1);
  few_ports_ = {
      {"VXLAN, nftables", "pod", kEgressIp,
       usual(false, "ip protocol tcp " + kToEgressIp + ":" + ports), usual_off},
      {"pinned", "pod", kEgressIp, pinned(false), unpin},
  };
}

Ways::~Ways() = default;

}  // namespace sallyport::bench
