// SPDX-License-Identifier: Apache-2.0
// Two pods and a data plane between them, on the real kernel.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/dataplane.h"
#include "support/sandbox.h"

namespace sallyport::dataplane {

inline constexpr uint16_t kPort = 5000;

class TwoPods : public testing::Test {
 protected:
  explicit TwoPods(AttachMode mode = AttachMode::kAuto) {
    options_.pins = test::EnterSandbox() + "/spt-dataplane";
    options_.attach = mode;
    options_.capacities = {.endpoints = 64,
                           .peers = 256,
                           .rules = 256,
                           .port_sets = 64,
                           .port_pages = 64,
                           .prefixes = 1024,
                           .flows = 1024};
    RemoveAll();
    for (const test::Pod* pod : {&a_, &b_}) {
      bindings_[Name(*pod)] = {pod->ifindex(), {pod->v4(), pod->v6()}, false};
      image_.endpoints[Name(*pod)] = {{pod->v4(), pod->v6()}, policy::kNoSet, policy::kNoSet};
    }
  }
  ~TwoPods() override {
    for (int fd : sockets_) ::close(fd);
    dataplane_.reset();
    RemoveAll();
  }

  static model::ObjectName Name(const test::Pod& pod) { return {"ns", pod.device()}; }

  void RemoveAll() {
    Status status = Dataplane::RemoveAll(options_.pins);
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_FALSE(std::filesystem::exists(options_.pins));
  }
  void Open() {
    dataplane_.reset();
    auto opened = Dataplane::Open(options_);
    ASSERT_TRUE(opened) << opened.error().message;
    dataplane_ = *std::move(opened);
  }
  void AttachBoth() {
    for (const test::Pod* pod : {&a_, &b_}) {
      Status status = dataplane_->Attach(pod->ifindex(), pod->device());
      ASSERT_TRUE(status.ok()) << status.error().message;
    }
  }
  // The agent ends, as by a kill: nothing is taken back.
  void End() { dataplane_.reset(); }
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
  int Socket(const test::Pod& pod, const net::Address& address, uint16_t port) {
    sockets_.push_back(pod.UdpSocket(address, port));
    return sockets_.back();
  }
  // Whether a datagram of a new flow from A reaches B.
  bool Reaches(bool v6 = false) {
    static uint16_t source = 20000;
    int from = Socket(a_, v6 ? a_.v6() : a_.v4(), ++source);
    int to = Socket(b_, v6 ? b_.v6() : b_.v4(), kPort);
    test::Send(from, v6 ? b_.v6() : b_.v4(), kPort, "hello");
    bool reached = !test::Arrived(to, v6 ? b_.v6() : b_.v4(), kPort).empty();
    ::close(to);
    sockets_.pop_back();
    return reached;
  }

  test::Pod a_{1}, b_{2};
  Options options_;
  policy::Image image_;
  Bindings bindings_;
  std::unique_ptr<Dataplane> dataplane_;
  std::vector<int> sockets_;
};

// The same with the programs attached in either way.
class EitherWay : public TwoPods, public testing::WithParamInterface<AttachMode> {
 protected:
  EitherWay() : TwoPods(GetParam()) {}

  // Somebody takes our program off, in one direction.
  void TakeOff(const test::Pod& pod) {
    if (GetParam() == AttachMode::kTcx) {
      ASSERT_EQ(
          ::unlink(
              (options_.pins + "/links/" + std::to_string(pod.ifindex()) + "-ingress").c_str()),
          0);
    } else {
      test::Shell("tc filter del dev " + pod.device() + " egress");
    }
  }
};

inline std::string NameOfWay(const testing::TestParamInfo<AttachMode>& param) {
  return param.param == AttachMode::kTcx ? "Tcx" : "Clsact";
}

}  // namespace sallyport::dataplane
