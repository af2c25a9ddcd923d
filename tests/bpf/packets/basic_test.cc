// SPDX-License-Identifier: Apache-2.0
#include "support/kernel.h"
namespace sallyport::test {
TEST(Smoke, Works) {
  Kernel k;
  k.SetEndpoint({.ifindex = Interface(0), .v4 = "10.0.0.1", .v6 = "fd00::1", .egress = 7});
  EXPECT_DROP(k.FromPod(Interface(0), Ethernet() / IPv4{} / TCP{}), "closed");
  k.NextGeneration();
  EXPECT_DROP(k.FromPod(Interface(0), Ethernet() / IPv4{} / TCP{}), "policy");
  k.SetPrefix("10.0.0.0/30", 5);
  k.SetRule(7, 5, Ports().Tcp(80));
  k.NextGeneration();
  EXPECT_PASS(k.FromPod(Interface(0), Ethernet() / IPv4{} / TCP{}));
  std::printf("%u %u\n", k.VerifiedInstructions(SP_EGRESS), k.VerifiedInstructions(SP_INGRESS));
}
}
