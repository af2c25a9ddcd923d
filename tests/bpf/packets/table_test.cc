// SPDX-License-Identifier: Apache-2.0
// Tables at their limits: full, shared, swept, tiny, and broken on purpose.
#include <arpa/inet.h>

#include <algorithm>

#include "abi/hash.h"
#include "bpf/packets/world.h"

namespace sallyport::test {
namespace {

class FlowTableTest : public FamilyTest {
 protected:
  explicit FlowTableTest(uint32_t buckets = 2) : FamilyTest({.flow_buckets = buckets}) {
    k.SetEndpoint({db, kDb.v4, kDb.v6});
  }
  // Opens conversations from `pod` until one is refused; how many there were.
  uint32_t Fill(uint32_t ifindex, const Host& pod, const char* reason = "flow-share") {
    for (uint16_t sport = 1; sport < 1000; sport++) {
      Outcome out = Converse(ifindex, pod, sport);
      if (out.action != Action::kDrop) continue;
      EXPECT_DROP(out, reason);
      return sport - 1u;
    }
    ADD_FAILURE() << "the table is never full";
    return 0;
  }
  // A question, its answer, and a second question; what became of the first.
  Outcome Converse(uint32_t ifindex, const Host& pod, uint16_t sport) {
    Outcome out = k.FromPod(ifindex, Udp(pod, sport, kFar, 80));
    if (out.action == Action::kDrop) return out;
    EXPECT_PASS(k.ToPod(ifindex, Udp(kFar, 80, pod, sport)));
    EXPECT_PASS(k.FromPod(ifindex, Udp(pod, sport, kFar, 80)));
    return out;
  }
  void Connect(uint32_t ifindex, const Host& pod, uint16_t sport) {
    EXPECT_PASS(k.FromPod(ifindex, Tcp(pod, sport, kFar, 80)));
    EXPECT_PASS(k.ToPod(ifindex, Tcp(kFar, 80, pod, sport, kSyn | kAck)));
    EXPECT_PASS(k.FromPod(ifindex, Tcp(pod, sport, kFar, 80, kAck)));
  }
  size_t FlowsOf(uint32_t ifindex, const sp_flow_bucket& bucket) {
    return static_cast<size_t>(
        std::count_if(std::begin(bucket.flow), std::end(bucket.flow),
                      [&](const sp_flow& f) { return f.state && f.owner == ifindex; }));
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
    EXPECT_LE(FlowsOf(web, k.flows()[bucket]), SP_FLOW_SHARE);
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
  k.Age(SP_LIFE_CONVERSATION + 2);
  for (uint16_t sport = 2000; sport < 2000 + opened; sport++)
    EXPECT_PASS(FromWeb(Udp(kWeb, sport, kFar, 80)));
  ExpectTagsOfUsedPlacesOnly(2);
}

TEST_P(FlowTableTest, LiveFlowsAreNotSwept) {
  Web(kOpen, kOpen);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1, kFar, 80)));
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1, kSyn | kAck)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1, kFar, 80, kAck)));
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
    EXPECT_PASS(FromWeb(Udp(kWeb, sport, kFar, 80)));
  }
  EXPECT_DROP(FromWeb(Udp(kWeb, 99, kFar, 80)), "flow-share");
  EXPECT_PASS(FromDb(Udp(kDb, 1, kFar, 80)));
}

TEST_P(OneBucketTest, FourEndpointsAreNeededToFillABucket) {
  const Host others[] = {{"10.0.0.3", "fd00::3"}, {"10.0.0.4", "fd00::4"}, {"10.0.0.5", "fd00::5"}};
  for (uint32_t i = 0; i < 3; i++) k.SetEndpoint({Interface(2 + i), others[i].v4, others[i].v6});
  Web(kOpen, kOpen);
  EXPECT_EQ(Fill(web, kWeb), 8u);
  EXPECT_EQ(Fill(db, kDb), 4u);
  EXPECT_EQ(Fill(Interface(2), others[0]), 2u);
  EXPECT_EQ(Fill(Interface(3), others[1], "flows-full"), 1u);
  EXPECT_EQ(Fill(Interface(4), others[2], "flows-full"), 0u);
}

// What only one side has confirmed goes before anything is refused: first of who holds most.
TEST_P(OneBucketTest, WeakFlowsMakePlace) {
  k.SetEndpoint({Interface(2), "10.0.0.3", "fd00::3"});
  Web(kOpen, kOpen);
  Connect(web, kWeb, 1);
  for (uint16_t sport = 1; sport < 100; sport++) EXPECT_PASS(ToWeb(Udp(kFar, sport, kWeb, 53)));
  EXPECT_EQ(FlowsOf(web, k.flows()[0]), size_t{SP_FLOW_SHARE});
  for (uint16_t sport = 1; sport < 100; sport++) {
    EXPECT_PASS(FromDb(Tcp(kDb, sport, kFar, 80)));
    EXPECT_PASS(ToDb(Tcp(kFar, 80, kDb, sport, kSyn | kAck)));
  }
  EXPECT_EQ(FlowsOf(web, k.flows()[0]), size_t{SP_FLOW_SHARE}) << "not at another's cost";
  Connect(web, kWeb, 2);
  Connect(db, kDb, 200);
  const Host third = {"10.0.0.3", "fd00::3"};
  for (uint16_t sport = 1; sport <= 5; sport++) Connect(Interface(2), third, sport);
  EXPECT_EQ(FlowsOf(Interface(2), k.flows()[0]), 5u);
  for (uint16_t sport = 1; sport <= 2; sport++)
    EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, sport, kAck)));
  EXPECT_PASS(ToDb(Tcp(kFar, 80, kDb, 200, kAck)));
  ExpectTagsOfUsedPlacesOnly(1);
}

TEST_P(OneBucketTest, ACutConnectionIsNeverGivenAway) {
  k.SetRule(kSet, kFarIdentity, Ports().Udp(80).Tcp(80));
  Web(kSet, kOpen);
  Connect(web, kWeb, 1);
  k.SetRule(kSet, kFarIdentity, Ports().Udp(80));
  k.NextGeneration();
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1, kFar, 80, kAck)), "policy");
  k.Age(SP_LIFE_CLOSING + 2);
  for (uint16_t sport = 1; sport < 100; sport++) {
    EXPECT_PASS(FromWeb(Udp(kWeb, sport, kFar, 80)));
    EXPECT_PASS(ToDb(Udp(kFar, sport, kDb, 80)));
  }
  EXPECT_DROP(ToWeb(Tcp(kFar, 80, kWeb, 1, kAck)), "cut");
}

// So does what both ends have closed, for its owner's flows: the oldest goes first.
TEST_P(OneBucketTest, ClosedFlowsMakePlaceForTheirOwners) {
  Web(kOpen, kOpen);
  auto close = [&](uint16_t sport) {
    EXPECT_PASS(FromWeb(Tcp(kWeb, sport, kFar, 80, kFin | kAck)));
    EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, sport, kFin | kAck)));
  };
  for (uint16_t sport = 1; sport <= SP_FLOW_SHARE; sport++) Connect(web, kWeb, sport);
  EXPECT_DROP(FromWeb(Tcp(kWeb, 99, kFar, 80)), "flow-share");
  close(3);
  k.Age(2);
  close(5);
  auto has = [&](uint16_t sport) {
    return std::ranges::any_of(k.Flows(), [&](const sp_flow* flow) {
      return flow->key.low_port == htons(sport) || flow->key.high_port == htons(sport);
    });
  };
  Connect(web, kWeb, 99);
  EXPECT_FALSE(has(3));
  EXPECT_TRUE(has(5));
  Connect(web, kWeb, 98);
  EXPECT_FALSE(has(5));
  EXPECT_DROP(FromWeb(Tcp(kWeb, 97, kFar, 80)), "flow-share");
  EXPECT_EQ(FlowsOf(web, k.flows()[0]), size_t{SP_FLOW_SHARE});
  ExpectTagsOfUsedPlacesOnly(1);
}

TEST_P(OneBucketTest, FlowsOfAnEndpointThatHasGoneMakePlace) {
  Web(kOpen, kOpen);
  ASSERT_EQ(Fill(web, kWeb), 8u);
  ASSERT_EQ(Fill(db, kDb), 4u);
  k.RemoveEndpoint(web);
  k.NextGeneration();
  for (uint16_t sport = 10; sport < 14; sport++) EXPECT_PASS(Converse(db, kDb, sport));
  EXPECT_EQ(FlowsOf(web, k.flows()[0]), 0u);
  EXPECT_EQ(FlowsOf(db, k.flows()[0]), 8u);
}

// The emptier bucket is not always the one with room for this endpoint.
TEST_P(FlowTableTest, ItsShareIsLookedForInBothBuckets) {
  Web(kOpen, kOpen);
  const uint64_t confirmed = SP_FLOW_ANSWERED | SP_FLOW_CONFIRMED;
  EXPECT_PASS(FromWeb(Udp(kWeb, 99, kFar, 80)));
  uint32_t now = k.Flows()[0]->seen;
  std::fill_n(k.flows(), 2, sp_flow_bucket{});
  for (uint32_t bucket = 0; bucket < 2; bucket++) {
    uint32_t of_web = bucket == 0 ? 8 : 0, of_db = bucket == 0 ? 0 : 9;  // 8 is all of its share
    for (uint32_t way = 0; way < of_web + of_db; way++) {
      sp_flow& flow = k.flows()[bucket].flow[way];
      flow.key.tail = way;
      flow.key.protocol = 6;
      flow.owner = way < of_web ? web : db;
      flow.seen = now;
      flow.state = 0x77u << 16 | confirmed;
      k.flows()[bucket].tag[way] = 0x77;
    }
  }
  EXPECT_PASS(FromWeb(Udp(kWeb, 1, kFar, 80)));
  EXPECT_PASS(FromWeb(Udp(kWeb, 2, kFar, 80)));
  EXPECT_EQ(FlowsOf(web, k.flows()[1]), 2u);
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

// A connection that was there lives again when the rules have a place.
TEST_P(BrokenTableTest, ASetThatFoundNoPlaceDeniesAndCutsNothing) {
  k.SetRule(kSet, kFarIdentity, Ports().Tcp(80));
  Web(kSet, kSet);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80, kSyn)));
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kSyn | kAck)));
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80, kAck)));
  Web(SP_SET_FULL, SP_SET_FULL);
  EXPECT_DROP(FromWeb(Tcp(kWeb, 1024, kFar, 80, kAck)), "no-room");
  EXPECT_DROP(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)), "no-room");
  EXPECT_DROP(FromWeb(Udp(kWeb, 1024, kFar, 80)), "no-room");
  EXPECT_DROP(ToWeb(Udp(kStranger, 1024, kWeb, 80)), "no-room");
  Web(kSet, kSet);
  EXPECT_PASS(FromWeb(Tcp(kWeb, 1024, kFar, 80, kAck)));
  EXPECT_PASS(ToWeb(Tcp(kFar, 80, kWeb, 1024, kAck)));
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
