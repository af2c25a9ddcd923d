// SPDX-License-Identifier: Apache-2.0
// Leases against an API server: what several nodes write, and what each is told.
#include "gateway/lease_client.h"

#include <gmock/gmock.h>

#include "gateway/lease_requests.h"
#include "gateway/times.h"
#include "unit/gateway/lease_events.h"
#include "unit/gateway/server_fixture.h"
#include "unit/kube/tls_server.h"

namespace sallyport::gateway {
namespace {

using apiserver::TextAt;
using egress::Outcome;
using testing::ElementsAre;
using testing::HasSubstr;
using BlockKind = egress::BlockAction::Kind;
using AddressKind = egress::AddressAction::Kind;

const std::string kBlockName = "ports-203.0.113.10-2048";
const std::string kAddressName = "address-2001-0db8-0000-0000-0000-0000-0000-0010";

class LeaseRequestsTest : public ServerTest {
 protected:
  LeaseRequests Requests() {
    return LeaseRequests([this](const kube::Request& request) { return Send(request); },
                         kNamespace);
  }
};

TEST_F(LeaseRequestsTest, CreatingIsTheClaim) {
  LeaseAnswer first = Requests().Create(ToObject(ABlock("n1")));
  ASSERT_EQ(first.outcome, Outcome::kDone) << first.error;
  egress::BlockLease stands = ToBlock(*first.stands).value();
  EXPECT_FALSE(stands.meta.uid.empty());
  EXPECT_GT(stands.meta.version, 0u);
  EXPECT_FALSE(stands.meta.created.empty());
  egress::BlockLease wanted = ABlock("n1");
  wanted.meta = stands.meta;
  EXPECT_EQ(stands, wanted) << "all of it there and back";

  LeaseAnswer second = Requests().Create(ToObject(ABlock("n2")));
  EXPECT_EQ(second.outcome, Outcome::kConflict) << second.error;
  EXPECT_EQ(second.stands->holder, "n1");
}

TEST_F(LeaseRequestsTest, OnlyWhatIsKnownIsReplaced) {
  LeaseObject known = *Requests().Create(ToObject(ABlock("n1"))).stands;
  LeaseObject mine = known, theirs = known;
  mine.holder = "n1 again";
  theirs.holder = "n2";
  LeaseAnswer done = Requests().Replace(mine);
  ASSERT_EQ(done.outcome, Outcome::kDone) << done.error;
  EXPECT_GT(done.stands->meta.version, known.meta.version);
  LeaseAnswer late = Requests().Replace(theirs);
  EXPECT_EQ(late.outcome, Outcome::kConflict) << late.error;
  EXPECT_EQ(late.stands->holder, "n1 again");
}

TEST_F(LeaseRequestsTest, OnlyWhatIsKnownIsDeleted) {
  LeaseObject known = *Requests().Create(ToObject(ABlock("n1"))).stands;
  LeaseObject newer = known;
  newer.renew_time = "2026-01-02T03:09:05.000006Z";
  newer = *Requests().Replace(newer).stands;
  LeaseAnswer late = Requests().Delete(known);
  EXPECT_EQ(late.outcome, Outcome::kConflict) << "it was renewed";
  EXPECT_EQ(late.stands, newer);
  LeaseObject other = newer;
  other.meta.uid = "00000000-0000-0000-0000-000000000000";
  EXPECT_EQ(Requests().Delete(other).outcome, Outcome::kConflict) << "another creation";
  LeaseAnswer done = Requests().Delete(newer);
  EXPECT_EQ(done.outcome, Outcome::kDone) << done.error;
  EXPECT_FALSE(done.stands);
  LeaseAnswer gone = Requests().Delete(newer);
  EXPECT_EQ(gone.outcome, Outcome::kConflict) << gone.error;
  EXPECT_FALSE(gone.stands);
}

TEST_F(LeaseRequestsTest, ReplacingNeverCreates) {
  LeaseObject known = *Requests().Create(ToObject(ABlock("n1"))).stands;
  ASSERT_EQ(Requests().Delete(known).outcome, Outcome::kDone);
  LeaseAnswer gone = Requests().Replace(known);
  EXPECT_EQ(gone.outcome, Outcome::kConflict) << gone.error;
  EXPECT_FALSE(gone.stands);
  // Nor does it take what was created since.
  ASSERT_EQ(Requests().Create(ToObject(ABlock("n2"))).outcome, Outcome::kDone);
  LeaseAnswer other = Requests().Replace(known);
  EXPECT_EQ(other.outcome, Outcome::kConflict) << other.error;
  EXPECT_EQ(other.stands->holder, "n2");
}

TEST_F(LeaseRequestsTest, FailuresSayWhy) {
  LeaseRequests elsewhere([this](const kube::Request& request) { return Send(request); }, "none");
  LeaseAnswer none = elsewhere.Create(ToObject(ABlock("n1")));
  EXPECT_EQ(none.outcome, Outcome::kFailed) << "no such namespace is no such Lease";
  EXPECT_THAT(none.error, HasSubstr("creating Lease none/" + kBlockName + ": the server answered"));

  // Somebody in between that answers 404 to everything does not speak for the Lease.
  LeaseRequests between(
      [](const kube::Request&) {
        return kube::Response{404, "404 page not found", {}};
      },
      kNamespace);
  LeaseObject known = ToObject(ABlock("n1"));
  known.meta = {"u", 7, ""};
  EXPECT_EQ(between.Replace(known).outcome, Outcome::kFailed);
  EXPECT_EQ(between.Delete(known).outcome, Outcome::kFailed);

  LeaseRequests cut(
      [](const kube::Request& request) -> Result<kube::Response> {
        if (request.method == "GET") return Error{"the connection was reset"};
        return kube::Response{409, R"({"kind":"Status","code":409,"reason":"Conflict"})", {}};
      },
      kNamespace);
  LeaseAnswer unknown = cut.Replace(known);
  EXPECT_EQ(unknown.outcome, Outcome::kFailed) << "nobody knows what stands there";
  EXPECT_THAT(unknown.error, HasSubstr("the connection was reset"));
}

class LeaseClientTest : public ServerTest {
 protected:
  std::unique_ptr<LeaseClient> Follow(Scribe& scribe) {
    watch::ReflectorOptions options;
    options.backoff_first = options.backoff_most = std::chrono::milliseconds(20);
    return std::make_unique<LeaseClient>(*client_, kNamespace, scribe, options);
  }
};

TEST_F(LeaseClientTest, ABlockFromClaimToReturn) {
  Scribe one, two;
  auto first = Follow(one), second = Follow(two);
  ASSERT_TRUE(one.Waits("listed"));
  ASSERT_TRUE(two.Waits("listed"));
  ASSERT_TRUE(first->Ask({BlockKind::kCreate, ABlock("n1")}));
  ASSERT_TRUE(two.Waits("+" + kBlockName + " 1024 n1"));
  egress::BlockLease seen = two.block(ABlock("").id);
  egress::BlockLease wanted = ABlock("n1");
  wanted.meta = seen.meta;
  EXPECT_EQ(seen, wanted);

  ASSERT_TRUE(second->Ask({BlockKind::kCreate, ABlock("n2")}));
  ASSERT_TRUE(two.Waits("=" + kBlockName + " conflict n1"));
  EXPECT_EQ(two.block_stands(), seen);

  seen.renew_time = "2026-01-02T03:09:05.000006Z";
  ASSERT_TRUE(first->Ask({BlockKind::kUpdate, seen}));
  ASSERT_TRUE(two.Waits("+" + kBlockName + " 1024 n1"));
  EXPECT_EQ(two.block(seen.id).renew_time, seen.renew_time);
  EXPECT_EQ(TextAt(Get(kLeases + ("/" + kBlockName)).tree, {"spec", "acquireTime"}),
            "2026-01-02T03:04:05.000006Z");

  ASSERT_TRUE(second->Ask({BlockKind::kDelete, seen}));
  ASSERT_TRUE(two.Waits("=" + kBlockName + " conflict n1")) << "it was renewed";
  ASSERT_TRUE(first->Ask({BlockKind::kDelete, two.block(seen.id)}));
  ASSERT_TRUE(two.Waits("-" + kBlockName));
}

TEST_F(LeaseClientTest, AnAddressChangesHands) {
  Scribe scribe;
  auto client = Follow(scribe);
  ASSERT_TRUE(scribe.Waits("listed"));
  ASSERT_TRUE(client->Ask({AddressKind::kCreate, AnAddress("g1", 1)}));
  ASSERT_TRUE(scribe.Waits("+" + kAddressName + " g1 1"));
  egress::AddressLease lease = scribe.address(AnAddress("", 0).address);
  lease.holder = "g2";
  lease.epoch = 2;
  lease.meta.acquired.clear();
  lease.renew_time = "2026-01-02T03:05:00.000000Z";
  ASSERT_TRUE(client->Ask({AddressKind::kUpdate, lease}));
  ASSERT_TRUE(scribe.Waits("+" + kAddressName + " g2 2"));
  auto stands = Get(kLeases + ("/" + kAddressName));
  EXPECT_EQ(TextAt(stands.tree, {"spec", "acquireTime"}), lease.renew_time) << "another has it";
  EXPECT_EQ(TextAt(stands.tree, {"spec", "leaseTransitions"}), "2");
  EXPECT_EQ(TextAt(stands.tree, {"spec", "leaseDurationSeconds"}), "15");
}

TEST_F(LeaseClientTest, OnlyOurLeasesAreFollowed) {
  Post(kLeases, R"({"metadata":{"name":"ports-203.0.113.10-1024"},"spec":{}})");
  Post(kLeases, WriteLease(ToObject(ABlock("n1")), kNamespace));
  Scribe scribe;
  auto client = Follow(scribe);
  ASSERT_TRUE(scribe.Waits("+" + kBlockName + " 1024 n1"));
  ASSERT_TRUE(scribe.Waits("listed"));
  ASSERT_TRUE(client->Ask({BlockKind::kCreate, ABlock("n1", 4096)}));
  ASSERT_TRUE(scribe.Waits("+ports-203.0.113.10-4096 1024 n1"));
  for (const std::string& line : scribe.Take()) EXPECT_THAT(line, testing::Not(HasSubstr("1024 ")));
}

TEST_F(LeaseClientTest, AnOutageRemovesNothing) {
  Post(kLeases, WriteLease(ToObject(ABlock("n1")), kNamespace));
  Scribe scribe;
  auto client = Follow(scribe);
  ASSERT_TRUE(scribe.Waits("listed"));
  Shut();
  ASSERT_TRUE(client->Ask({BlockKind::kCreate, ABlock("n1", 4096)}));
  ASSERT_TRUE(scribe.Waits("=ports-203.0.113.10-4096 failed nothing"));
  EXPECT_THAT(scribe.error(), HasSubstr("creating Lease sallyport-system/ports-203.0.113.10-4096"));
  Post(kLeases, WriteLease(ToObject(ABlock("n2", 5120)), kNamespace));
  Listen(port_);
  EXPECT_THAT(scribe.Take(), testing::Not(testing::Contains(HasSubstr("-ports"))));
  ASSERT_TRUE(scribe.Waits("+ports-203.0.113.10-5120 1024 n2"));
}

TEST_F(LeaseClientTest, AServerThatHangsKeepsNobodyWaiting) {
  kube::SilentServer silent;
  kube::Access access;
  access.host = "127.0.0.1";
  access.port = silent.port();
  access.ca_pem = authority_.certificate_pem;
  auto hanging = kube::Client::Create(access).value();
  Scribe scribe;
  LeaseClient client(*hanging, kNamespace, scribe);
  int taken = 0;
  while (client.Ask({BlockKind::kCreate, ABlock("n1")})) ASSERT_LT(++taken, 100'000);
  EXPECT_GE(taken, 256);
  EXPECT_TRUE(client.Ask({AddressKind::kCreate, AnAddress("g1", 1)})) << "a queue of its own";
  // It ends at once, with all of that under way.
}

TEST(Times, AsTheApiHasThem) {
  WallTime time{std::chrono::seconds(1767323045) + std::chrono::microseconds(6)};
  EXPECT_EQ(MicroTime(time), "2026-01-02T03:04:05.000006Z");
  EXPECT_EQ(SecondTime(time), "2026-01-02T03:04:05Z");
}

}  // namespace
}  // namespace sallyport::gateway
