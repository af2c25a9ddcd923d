// SPDX-License-Identifier: Apache-2.0
// What the reconciler has not got to yet: changes that wait, and flows that are left behind.
#include "unit/agent/reconciler_world.h"

namespace sallyport::control {
namespace {

using endpoint::PodOf;
using endpoint::Veth;
using std::chrono::seconds;

// Of the oldest change, until it is in force.
TEST_F(ReconcilerTest, SaysHowLongChangesWait) {
  Start();
  Links({Veth(3, "veth3")});
  Claims({{"web", {"veth3"}}});
  Objects({Set(PodOf{"web"})}, false);
  clock_.Advance(seconds(2));
  EXPECT_EQ(reconciler_->Waiting(), seconds(2)) << "not everything is known";
  Objects({}, true);
  EXPECT_EQ(reconciler_->Waiting(), seconds(0));
  clock_.Advance(seconds(2));
  EXPECT_EQ(reconciler_->Waiting(), seconds(0));

  kernel_.Fail("apply");
  auto deny = std::make_shared<model::NetworkPolicy>();
  deny->name = {"shop", "deny"};
  deny->isolates_ingress = true;
  Objects({model::Delta::Set(model::NetworkPolicyPtr(deny))});
  clock_.Advance(seconds(3));
  Objects({Set(PodOf{"db"})});
  clock_.Advance(seconds(4));
  EXPECT_EQ(reconciler_->Waiting(), seconds(7));
  kernel_.Heal();
  kernel_.short_of = {{{"rules", 240, 256}, 12, {}, false}};
  reconciler_->Reconcile();
  EXPECT_EQ(reconciler_->Waiting(), seconds(7)) << "what found no room still waits";
  kernel_.short_of.clear();
  reconciler_->Reconcile();
  EXPECT_EQ(reconciler_->Waiting(), seconds(0));
  Objects({Set(PodOf{.name = "far", .node = "n2"})});
  EXPECT_EQ(reconciler_->Waiting(), seconds(0)) << "no news to this node";
}

TEST_F(ReconcilerTest, FlowsOfPodsThatWentAreSweptInAnIdleMoment) {
  Start();
  Links({Veth(3, "veth3")});
  Claims({{"web", {"veth3"}}});
  reconciler_->Settle();
  EXPECT_EQ(kernel_.sweeps, 0) << "whose endpoints are whose is not known yet";
  Objects({Set(PodOf{"web"})});
  for (int i = 0; i < 3; ++i) reconciler_->Settle();
  EXPECT_EQ(kernel_.sweeps, 1) << "what went while no agent ran";
  clock_.Advance(seconds(20));
  reconciler_->Settle();
  EXPECT_EQ(kernel_.sweeps, 1) << "nothing went";
  Links({Veth(4, "veth4")}, {3});
  EXPECT_EQ(kernel_.sweeps, 1) << "not before the tables are settled, and nothing waits";
  for (int i = 0; i < 3; ++i) reconciler_->Settle();
  EXPECT_EQ(kernel_.sweeps, 2);
  Links({}, {4});
  for (int i = 0; i < 3; ++i) reconciler_->Settle();
  EXPECT_EQ(kernel_.sweeps, 2) << "not so soon again";
  clock_.Advance(seconds(10));
  reconciler_->Settle();
  EXPECT_EQ(kernel_.sweeps, 3);
}

}  // namespace
}  // namespace sallyport::control
