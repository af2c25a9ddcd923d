// SPDX-License-Identifier: Apache-2.0
// Two pods on a node, and what the tests of the agent do with them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "lab/agent/node.h"
#include "support/sandbox.h"

namespace sallyport::test {

inline constexpr uint16_t kPort = 5000, kOtherPort = 5001;

class AgentTest : public testing::Test {
 protected:
  ~AgentTest() override {
    for (int fd : sockets_) close(fd);
  }
  void Claim(const std::string& name, const Pod& pod) {
    files_.WriteResult(name, {pod.v4().ToString(), pod.v6().ToString()}, pod.device());
  }
  void WritePod(const std::string& name, const Pod& pod) {
    files_.WritePod(name, {pod.v4().ToString(), pod.v6().ToString()});
  }
  // Pod objects and claims for both, and both are open.
  void OpenBoth() {
    WritePod("a", a_);
    WritePod("b", b_);
    Claim("a", a_);
    Claim("b", b_);
    ASSERT_TRUE(HasEndpoint(files_, "shop/a", "open", a_.device()));
    ASSERT_TRUE(HasEndpoint(files_, "shop/b", "open", b_.device()));
  }
  int Socket(const Pod& pod, uint16_t port, bool v6 = false) {
    sockets_.push_back(pod.UdpSocket(v6 ? pod.v6() : pod.v4(), port));
    return sockets_.back();
  }
  // Whether a datagram of a new flow from one pod reaches the other.
  static bool Reaches(const Pod& from, const Pod& to, bool v6 = false) {
    static uint16_t source = 20000;
    const net::Address& there = v6 ? to.v6() : to.v4();
    int out = from.UdpSocket(v6 ? from.v6() : from.v4(), ++source);
    int in = to.UdpSocket(there, kPort);
    Send(out, there, kPort, "hello");
    bool reached = !Arrived(in, there, kPort).empty();
    close(out);
    close(in);
    return reached;
  }
  bool AReachesB() { return Reaches(a_, b_) && Reaches(a_, b_, true); }
  bool ANeverReachesB() { return !Reaches(a_, b_) && !Reaches(a_, b_, true); }

  AgentFiles files_{"agent"};
  std::vector<int> sockets_;
  Pod a_{1}, b_{2};
};

}  // namespace sallyport::test
