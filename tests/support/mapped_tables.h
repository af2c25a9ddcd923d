// SPDX-License-Identifier: Apache-2.0
// The tables of a loaded BPF object in this program's memory.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "support/kernel_tables.h"

struct bpf_object;

namespace sallyport::test {

class MappedTables {
 public:
  // All of `tables` point to the object's from now on, for as long as this lives.
  MappedTables(const bpf_object* object, Tables& tables);
  ~MappedTables();
  MappedTables(const MappedTables&) = delete;
  MappedTables& operator=(const MappedTables&) = delete;

  void Zero();

 private:
  template <typename T>
  void Map(T*& table, const char* name);

  const bpf_object* object_;
  std::vector<std::pair<void*, size_t>> mapped_;  // and its length in bytes
};

}  // namespace sallyport::test
