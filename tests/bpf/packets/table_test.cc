// SPDX-License-Identifier: Apache-2.0
// Tables at their limits: full, shared, swept, tiny, and broken on purpose.
#include "bpf/packets/world.h"

namespace sallyport::test {
namespace {

class FlowTableTest : public FamilyTest {
 protected:
  explicit FlowTableTest(uint32_t buckets = 2) : FamilyTest({.flow_buckets = buckets}) {
    k.SetEndpoint({db, kDb.v4, kDb.v6});
  }
  // Opens flows from `pod` until one is refused; how many there were.
  uint32_t Fill(uint32_t ifindex, const Host& pod) {
    for (uint16_t sport = 1; sport < 1000; sport++) {
      Outcome out = k.FromPod(ifindex, Udp(pod, sport, kFar, 80));
      if (out.action != Action::kDrop) continue;
      EXPECT_DROP(out, "flows-full");
      return sport - 1u;
    }
    ADD_FAILURE() << "the table is never full";
    return 0;
  }
  // Places that are free have no tag: else they would be counted as used.
  void ExpectTagsOfUsedPlacesOnly(uint32_t buckets) {
    for (uint32_t i = 0; i < buckets; i++)
      for (uint32_t way = 0; way < SP_FLOW_WAYS; way++)
        EXPECT_EQ(k.flows()[i].tag[way] != 0, k.flows()[i].flow[way].state != 0);
  }
};
BOTH_FAMILIES(FlowTableTest);

TEST_P(FlowTableTest, AFullTableAnswersDeny) {
  Web(kOpen, kOpen);
  uint32_t opened = Fill(web, kWeb);
  EXPECT_GE(opened, SP_FLOW_SHARE);
  EXPECT_EQ(k.Flows().size(), opened);
  EXPECT_PASS(FromWeb(Udp(kWeb, 1, kFar, 80)));  // known flows feel nothing
  EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, 1)));
}

TEST_P(FlowTableTest, NoEndpointGetsMoreThanItsShareOfAFullBucket) {
  Web(kOpen, kOpen);
  uint32_t opened = Fill(web, kWeb);
  EXPECT_LE(opened, 2u * SP_FLOW_SHARE);
  EXPECT_GT(Fill(db, kDb), 0u);
  for (uint32_t bucket = 0; bucket < 2; bucket++) {
    int of_web = 0;
    for (const sp_flow& flow : k.flows()[bucket].flow) of_web += flow.owner == web;
    EXPECT_LE(of_web, SP_FLOW_SHARE);
  }
}

TEST_P(FlowTableTest, WhereverAFlowStandsItIsFound) {
  Web(kOpen, kNothing);
  uint32_t opened = Fill(web, kWeb);
  ASSERT_GT(opened, SP_FLOW_SHARE) << "some stand in their second bucket";
  for (uint16_t sport = 1; sport <= opened; sport++)
    EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, sport)));  // a reply, or else denied
  EXPECT_EQ(k.Flows().size(), opened);
}

TEST_P(FlowTableTest, DeadFlowsMakePlace) {
  Web(kOpen, kOpen);
  uint32_t opened = Fill(web, kWeb);
  k.Age(SP_LIFE_DATAGRAM + 2);
  for (uint16_t sport = 2000; sport < 2000 + opened; sport++)
    EXPECT_PASS(FromWeb(Udp(kWeb, sport, kFar, 80)));
  ExpectTagsOfUsedPlacesOnly(2);
}

TEST_P(FlowTableTest, LiveFlowsAreNotSwept) {
  Web(kOpen, kOpen);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1, kFar, 80)));
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1, kSyn | kAck)));
  for (int i = 0; i < 10; i++) {
    Fill(web, kWeb);
    k.Age(SP_LIFE_CONVERSATION + 2);
  }
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1, kAck)));
  uint32_t connections = 0;
  for (const sp_flow* flow : k.Flows()) connections += flow->key.protocol == 6;
  EXPECT_EQ(connections, 1u);
}

TEST_P(FlowTableTest, FreedFlowsLeaveNothingBehind) {
  k.SetRule(kSet, kFarIdentity, Ports().Udp(80));
  for (int i = 0; i < 5; i++) {
    Web(kSet, kNothing);
    for (uint16_t sport = 1; sport <= 10; sport++) FromWeb(Udp(kWeb, sport, kFar, 80));
    Web(kNothing, kNothing);
    for (uint16_t sport = 1; sport <= 10; sport++)
      EXPECT_DROP(FromWeb(Udp(kWeb, sport, kFar, 80)), "policy");
    EXPECT_EQ(k.Flows().size(), 0u);
    ExpectTagsOfUsedPlacesOnly(2);
  }
}

// A flow that cannot be remembered would have replies that nobody expects.
TEST_P(FlowTableTest, APlaceThatIsBeingFilledIsNobodys) {
  Web(kOpen, kOpen);
  for (uint32_t bucket = 0; bucket < 2; bucket++)
    for (sp_flow& flow : k.flows()[bucket].flow) flow.state = 0x8000;
  EXPECT_DROP(FromWeb(Udp(kWeb, 1, kFar, 80)), "flows-full");
  EXPECT_DROP(ToWeb(Udp(kFar, 80, kWeb, 1)), "flows-full");
}

class OneBucketTest : public FlowTableTest {
 protected:
  OneBucketTest() : FlowTableTest(1) {}
};
BOTH_FAMILIES(OneBucketTest);

TEST_P(OneBucketTest, ATableOfOneBucketWorks) {
  Web(kOpen, kNothing);
  for (uint16_t sport = 1; sport <= SP_FLOW_SHARE; sport++) {
    EXPECT_PASS(FromWeb(Udp(kWeb, sport, kFar, 80)));
    EXPECT_PASS(ToWeb(Udp(kFar, 80, kWeb, sport)));
  }
  EXPECT_DROP(FromWeb(Udp(kWeb, 99, kFar, 80)), "flows-full");
  EXPECT_PASS(FromDb(Udp(kDb, 1, kFar, 80)));
}

class SmallTablesTest : public FamilyTest {
 protected:
  SmallTablesTest()
      : FamilyTest({.endpoints = 16, .peer_buckets = 1, .rule_buckets = 1, .flow_buckets = 16}) {}
};
BOTH_FAMILIES(SmallTablesTest);

TEST_P(SmallTablesTest, OneBucketOfPeersAndRules) {
  k.SetRule(kSet, kFarIdentity, Ports().Udp(80));
  Web(kSet, kNothing);
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  EXPECT_DROP(FromWeb(Udp(kWeb, 1024, kStranger, 80)), "policy");
}

TEST_P(SmallTablesTest, EndpointsAreFoundBehindOthersThatWentAway) {
  k.SetEndpoint({web, kWeb.v4, kWeb.v6});
  k.NextGeneration();
  sp_endpoint* e = k.endpoints();
  uint32_t first = sp_endpoint_place(web, 0, 15);
  uint32_t last = sp_endpoint_place(web, SP_ENDPOINT_PROBES - 1, 15);
  ASSERT_EQ(e[first].ifindex, web);
  std::swap(e[first], e[last]);
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));  // of a known flow
  uint32_t beyond = sp_endpoint_place(web, SP_ENDPOINT_PROBES, 15);
  ASSERT_EQ(e[beyond].ifindex, 0u);
  std::swap(e[last], e[beyond]);
  EXPECT_DROP(FromWeb(Udp(kWeb, 1024, kFar, 80)), "closed");
}

class BrokenTableTest : public FamilyTest {
 protected:
  BrokenTableTest() {
    k.SetRule(kSet, kFarIdentity, Ports().Udp(80));
    Web(kSet, kSet);
  }
  sp_rule& RuleFor(uint32_t identity) {
    for (uint32_t i = 0; i < 64; i++)
      for (sp_rule& rule : k.rules()[i].rule)
        if (rule.set && rule.identity == identity) return rule;
    ADD_FAILURE() << "no such rule";
    return k.rules()[0].rule[0];
  }
};
BOTH_FAMILIES(BrokenTableTest);

TEST_P(BrokenTableTest, ASetWithoutAnyPeerEntryDenies) {
  RuleFor(0) = {};
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  EXPECT_DROP(FromWeb(Udp(kWeb, 1024, kStranger, 80)), "internal");
  EXPECT_DROP(ToWeb(Udp(kStranger, 1024, kWeb, 80)), "internal");
}

TEST_P(BrokenTableTest, APortSetThatDoesNotExistDenies) {
  RuleFor(kFarIdentity).port_set = 0xffffffff;
  EXPECT_DROP(FromWeb(Udp(kWeb, 1024, kFar, 80)), "internal");
  EXPECT_DROP(FromWeb(Ping(kWeb, kFar)), "policy");
}

TEST_P(BrokenTableTest, APageThatDoesNotExistDenies) {
  uint32_t number = RuleFor(kFarIdentity).port_set;
  k.port_sets()[number].page[SP_PROTOCOL_UDP][0] = 0xffffffff;
  EXPECT_DROP(FromWeb(Udp(kWeb, 1024, kFar, 80)), "internal");
}

TEST_P(BrokenTableTest, AFlowWhoseRulesBreakIsDropped) {
  EXPECT_PASS(FromWeb(Udp(kWeb, 1024, kFar, 80)));
  k.NextGeneration();
  RuleFor(0) = {};
  RuleFor(kFarIdentity) = {};
  EXPECT_DROP(FromWeb(Udp(kWeb, 1024, kFar, 80)), "internal");
  EXPECT_DROP(ToWeb(Udp(kFar, 80, kWeb, 1024)), "internal");
}

TEST_P(BrokenTableTest, ATrieThatGoesNowhereIsNobody) {
  uint32_t root = SP_TRIE_NODE | 1, family = v6() ? 1 : 0;
  for (uint32_t& slot : k.prefixes()[1].slot) slot = root;  // in a circle
  k.control()->trie[1][family] = root;
  EXPECT_DROP(FromWeb(Udp(kWeb, 1024, kStranger, 80)), "policy");
  k.control()->trie[1][family] = SP_TRIE_NODE | 0x7fffffff;
  EXPECT_DROP(FromWeb(Udp(kWeb, 1024, kStranger, 80)), "policy");
}

}  // namespace
}  // namespace sallyport::test
