// SPDX-License-Identifier: Apache-2.0
#include "egress/site.h"

#include <exception>
#include <string>

#include "shared/spaces.h"

namespace sallyport::bench {
namespace {

void RemoveAll() { RemoveSpaces({"pod", "pod2", "near", "source", "gateway", "outside"}); }

void AddPlace(const std::string& place) {
  Shell("ip netns add " + SpaceName(place));
  RunIn(place,
        "ip link set lo up"
        "; for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done"
        "; echo 1024 65000 > /proc/sys/net/ipv4/ip_local_port_range"
        "; echo 1 > /proc/sys/net/ipv4/tcp_tw_reuse"
        "; echo 8192 > /proc/sys/net/core/somaxconn");
}

void AddNode(const std::string& place) {
  AddPlace(place);
  RunIn(place, "echo 1 > /proc/sys/net/ipv4/ip_forward");
}

// An address without a network, the node reached by its own route. As large as packets are where an
// overlay takes 50 bytes.
void AddPod(const std::string& pod, const std::string& node, const std::string& address) {
  AddPlace(pod);
  Shell("ip -n " + SpaceName(node) + " link add " + pod +
        " mtu 1450 type veth peer name eth0 netns " + SpaceName(pod));
  RunIn(node, "ip addr add 10.78.0.1/32 dev " + pod + " && ip link set " + pod +
                  " up && ip route add " + address + "/32 dev " + pod);
  RunIn(pod, "ip link set eth0 mtu 1450 && ip addr add " + address +
                 "/32 dev eth0 && ip link set eth0 up"
                 " && ip route add 10.78.0.1 dev eth0 scope link"
                 " && ip route add default via 10.78.0.1");
}

void Join(const std::string& a, const std::string& a_interface, const std::string& a_address,
          const std::string& b, const std::string& b_interface, const std::string& b_address) {
  Shell("ip -n " + SpaceName(a) + " link add " + a_interface + " type veth peer name " +
        b_interface + " netns " + SpaceName(b));
  RunIn(a, "ip addr add " + a_address + "/24 dev " + a_interface + " && ip link set " +
               a_interface + " up");
  RunIn(b, "ip addr add " + b_address + "/24 dev " + b_interface + " && ip link set " +
               b_interface + " up");
}

}  // namespace

Site::Site() {
  RemoveAll();
  AddNode("source");
  AddNode("gateway");
  AddPlace("outside");
  AddPod("pod", "source", kPodAddress);
  AddPod("pod2", "source", kSecondPodAddress);
  AddPod("near", "gateway", kNearPodAddress);
  Join("source", "eth0", kSourceAddress, "gateway", "eth0", kGatewayAddress);
  Join("gateway", "eth1", "203.0.113.1", "outside", "eth0", kOutsideAddress);
  RunIn("source", std::string("ip route add default via ") + kGatewayAddress);
  RunIn("gateway", std::string("ip route add 10.78.0.0/24 via ") + kSourceAddress);
  RunIn("gateway", std::string("ip addr add ") + kEgressIp + "/32 dev eth1");
  RunIn("outside", "ip route add 10.78.0.0/16 via 203.0.113.1");
}

Site::~Site() {
  try {
    RemoveAll();
  } catch (const std::exception&) {  // the next run sweeps
  }
}

}  // namespace sallyport::bench
