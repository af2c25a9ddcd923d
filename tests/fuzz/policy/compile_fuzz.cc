// SPDX-License-Identifier: Apache-2.0
// Bytes are choices: a cluster that changes step by step. After each step the image must say what
// changed, keep its numbers' meaning, equal what is compiled afresh, and judge as the API text.
#include <cstdio>
#include <cstdlib>

#include "policy/compile.h"
#include "support/image_checks.h"
#include "support/world.h"

namespace sallyport::test {
namespace {

constexpr char kNode[] = "here";

void Require(const std::string& wrong, const policy::Compiler& compiler) {
  if (wrong.empty()) return;
  World world{0, compiler.snapshot(), kNode, {}};
  std::fprintf(stderr, "%s\n%s\n", wrong.c_str(), world.ToString().c_str());
  std::abort();
}

void Step(Random& random, policy::Compiler& compiler) {
  std::vector<model::Delta> deltas;
  model::Snapshot next = compiler.snapshot();
  int size = random.Between(1, 4);
  for (int i = 0; i < size && !random.exhausted(); ++i) {
    deltas.push_back(RandomDelta(random, next));
    next.Apply(deltas.back());
  }
  policy::Image before = compiler.image();
  std::string changes = ToString(compiler.Apply(deltas));
  const policy::Image& image = compiler.image();
  if (changes != ToString(Difference(before, image))) Require("says:" + changes, compiler);
  Require(Inconsistency(image), compiler);
  Require(Mutation(before, image), compiler);
}

void Run(Random random) {
  policy::Compiler compiler(kNode);
  for (int i = 0; i < 20 && !random.exhausted(); ++i) Step(random, compiler);
  policy::Image afresh = policy::Compile(compiler.snapshot(), kNode).image;
  if (Canonical(afresh) != Canonical(compiler.image())) Require("differs afresh", compiler);
  Random flows(compiler.snapshot().pods.size());
  World world{0, compiler.snapshot(), kNode, RandomFlows(flows, compiler.snapshot(), 40)};
  Require(Disagreement(world, compiler.image()), compiler);
}

}  // namespace
}  // namespace sallyport::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sallyport::test::Run(sallyport::test::Random(data, size));
  return 0;
}
