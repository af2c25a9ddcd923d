// SPDX-License-Identifier: Apache-2.0
#include "support/kernel_loaded.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

#include "base/check.h"
#include "base/result.h"
#include "dataplane/skb_layout.h"
#include "support/sandbox.h"

// The skeleton comes after the types of its read-only data.
#include <pod.skel.h>

namespace sallyport::test {
namespace {

// Interfaces in the sandbox that packets can be said to be on.
class Interfaces {
 public:
  Interfaces() {
    EnterSandbox();
    FILE* ip = popen("ip -batch -", "w");
    CHECK(ip) << "cannot run ip";
    for (uint32_t i = 0; i < kInterfaces; i += 2)
      std::fprintf(ip, "link add spt%u index %u type veth peer name spt%u index %u\n", i, Index(i),
                   i + 1, Index(i + 1));
    for (uint32_t i = 0; i < kInterfaces; i++) std::fprintf(ip, "link set spt%u up\n", i);
    CHECK(pclose(ip) == 0) << "ip could not make the interfaces";
  }
  static uint32_t Index(uint32_t i) { return 10000 + i; }
};

void MakeInterfaces() { static Interfaces interfaces; }

int Quiet(enum libbpf_print_level level, const char* format, va_list arguments) {
  return level == LIBBPF_WARN ? std::vfprintf(stderr, format, arguments) : 0;
}

}  // namespace

uint32_t Interface(uint32_t i) {
  MakeInterfaces();
  CHECK(i < kInterfaces) << "there are only " << kInterfaces << " interfaces";
  return Interfaces::Index(i);
}

Kernel::Loaded::Loaded(const KernelOptions& options) {
  MakeInterfaces();
  libbpf_set_print(Quiet);
  tables.capacity = options;
  pod_ = pod__open();
  CHECK(pod_) << "cannot open the BPF object: " << std::strerror(errno);
  Configure();
  int failed = pod__load(pod_);
  CHECK(failed == 0) << "cannot load the BPF object: " << std::strerror(-failed);
  memory_.emplace(pod_->obj, tables);
  auto keep = [](void* self, void* data, size_t size) {
    CHECK(size == sizeof(sp_event)) << "an event of another size";
    static_cast<Loaded*>(self)->new_events_.push_back(*static_cast<sp_event*>(data));
    return 0;
  };
  events_ = ring_buffer__new(bpf_map__fd(pod_->maps.events), keep, this, nullptr);
  CHECK(events_) << "cannot map the events: " << std::strerror(errno);
}

Kernel::Loaded::~Loaded() {
  ring_buffer__free(events_);
  memory_.reset();
  pod__destroy(pod_);
}

int Kernel::Loaded::ProgramFd(sp_direction direction) const {
  return bpf_program__fd(direction == SP_EGRESS ? pod_->progs.pod_egress : pod_->progs.pod_ingress);
}

void Kernel::Loaded::Configure() {
  const KernelOptions& o = tables.capacity;
  auto size = [](bpf_map* map, uint32_t entries) {
    CHECK(bpf_map__set_max_entries(map, entries) == 0) << bpf_map__name(map);
  };
  size(pod_->maps.endpoints, o.endpoints);
  size(pod_->maps.counters, o.endpoints + 1);
  size(pod_->maps.peers, o.peer_buckets);
  size(pod_->maps.rules, o.rule_buckets);
  size(pod_->maps.port_sets, o.port_sets);
  size(pod_->maps.port_pages, o.port_pages);
  size(pod_->maps.prefixes, o.trie_nodes);
  size(pod_->maps.flows, o.flow_buckets);
  size(pod_->maps.pins, o.flow_buckets);
  size(pod_->maps.fragments, o.fragments);
  size(pod_->maps.events, o.events_bytes);
  sp_config& c = pod_->rodata->config;
  c.endpoint_mask = o.endpoints - 1;
  c.peer_mask = o.peer_buckets - 1;
  c.rule_mask = o.rule_buckets - 1;
  c.flow_mask = o.flow_buckets - 1;
  c.mark = o.mark;
  c.anti_spoofing = o.anti_spoofing;
  c.fast_path = o.fast_path;
  c.events_per_tick = o.events_per_tick;
  c.hash_seed = o.hash_seed;
  c.tunnels_from_pods = o.tunnels_from_pods;
  c.skb = dataplane::FindSkbLayout().value();
}

Kernel::Loaded& Kernel::Loaded::Get(const KernelOptions& options) {
  static std::map<KernelOptions, std::unique_ptr<Loaded>> loaded;
  auto& one = loaded[options];
  if (!one) one = std::make_unique<Loaded>(options);
  return *one;
}

void Kernel::Loaded::Clear() {
  memory_->Zero();
  tables.control->abi_version = SP_ABI_VERSION;
  tables.control->hash_seed = tables.capacity.hash_seed;
  ClearCounters();
  ClearFragments();
  ClearInterfaces();
  ClearOutside();
  counted = {};
  Events();
}

void Kernel::Loaded::ClearOutside() {
  int fd = bpf_map__fd(pod_->maps.outside);
  sp_address address;
  while (bpf_map_get_next_key(fd, nullptr, &address) == 0) bpf_map_delete_elem(fd, &address);
  std::vector<sp_egress_counters> zero(static_cast<size_t>(libbpf_num_possible_cpus()));
  for (uint32_t i = 0; i < SP_EGRESS_IPS; i++)
    bpf_map_update_elem(bpf_map__fd(pod_->maps.egress_counters), &i, zero.data(), BPF_ANY);
}

void Kernel::Loaded::ClearCounters() {
  std::vector<sp_counters> zero(static_cast<size_t>(libbpf_num_possible_cpus()));
  for (uint32_t i = 0; i <= tables.capacity.endpoints; i++)
    bpf_map_update_elem(bpf_map__fd(pod_->maps.counters), &i, zero.data(), BPF_ANY);
}

void Kernel::Loaded::ClearFragments() {
  int fd = bpf_map__fd(pod_->maps.fragments);
  sp_fragment_key key;
  while (bpf_map_get_next_key(fd, nullptr, &key) == 0) bpf_map_delete_elem(fd, &key);
}

void Kernel::Loaded::ClearInterfaces() {
  uint32_t ifindex;
  for (const bpf_map* map : {pod_->maps.guarded, pod_->maps.entrances}) {
    int fd = bpf_map__fd(map);
    while (bpf_map_get_next_key(fd, nullptr, &ifindex) == 0) bpf_map_delete_elem(fd, &ifindex);
  }
}

std::vector<sp_event> Kernel::Loaded::Events() {
  if (read_events) ring_buffer__consume(events_);
  return std::exchange(new_events_, {});
}

}  // namespace sallyport::test
