// SPDX-License-Identifier: Apache-2.0
#include "support/mapped_tables.h"

#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "base/check.h"

namespace sallyport::test {

MappedTables::MappedTables(const bpf_object* object, Tables& tables) : object_(object) {
  Map(tables.control, "control");
  Map(tables.endpoints, "endpoints");
  Map(tables.peers, "peers");
  Map(tables.rules, "rules");
  Map(tables.port_sets, "port_sets");
  Map(tables.port_pages, "port_pages");
  Map(tables.prefixes, "prefixes");
  Map(tables.flows, "flows");
  Map(tables.egress.pin_sets, "pin_sets");
  Map(tables.egress.pin_prefixes, "pin_prefixes");
  Map(tables.egress.egress_ips, "egress_ips");
  Map(tables.egress.port_blocks, "port_blocks");
  Map(tables.egress.port_owners, "port_owners");
  Map(tables.egress.tunnel_nodes, "tunnel_nodes");
  Map(tables.egress.tunnel, "tunnel");
  Map(tables.egress.pins, "pins");
}

MappedTables::~MappedTables() {
  for (auto [memory, size] : mapped_) munmap(memory, size);
}

void MappedTables::Zero() {
  for (auto [memory, size] : mapped_) std::memset(memory, 0, size);
}

template <typename T>
void MappedTables::Map(T*& table, const char* name) {
  const bpf_map* map = bpf_object__find_map_by_name(object_, name);
  CHECK(map) << "the BPF object has no map " << name;
  auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  size_t size = bpf_map__value_size(map) * size_t{bpf_map__max_entries(map)};
  size = (size + page - 1) / page * page;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
  CHECK(memory != MAP_FAILED) << "cannot map " << name;
  mapped_.emplace_back(memory, size);
  table = static_cast<T*>(memory);
}

}  // namespace sallyport::test
