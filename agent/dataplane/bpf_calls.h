// SPDX-License-Identifier: Apache-2.0
// What the data plane asks of the kernel's bpf(2) and of tc, one call each. Errors carry errno.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "abi/verdict.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace sallyport::dataplane {

inline constexpr sp_direction kDirections[] = {SP_EGRESS, SP_INGRESS};

// Keeps what libbpf has to say for TakeBpfLog() instead of printing it.
void CaptureBpfLog();
// What libbpf said on this thread since the last call: its last lines.
std::string TakeBpfLog();

Result<UniqueFd> OpenPin(const std::string& path);
Status Pin(int fd, const std::string& path);

struct MapInfo {
  uint32_t type = 0, id = 0, key_size = 0, value_size = 0, max_entries = 0, flags = 0;
};
Result<MapInfo> InfoOfMap(int fd);
// `value`: for a per-CPU map one (padded) value for each possible CPU.
Status ReadElement(int map, uint32_t key, void* value);
Status WriteElement(int map, uint32_t key, const void* value);
Status DeleteElement(int map, uint32_t key);  // fine if there is none
// The same of a map with other keys.
Status WriteKey(int map, const void* key, const void* value);
Status DeleteKey(int map, const void* key);
std::vector<uint32_t> KeysOf(int map);
// Each value of a hash map, in no order: some of what comes or goes meanwhile is missed.
Status ForEachValue(int map, const std::function<void(const void* value)>& visit);
int PossibleCpus();

struct ProgramInfo {
  uint32_t id = 0;
  std::string name;  // its first 15 characters
};
Result<ProgramInfo> InfoOfProgram(int fd);
Result<std::vector<uint32_t>> MapsOfProgram(int fd);  // their ids

// tcx links (kernel 6.6). SP_EGRESS, from the pod, is the interface's ingress hook.
struct LinkInfo {
  bool is_tcx = false;
  uint32_t program_id = 0;
  uint32_t ifindex = 0;  // 0: the interface has gone, or the link was detached
  std::optional<sp_direction> direction;
};
bool HasTcx(int program);
Result<UniqueFd> AttachTcx(int program, uint32_t ifindex, sp_direction direction);
Result<LinkInfo> InfoOfLink(int link);
Status UpdateLink(int link, int program);
Status DetachLink(int link);

// The programs on a hook, in the order in which they run. Fails where the kernel has no tcx.
Result<std::vector<uint32_t>> TcxPrograms(uint32_t ifindex, sp_direction direction);

// A clsact filter's place. The kernel puts a new one before those of its priority.
struct FilterPlace {
  uint32_t priority = 0, handle = 0;
  friend bool operator==(const FilterPlace&, const FilterPlace&) = default;
};
// True if there was no such qdisc before.
Result<bool> AddClsact(uint32_t ifindex);
Status AttachFilter(int program, uint32_t ifindex, sp_direction direction,
                    FilterPlace place);  // or replaces it
Status DetachFilter(uint32_t ifindex, sp_direction direction, FilterPlace place);

// Reads a ring buffer map.
class RingReader {
 public:
  using Sink = std::function<void(const void* data, size_t size)>;
  static Result<std::unique_ptr<RingReader>> Open(int map);
  virtual ~RingReader() = default;
  // Waits up to `timeout` for the first record, then hands over all there are.
  virtual Status Poll(Duration timeout, const Sink& sink) = 0;
};

// Bytes of a ring buffer map that its reader has not read yet.
Result<uint64_t> RingUse(int map);

// Returns after every program that was running at the call has ended.
class GracePeriod {
 public:
  // Fails if the kernel offers no way.
  static Result<GracePeriod> Open();
  Status Wait() const;

 private:
  UniqueFd outer_, inner_;  // where membarrier(2) is not to be had: a map of maps
};

}  // namespace sallyport::dataplane
