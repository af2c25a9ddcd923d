// SPDX-License-Identifier: Apache-2.0
// Starting on what is pinned, or is not: what is adopted, what is refused, and in which words.
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <future>
#include <thread>

#include "abi/tables.h"
#include "bpf/dataplane/start_fixture.h"
#include "dataplane/bpf_calls.h"
#include "dataplane/qdisc.h"

namespace sallyport::dataplane {
namespace {

using testing::HasSubstr;

TEST_F(StartTest, EveryMapIsPinned) {
  Open();
  for (const char* name : {"control", "endpoints", "peers", "rules", "port_sets", "port_pages",
                           "prefixes", "flows", "fragments", "guarded", "counters", "events"})
    EXPECT_TRUE(std::filesystem::exists(MapPath(name))) << name;
  sp_control control = ReadControl();
  EXPECT_EQ(control.abi_version, uint32_t{SP_ABI_VERSION});
}

// Nobody who has ended keeps its programs in the kernel.
TEST_F(StartTest, WhereProgramsLeadIsPinnedAsLongAsThey) {
  auto pins = [this](const char* folder) {
    std::set<std::string> out;
    for (const auto& pin : std::filesystem::directory_iterator(options_.pins + folder))
      out.insert(pin.path().filename());
    return out;
  };
  Open();
  AttachBoth();
  std::set<std::string> ways = pins("/ways"), programs = pins("/programs");
  EXPECT_EQ(ways.size(), 1u);
  End();
  Open();
  EXPECT_EQ(pins("/ways").size(), 1u);
  EXPECT_NE(pins("/ways"), ways);
  EXPECT_EQ(pins("/programs").size(), programs.size());
  End();
  RemoveAll();
  EXPECT_FALSE(std::filesystem::exists(options_.pins));
}

// As tcx links where the kernel has them, else as filters: it was asked which.
TEST_F(StartTest, ProgramsAreAttachedInTheWayThatTheKernelHas) {
  Open();
  AttachBoth();
  EXPECT_FALSE(Reaches());
  Apply();
  EXPECT_TRUE(Reaches());
  bool linked =
      std::filesystem::exists(options_.pins + "/links/" + std::to_string(a_.ifindex()) + "-egress");
  test::Shell(std::string(linked ? "! " : "") + "tc qdisc show dev " + a_.device() +
              " | grep -q clsact");
}

TEST_F(StartTest, MapsAndSecretAreAdopted) {
  Open();
  AttachBoth();
  Apply();
  sp_control before = ReadControl();
  uint32_t id = InfoOfMap(Map("peers").get())->id;
  Open();
  EXPECT_EQ(InfoOfMap(Map("peers").get())->id, id);
  EXPECT_EQ(ReadControl().hash_seed, before.hash_seed);
  EXPECT_EQ(dataplane_->generation(), before.generation);
  Apply();
  EXPECT_EQ(dataplane_->generation(), before.generation) << "the same policy";
}

// So that what steps around the programs is known to be a pod's, whatever else is known of it.
TEST_F(StartTest, InterfacesWithProgramsAreInTheTable) {
  Open();
  auto guarded = [&] { return KeysOf(Map("guarded").get()); };
  AttachBoth();
  EXPECT_THAT(guarded(), testing::UnorderedElementsAre(a_.ifindex(), b_.ifindex()));
  ASSERT_TRUE(dataplane_->AttachNode(a_.ifindex(), a_.device(), Role::kNode).ok());
  EXPECT_THAT(guarded(), testing::ElementsAre(b_.ifindex()));
  ASSERT_TRUE(dataplane_->Detach(b_.ifindex()).ok());
  EXPECT_THAT(guarded(), testing::IsEmpty());
  ASSERT_TRUE(dataplane_->Detach(b_.ifindex()).ok()) << "again";
  AttachBoth();
  End();
  const uint32_t gone = 1u << 30;  // while no agent ran
  ASSERT_TRUE(WriteElement(Map("guarded").get(), gone, &gone).ok());
  ASSERT_TRUE(DeleteElement(Map("guarded").get(), a_.ifindex()).ok());
  Open();
  EXPECT_THAT(guarded(), testing::UnorderedElementsAre(a_.ifindex(), b_.ifindex()));
}

TEST_F(StartTest, NotOnABpfFileSystem) {
  options_.pins = "/run/spt-pins";
  EXPECT_THAT(Refused(), HasSubstr("mount -t bpf bpf /sys/fs/bpf"));
  EXPECT_FALSE(std::filesystem::exists(options_.pins));
  options_.pins = test::EnterSandbox() + "/spt-dataplane";
}

TEST_F(StartTest, DirectoriesAreMade) {
  std::string top = options_.pins;
  options_.pins = top + "/deep/er";
  Open();
  EXPECT_TRUE(std::filesystem::exists(MapPath("control")));
  End();
  RemoveAll();
  std::filesystem::remove_all(top);
  options_.pins = top;
}

TEST_F(StartTest, OneAgentADirectory) {
  Open();
  EXPECT_THAT(Refused(), HasSubstr("another agent uses " + options_.pins));
}

// What cannot be taken over stays in force: upgrade_test.cc has what can.
TEST_F(StartTest, AnOlderVersionThatIsNotWholeIsLeftAlone) {
  Open();
  End();
  sp_control control = ReadControl();
  control.abi_version = SP_ABI_VERSION - 1;
  WriteControl(control);
  ASSERT_EQ(::unlink(MapPath("endpoints").c_str()), 0);
  std::string message = Refused();
  EXPECT_THAT(message, HasSubstr("version " + std::to_string(SP_ABI_VERSION - 1)));
  EXPECT_THAT(message, HasSubstr(MapPath("endpoints")));
  EXPECT_EQ(ReadControl().abi_version, uint32_t{SP_ABI_VERSION - 1});
}

// Its own, larger, control entry begins with the version too. To take it away would open the node.
TEST_F(StartTest, AVersionToComeIsLeftAlone) {
  for (uint32_t size : {uint32_t{sizeof(sp_control)}, uint32_t{2 * sizeof(sp_control)}}) {
    Open();
    End();
    ASSERT_EQ(::unlink(MapPath("control").c_str()), 0);
    UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "control", 4, size, 1, nullptr));
    std::vector<uint32_t> entry(size / 4);
    entry[0] = SP_ABI_VERSION + 1;
    ASSERT_TRUE(WriteElement(map.get(), 0, entry.data()).ok());
    ASSERT_TRUE(Pin(map.get(), MapPath("control")).ok());
    std::string message = Refused();
    EXPECT_THAT(message, HasSubstr("version " + std::to_string(SP_ABI_VERSION + 1)));
    EXPECT_THAT(message, HasSubstr("version " + std::to_string(SP_ABI_VERSION) + " "));
    EXPECT_THAT(message, HasSubstr("newer"));
    EXPECT_THAT(message, testing::Not(HasSubstr("--detach")));
    EXPECT_EQ(InfoOfMap(Map("control").get())->id, InfoOfMap(map.get())->id);
    RemoveAll();
  }
}

TEST_F(StartTest, SomebodyElsesControlEntryIsRefused) {
  Open();
  End();
  ASSERT_EQ(::unlink(MapPath("control").c_str()), 0);
  ASSERT_TRUE(Pin(Map("peers").get(), MapPath("control")).ok());
  EXPECT_THAT(Refused(), HasSubstr("is not a control entry of ours"));
}

TEST_F(StartTest, AStartThatDidNotGetToItsEndIsDoneAgain) {
  Open();
  End();
  sp_control control = ReadControl();
  control.abi_version = 0;
  WriteControl(control);
  ASSERT_EQ(::unlink(MapPath("rules").c_str()), 0);
  Open();
  EXPECT_EQ(ReadControl().abi_version, uint32_t{SP_ABI_VERSION});
  Apply();
}

TEST_F(StartTest, AMissingMapIsNotReplacedByAnEmptyOne) {
  Open();
  End();
  ASSERT_EQ(::unlink(MapPath("rules").c_str()), 0);
  std::string message = Refused();
  EXPECT_THAT(message, HasSubstr(MapPath("rules")));
  EXPECT_THAT(message, HasSubstr("--detach"));
}

TEST_F(StartTest, SomebodyElsesMapIsRefused) {
  Open();
  End();
  ASSERT_EQ(::unlink(MapPath("rules").c_str()), 0);
  ASSERT_TRUE(Pin(Map("peers").get(), MapPath("rules")).ok());
  EXPECT_THAT(Refused(), HasSubstr("has another layout"));
}

TEST_F(StartTest, TablesInUseKeepTheirSize) {
  Open();
  EXPECT_THAT(dataplane_->notes(), testing::IsEmpty());
  options_.capacities.peers = 100000;
  Open();
  EXPECT_THAT(dataplane_->notes(), testing::ElementsAre(HasSubstr("\"peers\" keeps its size")));
}

TEST_F(StartTest, CapacitiesAreRoundedUp) {
  options_.capacities = {.endpoints = 100,
                         .peers = 1000,
                         .rules = 5,
                         .port_sets = 10,
                         .port_pages = 10,
                         .prefixes = 100,
                         .flows = 100};
  Open();
  std::map<std::string, uint64_t> capacity;
  for (const TableUse& use : dataplane_->ReadUse()) capacity[use.name] = use.capacity;
  EXPECT_EQ(capacity["endpoints"], 64u) << "half of 128 places";
  EXPECT_EQ(capacity["peers"], 1024u);
  EXPECT_EQ(capacity["rules"], 8u);
  EXPECT_EQ(capacity["flows"], 8u * SP_FLOW_WAYS);
  End();
  RemoveAll();
  options_.capacities.peers = 1u << 30;
  EXPECT_THAT(Refused(), HasSubstr("more than a table can have"));
}

TEST_F(StartTest, ProgramsInForceKeepTheirMark) {
  Open();
  EXPECT_THAT(dataplane_->notes(), testing::IsEmpty());
  EXPECT_EQ(ReadControl().mark, options_.mark);
  uint32_t first = std::exchange(options_.mark, 0x40);
  Open();
  EXPECT_THAT(dataplane_->notes(), testing::ElementsAre(HasSubstr("0x40")));
  EXPECT_EQ(ReadControl().mark, first);
}

// In a thread with the capabilities that the DaemonSet gives, and no others.
void WithFewCapabilities(const std::function<void()>& body) {
  std::thread([&] {
    uint64_t kept = 1ull << CAP_BPF | 1ull << CAP_NET_ADMIN | 1ull << CAP_PERFMON;
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    for (int i : {0, 1})
      data[i].effective = data[i].permitted = static_cast<uint32_t>(kept >> (32 * i));
    ASSERT_EQ(::syscall(SYS_capset, &header, data), 0);
    body();
  }).join();
}

// A program's number is worth nothing without CAP_SYS_ADMIN; the agent knows its own all the same.
TEST_F(StartTest, KnowsItsProgramsWithFewCapabilities) {
  for (AttachMode mode : {AttachMode::kTcx, AttachMode::kClsact}) {
    SCOPED_TRACE(mode == AttachMode::kTcx ? "tcx" : "clsact");
    options_.attach = mode;
    WithFewCapabilities([&] {
      Open();
      ASSERT_TRUE(dataplane_->Attach(a_.ifindex(), a_.device()).ok());
      ASSERT_TRUE(dataplane_->AttachNode(b_.ifindex(), b_.device(), Role::kNode).ok());
      Open();
      EXPECT_THAT(dataplane_->Attached(), testing::ElementsAre(a_.ifindex()));
      EXPECT_THAT(dataplane_->AttachedToNode(), testing::ElementsAre(b_.ifindex()));
      EXPECT_TRUE(dataplane_->Detach(b_.ifindex()).ok());
      EXPECT_THAT(dataplane_->AttachedToNode(), testing::IsEmpty());
    });
    EXPECT_FALSE(Reaches()) << "A is closed";
    End();
    WithFewCapabilities([&] { RemoveAll(); });
    EXPECT_TRUE(Reaches());
  }
}

// Programs that cannot be told apart any more stay in force until they are replaced.
TEST_F(StartTest, ProgramsThatAreNotKnownStay) {
  for (AttachMode mode : {AttachMode::kTcx, AttachMode::kClsact}) {
    SCOPED_TRACE(mode == AttachMode::kTcx ? "tcx" : "clsact");
    options_.attach = mode;
    Open();
    AttachBoth();
    End();
    for (const auto& pin : std::filesystem::directory_iterator(options_.pins + "/programs"))
      ASSERT_EQ(::unlink(pin.path().c_str()), 0);
    Open();
    EXPECT_THAT(dataplane_->Attached(), testing::IsEmpty());
    EXPECT_FALSE(Reaches()) << "closed";
    End();
    if (mode == AttachMode::kClsact) {
      for (const auto& pin : std::filesystem::directory_iterator(options_.pins + "/programs"))
        ASSERT_EQ(::unlink(pin.path().c_str()), 0);
      Status status = Dataplane::RemoveAll(options_.pins);
      ASSERT_FALSE(status.ok());
      EXPECT_THAT(status.error().message, HasSubstr("tc filter del dev spth"));
      EXPECT_TRUE(std::filesystem::exists(MapPath("control")));
    }
    Open();
    AttachBoth();
    EXPECT_THAT(dataplane_->Attached(), testing::ElementsAre(a_.ifindex(), b_.ifindex()));
    End();
    RemoveAll();
    EXPECT_TRUE(Reaches());
  }
}

// Runs `body` in a thread whose calls of bpf(2) with this command wait until `before` has run.
void WithPauseBefore(uint32_t command, const std::function<void()>& before,
                     const std::function<void()>& body) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, command, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog filter{.len = 6, .filter = program};
  std::promise<int> listener;
  std::jthread thread([&] {
    listener.set_value(static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                                  SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter)));
    body();
  });
  UniqueFd calls(listener.get_future().get());
  ASSERT_TRUE(calls);
  pollfd waiting{calls.get(), POLLIN, 0};
  while (::poll(&waiting, 1, -1) > 0 && (waiting.revents & POLLIN)) {  // until the thread has ended
    seccomp_notif call{};
    if (::ioctl(calls.get(), SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) continue;
    before();
    seccomp_notif_resp answer{};
    answer.id = call.id;
    answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ::ioctl(calls.get(), SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
}

TEST_F(StartTest, AnInterfaceThatGoesWhileItIsAdopted) {
  options_.attach = AttachMode::kTcx;
  Open();
  AttachBoth();
  End();
  ASSERT_LT(a_.ifindex(), b_.ifindex()) << "adopted first";
  auto go = [&] { test::Shell("ip link del " + a_.device() + " 2>/dev/null || true"); };
  WithPauseBefore(BPF_LINK_UPDATE, go, [&] { Open(); });
  ASSERT_TRUE(dataplane_);
  EXPECT_THAT(dataplane_->Attached(), testing::ElementsAre(b_.ifindex()));
}

// A version to come may have more of them; where, it says itself.
TEST_F(StartTest, ProgramsOfAnotherVersionAreKept) {
  options_.attach = AttachMode::kClsact;
  Open();
  bpf_insn pass[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  UniqueFd theirs = test::LoadTcProgram(pass);
  auto id = InfoOfProgram(theirs.get())->id;
  ASSERT_TRUE(Pin(theirs.get(), options_.pins + "/programs/" + std::to_string(id)).ok());
  ASSERT_TRUE(AddClsact(a_.ifindex()));
  ASSERT_TRUE(AttachFilter(theirs.get(), a_.ifindex(), SP_EGRESS, {1, 0x5350}).ok());
  Open();
  End();
  auto filters = FiltersAt(a_.ifindex(), SP_EGRESS);
  ASSERT_TRUE(filters && filters->size() == 1);
  EXPECT_EQ(filters->front().program, id) << "stays in force";
  RemoveAll();
  EXPECT_THAT(*FiltersAt(a_.ifindex(), SP_EGRESS), testing::IsEmpty());
}

// With filters of another kind a priority cannot be shared.
TEST_F(StartTest, SomebodyHasTheFirstPriority) {
  options_.attach = AttachMode::kClsact;
  test::Shell("tc qdisc add dev " + a_.device() + " clsact");
  test::Shell("tc filter add dev " + a_.device() +
              " ingress prio 1 protocol all u32 match u32 0xffffffff 0xffffffff flowid 1:1");
  Open();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(dataplane_->Attach(a_.ifindex(), a_.device()).ok());
    EXPECT_THAT(dataplane_->Attached(), testing::ElementsAre(a_.ifindex()));
    EXPECT_FALSE(Reaches()) << "closed";
    Open();
  }
  End();
  RemoveAll();
  EXPECT_TRUE(Reaches());
  test::Shell("tc filter show dev " + a_.device() + " ingress | grep -q 'pref 1 u32'");
  test::Shell("tc qdisc del dev " + a_.device() + " clsact");
}

// Who has it lets everything pass. It is told, and healed as soon as the priority is free.
TEST_F(StartTest, SomebodyPassesAllAtTheFirstPriority) {
  options_.attach = AttachMode::kClsact;
  for (const test::Pod* pod : {&a_, &b_}) {
    test::Shell("tc qdisc add dev " + pod->device() + " clsact");
    for (std::string hook : {" ingress", " egress"})
      test::Shell("tc filter add dev " + pod->device() + hook +
                  " prio 1 protocol all u32 match u32 0 0 flowid 1:1");
  }
  Open();
  AttachBoth();
  std::set<uint32_t> both = {a_.ifindex(), b_.ifindex()};
  auto found = dataplane_->Disturbed(both, true);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_FALSE(found[0].missing);
  EXPECT_THAT(found[0].what, HasSubstr("a filter of kind u32 on ingress comes before ours"));
  for (const test::Pod* pod : {&a_, &b_})
    for (std::string hook : {" ingress", " egress"})
      test::Shell("tc filter del dev " + pod->device() + hook + " prio 1");
  EXPECT_THAT(dataplane_->Disturbed(both, true), testing::IsEmpty());
  EXPECT_FALSE(Reaches());
}

// In a container whose seccomp filter refuses membarrier, or with nohz_full.
TEST(GracePeriodTest, HasAnotherWayWithoutMembarrier) {
  auto without_membarrier = [] {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog filter{.len = 4, .filter = program};
    bool filtered = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                    ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
    auto grace = GracePeriod::Open();
    if (!grace) std::fprintf(stderr, "%s\n", grace.error().message.c_str());
    std::_Exit(filtered && grace && grace->Wait().ok() ? 0 : 1);
  };
  EXPECT_EXIT(without_membarrier(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace sallyport::dataplane
