// SPDX-License-Identifier: Apache-2.0
#include "endpoint/device_filter.h"

#include <gtest/gtest.h>

namespace sallyport::endpoint {
namespace {

bool Matches(const char* globs, const char* name) {
  return DeviceFilter::Parse(globs).value().Matches(name);
}

TEST(DeviceFilterTest, Globs) {
  EXPECT_TRUE(DeviceFilter().Matches("anything"));
  EXPECT_TRUE(Matches("*", "veth0"));
  EXPECT_TRUE(Matches("veth*", "veth"));
  EXPECT_FALSE(Matches("veth*", "vet"));
  EXPECT_TRUE(Matches("v?th0", "veth0"));
  EXPECT_FALSE(Matches("v?th0", "vth0"));
  EXPECT_TRUE(Matches("*a*b", "xaxbxb"));
  EXPECT_FALSE(Matches("*a*b", "xaxbx"));
  EXPECT_TRUE(Matches("cali*, veth*", "veth1"));
  EXPECT_FALSE(Matches("cali*,veth*", "eth1"));
}

TEST(DeviceFilterTest, Exclusion) {
  EXPECT_FALSE(Matches("!lan*", "lan0"));
  EXPECT_TRUE(Matches("!lan*", "veth0"));
  EXPECT_FALSE(Matches("veth*,!veth-lan*", "veth-lan0"));
  EXPECT_FALSE(Matches("!veth-lan*,veth*", "veth-lan0"));
  EXPECT_FALSE(Matches("veth*,!veth-lan*", "lan0"));
}

TEST(DeviceFilterTest, WhatIsNoGlob) {
  for (const char* text :
       {"", ",", "veth*,", "!", "a/b", "!!a", "[ab]", "sixteen-letters-", "a b"}) {
    EXPECT_FALSE(DeviceFilter::Parse(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace sallyport::endpoint
