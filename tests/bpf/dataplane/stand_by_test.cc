// SPDX-License-Identifier: Apache-2.0
#include "dataplane/stand_by.h"

#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "abi/tables.h"
#include "dataplane/loader.h"
#include "support/sandbox.h"

namespace sallyport::dataplane {
namespace {

using testing::HasSubstr;

class StandByTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(pins_ + "/maps");
    running_ = LockPins(pins_).value();
  }
  ~StandByTest() override { std::filesystem::remove_all(pins_); }
  // As the agent that runs has pinned it.
  void PinControl(uint32_t version, uint32_t size = sizeof(sp_control)) {
    UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "control", sizeof(uint32_t), size, 1, nullptr));
    std::vector<uint32_t> words(size / 4);
    words[0] = version;
    uint32_t zero = 0;
    ASSERT_EQ(bpf_map_update_elem(map.get(), &zero, words.data(), BPF_ANY), 0);
    ASSERT_EQ(bpf_obj_pin(map.get(), (pins_ + "/maps/control").c_str()), 0);
  }

  const std::string pins_ = test::EnterSandbox() + "/spt-stand-by";
  UniqueFd running_;
};

TEST_F(StandByTest, WaitsUntilTheOtherEnds) {
  PinControl(SP_ABI_VERSION);
  int looks = 0;
  Status status = StandBy(pins_, [&] {
    if (++looks == 3) running_.reset();
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(looks, 3);
  EXPECT_TRUE(LockPins(pins_)) << "it does not keep the lock";
}

TEST_F(StandByTest, WhereNobodyRunsThereIsNothingToWaitFor) {
  running_.reset();
  EXPECT_TRUE(StandBy(pins_, [] { return false; }).ok());
}

TEST_F(StandByTest, GivesUpWhenItIsTold) {
  EXPECT_EQ(StandBy(pins_, [] { return false; }).error().code, ECANCELED);
}

TEST_F(StandByTest, WhatItCouldNotTakeOverEndsItAtOnce) {
  for (uint32_t size : {uint32_t{sizeof(sp_control)}, 128u, 32u}) {
    PinControl(SP_ABI_VERSION + 1, size);
    Status status = StandBy(pins_, [] { return false; });
    EXPECT_THAT(status.error().message, HasSubstr("could not take them over"));
    EXPECT_NE(status.error().code, ECANCELED);
    std::filesystem::remove(pins_ + "/maps/control");
  }
}

TEST_F(StandByTest, WaitsForAnOlderVersionToo) {
  PinControl(SP_ABI_VERSION - 1, 128);
  Status status = StandBy(pins_, [&] {
    running_.reset();
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.error().message;
}

TEST_F(StandByTest, WhatIsNoControlEntryEndsItAtOnce) {
  UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "control", sizeof(uint32_t), 2, 1, nullptr));
  ASSERT_EQ(bpf_obj_pin(map.get(), (pins_ + "/maps/control").c_str()), 0);
  EXPECT_THAT(StandBy(pins_, [] { return false; }).error().message,
              HasSubstr("not a control entry"));
}

TEST_F(StandByTest, WhereNothingCanBePinnedThereIsNothingToWaitFor) {
  Status status = StandBy("/run/spt-no-bpffs", [] { return false; });
  EXPECT_THAT(status.error().message, HasSubstr("not on a bpf file system"));
  EXPECT_NE(status.error().code, ECANCELED);
}

}  // namespace
}  // namespace sallyport::dataplane
