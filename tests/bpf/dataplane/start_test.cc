// SPDX-License-Identifier: Apache-2.0
// Starting on what is pinned, or is not: what is adopted, what is refused, and in which words.
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>

#include "abi/tables.h"
#include "bpf/dataplane/two_pods.h"
#include "dataplane/bpf_calls.h"

namespace sallyport::dataplane {
namespace {

using testing::HasSubstr;

class StartTest : public TwoPods {
 protected:
  std::string MapPath(const std::string& name) { return options_.pins + "/maps/" + name; }
  UniqueFd Map(const std::string& name) {
    auto pin = OpenPin(MapPath(name));
    EXPECT_TRUE(pin) << name;
    return pin ? *std::move(pin) : UniqueFd();
  }
  sp_control ReadControl() {
    sp_control control{};
    EXPECT_TRUE(ReadElement(Map("control").get(), 0, &control).ok());
    return control;
  }
  void WriteControl(const sp_control& control) {
    EXPECT_TRUE(WriteElement(Map("control").get(), 0, &control).ok());
  }
  std::string Refused() {
    auto opened = Dataplane::Open(options_);
    return opened ? "" : opened.error().message;
  }
};

TEST_F(StartTest, EveryMapIsPinned) {
  Open();
  for (const char* name : {"control", "endpoints", "peers", "rules", "port_sets", "port_pages",
                           "prefixes", "flows", "fragments", "counters", "events"})
    EXPECT_TRUE(std::filesystem::exists(MapPath(name))) << name;
  sp_control control = ReadControl();
  EXPECT_EQ(control.abi_version, uint32_t{SP_ABI_VERSION});
}

TEST_F(StartTest, MapsAndSecretAreAdopted) {
  Open();
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

TEST_F(StartTest, AnotherVersionIsLeftAlone) {
  Open();
  End();
  for (uint32_t version : {SP_ABI_VERSION - 1, SP_ABI_VERSION + 1}) {
    sp_control control = ReadControl();
    control.abi_version = version;
    WriteControl(control);
    std::string message = Refused();
    EXPECT_THAT(message, HasSubstr("version " + std::to_string(version)));
    EXPECT_THAT(message, HasSubstr("--detach"));
    EXPECT_EQ(ReadControl().abi_version, version);
  }
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
  EXPECT_EQ(capacity["endpoints"], 96u) << "three quarters of 128 places";
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
  ASSERT_TRUE(AttachFilter(theirs.get(), a_.ifindex(), SP_EGRESS).ok());
  Open();
  End();
  EXPECT_EQ(FilterProgram(a_.ifindex(), SP_EGRESS), id) << "stays in force";
  RemoveAll();
  EXPECT_EQ(FilterProgram(a_.ifindex(), SP_EGRESS), std::nullopt);
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

TEST_F(StartTest, AFullTableChangesNothingAndSaysSo) {
  Open();
  AttachBoth();
  AllowIngress({.tcp = {}, .udp = {{kPort, kPort}}, .sctp = {}});
  Apply();
  policy::Image kept = image_;
  for (uint32_t i = 0; i < 1000; ++i) image_.peers[net::Address::V4(0x0a000000 + i)] = 7;
  Status status = dataplane_->Apply(image_, nullptr, bindings_);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("table \"peers\" is full"));
  EXPECT_TRUE(Reaches());
  image_ = kept;
  Apply();
  EXPECT_TRUE(Reaches());
}

}  // namespace
}  // namespace sallyport::dataplane
