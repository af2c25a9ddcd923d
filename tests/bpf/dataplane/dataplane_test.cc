// SPDX-License-Identifier: Apache-2.0
// The data plane on the real kernel: what is enforced on real datagrams between two pods.
#include "dataplane/dataplane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "support/sandbox.h"

namespace sallyport::dataplane {
namespace {

namespace fs = std::filesystem;
using test::Pod;

constexpr uint16_t kPort = 5000;

class DataplaneTest : public testing::TestWithParam<AttachMode> {
 protected:
  DataplaneTest() {
    options_.pins = test::EnterSandbox() + "/spt-dataplane";
    options_.attach = GetParam();
    options_.capacities = {.endpoints = 64,
                           .peers = 256,
                           .rules = 256,
                           .port_sets = 64,
                           .port_pages = 64,
                           .prefixes = 1024,
                           .flows = 1024};
    RemoveAll();
    for (const Pod* pod : {&a_, &b_}) {
      bindings_[Name(*pod)] = {pod->ifindex(), {pod->v4(), pod->v6()}, false};
      image_.endpoints[Name(*pod)] = {{pod->v4(), pod->v6()}, policy::kNoSet, policy::kNoSet};
    }
  }
  ~DataplaneTest() override {
    for (int fd : sockets_) ::close(fd);
    dataplane_.reset();
    RemoveAll();
  }

  static model::ObjectName Name(const Pod& pod) { return {"ns", pod.device()}; }

  void RemoveAll() {
    Status status = Dataplane::RemoveAll(options_.pins);
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_FALSE(fs::exists(options_.pins));
  }
  void Open() {
    dataplane_.reset();
    auto opened = Dataplane::Open(options_);
    ASSERT_TRUE(opened) << opened.error().message;
    dataplane_ = *std::move(opened);
  }
  void AttachBoth() {
    for (const Pod* pod : {&a_, &b_}) {
      Status status = dataplane_->Attach(pod->ifindex(), pod->device());
      ASSERT_TRUE(status.ok()) << status.error().message;
    }
  }
  void Apply() {
    Status status = dataplane_->Apply(image_, nullptr, bindings_);
    ASSERT_TRUE(status.ok()) << status.error().message;
  }
  // Pod B is isolated for ingress; only pod A may reach it, on these ports.
  void AllowIngress(policy::PortSet ports) {
    image_.peers = {{a_.v4(), 1}, {a_.v6(), 1}};
    image_.port_sets[2] = std::move(ports);
    image_.sets[1] = {{{1, 2}}, policy::kNoPorts};
    image_.endpoints[Name(b_)].ingress = 1;
  }
  int Socket(const Pod& pod, const net::Address& address, uint16_t port) {
    sockets_.push_back(pod.UdpSocket(address, port));
    return sockets_.back();
  }
  // Whether a datagram from A reaches B.
  bool Reaches(bool v6 = false) {
    static uint16_t source = 20000;
    int from = Socket(a_, v6 ? a_.v6() : a_.v4(), ++source);
    int to = Socket(b_, v6 ? b_.v6() : b_.v4(), kPort);
    test::Send(from, v6 ? b_.v6() : b_.v4(), kPort, "hello");
    bool reached = test::Receive(to) == "hello";
    ::close(to);
    sockets_.pop_back();
    return reached;
  }

  Pod a_{1}, b_{2};
  Options options_;
  policy::Image image_;
  Bindings bindings_;
  std::unique_ptr<Dataplane> dataplane_;
  std::vector<int> sockets_;
};

TEST_P(DataplaneTest, NothingIsAttachedWithoutAttach) {
  Open();
  Apply();
  EXPECT_TRUE(Reaches());
  EXPECT_THAT(dataplane_->Attached(), testing::IsEmpty());
}

TEST_P(DataplaneTest, ClosedUntilApplied) {
  Open();
  AttachBoth();
  EXPECT_FALSE(Reaches());
  EXPECT_FALSE(Reaches(true));
  Apply();
  EXPECT_TRUE(Reaches());
  EXPECT_TRUE(Reaches(true));
}

TEST_P(DataplaneTest, EnforcesAnImage) {
  Open();
  AttachBoth();
  AllowIngress({.tcp = {}, .udp = {{kPort, kPort}}, .sctp = {}});
  Apply();
  EXPECT_TRUE(Reaches());
  AllowIngress({.tcp = {}, .udp = {{kPort + 1, kPort + 1}}, .sctp = {}});
  Apply();
  EXPECT_FALSE(Reaches());
  EXPECT_FALSE(Reaches(true));
}

INSTANTIATE_TEST_SUITE_P(Kinds, DataplaneTest,
                         testing::Values(AttachMode::kTcx, AttachMode::kClsact),
                         [](const auto& param) {
                           return param.param == AttachMode::kTcx ? "Tcx" : "Clsact";
                         });

}  // namespace
}  // namespace sallyport::dataplane
