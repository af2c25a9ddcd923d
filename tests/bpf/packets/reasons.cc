// SPDX-License-Identifier: Apache-2.0
// When all packet tests have run, each reason to drop a packet was produced by at least one of
// them.
#include <gtest/gtest.h>

#include "support/kernel.h"

namespace sallyport::test {
namespace {

class EveryReason : public testing::Environment {
  void TearDown() override {
    const std::string filter = testing::GTEST_FLAG(filter);
    if (filter != "*" || testing::UnitTest::GetInstance()->test_to_run_count() == 0) return;
#define SP_X(number, name, text, help) \
  EXPECT_TRUE(ProducedReasons()[number]) << "no test has a packet dropped as " text;
    SP_DROP_REASONS(SP_X)
#undef SP_X
  }
};

[[maybe_unused]] const auto* const kEveryReason =
    testing::AddGlobalTestEnvironment(new EveryReason);

}  // namespace
}  // namespace sallyport::test
