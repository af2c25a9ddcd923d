// SPDX-License-Identifier: Apache-2.0
// As many connections to one remote as an egress IP has ports, from three nodes at the same time.
// $SALLYPORT_CONNECTIONS: how many, of 64,512 that one address can have; without it, few, of ports
// that are leased in small blocks.
#include <gmock/gmock.h>

#include <cstdlib>
#include <iostream>

#include "lab/egress/egress_fixture.h"
#include "lab/egress/mass.h"
#include "lab/netns.h"

namespace sallyport::lab {
namespace {

class Many : public EgressTest {};

TEST_F(Many, ToOneRemoteFromThreeNodes) {
  const char* given = std::getenv("SALLYPORT_CONNECTIONS");
  const size_t each = given ? static_cast<size_t>(std::atoi(given)) / 3 : 1000;
  Mass mass(3, each);
  UpEgress({"n1", "n2", "n3", "gw1"},
           Sleeper("a", "n1") + Sleeper("b", "n2") + Sleeper("c", "n3") +
               Gateway("partner", kEgressV4, given ? "" : "portBlockSize: 64"));
  AwaitOtherHolder(kEgressV4, "");
  mass.Listen(OutsideNetns(), kPort);
  // Pods have enough ports of their own: the kernel looks long for the last ones.
  for (const char* pod : {"a", "b", "c"})
    ASSERT_TRUE(SetSysctls(PodNetns(pod), {{"net/ipv4/ip_local_port_range", "1024 65535"}}).ok());
  auto start = std::chrono::steady_clock::now();
  const std::vector<std::string> pods = {PodNetns("a"), PodNetns("b"), PodNetns("c")};
  size_t open = mass.Open(pods, AddressOf(kPartnerV4), each, std::chrono::seconds(60));
  std::cout << open << " connections in "
            << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()
            << " s" << std::endl;
  EXPECT_EQ(mass.Pass(), "");
  EXPECT_EQ(open, 3 * each);
  if (each >= 20'000) {
    // More than there are ports: what is open goes on, and it is said what to do.
    open += mass.Open(pods, AddressOf(kPartnerV4), 2000, std::chrono::seconds(10));
    std::cout << open << " connections in all" << std::endl;
    EXPECT_LE(open, 64'512u);
    EXPECT_GT(Dropped("a", "no-port") + Dropped("b", "no-port") + Dropped("c", "no-port"), 0u);
    Await("the object to say so", [&] {
      return Kube({"get", "egressgateway", "partner", "-o",
                   "jsonpath={.status.conditions[?(@.type==\"Degraded\")].reason}"}) ==
             "PortsExhausted";
    });
    EXPECT_EQ(mass.Pass(), "");
  }
  EXPECT_THAT(mass.sources(), testing::ElementsAre(AddressOf(kEgressV4)));
}

}  // namespace
}  // namespace sallyport::lab
