// SPDX-License-Identifier: Apache-2.0
// Others on the hooks that our programs are on: who comes first, what is noticed, what lets packets
// pass.
#include <linux/bpf.h>
#include <sys/socket.h>

#include <thread>

#include "bpf/dataplane/two_pods.h"
#include "dataplane/bpf_calls.h"

namespace sallyport::dataplane {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class DisturbedTest : public EitherWay {};

// A program of somebody else's, pinned for tc(8), that says only this.
class Foreign {
 public:
  explicit Foreign(int32_t verdict) : pin_(test::EnterSandbox() + "/spt-foreign") {
    bpf_insn program[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = verdict},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    program_ = test::LoadTcProgram(program);
    EXPECT_TRUE(Pin(program_.get(), pin_).ok());
  }
  ~Foreign() { ::unlink(pin_.c_str()); }
  std::string id() const { return std::to_string(InfoOfProgram(program_.get())->id); }

  // Before all others.
  void AttachTcx(const test::Pod& pod) {
    for (sp_direction direction : kDirections) {
      auto link = dataplane::AttachTcx(program_.get(), pod.ifindex(), direction);
      ASSERT_TRUE(link) << link.error().message;
      links_.push_back(*std::move(link));
    }
  }
  // `which`: priority, handle.
  void AttachFilter(const test::Pod& pod, const std::string& which,
                    const std::string& how = "add") const {
    test::Shell("tc qdisc add dev " + pod.device() + " clsact 2>/dev/null || true");
    for (const char* hook : {" ingress ", " egress "})
      test::Shell("tc filter " + how + " dev " + pod.device() + hook + which +
                  " bpf direct-action pinned " + pin_);
  }

 private:
  std::string pin_;
  UniqueFd program_;
  std::vector<UniqueFd> links_;
};
constexpr int32_t kPass = 0, kNext = -1;

// Whoever was there first says TC_ACT_OK, which ends the row.
TEST_P(DisturbedTest, NobodyLetsPacketsPassBeforeUs) {
  Foreign foreign(kPass);
  for (const test::Pod* pod : {&a_, &b_}) {
    if (GetParam() == AttachMode::kTcx) {
      foreign.AttachTcx(*pod);
    } else {
      foreign.AttachFilter(*pod, "prio 10");
    }
  }
  Open();
  EXPECT_TRUE(Reaches());
  AttachBoth();
  EXPECT_FALSE(Reaches()) << "closed";
}

// Who comes later is before us, until we know. A filter that replaces ours takes it off.
TEST_P(DisturbedTest, WhoeverComesBeforeUsIsNoticedAndLeftBehind) {
  std::set<uint32_t> both = {a_.ifindex(), b_.ifindex()};
  bool tcx = GetParam() == AttachMode::kTcx;
  Open();
  AttachBoth();
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(round);
    EXPECT_THAT(dataplane_->Disturbed(both, true), IsEmpty());
    EXPECT_FALSE(Reaches());
    Foreign foreign(kPass);
    for (const test::Pod* pod : {&a_, &b_}) {
      if (tcx) {
        foreign.AttachTcx(*pod);
      } else {
        foreign.AttachFilter(*pod, round == 2 ? "prio 1 handle 0x5350" : "prio 1",
                             round == 2 ? "replace" : "add");
      }
    }
    EXPECT_TRUE(Reaches());
    auto found = dataplane_->Disturbed(both, true);
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].ifindex, a_.ifindex());
    EXPECT_EQ(found[0].missing, !tcx && round == 2);
    if (!found[0].missing)
      EXPECT_THAT(found[0].what, testing::HasSubstr("bpftool prog show id " + foreign.id()));
    AttachBoth();
    EXPECT_THAT(dataplane_->Disturbed(both, true), IsEmpty());
    EXPECT_THAT(dataplane_->Attached(), ElementsAre(a_.ifindex(), b_.ifindex()));
    EXPECT_FALSE(Reaches());
    if (!tcx) continue;
    for (const test::Pod* pod : {&a_, &b_})
      test::Shell("! tc qdisc show dev " + pod->device() + " | grep -q clsact");
  }
}

// Somebody before us who leaves it to the next: moving to the front lets nothing pass.
TEST_P(DisturbedTest, NothingPassesWhileWeMoveToTheFront) {
  Open();
  auto attach = [&] { ASSERT_TRUE(dataplane_->Attach(b_.ifindex(), b_.device()).ok()); };
  attach();
  int from = Socket(a_, a_.v4(), 3000), to = Socket(b_, b_.v4(), kPort);
  std::jthread sender([&](std::stop_token stop) {
    while (!stop.stop_requested()) test::Send(from, b_.v4(), kPort, "x");
  });
  std::vector<std::unique_ptr<Foreign>> foreign;
  for (int round = 0; round < 4; ++round) {
    foreign.push_back(std::make_unique<Foreign>(kNext));
    if (GetParam() == AttachMode::kTcx) {
      foreign.back()->AttachTcx(b_);
    } else {
      foreign.back()->AttachFilter(b_, "prio 1");
    }
    ASSERT_EQ(dataplane_->Disturbed({b_.ifindex()}, true).size(), 1u);
    attach();
    foreign.back().reset();
  }
  sender.request_stop();
  sender.join();
  size_t passed = 0;
  char byte = 0;
  while (::recv(to, &byte, 1, MSG_DONTWAIT) > 0) ++passed;  // they may be more than Arrived() takes
  EXPECT_EQ(passed + test::Arrived(to, b_.v4(), kPort).size(), 0u);
}

// tcx programs run before all filters, whoever says what.
TEST_P(DisturbedTest, ATcxProgramBeforeOurFiltersIsTold) {
  Open();
  AttachBoth();
  Foreign foreign(kPass);
  foreign.AttachTcx(a_);
  auto found = dataplane_->Disturbed({a_.ifindex(), b_.ifindex()}, false);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].ifindex, a_.ifindex());
  EXPECT_THAT(found[0].what, testing::HasSubstr("a tcx program on ingress comes before ours"));
}

TEST_P(DisturbedTest, WhatWasTakenOffIsDisturbed) {
  Open();
  AttachBoth();
  TakeOff(b_);
  while (dataplane_->Disturbed({a_.ifindex(), b_.ifindex()}, true).empty()) ::usleep(1000);
  auto found = dataplane_->Disturbed({a_.ifindex(), b_.ifindex(), 99999}, true);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].ifindex, b_.ifindex());
  EXPECT_TRUE(found[0].missing);
  AttachBoth();
  EXPECT_THAT(dataplane_->Disturbed({a_.ifindex(), b_.ifindex()}, true), IsEmpty());
}

// What holds the place of links until they come is gone afterwards.
TEST_P(DisturbedTest, ManyAreClosedBeforeTheirLinksCome) {
  Open();
  dataplane_->Close({a_.ifindex(), b_.ifindex(), 99999});
  EXPECT_TRUE(std::filesystem::is_empty(options_.pins + "/links"));
  EXPECT_FALSE(Reaches());
  AttachBoth();
  EXPECT_FALSE(Reaches());
  EXPECT_THAT(dataplane_->Attached(), ElementsAre(a_.ifindex(), b_.ifindex()));
  std::string found = GetParam() == AttachMode::kTcx ? "! " : "";
  test::Shell(found + "tc qdisc show dev " + a_.device() + " | grep -q clsact");
  Apply();
  EXPECT_TRUE(Reaches());
}

INSTANTIATE_TEST_SUITE_P(Kinds, DisturbedTest,
                         testing::Values(AttachMode::kTcx, AttachMode::kClsact), NameOfWay);

}  // namespace
}  // namespace sallyport::dataplane
