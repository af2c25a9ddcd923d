// SPDX-License-Identifier: Apache-2.0
// Two network namespaces, `near` and `far`, joined by one link: 10.77.0.1/.2 and fd77::1/::2.
#pragma once

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "cli/netns.h"
#include "cli/serve.h"

namespace sallyport::probe {

inline void Must(const std::string& command) {
  ASSERT_EQ(std::system(command.c_str()), 0) << command;  // NOLINT: fixed texts
}

// Serves in another network namespace until destroyed.
class RunningServer {
 public:
  RunningServer(const std::string& netns, std::vector<Port> ports) : stop_(eventfd(0, 0)) {
    std::promise<Status> listening;
    auto ready = listening.get_future();
    thread_ = std::thread([this, netns, ports, &listening] {
      NetnsVisitor visitor;
      if (Status s = visitor.Enter(netns); !s) return listening.set_value(s);
      auto server = Server::Listen("spt/far", ports);
      if (!server) return listening.set_value(server.error());
      listening.set_value(Ok());
      ended_ = server->Run(stop_.get());
    });
    Status status = ready.get();
    EXPECT_TRUE(status.ok()) << status.error().message;
  }
  ~RunningServer() {
    uint64_t one = 1;
    EXPECT_EQ(write(stop_.get(), &one, sizeof one), 8);
    thread_.join();
    EXPECT_TRUE(ended_.ok()) << ended_.error().message;
  }

 private:
  UniqueFd stop_;
  Status ended_;
  std::thread thread_;
};

class TwoNamespaces : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "network namespaces need root";
    Clean();
    Must("ip netns add " + near_ + " && ip netns add " + far_);
    Must("ip -n " + near_ + " link add spt0 type veth peer name spt0 netns " + far_);
    Configure(near_, "1");
    Configure(far_, "2");
  }
  void TearDown() override { Clean(); }

  static std::string Path(const std::string& ns) { return "/run/netns/" + ns; }

  const std::string near_ = "spt-probe-near-" + std::to_string(getpid());
  const std::string far_ = "spt-probe-far-" + std::to_string(getpid());

 private:
  static void Configure(const std::string& ns, const std::string& host) {
    Must("ip -n " + ns + " link set lo up && ip -n " + ns + " link set spt0 up && ip -n " + ns +
         " addr add 10.77.0." + host + "/24 dev spt0 && ip -n " + ns + " addr add fd77::" + host +
         "/64 dev spt0 nodad");
  }
  void Clean() {
    for (const std::string& ns : {near_, far_}) {
      std::string command = "ip netns del " + ns + " 2>/dev/null";
      (void)!std::system(command.c_str());  // NOLINT: fixed texts
    }
  }
};

}  // namespace sallyport::probe
