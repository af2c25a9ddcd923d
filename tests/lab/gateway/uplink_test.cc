// SPDX-License-Identifier: Apache-2.0
// Egress IPs on an uplink, and what its network hears of them. The uplink is a veth; its other end
// is in a pod, which plays the network.
#include "gateway/uplink.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "base/unique_fd.h"
#include "gateway/announce.h"
#include "gateway/announce_frames.h"
#include "lab/gateway/command_output.h"
#include "support/sandbox.h"

namespace sallyport::gateway {
namespace {

using test::Shell;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const net::Address kV4 = *net::Address::Parse("203.0.113.10");
const net::Address kV6 = *net::Address::Parse("2001:db8:ffff::10");

class UplinkTest : public testing::Test {
 protected:
  void SetUp() override {
    test::EnterSandbox();
    pod_ = std::make_unique<test::Pod>(7);
    Shell(
        "ip link add spare type veth peer name far && ip link set spare up && ip link set far up");
    spare_ = if_nametoindex("spare");
  }
  void TearDown() override {
    Shell("ip link del spare 2>/dev/null || true");
    pod_.reset();
  }
  uint32_t uplink() const { return pod_->ifindex(); }
  static std::vector<HeldAddress> Held() { return HeldAddresses().value(); }
  static model::Value OneAddress(const std::string& device, const net::Address& address) {
    model::Value said = List("ip -j addr show dev " + device);
    for (const model::Value& one : said.items.at(0).Find("addr_info")->items) {
      if (Text(one, "local") == address.ToString()) return one;
    }
    return {};
  }

  std::unique_ptr<test::Pod> pod_;
  uint32_t spare_ = 0;
};

TEST_F(UplinkTest, IsFound) {
  EXPECT_EQ(UplinkByName("spare").value(), spare_);
  EXPECT_EQ(UplinkByName("none").error().code, ENODEV);
  EXPECT_EQ(UplinkByRoute(pod_->v4()).value(), uplink());
  EXPECT_EQ(UplinkByRoute(pod_->v6()).value(), uplink());
  EXPECT_EQ(UplinkByRoute(*net::Address::Parse("127.0.0.1")).error().code, ENETUNREACH);
  EXPECT_EQ(UplinkByRoute(*net::Address::Parse("198.51.100.1")).error().code, ENETUNREACH);

  EXPECT_EQ(UplinkByDefaultRoute(true).error().code, ENETUNREACH);
  Shell("ip route add default dev spare metric 200");
  EXPECT_EQ(UplinkByDefaultRoute(true).value(), spare_);
  EXPECT_EQ(UplinkByDefaultRoute(false).error().code, ENETUNREACH);
  Shell("ip route add default via " + pod_->v4().ToString() + " dev " + pod_->device() +
        " onlink metric 100");
  Shell("ip route add default dev spare metric 50 table 77");
  EXPECT_EQ(UplinkByDefaultRoute(true).value(), uplink());
  Shell("ip -6 route add default nexthop via fe80::2 dev spare nexthop via fe80::2 dev " +
        pod_->device());
  EXPECT_EQ(UplinkByDefaultRoute(false).value(), spare_);
}

TEST_F(UplinkTest, Works) {
  EXPECT_TRUE(UplinkWorks(uplink()).value());
  pod_->Inside([] { Shell("ip link set eth0 down"); });
  EXPECT_FALSE(UplinkWorks(uplink()).value()) << "no carrier";
  Shell("ip link set spare down");
  EXPECT_FALSE(UplinkWorks(spare_).value());
  EXPECT_FALSE(UplinkWorks(9999).value());
}

TEST_F(UplinkTest, HoldsAndDrops) {
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(HoldAddress(uplink(), kV4));
    ASSERT_TRUE(HoldAddress(uplink(), kV6));
  }
  EXPECT_THAT(Held(), ElementsAre(HeldAddress{uplink(), kV4}, HeldAddress{uplink(), kV6}));
  model::Value v4 = OneAddress(pod_->device(), kV4);
  EXPECT_EQ(Text(v4, "prefixlen"), "32");
  EXPECT_EQ(Text(v4, "scope"), "host");
  EXPECT_EQ(Text(v4, "noprefixroute"), "true");
  model::Value v6 = OneAddress(pod_->device(), kV6);
  EXPECT_EQ(Text(v6, "prefixlen"), "128");
  EXPECT_EQ(Text(v6, "deprecated"), "true");
  EXPECT_EQ(Text(v6, "noprefixroute"), "true");
  EXPECT_EQ(Text(v6, "tentative"), "");
  EXPECT_EQ(Text(v6, "valid_life_time"), "4294967295");

  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(DropAddress(uplink(), kV4));
    ASSERT_TRUE(DropAddress(uplink(), kV6));
  }
  EXPECT_THAT(Held(), IsEmpty());
  EXPECT_THAT(Output("ip addr"), testing::Not(HasSubstr("203.0.113.10")));
}

TEST_F(UplinkTest, HeldAddressesAreNoSourceAndNoRoute) {
  // The uplink has no other address; one of another interface is what is left to choose.
  Shell("ip addr del 169.254.1.1/32 dev " + pod_->device() + " && ip route replace " +
        pod_->v4().ToString() + " dev " + pod_->device());
  std::string before = Output("ip route; ip -6 route");
  ASSERT_TRUE(HoldAddress(uplink(), kV4));
  ASSERT_TRUE(HoldAddress(uplink(), kV6));
  EXPECT_EQ(Output("ip route; ip -6 route"), before);
  Shell("ip addr add 192.0.2.77/32 dev lo && ip addr add 2001:db8:77::1/128 dev lo nodad");
  EXPECT_THAT(Output("ip route get " + pod_->v4().ToString()),
              testing::Not(HasSubstr("src " + kV4.ToString())));
  EXPECT_THAT(Output("ip route get " + pod_->v6().ToString()),
              testing::Not(HasSubstr("src " + kV6.ToString())));
  Shell("ip addr del 192.0.2.77/32 dev lo && ip addr del 2001:db8:77::1/128 dev lo");
}

TEST_F(UplinkTest, MovesToAnotherInterface) {
  for (const net::Address& address : {kV4, kV6}) {
    ASSERT_TRUE(HoldAddress(uplink(), address));
    ASSERT_TRUE(HoldAddress(spare_, address));
    EXPECT_THAT(Held(), ElementsAre(HeldAddress{spare_, address}));
    ASSERT_TRUE(DropAddress(uplink(), address)) << "it is not there";
    EXPECT_THAT(Held(), ElementsAre(HeldAddress{spare_, address}));
    ASSERT_TRUE(DropAddress(spare_, address));
  }
}

TEST_F(UplinkTest, TheMachinesOwnAddressesStay) {
  for (const char* own : {"203.0.113.10/24", "203.0.113.10/32", "2001:db8:ffff::10/64",
                          "2001:db8:ffff::10/128 preferred_lft 0 noprefixroute"}) {
    Shell("ip addr add " + std::string(own) + " dev spare");
    const net::Address& address = std::string(own).find(':') == std::string::npos ? kV4 : kV6;
    for (uint32_t ifindex : {spare_, uplink()}) {
      Status refused = HoldAddress(ifindex, address);
      EXPECT_EQ(refused.error().code, EEXIST) << own;
      EXPECT_THAT(refused.error().message, HasSubstr("this machine's spare has"));
    }
    EXPECT_TRUE(DropAddress(spare_, address));
    EXPECT_THAT(Held(), IsEmpty());
    EXPECT_EQ(Text(OneAddress("spare", address), "local"), address.ToString()) << own;
    Shell("ip addr flush dev spare");
  }
}

// All frames that arrive at the pod's interface; such as these two of ours, of which the last comes
// last.
class Listener {
 public:
  explicit Listener(const test::Pod& pod) {
    pod.Inside([&] {
      socket_ = UniqueFd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
      sockaddr_ll at{};
      at.sll_family = AF_PACKET;
      at.sll_protocol = htons(ETH_P_ALL);
      at.sll_ifindex = static_cast<int>(if_nametoindex("eth0"));
      CHECK(bind(socket_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
    });
  }
  // Waits for the frame.
  bool Sees(const std::string& frame) {
    for (;;) {
      pollfd wait{.fd = socket_.get(), .events = POLLIN, .revents = 0};
      if (poll(&wait, 1, 60'000) != 1) return false;
      char bytes[2048];
      ssize_t size = recv(socket_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
      if (size > 0 && std::string(bytes, static_cast<size_t>(size)) == frame) return true;
    }
  }

 private:
  UniqueFd socket_;
};

Mac MacOf(const std::string& device) {
  Mac out{};
  std::string text = Output("cat /sys/class/net/" + device + "/address");
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<uint8_t>(std::stoi(text.substr(3 * i, 2), nullptr, 16));
  return out;
}

TEST_F(UplinkTest, AnnouncementsArriveAndAreLearned) {
  Listener listener(*pod_);
  Mac mac = MacOf(pod_->device());
  for (const net::Address& address : {kV4, kV6}) {
    ASSERT_TRUE(HoldAddress(uplink(), address));
    // The network knows another gateway by this address.
    pod_->Inside([&] {
      Shell("ip neigh replace " + address.ToString() +
            " lladdr 02:00:00:00:00:99 dev eth0 nud reachable");
      if (address.IsV4()) Shell("echo 0 > /proc/sys/net/ipv4/neigh/eth0/locktime");
    });
    ASSERT_TRUE(Announce(uplink(), address));
    for (const std::string& frame : AnnouncementFrames(mac, address))
      EXPECT_TRUE(listener.Sees(frame)) << address.ToString();
    std::string known;
    pod_->Inside([&] { known = Output("ip neigh show " + address.ToString()); });
    char text[18];
    snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
             mac[4], mac[5]);
    EXPECT_THAT(known, HasSubstr(text));
    ASSERT_TRUE(DropAddress(uplink(), address));
  }
}

TEST_F(UplinkTest, AnnouncesWhereThereIsSomethingToAnnounce) {
  EXPECT_TRUE(Announce(if_nametoindex("lo"), kV4)) << "no Ethernet";
  EXPECT_EQ(Announce(9999, kV4).error().code, ENODEV);
  Shell("ip link set spare down");
  EXPECT_EQ(Announce(spare_, kV4).error().code, ENETDOWN);
}

}  // namespace
}  // namespace sallyport::gateway
