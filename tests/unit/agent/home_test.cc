// SPDX-License-Identifier: Apache-2.0
// Where only guarded interfaces may send from: the addresses of the node's pods.
#include "control/home.h"

#include <gmock/gmock.h>

#include "unit/agent/reconciler_world.h"

namespace sallyport::control {
namespace {

using endpoint::Link;
using endpoint::PodOf;
using endpoint::Veth;
using testing::ElementsAre;
using testing::IsEmpty;

class HomeTest : public ReconcilerTest {};

model::Delta NodeOf(const std::string& name, const std::string& pods) {
  auto node = std::make_shared<model::Node>();
  node->name = name;
  node->pod_cidrs = {*net::Cidr::Parse(pods)};
  return model::Delta::Set(model::NodePtr(node));
}

// Whoever sends from there through another interface is a pod that nobody has seen yet.
TEST_F(HomeTest, AddressesOfPodsAreEnclosedOnceAllPairsAreGuarded) {
  Start();
  Links({Veth(3, "veth3")});
  Claims({{"web", {"veth3"}}});
  Objects({NodeOf("n1", "10.0.0.0/24"), NodeOf("n2", "10.0.1.0/24")}, false);
  EXPECT_THAT(kernel_.inside.home, IsEmpty()) << "pods from before may not be known yet";
  Objects({}, true);
  EXPECT_THAT(kernel_.inside.home, IsEmpty()) << "one is left alone";
  Objects({Set(PodOf{"web"})});
  EXPECT_THAT(kernel_.inside.home, ElementsAre(*net::Cidr::Parse("10.0.0.0/24")));
  Links({Veth(4, "veth4")});
  EXPECT_EQ(kernel_.inside.home.size(), 1u) << "a new one is guarded from the start";
  Link uplink = Veth(5, "up0");
  uplink.uplink = true;
  Links({uplink});
  EXPECT_EQ(kernel_.inside.home.size(), 1u) << "the node's own";
  EXPECT_THAT(kernel_.inside.entrances, testing::Optional(ElementsAre(5)));
  kernel_.inside = {};
  Start();  // again: what an earlier agent said may be out of date
  Links({Veth(3, "veth3"), Veth(4, "veth4"), uplink});
  Claims({{"web", {"veth3"}}});
  Objects({NodeOf("n1", "10.0.0.0/24"), Set(PodOf{"web"})});
  EXPECT_EQ(kernel_.inside.home.size(), 1u);
}

// Whatever addresses they have.
TEST_F(HomeTest, WhatIsNoPairIsAnEntranceAsSoonAsItIsHeardOf) {
  Start();
  Links({Veth(3, "veth3")});
  Objects({}, true);
  EXPECT_EQ(kernel_.inside.entrances, std::nullopt) << "one is left alone";
  Claims({{"web", {"veth3"}}});
  Objects({Set(PodOf{"web"})});
  EXPECT_THAT(kernel_.inside.entrances, testing::Optional(IsEmpty()));
  Link hardware;
  hardware.ifindex = 2;
  hardware.name = "eth0";
  Links({hardware});
  EXPECT_THAT(kernel_.inside.entrances, testing::Optional(ElementsAre(2)));
  EXPECT_THAT(kernel_.inside.home, IsEmpty());
}

TEST_F(HomeTest, WhatFailsIsTriedAgain) {
  StartListed();
  kernel_.Fail("enclose");
  Objects({NodeOf("n1", "10.0.0.0/24")});
  EXPECT_THAT(kernel_.inside.home, IsEmpty());
  EXPECT_THAT(reconciler_->Reasons(), ElementsAre(testing::HasSubstr("enclosing")));
  kernel_.Heal();
  reconciler_->Reconcile();
  EXPECT_EQ(kernel_.inside.home.size(), 1u);
  EXPECT_THAT(reconciler_->Reasons(), IsEmpty());
}

// Not every CNI plugin gives addresses by them.
TEST_F(HomeTest, NothingIsEnclosedWherePodsHaveOtherAddresses) {
  StartListed();
  Objects({NodeOf("n1", "10.0.0.0/24"), NodeOf("n2", "10.0.1.0/24")});
  PodOf here{"here", {"10.0.0.7"}}, there{"there", {"10.0.1.7"}, {}, "n2"};
  Objects({Set(here), Set(there)});
  EXPECT_EQ(kernel_.inside.home.size(), 1u);
  auto strays = {PodOf{"stray", {"10.0.1.8"}}, PodOf{"stray", {"10.0.0.8"}, {}, "n2"},
                 PodOf{"stray", {"192.0.2.8"}, {}, "n2"}, PodOf{"stray", {"fd00::8"}}};
  for (const PodOf& stray : strays) {
    Objects({Set(stray)});
    EXPECT_THAT(kernel_.inside.home, IsEmpty()) << stray.addresses[0];
    Objects({model::Delta::Remove(model::Kind::kPod, {"shop", "stray"})});
    EXPECT_EQ(kernel_.inside.home.size(), 1u) << stray.addresses[0];
  }
  Objects({Set({"ended", {"192.0.2.8"}, {}, "n2", false, model::PodPhase::kSucceeded}),
           Set({"node's", {"192.0.2.9"}, {}, "n2", true}),
           Set({"unknown", {"192.0.2.9"}, {}, "n3"})});
  EXPECT_EQ(kernel_.inside.home.size(), 1u);
  Objects({NodeOf("n3", "10.0.3.0/24")});
  EXPECT_THAT(kernel_.inside.home, IsEmpty());
  Objects({model::Delta::Remove(model::Kind::kNode, {"", "n3"})});
  EXPECT_EQ(kernel_.inside.home.size(), 1u);
  Objects({model::Delta::Remove(model::Kind::kNode, {"", "n1"})});
  EXPECT_THAT(kernel_.inside.home, IsEmpty());
}

TEST_F(HomeTest, WherePairsAreExcludedNothingIsEnclosed) {
  filter_ = *endpoint::DeviceFilter::Parse("!vm*");
  StartListed();
  Objects({NodeOf("n1", "10.0.0.0/24")});
  EXPECT_EQ(kernel_.inside.home.size(), 1u);
  Links({Veth(3, "vm3")});
  EXPECT_THAT(kernel_.inside.home, IsEmpty());
  Links({}, {3});
  EXPECT_EQ(kernel_.inside.home.size(), 1u);
}

}  // namespace
}  // namespace sallyport::control
