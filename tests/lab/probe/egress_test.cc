// SPDX-License-Identifier: Apache-2.0
// `probe egress` on a node: the agent says which addresses the pod has, the namespaces where it is.
#include "cli/probe_egress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/pod_netns.h"
#include "lab/probe/two_namespaces.h"
#include "unit/cli/one_answer.h"

namespace sallyport::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

net::Address AddressAt(const std::string& text) { return *net::Address::Parse(text); }

class ProbeEgressTest : public probe::TwoNamespaces {
 protected:
  // From the pod at 10.77.0.1, as an agent knows it.
  int Run(const std::string& to, const std::string& expect) {
    OneAnswer agent(
        "HTTP/1.1 200 OK\r\n\r\n"
        R"([{"pod": "shop/web", "addresses": ["10.77.0.1", "fd77::1"]}])");
    ProbeEgressOptions options;
    options.from = "shop/web";
    options.to = to;
    options.expect = expect;
    options.socket = agent.path();
    out_.str("");
    return RunProbeEgress(options, Terminal{out_, err_});
  }
  std::ostringstream out_, err_;
};

TEST_F(ProbeEgressTest, FindsThePodAndSaysWhomTheFarEndSees) {
  using net::Protocol;
  probe::RunningServer server(Path(far_), {{Protocol::kTcp, 80}, {Protocol::kUdp, 81}});
  EXPECT_EQ(Run("10.77.0.2:80", "10.77.0.1"), kYes) << err_.str();
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("shop/web -> 10.77.0.2:80/TCP: seen as 10.77.0.1 (port "),
                                HasSubstr(") by spt/far, as expected\n")));
  EXPECT_EQ(Run("10.77.0.2:81/UDP", "10.77.0.9"), kNo);
  EXPECT_THAT(out_.str(), HasSubstr(", and not as 10.77.0.9\n"));
  EXPECT_EQ(Run("[fd77::2]:80", "fd77::1"), kYes) << out_.str() << err_.str();
  EXPECT_EQ(Run("10.77.0.2:79", ""), kNo) << "nothing listens there";
  EXPECT_EQ(err_.str(), "");
}

TEST_F(ProbeEgressTest, NamespacesAreToldByTheirAddresses) {
  EXPECT_EQ(FindNetns({AddressAt("fd77::1")}).value(), Path(near_));
  EXPECT_EQ(FindNetns({AddressAt("192.0.2.77"), AddressAt("10.77.0.2")}).value(), Path(far_));
  auto none = FindNetns({AddressAt("192.0.2.77")});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("run this on the pod's node itself"));
}

}  // namespace
}  // namespace sallyport::cli
