// SPDX-License-Identifier: Apache-2.0
// The programs load with every configuration, and cost the verifier far less than its limit.
#include <cstdio>

#include "bpf/packets/world.h"

namespace sallyport::test {
namespace {

// The kernel gives up at a million; older verifiers need more steps for the same program.
constexpr uint32_t kMostInstructions = 100000;

class LoadTest : public testing::TestWithParam<std::tuple<bool, bool, uint32_t, uint32_t>> {};
INSTANTIATE_TEST_SUITE_P(, LoadTest,
                         testing::Combine(testing::Bool(), testing::Bool(),
                                          testing::Values(0u, 1u, 0x80000000u),
                                          testing::Values(16u, 4096u)));

TEST_P(LoadTest, ProgramsLoadAndJudge) {
  auto [anti_spoofing, fast_path, mark, size] = GetParam();
  Kernel k({.endpoints = size,
            .peer_buckets = size,
            .rule_buckets = size,
            .flow_buckets = size,
            .mark = mark,
            .anti_spoofing = anti_spoofing,
            .fast_path = fast_path});
  for (const Kernel::Verified& program : k.VerifiedPrograms()) {
    std::printf("verified instructions: %s %u\n", program.name.c_str(), program.instructions);
    EXPECT_GT(program.instructions, 0u);
    EXPECT_LT(program.instructions, kMostInstructions) << program.name;
    // bpf/lib/onward.h
    if (program.name != "long_way") {
      EXPECT_EQ(program.functions, 1u) << program.name;
    }
  }
  k.SetEndpoint({.ifindex = Interface(0), .v4 = kWeb.v4, .egress = kNothing});
  k.NextGeneration();
  Packet out = Ethernet() / IPv4{.src = kWeb.v4, .dst = kFar.v4} / UDP{};
  EXPECT_DROP(k.FromPod(Interface(0), out), "policy");
  k.SetEndpoint({.ifindex = Interface(0), .v4 = kWeb.v4});
  k.NextGeneration();
  Outcome passed = k.FromPod(Interface(0), out);
  EXPECT_PASS(passed);
  EXPECT_EQ(passed.mark, mark);
}

}  // namespace
}  // namespace sallyport::test
