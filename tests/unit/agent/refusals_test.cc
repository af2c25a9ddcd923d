// SPDX-License-Identifier: Apache-2.0
// What is said of new flows that the table had no place for.
#include "control/refusals.h"

#include "unit/agent/reconciler_world.h"

namespace sallyport::control {
namespace {

using endpoint::ClaimOf;
using endpoint::PodOf;
using endpoint::Veth;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RefusalsTest : public ReconcilerTest {
 protected:
  // web on interface 3, open.
  void SetUp() override {
    kernel_.counters[3].dropped[0]["flows-full"] = 1000;  // another agent's time
    kernel_.counters[3].dropped[0]["flow-share"] = 1000;
    StartListed();
    Links({Veth(3, "veth3"), Veth(4, "veth4")});
    Claims({ClaimOf{"web", {"veth3"}}});
    Objects({Set(PodOf{"web"})});
    LookAfter(seconds(5));
    Log();
  }
};

TEST_F(RefusalsTest, AFullTableIsAReasonForAMinute) {
  EXPECT_THAT(reconciler_->Reasons(), IsEmpty());
  kernel_.counters[3].dropped[0]["flows-full"] += 7;
  kernel_.counters[4].dropped[1]["flows-full"] = 5;
  testing::internal::CaptureStderr();
  LookAfter(seconds(5));
  EXPECT_THAT(
      reconciler_->Reasons(),
      ElementsAre(AllOf(HasSubstr("table \"flows\" is full: 12 openings of new flows found no "
                                  "place in the last minute"),
                        HasSubstr("--max-flows"))));
  kernel_.counters[3].dropped[0]["flows-full"] += 1;
  LookAfter(seconds(30));
  EXPECT_THAT(reconciler_->Reasons(), ElementsAre(HasSubstr(" full: 13 openings")));
  clock_.Advance(seconds(30));  // nobody has looked since
  EXPECT_THAT(reconciler_->Reasons(), ElementsAre(HasSubstr(" full: 1 openings")));
  LookAfter(seconds(30));
  EXPECT_THAT(reconciler_->Reasons(), IsEmpty());
  std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(log.find("is full"), log.rfind("is full")) << "said once: " << log;
  EXPECT_THAT(log, HasSubstr("had a place for each new flow for a minute"));
  EXPECT_EQ(Log(), "") << "nothing to enforce";
}

TEST_F(RefusalsTest, AnEndpointThatHasItsShareIsToldAndTheAgentReady) {
  kernel_.counters[3].dropped[1]["flow-share"] = 40;
  kernel_.counters[4].dropped[1]["flow-share"] = 2;
  kernel_.counters[4].dropped[1]["policy"] = 99;
  LookAfter(seconds(5));
  EXPECT_THAT(reconciler_->Reasons(), IsEmpty());
  EXPECT_THAT(reconciler_->Notices(),
              ElementsAre(AllOf(testing::StartsWith("pod shop/web holds its share"),
                                HasSubstr("40 openings of new flows were dropped")),
                          testing::StartsWith("veth4 holds its share")));
  EXPECT_THAT(reconciler_->Diagnostics(), IsEmpty()) << "no object is wrong";
  clock_.Advance(seconds(60));
  EXPECT_THAT(reconciler_->Notices(), IsEmpty());
}

TEST_F(RefusalsTest, NobodyIsToldOfWhatAnotherDidUnderTheSameIndex) {
  kernel_.counters[3].dropped[1]["flow-share"] = 40;
  kernel_.counters[3].dropped[1]["flows-full"] = 40;
  LookAfter(seconds(5));
  kernel_.counters.erase(3);
  Links({}, {3});
  EXPECT_THAT(reconciler_->Notices(), IsEmpty());
  EXPECT_THAT(reconciler_->Reasons(), ElementsAre(HasSubstr(" full: 40 "))) << "the node's trouble";
  kernel_.counters[3].dropped[1]["flow-share"] = 3;  // counted from nothing
  Links({Veth(3, "next")});
  LookAfter(seconds(5));
  EXPECT_THAT(reconciler_->Notices(),
              ElementsAre(AllOf(testing::StartsWith("next holds"), HasSubstr(": 3 openings"))));
}

TEST_F(RefusalsTest, CountersThatBeganAnewAreNoRefusals) {
  kernel_.counters[3] = {};
  LookAfter(seconds(5));
  EXPECT_THAT(reconciler_->Reasons(), IsEmpty());
  EXPECT_THAT(reconciler_->Notices(), IsEmpty());
}

}  // namespace
}  // namespace sallyport::control
