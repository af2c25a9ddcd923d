// SPDX-License-Identifier: Apache-2.0
// Over random worlds: what is compiled is what the API text says.
#include <gtest/gtest.h>

#include "policy/compile.h"
#include "support/image_checks.h"
#include "support/world.h"

namespace sallyport::test {
namespace {

std::string WhatCompilesWrong(const World& world) {
  policy::Image image = policy::Compile(world.snapshot, world.node).image;
  std::string wrong = Inconsistency(image);
  return wrong.empty() ? Disagreement(world, image) : wrong;
}

void CheckWorlds(int count, const WorldSize& size) {
  for (uint64_t seed : Seeds(count)) {
    World world = RandomWorld(seed, size);
    if (WhatCompilesWrong(world).empty()) continue;
    World smallest = Shrink(world, [](const World& w) { return !WhatCompilesWrong(w).empty(); });
    FAIL() << WhatCompilesWrong(smallest) << "\n"
           << smallest.ToString() << "image:\n"
           << policy::Compile(smallest.snapshot, smallest.node).image.ToString();
  }
}

TEST(CompileProperty, JudgesEveryFlowAsTheApiText) { CheckWorlds(2000, {}); }

TEST(CompileProperty, JudgesCrowdedWorldsAsTheApiText) {
  CheckWorlds(30, {.pods = 60, .policies = 80, .flows = 200});
}

}  // namespace
}  // namespace sallyport::test
