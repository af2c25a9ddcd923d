// SPDX-License-Identifier: Apache-2.0
#include "pods/arena.h"

#include <exception>
#include <string>

#include "shared/spaces.h"

namespace sallyport::bench {
namespace {

void RemoveAll() { RemoveSpaces({"client", "server", "node"}); }

// As ptp: an address without a network, the gateway reached by its own route.
void AddPod(const std::string& pod, const std::string& address) {
  std::string node = SpaceName("node"), ns = SpaceName(pod);
  Shell("ip netns add " + ns);
  Shell("ip -n " + node + " link add " + pod + " type veth peer name eth0 netns " + ns);
  Shell("ip -n " + node + " addr add 10.77.0.1/32 dev " + pod);
  Shell("ip -n " + node + " link set " + pod + " up");
  Shell("ip -n " + node + " route add " + address + "/32 dev " + pod);
  Shell("ip -n " + ns + " addr add " + address + "/32 dev eth0");
  Shell("ip -n " + ns + " link set lo up && ip -n " + ns + " link set eth0 up");
  Shell("ip -n " + ns + " route add 10.77.0.1 dev eth0 scope link");
  Shell("ip -n " + ns + " route add default via 10.77.0.1");
  Shell("ip netns exec " + ns +
        " sh -c 'echo 1024 65000 > /proc/sys/net/ipv4/ip_local_port_range; "
        "echo 1 > /proc/sys/net/ipv4/tcp_tw_reuse; echo 8192 > /proc/sys/net/core/somaxconn'");
}

}  // namespace

Arena::Arena() {
  RemoveAll();
  Shell("ip netns add " + SpaceName("node"));
  Shell("ip -n " + SpaceName("node") + " link set lo up");
  Shell("ip netns exec " + SpaceName("node") + " sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'");
  AddPod("client", kClientAddress);
  AddPod("server", kServerAddress);
  client_ifindex_ = IfindexIn("node", "client");
  server_ifindex_ = IfindexIn("node", "server");
}

Arena::~Arena() {
  try {
    RemoveAll();
  } catch (const std::exception&) {  // the next run sweeps
  }
}

}  // namespace sallyport::bench
