// SPDX-License-Identifier: Apache-2.0
// An agent takes over from one whose tables have another layout. This process is the older one;
// next_agent.cc, of the version after this one, comes after it.
#include "dataplane/upgrade.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "abi/tables.h"
#include "bpf/dataplane/two_pods.h"
#include "dataplane/bpf_calls.h"
#include "dataplane/qdisc.h"
#include "support/places.h"

namespace sallyport::dataplane {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr uint32_t kNext = SP_ABI_VERSION + 1;

class NextAgent {
 public:
  NextAgent() {
    int in[2], out[2];
    EXPECT_EQ(::pipe2(in, O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
    const std::string program = test::InBuild("tests/bpf/next_agent");
    child_ = ::fork();
    if (child_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      ::execl(program.c_str(), program.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    to_ = UniqueFd(in[1]);
    from_ = UniqueFd(out[0]);
  }
  NextAgent(const NextAgent&) = delete;
  NextAgent& operator=(const NextAgent&) = delete;
  ~NextAgent() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

  // Its answer; empty: it has ended.
  std::string operator()(const std::string& line) {
    std::string text = line + "\n";
    if (::write(to_.get(), text.data(), text.size()) < 0) return "";
    text.clear();
    for (char c = 0; ::read(from_.get(), &c, 1) == 1;) {
      if (c == '\n') return text;
      text += c;
    }
    return "";
  }

 private:
  pid_t child_ = -1;
  UniqueFd to_, from_;
};

class UpgradeTest : public EitherWay {
 protected:
  UpgradeTest() { ::signal(SIGPIPE, SIG_IGN); }

  static int first() { return GetParam() == AttachMode::kTcx ? 1 : 2; }
  // The older agent's: who of the two may open nothing, who may not be opened to.
  void Isolate(const test::Pod& pod, policy::Direction direction) {
    image_.sets[1] = {{}, policy::kNoPorts};
    policy::Endpoint& endpoint = image_.endpoints[Name(pod)];
    (direction == policy::Direction::kEgress ? endpoint.egress : endpoint.ingress) = 1;
  }
  // It has run, and was killed.
  void RunOlder() {
    Open();
    AttachBoth();
    Apply();
    End();
  }
  void Tell(NextAgent& next) {
    std::string way = GetParam() == AttachMode::kTcx ? "tcx" : "clsact";
    EXPECT_EQ(next("options " + options_.pins + " " + way + " 256"), "ok");
    for (const test::Pod* pod : {&a_, &b_})
      EXPECT_EQ(next("pod " + pod->device() + " " + std::to_string(pod->ifindex()) + " " +
                     pod->v4().ToString() + " " + pod->v6().ToString()),
                "ok");
  }
  bool Passes(const test::Pod& from, const test::Pod& to) {
    static uint16_t source = 20000;
    int sender = Socket(from, from.v4(), ++source), receiver = Socket(to, to.v4(), kPort);
    test::Send(sender, to.v4(), kPort, "hello");
    bool arrived = !test::Arrived(receiver, to.v4(), kPort).empty();
    ::close(receiver);
    ::close(sender);
    sockets_.resize(sockets_.size() - 2);
    return arrived;
  }
  uint32_t PinnedVersion() {
    auto pin = OpenPin(options_.pins + "/maps/control");
    if (!pin) return 0;
    std::vector<uint32_t> words(InfoOfMap(pin->get())->value_size / 4);
    EXPECT_TRUE(ReadElement(pin->get(), 0, words.data()).ok());
    return words[0];
  }
  std::set<std::string> Pins(const std::string& folder) {
    std::set<std::string> out;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(options_.pins + folder, none))
      out.insert(entry.path().filename());
    return out;
  }
  uint32_t MapId(const std::string& name) {
    auto pin = OpenPin(options_.pins + "/maps/" + name);
    return pin ? InfoOfMap(pin->get())->id : 0;
  }
  void ExpectTakenOver() {
    EXPECT_EQ(PinnedVersion(), kNext);
    EXPECT_THAT(Pins("/maps"),
                testing::UnorderedElementsAre(
                    "control", "endpoints", "peers", "rules", "port_sets", "port_pages", "prefixes",
                    "flows", "fragments", "guarded", "entrances", "counters", "events", "pin_sets",
                    "pin_prefixes", "egress_ips", "port_blocks", "port_owners", "tunnel_nodes",
                    "tunnel", "outside", "egress_counters", "pins"));
    EXPECT_EQ(Pins("/programs").size(), 8u);
    EXPECT_EQ(Pins("/ways").size(), 1u);
  }
};

INSTANTIATE_TEST_SUITE_P(Ways, UpgradeTest, testing::Values(AttachMode::kTcx, AttachMode::kClsact),
                         NameOfWay);

TEST_P(UpgradeTest, OlderTablesStayInForceUntilTheFirstApply) {
  Isolate(b_, policy::Direction::kIngress);
  RunOlder();
  NextAgent next;
  Tell(next);
  EXPECT_EQ(next("open"), "ok");
  EXPECT_EQ(PinnedVersion(), uint32_t{SP_ABI_VERSION});
  EXPECT_EQ(next("attach"), "ok");
  EXPECT_FALSE(Passes(a_, b_)) << "as the older one has it";
  EXPECT_TRUE(Passes(b_, a_));
  EXPECT_EQ(next("deny " + a_.device() + " ingress"), "ok");
  EXPECT_EQ(next("apply"), "ok");
  EXPECT_TRUE(Passes(a_, b_)) << "as the newer one has it";
  EXPECT_FALSE(Passes(b_, a_));
  ExpectTakenOver();
}

// Never what neither of the two policies allows; nothing of what both allow is lost.
TEST_P(UpgradeTest, EachPacketIsJudgedByOneOfTheTwo) {
  Isolate(a_, policy::Direction::kEgress);
  Open();
  AttachBoth();
  Apply();
  int a = Socket(a_, a_.v4(), 3000), b = Socket(b_, b_.v4(), kPort);
  test::Send(b, a_.v4(), 3000, "first");
  ASSERT_EQ(test::Arrived(a, a_.v4(), 3000).size(), 1u);
  int idle_a = Socket(a_, a_.v4(), 3002), idle_b = Socket(b_, b_.v4(), kPort + 2);
  for (int i = 0; i < 2; ++i) {
    test::Send(idle_b, a_.v4(), 3002, "there");
    test::Send(idle_a, b_.v4(), kPort + 2, "back");
  }
  ASSERT_EQ(test::Arrived(idle_b, b_.v4(), kPort + 2).size(), 2u);
  End();
  std::atomic<bool> stop = false;
  std::atomic<int> sent = 0;
  int lost = 0, passed = 0;
  std::thread traffic([&] {
    int denied = a_.UdpSocket(a_.v4(), 3001), never = b_.UdpSocket(b_.v4(), kPort + 1);
    for (; !stop; ++sent) {
      test::Send(b, a_.v4(), 3000, "there");  // both allow it
      lost += test::Arrived(a, a_.v4(), 3000).size() != 1;
      test::Send(a, b_.v4(), kPort, "back");  // by their flow
      lost += test::Arrived(b, b_.v4(), kPort).size() != 1;
      test::Send(denied, b_.v4(), kPort + 1, "never");  // A may not send, later B may not get
      passed += !test::Arrived(never, b_.v4(), kPort + 1).empty();
    }
    ::close(denied);
    ::close(never);
  });
  {
    NextAgent next;
    Tell(next);
    EXPECT_EQ(next("deny " + b_.device() + " ingress"), "ok");
    for (const char* what : {"open", "attach", "apply"}) {
      int before = sent;
      EXPECT_EQ(next(what), "ok");
      while (sent < before + 20) std::this_thread::yield();
    }
  }
  stop = true;
  traffic.join();
  std::printf("sent %d, lost %d, wrongly passed %d\n", sent.load(), lost, passed);
  EXPECT_EQ(lost, 0);
  EXPECT_EQ(passed, 0);
  test::Send(idle_a, b_.v4(), kPort + 2, "by a flow that nothing was seen of meanwhile");
  EXPECT_EQ(test::Arrived(idle_b, b_.v4(), kPort + 2).size(), 1u);
  ExpectTakenOver();
}

// At one in two or four of its calls, as all take minutes; the two ways at different ones.
TEST_P(UpgradeTest, KilledBeforeTheSwitch) {
  Isolate(a_, policy::Direction::kIngress);
  RunOlder();
  int killed = 0;
  for (int number = first(); PinnedVersion() == SP_ABI_VERSION; number += 2) {
    NextAgent next;
    Tell(next);
    EXPECT_EQ(next("deny " + a_.device() + " ingress"), "ok");
    EXPECT_EQ(next("die " + std::to_string(number)), "ok");
    bool lives = next("open") == "ok" && next("attach") == "ok" && next("apply") == "ok";
    EXPECT_TRUE(Passes(a_, b_)) << "killed at call " << number;
    EXPECT_FALSE(Passes(b_, a_)) << "killed at call " << number;
    if (lives) break;
    ++killed;
    if (killed % 6 == 0 && PinnedVersion() == SP_ABI_VERSION) {
      Open();  // the older one goes on
      AttachBoth();
      EXPECT_TRUE(Passes(a_, b_));
      EXPECT_FALSE(Passes(b_, a_));
      Apply();
      End();
    }
  }
  std::printf("killed %d times\n", killed);
  EXPECT_GT(killed, 10);
}

// Between two steps that no other call lies between.
TEST_P(UpgradeTest, KilledWhenItsControlEntryIsThereAndNothingIsApplied) {
  Isolate(b_, policy::Direction::kIngress);
  RunOlder();
  {
    NextAgent next;
    Tell(next);
    EXPECT_EQ(next("open"), "ok");
  }
  const std::string maps = options_.pins + "/maps";
  auto control = OpenPin(maps + "/control");
  ASSERT_TRUE(control && Pin(control->get(), maps + "/next/former").ok());
  std::filesystem::rename(maps + "/next/control", maps + "/control");
  EXPECT_EQ(PinnedVersion(), kNext);
  EXPECT_FALSE(Passes(a_, b_));
  NextAgent next;
  Tell(next);
  EXPECT_EQ(next("open"), "ok");
  EXPECT_EQ(PinnedVersion(), uint32_t{SP_ABI_VERSION}) << "as before";
  EXPECT_EQ(next("attach"), "ok");
  EXPECT_FALSE(Passes(a_, b_));
  EXPECT_TRUE(Passes(b_, a_));
  EXPECT_EQ(next("apply"), "ok");
  EXPECT_TRUE(Passes(a_, b_));
  ExpectTakenOver();
}

TEST_P(UpgradeTest, KilledRightBeforeItsControlEntryIsThere) {
  Isolate(b_, policy::Direction::kIngress);
  RunOlder();
  {
    NextAgent next;
    Tell(next);
    EXPECT_EQ(next("open"), "ok");
  }
  auto control = OpenPin(options_.pins + "/maps/control");
  ASSERT_TRUE(control && Pin(control->get(), options_.pins + "/maps/next/former").ok());
  Open();  // the older one goes on
  Apply();
  End();
  EXPECT_THAT(Pins("/maps"), Not(testing::Contains("next")));
  EXPECT_EQ(PinnedVersion(), uint32_t{SP_ABI_VERSION});
  EXPECT_FALSE(Passes(a_, b_));
  EXPECT_TRUE(Passes(b_, a_));
  NextAgent next;
  Tell(next);
  EXPECT_EQ(next("open"), "ok");
  EXPECT_EQ(next("apply"), "ok");
  EXPECT_TRUE(Passes(a_, b_));
  ExpectTakenOver();
}

TEST_P(UpgradeTest, KilledAfterTheSwitch) {
  Isolate(a_, policy::Direction::kIngress);
  int killed = 0;
  for (int number = first();; number += 4) {
    RunOlder();
    {
      NextAgent next;
      Tell(next);
      EXPECT_EQ(next("deny " + a_.device() + " ingress"), "ok");
      EXPECT_EQ(next("open"), "ok");
      EXPECT_EQ(next("attach"), "ok");
      EXPECT_EQ(next("die " + std::to_string(number)), "ok");
      bool lives = next("apply") == "ok";
      EXPECT_TRUE(Passes(a_, b_)) << "killed at call " << number;
      EXPECT_FALSE(Passes(b_, a_)) << "killed at call " << number;
      if (lives) break;
      ++killed;
    }
    {
      NextAgent again;
      Tell(again);
      EXPECT_EQ(again("deny " + a_.device() + " ingress"), "ok");
      EXPECT_EQ(again("open"), "ok");
      EXPECT_TRUE(Passes(a_, b_)) << "killed at call " << number;
      EXPECT_FALSE(Passes(b_, a_)) << "killed at call " << number;
      EXPECT_EQ(again("attach"), "ok");
      EXPECT_EQ(again("apply"), "ok");
      EXPECT_TRUE(Passes(a_, b_)) << "killed at call " << number;
      EXPECT_FALSE(Passes(b_, a_)) << "killed at call " << number;
    }
    ExpectTakenOver();
    RemoveAll();
  }
  std::printf("killed %d times\n", killed);
  EXPECT_GT(killed, 5);
}

// What has no place in the newer one's is left out, as at any other time (full_test.cc).
TEST_P(UpgradeTest, ATableThatIsTooSmallHoldsNothingUp) {
  RunOlder();
  NextAgent next;
  Tell(next);
  EXPECT_EQ(next("peers 5000"), "ok");
  EXPECT_EQ(next("deny " + b_.device() + " ingress"), "ok");
  EXPECT_EQ(next("open"), "ok");
  EXPECT_EQ(next("apply"), "ok");
  EXPECT_FALSE(Passes(a_, b_));
  ExpectTakenOver();
}

// There is nothing to be enforced, as far as is known.
TEST_P(UpgradeTest, AnEmptyImageIsEnforcedToo) {
  RunOlder();
  NextAgent next;
  std::string way = GetParam() == AttachMode::kTcx ? "tcx" : "clsact";
  EXPECT_EQ(next("options " + options_.pins + " " + way + " 256"), "ok");
  EXPECT_EQ(next("open"), "ok");
  EXPECT_TRUE(Passes(a_, b_));
  EXPECT_EQ(next("apply"), "ok");
  EXPECT_FALSE(Passes(a_, b_)) << "closed";
  ExpectTakenOver();
}

// What is new, or another's by now, is closed by tables that do not know of it.
TEST_P(UpgradeTest, InterfacesThatComeMeanwhileAreClosed) {
  Open();
  ASSERT_TRUE(dataplane_->Attach(a_.ifindex(), a_.device()).ok());
  Apply();
  End();
  {
    NextAgent next;
    Tell(next);
    EXPECT_EQ(next("open"), "ok");
    EXPECT_TRUE(Passes(b_, a_)) << "B carries no programs";
    EXPECT_EQ(next("forget " + std::to_string(a_.ifindex())), "ok");
    EXPECT_FALSE(Passes(b_, a_)) << "A's index is another's by now";
  }
  Open();  // the older agent goes on
  Apply();
  EXPECT_TRUE(Passes(b_, a_));
  End();
  NextAgent next;
  Tell(next);
  EXPECT_EQ(next("open"), "ok");
  EXPECT_TRUE(Passes(b_, a_)) << "B carries no programs";
  EXPECT_EQ(next("attach"), "ok");
  EXPECT_FALSE(Passes(b_, a_)) << "B is not the one that was open under its index";
  EXPECT_EQ(next("apply"), "ok");
  EXPECT_TRUE(Passes(a_, b_));
  EXPECT_TRUE(Passes(b_, a_));
}

TEST_P(UpgradeTest, AnOlderAgentLeavesItAlone) {
  RunOlder();
  {
    NextAgent next;
    Tell(next);
    EXPECT_EQ(next("open"), "ok");
    EXPECT_EQ(next("apply"), "ok");
  }
  std::set<std::string> programs = Pins("/programs");
  uint32_t peers = MapId("peers");
  auto opened = Dataplane::Open(options_);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("version " + std::to_string(kNext)));
  EXPECT_THAT(opened.error().message, Not(HasSubstr("--detach")));
  EXPECT_EQ(MapId("peers"), peers);
  EXPECT_EQ(Pins("/programs"), programs);
  EXPECT_TRUE(Passes(a_, b_));
}

// The older one's maps and programs are in the kernel no more, and the shared ones are the same.
TEST_P(UpgradeTest, WhatTheOlderOneHeldIsGivenBack) {
  RunOlder();
  std::set<uint32_t> old, shared;
  for (const char* name : {"control", "endpoints", "peers", "rules", "port_sets", "port_pages",
                           "prefixes", "counters"})
    old.insert(MapId(name));
  for (const char* name : {"flows", "fragments", "guarded", "events"}) shared.insert(MapId(name));
  std::set<std::string> programs = Pins("/programs");
  NextAgent next;
  Tell(next);
  EXPECT_EQ(next("open"), "ok");
  EXPECT_EQ(next("apply"), "ok");
  auto is_there = [](int fd) {
    UniqueFd own(fd);
    return fd >= 0;
  };
  // The kernel frees a moment later.
  for (uint32_t id : old)
    for (int i = 0; i < 3000 && is_there(bpf_map_get_fd_by_id(id)); ++i) ::usleep(10'000);
  for (uint32_t id : old) EXPECT_FALSE(is_there(bpf_map_get_fd_by_id(id)));
  for (uint32_t id : shared) EXPECT_TRUE(is_there(bpf_map_get_fd_by_id(id)));
  for (const std::string& id : programs)
    EXPECT_FALSE(is_there(bpf_prog_get_fd_by_id(static_cast<uint32_t>(std::stoul(id)))));
  ExpectTakenOver();
}

TEST_P(UpgradeTest, DetachingTakesBothAway) {
  RunOlder();
  {
    NextAgent next;
    Tell(next);
    EXPECT_EQ(next("open"), "ok");
    EXPECT_EQ(next("attach"), "ok");
  }
  RemoveAll();
  EXPECT_TRUE(Passes(a_, b_));
  EXPECT_THAT(*FiltersAt(a_.ifindex(), SP_EGRESS), IsEmpty());
  if (auto row = TcxPrograms(a_.ifindex(), SP_EGRESS)) EXPECT_THAT(*row, IsEmpty());
}

// Announced, and killed before the flip: what no agent but one of that version can go on with.
TEST_P(UpgradeTest, HalfwayToAnotherVersionIsLeftAlone) {
  RunOlder();
  auto control = OpenPin(options_.pins + "/maps/control");
  ASSERT_TRUE(control);
  std::filesystem::create_directory(options_.pins + "/maps/next");
  ASSERT_TRUE(Pin(control->get(), options_.pins + "/maps/next/former").ok());
  NextAgent next;
  Tell(next);
  EXPECT_THAT(next("open"),
              HasSubstr("halfway to version " + std::to_string(SP_ABI_VERSION) + " "));
  EXPECT_TRUE(Passes(a_, b_));
}

TEST(ConfirmAnsweredTest, WhatWasAnsweredLivesAsLongAsBefore) {
  std::vector<sp_flow_bucket> buckets(2);
  auto state = [](uint32_t generation, uint32_t flags) {
    return uint64_t{generation} << 32 | 0x12340000u | flags;
  };
  buckets[0].flow[0].state = state(3, SP_FLOW_EGRESS | SP_FLOW_ANSWERED);
  buckets[0].flow[1].state = state(4, SP_FLOW_EGRESS);
  buckets[0].flow[2].state = state(4, SP_FLOW_EGRESS | SP_FLOW_ANSWERED | 0x8000);
  buckets[1].flow[SP_FLOW_WAYS - 1].state = state(4, SP_FLOW_ANSWERED);
  buckets[1].flow[0].state = state(5, SP_FLOW_ANSWERED);
  auto expected = buckets;
  expected[0].flow[0].state |= SP_FLOW_CONFIRMED;
  expected[1].flow[SP_FLOW_WAYS - 1].state |= SP_FLOW_CONFIRMED;
  ConfirmAnswered(buckets, 5);
  for (size_t i = 0; i < 2; ++i)
    for (size_t way = 0; way < SP_FLOW_WAYS; ++way)
      EXPECT_EQ(buckets[i].flow[way].state, expected[i].flow[way].state) << i << " " << way;
}

}  // namespace
}  // namespace sallyport::dataplane
