// SPDX-License-Identifier: Apache-2.0
// CNI results that outlive the interface that they are about.
#include "unit/agent/tracker_fixture.h"

namespace sallyport::endpoint {
namespace {

// Left behind by a pod that has gone: the next one of its name has an interface of the same name.
TEST_F(TrackerTest, ASpentResultOpensNothing) {
  const ClaimOf left{.pod = "web", .host_interfaces = {"cali1"}, .uid = "1", .netns = "/netns/1"};
  for (bool seen : {true, false}) {
    SCOPED_TRACE(seen);
    if (seen) resolver_.sandboxes[{"/netns/1", "eth0"}] = {7, 2};
    Set(Veth(3, "cali1", 7));
    Set(left);
    Set(PodOf{.name = "web", .addresses = {"10.0.0.1"}, .uid = "1"});
    EXPECT_EQ(Placed(), "web@3");
    resolver_.sandboxes.clear();
    Gone(3);
    EXPECT_EQ(Placed(), "");
    EXPECT_EQ(tracker_.Decide().missing.at({"shop", "web"}),
              "CNI result net-web-eth0 is of an interface that has gone");
    Set(Veth(4, "cali1", 8));
    EXPECT_EQ(Placed(), "") << "the watch is late: the pod is still the former one";
    EXPECT_EQ(WhyClosed(4), "no CNI result claims it");

    Set(ClaimOf{.pod = "web", .host_interfaces = {"cali1"}, .uid = "2", .age_order = 2});
    EXPECT_EQ(Placed(), "");
    Set(PodOf{.name = "web", .addresses = {"10.0.0.1"}, .uid = "2"});
    EXPECT_EQ(Placed(), "web@4") << "written anew";
    Gone(4);
    tracker_.RemoveClaim("net-web-eth0");
  }
}

TEST_F(TrackerTest, ASpentResultIsBelievedAgainWhereItsSandboxIsSeen) {
  resolver_.sandboxes[{"/netns/1", "eth0"}] = {7, 2};
  Set(Veth(3, "cali1", 7));
  Set(ClaimOf{.pod = "web", .host_interfaces = {"cali1"}, .uid = "1", .netns = "/netns/1"});
  Set(PodOf{.name = "web", .addresses = {"10.0.0.1"}, .uid = "1"});
  EXPECT_EQ(Placed(), "web@3");
  Gone(3);
  resolver_.sandboxes.clear();
  Set(PodOf{.name = "web", .addresses = {"10.0.0.1", "fd00::1"}, .uid = "1"});
  Set(Veth(4, "cali1", 7));
  EXPECT_EQ(Placed(), "") << "late news of the former pod prove nothing";
  resolver_.sandboxes[{"/netns/1", "eth0"}] = {7, 2};
  Set(Veth(4, "cali1", 7));
  EXPECT_EQ(Placed(), "web@4") << "the same sandbox has another pair of interfaces";
}

// Links and results are followed by a thread each, and sandboxes may be out of sight.
TEST_F(TrackerTest, AResultThatIsReadBeforeTheFormerInterfacesEndIsNotSpentForEver) {
  Set(Veth(3, "cali1"));
  Set(ClaimOf{.pod = "web", .host_interfaces = {"cali1"}, .uid = "2"});
  Set(PodOf{.name = "web", .uid = "2"});
  EXPECT_EQ(Placed(), "web@3");
  Gone(3);
  Set(Veth(4, "cali1"));
  EXPECT_EQ(Placed(), "");
  Set(PodOf{.name = "web", .addresses = {"10.0.0.2"}, .uid = "2"});
  EXPECT_EQ(Placed(), "") << "another address";
  Set(PodOf{.name = "web", .addresses = {"10.0.0.1"}, .uid = "2"});
  EXPECT_EQ(Placed(), "web@4");
}

}  // namespace
}  // namespace sallyport::endpoint
