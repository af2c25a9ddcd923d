// SPDX-License-Identifier: Apache-2.0
#include "gateway/event_ledger.h"

#include <gtest/gtest.h>

namespace sallyport::gateway {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class EventLedgerTest : public testing::Test {
 protected:
  void Add(const std::string& gateway, const std::string& reason, const std::string& message = "") {
    ledger_.Add({gateway, "uid", false, reason, message}, clock_.Now(), clock_.WallNow());
  }
  // "created" or "patched", reason, count, message; "" for nothing.
  std::string Next() {
    auto write = ledger_.Next(clock_.Now());
    if (!write) return "";
    ledger_.Written(*write, write->event.gateway + "-" + write->event.reason);
    return (write->name.empty() ? "created " : "patched ") + write->event.reason + " " +
           std::to_string(write->times.count) + " " + write->event.message;
  }

  FakeClock clock_;
  EventLedger ledger_{{.same = minutes(10), .burst = 3, .each = seconds(5), .most = 4}};
};

TEST_F(EventLedgerTest, WhatHappensAgainCountsUp) {
  EXPECT_EQ(ledger_.Wait(clock_.Now()), std::nullopt);
  Add("g", "Moved", "to n1");
  EXPECT_EQ(ledger_.Wait(clock_.Now()), Duration::zero());
  EXPECT_EQ(Next(), "created Moved 1 to n1");
  EXPECT_EQ(Next(), "");
  EXPECT_EQ(ledger_.Wait(clock_.Now()), std::nullopt);
  clock_.Advance(minutes(10));
  Add("g", "Moved", "to n2");
  clock_.Advance(seconds(1));
  Add("g", "Moved", "to n3");
  auto write = ledger_.Next(clock_.Now());
  ASSERT_TRUE(write);
  EXPECT_EQ(write->name, "g-Moved");
  EXPECT_EQ(write->times.count, 3);
  EXPECT_EQ(write->times.first, "1970-01-01T00:00:00Z");
  EXPECT_EQ(write->times.last, "1970-01-01T00:10:01Z");
  EXPECT_EQ(write->event.message, "to n3");
}

TEST_F(EventLedgerTest, AfterAWhileItIsAnotherEvent) {
  Add("g", "Moved", "to n1");
  EXPECT_EQ(Next(), "created Moved 1 to n1");
  clock_.Advance(minutes(10) + seconds(1));
  Add("g", "Moved", "to n2");
  EXPECT_EQ(Next(), "created Moved 1 to n2");
}

TEST_F(EventLedgerTest, OthersAreOthers) {
  Add("g", "Moved");
  Add("h", "Moved");
  ledger_.Add({"g", "uid", true, "Moved", ""}, clock_.Now(), clock_.WallNow());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Next(), "created Moved 1 ");
}

TEST_F(EventLedgerTest, NoMoreThanTheRate) {
  for (const char* reason : {"A", "B", "C", "D"}) Add("g", reason);
  EXPECT_EQ(Next(), "created A 1 ");
  EXPECT_EQ(Next(), "created B 1 ");
  EXPECT_EQ(Next(), "created C 1 ");
  EXPECT_EQ(Next(), "");
  EXPECT_EQ(ledger_.Wait(clock_.Now()), seconds(5));
  Add("g", "D");
  clock_.Advance(seconds(4));
  EXPECT_EQ(Next(), "");
  EXPECT_EQ(ledger_.Wait(clock_.Now()), seconds(1));
  clock_.Advance(seconds(1));
  EXPECT_EQ(Next(), "created D 2 ") << "it waited, and was counted";
  // What was not used is kept, up to the burst.
  clock_.Advance(minutes(5));
  for (const char* reason : {"D", "C", "B", "A"}) Add("g", reason);
  for (const char* reason : {"D", "C", "B"})
    EXPECT_EQ(Next().substr(0, 9), std::string("patched ") + reason);
  EXPECT_EQ(Next(), "");
}

TEST_F(EventLedgerTest, WhatFailedIsWrittenAgain) {
  Add("g", "A");
  auto write = ledger_.Next(clock_.Now());
  ASSERT_TRUE(write);
  ledger_.Failed(*write, false);
  EXPECT_EQ(Next(), "created A 1 ");
  Add("g", "A");
  write = ledger_.Next(clock_.Now());
  ASSERT_TRUE(write);
  ledger_.Failed(*write, true);
  EXPECT_EQ(Next(), "") << "failures take their part of the rate";
  clock_.Advance(seconds(5));
  EXPECT_EQ(Next(), "created A 2 ") << "the Event of that name is no more";
}

TEST_F(EventLedgerTest, HasRoomForSoMany) {
  for (const char* reason : {"A", "B", "C", "D", "E"}) Add("g", reason);
  EXPECT_EQ(ledger_.dropped(), 1u);
  Add("g", "A");
  EXPECT_EQ(ledger_.dropped(), 1u);
  EXPECT_EQ(Next(), "created A 2 ");
  clock_.Advance(minutes(11));
  Add("g", "E");
  EXPECT_EQ(ledger_.dropped(), 1u) << "A is written, and forgotten";
  EXPECT_EQ(Next(), "created B 1 ") << "it waits, and is not";
}

}  // namespace
}  // namespace sallyport::gateway
