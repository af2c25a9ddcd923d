// SPDX-License-Identifier: Apache-2.0
// What each table holds, and has room for.
#include <map>

#include "abi/tables.h"
#include "bpf/dataplane/two_pods.h"

namespace sallyport::dataplane {
namespace {

class UseTest : public TwoPods {
 protected:
  std::map<std::string, TableUse> Use() {
    std::map<std::string, TableUse> out;
    for (const TableUse& use : dataplane_->ReadUse()) out[use.name] = use;
    return out;
  }
};

TEST_F(UseTest, EachTableHasACapacity) {
  Open();
  auto use = Use();
  for (const char* name : {"endpoints", "peers", "rules", "port_sets", "port_pages", "prefixes",
                           "guarded", "fragments", "events", "flows"}) {
    EXPECT_GT(use[name].capacity, 0u) << name;
  }
  EXPECT_EQ(use["fragments"].capacity, uint64_t{SP_FRAGMENTS});
  EXPECT_EQ(use["fragments"].used, 0u);
  EXPECT_EQ(use["events"].capacity, uint64_t{SP_EVENTS_BYTES});
  EXPECT_EQ(use["events"].used, 0u);
  EXPECT_EQ(use["guarded"].used, 0u);
  AttachBoth();
  EXPECT_EQ(Use()["guarded"].used, 2u);
}

TEST_F(UseTest, FragmentsAreCountedAndHaveTheRoomThatIsAskedFor) {
  options_.capacities.fragments = 100;
  Open();
  AttachBoth();
  AllowIngress({.tcp = {}, .udp = {{kPort, kPort}}, .sctp = {}});
  Apply();
  EXPECT_EQ(Use()["fragments"].capacity, 100u);
  int from = Socket(a_, a_.v4(), 20001), to = Socket(b_, b_.v4(), kPort);
  for (int i = 0; i < 3; ++i) test::Send(from, b_.v4(), kPort, std::string(4000, 'x'));
  EXPECT_EQ(test::Arrived(to, b_.v4(), kPort).size(), 3u);
  EXPECT_GE(Use()["fragments"].used, 3u);
  EXPECT_LE(Use()["fragments"].used, 6u);

  options_.capacities.fragments = 200;
  Open();
  EXPECT_EQ(Use()["fragments"].capacity, 100u) << "it is in use";
  EXPECT_THAT(dataplane_->notes(),
              testing::ElementsAre(testing::HasSubstr("\"fragments\" keeps its size")));
}

TEST_F(UseTest, FlowsOfPodsThatHaveGoneAreTakenOut) {
  Open();
  AttachBoth();
  Apply();
  ASSERT_TRUE(Reaches());
  ASSERT_TRUE(Reaches(/*v6=*/true));
  auto settle = [this] {
    Apply();
    EXPECT_TRUE(dataplane_->Settle().ok());
  };
  Bindings both = std::exchange(bindings_, {});
  settle();
  EXPECT_EQ(dataplane_->SweepFlows(), 0u) << "closed, and may be opened again";
  bindings_ = both;
  bindings_.erase(Name(a_));
  settle();
  ASSERT_TRUE(dataplane_->Detach(a_.ifindex()).ok());
  EXPECT_EQ(dataplane_->SweepFlows(), 0u) << "their other end is here";
  bindings_.clear();
  settle();
  ASSERT_TRUE(dataplane_->Detach(b_.ifindex()).ok());
  EXPECT_GE(Use()["flows"].used, 2u);
  EXPECT_GE(dataplane_->SweepFlows(), 2u);
  EXPECT_EQ(Use()["flows"].used, 0u);
  EXPECT_TRUE(dataplane_->ReadFlows(100).empty());
}

TEST_F(UseTest, EventsThatNobodyHasReadAreMeasured) {
  Open();
  AttachBoth();
  AllowIngress({.tcp = {{kPort, kPort}}, .udp = {}, .sctp = {}});
  Apply();
  EXPECT_FALSE(Reaches());
  uint64_t waiting = Use()["events"].used;
  EXPECT_GE(waiting, sizeof(sp_event));
  ASSERT_TRUE(dataplane_->PollEvents(std::chrono::seconds(5), [](const DropEvent&) {}).ok());
  EXPECT_LT(Use()["events"].used, waiting);
}

}  // namespace
}  // namespace sallyport::dataplane
