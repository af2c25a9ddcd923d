// SPDX-License-Identifier: Apache-2.0
#include "gateway/tunnel_device.h"

#include <gmock/gmock.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/unique_fd.h"
#include "lab/gateway/command_output.h"
#include "support/sandbox.h"

namespace sallyport::gateway {
namespace {

using test::Shell;
using testing::HasSubstr;

class TunnelDeviceTest : public testing::Test {
 protected:
  void SetUp() override { test::EnterSandbox(); }
  void TearDown() override {
    for (const char* name : {"sallyport", "other"})
      Shell(std::string("ip link del ") + name + " 2>/dev/null || true");
  }
  static std::string Setting(const std::string& path) {
    std::string text = Output("cat /proc/sys/net/" + path);
    return text.substr(0, text.find('\n'));
  }
  const TunnelOptions options_{.port = 4790, .mtu = 1450};
};

TEST_F(TunnelDeviceTest, IsMadeAsWanted) {
  auto device = EnsureTunnel(options_);
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_TRUE(device->made);
  EXPECT_EQ(device->ifindex, if_nametoindex("sallyport"));
  model::Value said = List("ip -j -d link show sallyport").items.at(0);
  const std::string data = "linkinfo.info_data.";
  EXPECT_EQ(Text(said, "linkinfo.info_kind"), "vxlan");
  EXPECT_EQ(Text(said, data + "port"), "4790");
  EXPECT_EQ(Text(said, data + "external"), "true");
  EXPECT_EQ(Text(said, data + "learning"), "false");
  EXPECT_EQ(Text(said, data + "udp_zero_csum6_tx"), "true");
  EXPECT_EQ(Text(said, data + "udp_zero_csum6_rx"), "true");
  EXPECT_EQ(Text(said, "mtu"), "1450");
  EXPECT_EQ(Text(said, "inet6_addr_gen_mode"), "none");
  EXPECT_THAT(Output("ip link show sallyport"), HasSubstr(",UP"));
  EXPECT_EQ(Output("ip -o addr show dev sallyport"), "");
  EXPECT_EQ(Setting("ipv4/conf/sallyport/forwarding"), "1");
  EXPECT_EQ(Setting("ipv4/conf/sallyport/rp_filter"), "0");
  EXPECT_EQ(Setting("ipv6/conf/sallyport/forwarding"), "1");
  // One socket for each family.
  EXPECT_EQ(Output("ss -Hlun 'sport = 4790' | wc -l"), "2\n");
}

TEST_F(TunnelDeviceTest, ForwardsWhereTheNodeDoesNot) {
  Shell("echo 0 > /proc/sys/net/ipv4/conf/default/forwarding");
  Shell("echo 0 > /proc/sys/net/ipv6/conf/default/forwarding");
  Shell("echo 1 > /proc/sys/net/ipv4/conf/default/rp_filter");
  auto device = EnsureTunnel(options_);
  Shell("echo 1 > /proc/sys/net/ipv4/conf/default/forwarding");
  Shell("echo 1 > /proc/sys/net/ipv6/conf/default/forwarding");
  Shell("echo 0 > /proc/sys/net/ipv4/conf/default/rp_filter");
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_EQ(Setting("ipv4/conf/sallyport/forwarding"), "1");
  EXPECT_EQ(Setting("ipv4/conf/sallyport/rp_filter"), "0");
  EXPECT_EQ(Setting("ipv6/conf/sallyport/forwarding"), "1");
}

TEST_F(TunnelDeviceTest, IsAdoptedAndSetRight) {
  auto first = EnsureTunnel(options_);
  ASSERT_TRUE(first) << first.error().message;
  Shell("ip link set sallyport down mtu 9000");
  Shell("echo 0 > /proc/sys/net/ipv4/conf/sallyport/forwarding");
  auto second = EnsureTunnel(options_);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_FALSE(second->made);
  EXPECT_EQ(second->ifindex, first->ifindex);
  EXPECT_EQ(Text(List("ip -j link show sallyport").items.at(0), "mtu"), "1450");
  EXPECT_THAT(Output("ip link show sallyport"), HasSubstr(",UP"));
  EXPECT_EQ(Setting("ipv4/conf/sallyport/forwarding"), "1");
}

TEST_F(TunnelDeviceTest, IsMadeAnewForAnotherPort) {
  auto first = EnsureTunnel(options_);
  ASSERT_TRUE(first) << first.error().message;
  auto second = EnsureTunnel({.port = 4791, .mtu = 1450});
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_TRUE(second->made);
  EXPECT_NE(second->ifindex, first->ifindex);
  EXPECT_EQ(Text(List("ip -j -d link show sallyport").items.at(0), "linkinfo.info_data.port"),
            "4791");
}

TEST_F(TunnelDeviceTest, LeavesOthersAlone) {
  Shell("ip link add sallyport type vxlan external dstport 4790");
  auto refused = EnsureTunnel(options_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EEXIST);
  EXPECT_THAT(refused.error().message, HasSubstr("not Sallyport's; remove or rename it"));
  EXPECT_TRUE(RemoveTunnel("sallyport"));
  EXPECT_NE(if_nametoindex("sallyport"), 0u);
}

TEST_F(TunnelDeviceTest, SaysWhoHasThePort) {
  // Down: nobody has the port yet, and would get it later.
  Shell("ip link add other type vxlan id 1 dstport 4790");
  auto refused = EnsureTunnel(options_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EADDRINUSE);
  EXPECT_THAT(refused.error().message,
              HasSubstr("UDP port 4790 is that of the VXLAN device other; give all agents another "
                        "--tunnel-port"));
  EXPECT_EQ(if_nametoindex("sallyport"), 0u);
}

TEST_F(TunnelDeviceTest, SaysThatAProgramHasThePort) {
  UniqueFd taken(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(4790);
  ASSERT_EQ(bind(taken.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
  auto refused = EnsureTunnel(options_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EADDRINUSE);
  EXPECT_THAT(refused.error().message, HasSubstr("UDP port 4790; give all agents another"));
}

TEST_F(TunnelDeviceTest, IsRemoved) {
  EXPECT_TRUE(RemoveTunnel()) << "there is none";
  ASSERT_TRUE(EnsureTunnel(options_));
  EXPECT_TRUE(RemoveTunnel());
  EXPECT_EQ(if_nametoindex("sallyport"), 0u);
}

TEST_F(TunnelDeviceTest, MtuIsThatOfTheNodesInterfaceLessTheHeaders) {
  Shell("ip link add large mtu 9000 type veth peer name other mtu 1400");
  Shell("ip addr add 192.0.2.1/24 dev large && ip addr add 192.0.2.1/32 dev other");
  Shell("ip addr add 2001:db8::1/64 dev large nodad");
  EXPECT_EQ(TunnelMtu(*net::Address::Parse("192.0.2.1")).value(), 1350u);
  EXPECT_EQ(TunnelMtu(*net::Address::Parse("2001:db8::1")).value(), 8930u);
  auto unknown = TunnelMtu(*net::Address::Parse("192.0.2.2"));
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("no interface here has the node's address"));
}

}  // namespace
}  // namespace sallyport::gateway
