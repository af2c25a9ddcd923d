// SPDX-License-Identifier: Apache-2.0
#include "dataplane/skb_layout.h"

#include <bpf/btf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace sallyport::dataplane {
namespace {

using testing::HasSubstr;

// A kernel whose struct sk_buff has these in the order in which it is told.
class SkbLayoutTest : public testing::Test {
 protected:
  SkbLayoutTest() : types_(btf__new_empty(), btf__free) {
    u8_ = btf__add_int(types_.get(), "u8", 1, 0);
    u16_ = btf__add_int(types_.get(), "u16", 2, 0);
  }
  // {csum_start; csum_offset} in an unnamed struct of an unnamed union, at byte `at` of what
  // follows.
  void AddChecksum(uint32_t at) {
    int pair = btf__add_struct(types_.get(), nullptr, 4);
    btf__add_field(types_.get(), "csum_start", u16_, 0, 0);
    btf__add_field(types_.get(), "csum_offset", u16_, 16, 0);
    int either = btf__add_union(types_.get(), nullptr, 4);
    btf__add_field(types_.get(), nullptr, pair, 0, 0);
    Begin();
    btf__add_field(types_.get(), nullptr, either, at * 8, 0);
  }
  void Begin() { btf__add_struct(types_.get(), "sk_buff", 256); }
  void AddSummed(uint32_t bit, uint32_t size = 2) {
    btf__add_field(types_.get(), "ip_summed", u8_, bit, size);
  }
  void AddHeader(uint32_t at) { btf__add_field(types_.get(), "network_header", u16_, at * 8, 0); }
  Result<sp_skb_layout> Layout() const { return SkbLayoutIn(*types_); }

  std::unique_ptr<btf, void (*)(btf*)> types_;
  int u8_, u16_;
};

TEST_F(SkbLayoutTest, FieldsOfUnnamedMembersAreTheStructs) {
  AddChecksum(136);
  AddSummed(128 * 8 + 5);
  AddHeader(180);
  Result<sp_skb_layout> layout = Layout();
  ASSERT_TRUE(layout) << layout.error().message;
  EXPECT_EQ(layout->known, 1);
  EXPECT_EQ(layout->csum_start, 136);
  EXPECT_EQ(layout->csum_offset, 138);
  EXPECT_EQ(layout->network_header, 180);
  EXPECT_EQ(layout->summed, 128);
  EXPECT_EQ(layout->summed_shift, 5);
}

TEST_F(SkbLayoutTest, WhatIsMissingOrAnotherIsNotGuessed) {
  EXPECT_THAT(Layout().error().message, HasSubstr("no struct sk_buff"));
  Begin();
  AddSummed(0);
  AddHeader(180);
  EXPECT_THAT(Layout().error().message, HasSubstr("no usable csum_start"));
}

TEST_F(SkbLayoutTest, ABitFieldAcrossTwoBytesIsNotRead) {
  AddChecksum(136);
  AddSummed(128 * 8 + 7);
  AddHeader(180);
  EXPECT_THAT(Layout().error().message, HasSubstr("no usable ip_summed"));
}

TEST_F(SkbLayoutTest, AWholeByteIsAnotherField) {
  AddChecksum(136);
  AddSummed(128 * 8, 0);
  AddHeader(180);
  EXPECT_THAT(Layout().error().message, HasSubstr("no usable ip_summed"));
}

}  // namespace
}  // namespace sallyport::dataplane
