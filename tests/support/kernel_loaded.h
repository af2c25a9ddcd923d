// SPDX-License-Identifier: Apache-2.0
// What a Kernel (kernel.h) works with: one loading of the programs.
#pragma once

#include <optional>
#include <vector>

#include "support/kernel.h"
#include "support/kernel_tables.h"
#include "support/mapped_tables.h"

struct pod;  // the skeleton, <pod.skel.h>
struct ring_buffer;

namespace sallyport::test {

// The programs in the kernel and their tables in this program's memory.
class Kernel::Loaded {
 public:
  explicit Loaded(const KernelOptions& options);
  ~Loaded();
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;

  // The one with these options: programs are loaded once.
  static Loaded& Get(const KernelOptions& options);
  void Clear();
  int ProgramFd(sp_direction direction) const;
  std::vector<sp_event> Events();

  Tables tables;
  bool in_use = false;
  bool read_events = true;
  sp_counters counted{};  // of interfaces that are nobody's, at the last drop
  pod* pod_ = nullptr;

 private:
  void Configure();
  void ClearCounters();
  void ClearFragments();
  void ClearInterfaces();
  void ClearOutside();

  std::optional<MappedTables> memory_;
  ring_buffer* events_ = nullptr;
  std::vector<sp_event> new_events_;
};

}  // namespace sallyport::test
