// SPDX-License-Identifier: Apache-2.0
#include "control/own_addresses.h"

#include "unit/agent/reconciler_world.h"

namespace sallyport::control {
namespace {

using endpoint::Ip;
using endpoint::PodOf;
using endpoint::Veth;
using testing::ElementsAre;
using testing::IsEmpty;

// What the node knows of its own pods, whatever the API server says yet, or still.
class OwnAddressesTest : public ReconcilerTest {
 protected:
  std::vector<net::Address> Of(const std::string& pod) {
    return reconciler_->snapshot().pods.at({"shop", pod})->addresses;
  }
};

TEST_F(OwnAddressesTest, ANewPodHasItsAddressBeforeItsStatusSaysSo) {
  StartListed();
  Links({Veth(3, "veth3")});
  Objects({Set(PodOf{"web"})});
  EXPECT_THAT(Of("web"), IsEmpty());
  std::string fingerprint = reconciler_->Fingerprint();
  Claims({{"web", {"veth3"}}});
  EXPECT_THAT(Of("web"), ElementsAre(Ip("10.0.0.1")));
  EXPECT_EQ(reconciler_->Fingerprint(), fingerprint) << "it is of what all agents know";
  Log();
  Objects({Set(PodOf{.name = "web", .addresses = {"10.0.0.1"}})});
  EXPECT_THAT(Of("web"), ElementsAre(Ip("10.0.0.1")));
  EXPECT_EQ(Log(), "") << "nothing new";
}

TEST_F(OwnAddressesTest, APodWhoseInterfaceHasGoneHasNone) {
  StartListed();
  Links({Veth(3, "veth3")});
  Claims({{"web", {"veth3"}}});
  Objects({Set(PodOf{.name = "web", .addresses = {"10.0.0.1"}, .uid = "u1"})});
  EXPECT_THAT(Of("web"), ElementsAre(Ip("10.0.0.1")));
  Links({}, {3});
  EXPECT_THAT(Of("web"), IsEmpty());
  Objects({Set(PodOf{
      .name = "web", .addresses = {"10.0.0.1"}, .uid = "u1", .phase = model::PodPhase::kPending})});
  EXPECT_THAT(Of("web"), IsEmpty()) << "its object says nothing of interfaces";
  Links({Veth(4, "veth3")});
  EXPECT_THAT(Of("web"), ElementsAre(Ip("10.0.0.1"))) << "placed again";
  Links({}, {4});
  EXPECT_THAT(Of("web"), IsEmpty());
  Objects({Set(PodOf{.name = "web", .addresses = {"10.0.0.2"}, .uid = "u2", .node = "n2"})});
  EXPECT_THAT(Of("web"), ElementsAre(Ip("10.0.0.2"))) << "another pod";
}

TEST_F(OwnAddressesTest, OfPodsThatWereNeverFoundHereTheirStatusCounts) {
  StartListed();
  Objects({Set(PodOf{.name = "web", .addresses = {"10.0.0.1"}}),
           Set(PodOf{.name = "far", .addresses = {"10.0.1.1"}, .node = "n2"})});
  EXPECT_THAT(Of("web"), ElementsAre(Ip("10.0.0.1")));
  EXPECT_THAT(Of("far"), ElementsAre(Ip("10.0.1.1")));
  Links({Veth(3, "veth3")});
  Links({}, {3});
  EXPECT_THAT(Of("web"), ElementsAre(Ip("10.0.0.1")));
}

}  // namespace
}  // namespace sallyport::control
