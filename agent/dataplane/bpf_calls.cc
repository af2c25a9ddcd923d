// SPDX-License-Identifier: Apache-2.0
#include "dataplane/bpf_calls.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>

#include "dataplane/mapped.h"

namespace sallyport::dataplane {
namespace {

// Of kernel 6.6, unknown to the headers we build with.
constexpr uint32_t kLinkTypeTcx = 11;
constexpr int kTcxIngress = 46;
constexpr int kTcxEgress = 47;
constexpr uint32_t kFirst = 1u << 3;  // BPF_F_BEFORE, and nothing named: before all
// Of bpf(BPF_PROG_QUERY).
struct TcxQuery {
  uint32_t ifindex, attach_type, query_flags, attach_flags;
  uint64_t programs;
  uint32_t count, padding;
  uint64_t program_flags, links, link_flags, revision;
};
struct TcxLinkInfo {
  uint32_t type, id, program_id, padding;
  uint32_t ifindex, attach_type;
};

// An interface that is not there: what attaching to it fails with says what the kernel knows.
constexpr int kNoInterface = 0x7fffffff;

thread_local std::string bpf_log;

int KeepLog(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG) return 0;
  char line[1024];
  int size = vsnprintf(line, sizeof line, format, arguments);
  if (size > 0) bpf_log += line;
  return size;
}

int TcxHook(sp_direction direction) { return direction == SP_EGRESS ? kTcxIngress : kTcxEgress; }

bpf_tc_hook FilterHook(uint32_t ifindex, sp_direction direction) {
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = static_cast<int>(ifindex);
  hook.attach_point = direction == SP_EGRESS ? BPF_TC_INGRESS : BPF_TC_EGRESS;
  return hook;
}

bpf_tc_opts FilterOptions(FilterPlace place) {
  bpf_tc_opts options{};
  options.sz = sizeof options;
  options.handle = place.handle;
  options.priority = place.priority;
  return options;
}

Status ToStatus(int result, const char* what) {
  return result < 0 ? Status(ErrnoError(what, -result)) : Ok();
}

Result<UniqueFd> ToFd(int fd, const char* what) {
  if (fd < 0) return ErrnoError(what, -fd);
  return UniqueFd(fd);
}

}  // namespace

void CaptureBpfLog() { libbpf_set_print(KeepLog); }

std::string TakeBpfLog() {
  constexpr size_t kMost = 2000;
  std::string out = std::exchange(bpf_log, {});
  if (out.size() > kMost) out.erase(0, out.size() - kMost);
  return out;
}

Result<UniqueFd> OpenPin(const std::string& path) {
  return ToFd(bpf_obj_get(path.c_str()), "open pin");
}

Status Pin(int fd, const std::string& path) {
  return ToStatus(bpf_obj_pin(fd, path.c_str()), "pin");
}

Result<MapInfo> InfoOfMap(int fd) {
  bpf_map_info info{};
  uint32_t size = sizeof info;
  int result = bpf_obj_get_info_by_fd(fd, &info, &size);
  if (result < 0) return ErrnoError("map info", -result);
  return MapInfo{info.type,       info.id,          info.key_size,
                 info.value_size, info.max_entries, info.map_flags};
}

Status ReadElement(int map, uint32_t key, void* value) {
  return ToStatus(bpf_map_lookup_elem(map, &key, value), "read map");
}

Status WriteElement(int map, uint32_t key, const void* value) { return WriteKey(map, &key, value); }
Status DeleteElement(int map, uint32_t key) { return DeleteKey(map, &key); }

Status WriteKey(int map, const void* key, const void* value) {
  return ToStatus(bpf_map_update_elem(map, key, value, BPF_ANY), "write map");
}

Status DeleteKey(int map, const void* key) {
  int result = bpf_map_delete_elem(map, key);
  return result == -ENOENT ? Ok() : ToStatus(result, "delete from map");
}

std::vector<uint32_t> KeysOf(int map) {
  std::vector<uint32_t> out;
  uint32_t key = 0;
  for (const uint32_t* last = nullptr; bpf_map_get_next_key(map, last, &key) == 0; last = &key)
    out.push_back(key);
  return out;
}

Status ForEachValue(int map, const std::function<void(const void* value)>& visit) {
  constexpr uint32_t kAtOnce = 512;  // more than any bucket has
  Result<MapInfo> info = InfoOfMap(map);
  if (!info) return std::move(info).error();
  std::vector<char> keys(size_t{kAtOnce} * info->key_size);
  std::vector<char> values(size_t{kAtOnce} * info->value_size);
  uint32_t from = 0, next = 0;
  for (bool first = true;; first = false, from = next) {
    uint32_t count = kAtOnce;
    int result = bpf_map_lookup_batch(map, first ? nullptr : &from, &next, keys.data(),
                                      values.data(), &count, nullptr);
    if (result < 0 && result != -ENOENT) return ErrnoError("read map", -result);
    for (uint32_t i = 0; i < count; ++i) visit(values.data() + size_t{i} * info->value_size);
    if (result < 0) return Ok();  // that was all
  }
}

int PossibleCpus() { return libbpf_num_possible_cpus(); }

Result<ProgramInfo> InfoOfProgram(int fd) {
  bpf_prog_info info{};
  uint32_t size = sizeof info;
  int result = bpf_obj_get_info_by_fd(fd, &info, &size);
  if (result < 0) return ErrnoError("program info", -result);
  return ProgramInfo{info.id, std::string(info.name, strnlen(info.name, sizeof info.name))};
}

Result<std::vector<uint32_t>> MapsOfProgram(int fd) {
  bpf_prog_info info{};
  uint32_t size = sizeof info;
  int result = bpf_obj_get_info_by_fd(fd, &info, &size);
  if (result < 0) return ErrnoError("program info", -result);
  std::vector<uint32_t> out(info.nr_map_ids);
  info = {};
  info.nr_map_ids = static_cast<uint32_t>(out.size());
  info.map_ids = reinterpret_cast<uint64_t>(out.data());
  size = sizeof info;
  result = bpf_obj_get_info_by_fd(fd, &info, &size);
  if (result < 0) return ErrnoError("the program's maps", -result);
  return out;
}

bool HasTcx(int program) {
  auto hook = static_cast<bpf_attach_type>(kTcxIngress);
  return bpf_link_create(program, kNoInterface, hook, nullptr) == -ENODEV;
}

Result<UniqueFd> AttachTcx(int program, uint32_t ifindex, sp_direction direction) {
  auto hook = static_cast<bpf_attach_type>(TcxHook(direction));
  bpf_link_create_opts options{};
  options.sz = sizeof options;
  options.flags = kFirst;
  return ToFd(bpf_link_create(program, static_cast<int>(ifindex), hook, &options),
              "attach tcx link");
}

Result<LinkInfo> InfoOfLink(int link) {
  union {  // the kernel fills as much as it has
    TcxLinkInfo tcx;
    char room[256];
  } info{};
  uint32_t size = sizeof info;
  int result = bpf_obj_get_info_by_fd(link, &info, &size);
  if (result < 0) return ErrnoError("link info", -result);
  LinkInfo out;
  out.is_tcx = info.tcx.type == kLinkTypeTcx;
  out.program_id = info.tcx.program_id;
  if (!out.is_tcx) return out;
  out.ifindex = info.tcx.ifindex;
  if (info.tcx.attach_type == kTcxIngress) out.direction = SP_EGRESS;
  if (info.tcx.attach_type == kTcxEgress) out.direction = SP_INGRESS;
  return out;
}

Status UpdateLink(int link, int program) {
  return ToStatus(bpf_link_update(link, program, nullptr), "update link");
}

Status DetachLink(int link) { return ToStatus(bpf_link_detach(link), "detach link"); }

Result<std::vector<uint32_t>> TcxPrograms(uint32_t ifindex, sp_direction direction) {
  constexpr uint32_t kMost = 64;  // the kernel's BPF_MPROG_MAX
  std::vector<uint32_t> out(kMost);
  TcxQuery query{};
  query.ifindex = ifindex;
  query.attach_type = static_cast<uint32_t>(TcxHook(direction));
  query.programs = reinterpret_cast<uintptr_t>(out.data());
  query.count = kMost;
  if (::syscall(SYS_bpf, BPF_PROG_QUERY, &query, sizeof query) < 0)
    return ErrnoError("list tcx programs");
  out.resize(std::min(query.count, kMost));
  return out;
}

Result<bool> AddClsact(uint32_t ifindex) {
  bpf_tc_hook qdisc = FilterHook(ifindex, SP_EGRESS);
  qdisc.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
  int result = bpf_tc_hook_create(&qdisc);
  if (result < 0 && result != -EEXIST) return ErrnoError("add clsact qdisc", -result);
  return result == 0;
}

Status AttachFilter(int program, uint32_t ifindex, sp_direction direction, FilterPlace place) {
  bpf_tc_hook hook = FilterHook(ifindex, direction);
  bpf_tc_opts options = FilterOptions(place);
  options.prog_fd = program;
  options.flags = BPF_TC_F_REPLACE;
  return ToStatus(bpf_tc_attach(&hook, &options), "attach clsact filter");
}

Status DetachFilter(uint32_t ifindex, sp_direction direction, FilterPlace place) {
  bpf_tc_hook hook = FilterHook(ifindex, direction);
  bpf_tc_opts options = FilterOptions(place);
  return ToStatus(bpf_tc_detach(&hook, &options), "detach clsact filter");
}

namespace {

class LibbpfRing : public RingReader {
 public:
  ~LibbpfRing() override { ring_buffer__free(ring_); }
  Status Start(int map) {
    ring_ = ring_buffer__new(map, &LibbpfRing::Receive, this, nullptr);
    return ring_ ? Ok() : Status(ErrnoError("open ring buffer"));
  }
  Status Poll(Duration timeout, const Sink& sink) override {
    sink_ = &sink;
    auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
    int result = ring_buffer__poll(ring_, static_cast<int>(std::clamp<int64_t>(wait, 0, 1 << 30)));
    sink_ = nullptr;
    return result < 0 && result != -EINTR ? Status(ErrnoError("read ring buffer", -result)) : Ok();
  }

 private:
  static int Receive(void* self, void* data, size_t size) {
    (*static_cast<LibbpfRing*>(self)->sink_)(data, size);
    return 0;
  }
  ring_buffer* ring_ = nullptr;
  const Sink* sink_ = nullptr;
};

int MemBarrier(int command) { return static_cast<int>(syscall(SYS_membarrier, command, 0, 0)); }

}  // namespace

Result<std::unique_ptr<RingReader>> RingReader::Open(int map) {
  auto reader = std::make_unique<LibbpfRing>();
  if (Status status = reader->Start(map); !status.ok()) return std::move(status).error();
  return std::unique_ptr<RingReader>(std::move(reader));
}

// The reader's position is in the map's first page, the writers' in its second.
Result<uint64_t> RingUse(int map) {
  auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  Result<Mapped> memory = Mapped::Open(map, 2 * page, /*writable=*/false);
  if (!memory) return std::move(memory).error();
  auto words = memory->As<const unsigned long>();
  auto position = [&](size_t word) {
    return std::atomic_ref(const_cast<unsigned long&>(words[word])).load();
  };
  unsigned long read = position(0);  // first: it does not overtake the other
  return uint64_t{position(page / sizeof(unsigned long)) - read};
}

// membarrier waits for an RCU grace period, which covers programs run by the network stack. It is
// refused with nohz_full, or by a seccomp filter. Replacing the inner map of a map of maps waits
// for the same, so that programs do not see a map that was freed.
Result<GracePeriod> GracePeriod::Open() {
  GracePeriod out;
  if (MemBarrier(MEMBARRIER_CMD_GLOBAL) == 0) return out;
  out.inner_ = UniqueFd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "sp_grace_in", 4, 4, 1, nullptr));
  bpf_map_create_opts options{};
  options.sz = sizeof options;
  options.inner_map_fd = static_cast<uint32_t>(out.inner_.get());
  if (out.inner_)
    out.outer_ =
        UniqueFd(bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "sp_grace", 4, 4, 1, &options));
  if (!out.outer_)
    return ErrnoError("no way to wait for an RCU grace period (membarrier, map of maps)");
  if (Status status = out.Wait(); !status.ok()) return std::move(status).error();
  return out;
}

Status GracePeriod::Wait() const {
  if (outer_) {
    uint32_t zero = 0;
    int inner = inner_.get();
    return ToStatus(bpf_map_update_elem(outer_.get(), &zero, &inner, BPF_ANY), "wait for RCU");
  }
  return MemBarrier(MEMBARRIER_CMD_GLOBAL) == 0 ? Ok() : Status(ErrnoError("membarrier"));
}

}  // namespace sallyport::dataplane
