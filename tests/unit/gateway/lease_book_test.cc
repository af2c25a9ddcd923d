// SPDX-License-Identifier: Apache-2.0
// What is made of Leases as they are told, good and bad ones.
#include <gmock/gmock.h>

#include "gateway/lease_client.h"
#include "unit/gateway/lease_events.h"

namespace sallyport::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string Stored(LeaseObject lease, uint64_t version, const std::string& uid = "u1") {
  lease.meta = {uid, version, ""};
  return WriteLease(lease, "sallyport-system");
}

class LeaseBookTest : public testing::Test {
 protected:
  void List(const std::vector<std::string>& leases) {
    book_.BeginList();
    for (const std::string& lease : leases) book_.Set(lease);
    book_.EndList();
  }
  Scribe scribe_;
  LeaseBook book_{scribe_};
  const LeaseObject block_ = ToObject(ABlock("n1"));
};

TEST_F(LeaseBookTest, AListRemovesWhatItDoesNotHave) {
  LeaseObject other = ToObject(ABlock("n2", 4096));
  LeaseObject address = ToObject(AnAddress("g1", 3));
  List({Stored(block_, 1), Stored(other, 2, "u2"), Stored(address, 3, "u3")});
  EXPECT_THAT(scribe_.Take(),
              ElementsAre("+ports-203.0.113.10-2048 1024 n1", "+ports-203.0.113.10-4096 1024 n2",
                          "+address-2001-0db8-0000-0000-0000-0000-0000-0010 g1 3", "listed"));
  // One that breaks off removes nothing; the next one is whole.
  book_.BeginList();
  book_.Set(Stored(other, 2, "u2"));
  List({Stored(block_, 4)});
  EXPECT_THAT(scribe_.Take(),
              ElementsAre("+ports-203.0.113.10-4096 1024 n2", "+ports-203.0.113.10-2048 1024 n1",
                          "-address-2001-0db8-0000-0000-0000-0000-0000-0010",
                          "-ports-203.0.113.10-4096", "listed"));
}

TEST_F(LeaseBookTest, AnotherCreationOfTheNameIsAnother) {
  book_.Set(Stored(block_, 1));
  book_.Set(Stored(ToObject(ABlock("n2")), 5, "u2"));
  book_.Remove(Stored(ToObject(ABlock("n2")), 6, "u2"));
  book_.Remove(Stored(block_, 7));
  EXPECT_THAT(scribe_.Take(),
              ElementsAre("+ports-203.0.113.10-2048 1024 n1", "-ports-203.0.113.10-2048",
                          "+ports-203.0.113.10-2048 1024 n2", "-ports-203.0.113.10-2048"));
}

TEST_F(LeaseBookTest, WhatWasNeverUnderstoodIsNobodysAndNotFree) {
  LeaseObject bad = block_;
  bad.annotations["sallyport.io/ports"] = "many";
  book_.Set(Stored(bad, 1));
  auto told = scribe_.Take();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_THAT(told[0], HasSubstr("!Lease ports-203.0.113.10-2048 does not say in its annotation "
                                 "sallyport.io/ports how many ports it is for; if no node holds "
                                 "it, delete it"));
  EXPECT_EQ(told[1], "+ports-203.0.113.10-2048 63488 ");
  book_.Set(Stored(bad, 1));
  EXPECT_THAT(scribe_.Take(), ElementsAre("+ports-203.0.113.10-2048 63488 "))
      << "the problem is told once";
}

TEST_F(LeaseBookTest, WhatWasUnderstoodOnceStaysAsItWas) {
  book_.Set(Stored(block_, 1));
  LeaseObject stripped = block_;
  stripped.annotations.clear();
  stripped.renew_time = "2026-01-02T03:09:05.000006Z";
  for (uint64_t version : {2, 3}) {
    book_.Set(Stored(stripped, version));
    egress::BlockLease wanted = ABlock("n1");
    wanted.renew_time = stripped.renew_time;
    wanted.meta = {"u1", version, "", stripped.renew_time};
    EXPECT_EQ(scribe_.block(wanted.id), wanted);
  }
  // Not if it is another one.
  book_.Set(Stored(stripped, 4, "u2"));
  EXPECT_EQ(scribe_.block(ABlock("").id).holder, "");
  EXPECT_EQ(scribe_.block(ABlock("").id).size, 63488);
}

TEST_F(LeaseBookTest, NullsAndStrangersDoNoHarm) {
  book_.Set(R"({"metadata":{"name":"address-203.0.113.10","uid":"u","resourceVersion":"3",)"
            R"("labels":null,"annotations":null},"spec":{"holderIdentity":null,"renewTime":null,)"
            R"("leaseDurationSeconds":null,"leaseTransitions":null}})");
  EXPECT_THAT(scribe_.Take(), ElementsAre("+address-203.0.113.10  0"));
  book_.Set(R"({"metadata":{"name":"address-203.0.113.10","uid":"u","resourceVersion":"4"}})");
  EXPECT_THAT(scribe_.Take(), ElementsAre("+address-203.0.113.10  0"));
  book_.Set(R"({"metadata":{"name":"something","uid":"v","resourceVersion":"5"}})");
  EXPECT_THAT(scribe_.Take(), ElementsAre(HasSubstr("!Lease something has a name that means no")));
  for (const char* broken : {"", "{", "[]", R"({"metadata":{"name":"x"}})",
                             R"({"metadata":{"name":"x","uid":"u","resourceVersion":"new"}})"}) {
    book_.Set(broken);
    book_.Remove(broken);
    for (const std::string& line : scribe_.Take()) EXPECT_EQ(line[0], '!') << broken;
  }
}

TEST_F(LeaseBookTest, BoundsOfWhatIsRead) {
  for (const char* size : {"", "0", "-64", "63489", "1024x", "99999999999"}) {
    LeaseObject bad = block_;
    bad.annotations["sallyport.io/ports"] = size;
    EXPECT_FALSE(ToBlock(bad)) << size;
  }
  LeaseObject most = block_;
  most.annotations["sallyport.io/ports"] = "63488";
  EXPECT_EQ(ToBlock(most).value().size, 63488);
  // Without a time of renewal it is not taken for one that this boot wrote.
  LeaseObject untimed = block_;
  untimed.annotations.erase("sallyport.io/renewed-ms");
  EXPECT_EQ(ToBlock(untimed).value().boot_id, "");
  LeaseObject wide = ToObject(AnAddress("g", 1));
  wide.transitions = int64_t{1} << 40;
  EXPECT_EQ(ToAddress(wide).value().epoch, 0xffffffffu);
  wide.transitions = -1;
  EXPECT_EQ(ToAddress(wide).value().epoch, 0u);
  EXPECT_EQ(ToObject(AnAddress("g", 0xffffffff)).transitions, 0x7fffffff);
}

}  // namespace
}  // namespace sallyport::gateway
