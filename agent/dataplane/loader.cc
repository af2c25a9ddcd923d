// SPDX-License-Identifier: Apache-2.0
#include "dataplane/loader.h"

#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>

#include "abi/tables.h"
#include "dataplane/bpf_calls.h"
#include "dataplane/mapped.h"
#include "dataplane/skb_layout.h"
#include "dataplane/upgrade.h"

#include <pod.skel.h>

namespace sallyport::dataplane {
namespace {

constexpr uint32_t kMostEntries = 1u << 26;
constexpr const char* kStartAfresh =
    "; to start afresh, take everything away with sallyportd --detach (pods are open until the "
    "next start), or give this agent a --pins of its own";

Status MakeDirectory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return Ok();
  return ErrnoError("make directory " + path);
}

Status CheckBpffs(const std::string& path) {
  struct statfs info {};
  if (::statfs(path.c_str(), &info) != 0) return ErrnoError(path);
  if (static_cast<uint32_t>(info.f_type) == BPF_FS_MAGIC) return Ok();
  return Error{path +
               " is not on a bpf file system; mount one (mount -t bpf bpf /sys/fs/bpf), or "
               "name a directory on one with --pins"};
}

// How many entries a table of `wanted` things with `ways` in each entry has.
uint32_t Entries(uint32_t wanted, uint32_t ways) {
  return std::bit_ceil(std::max(2u, (wanted + ways - 1) / ways));
}

// By map; those that are not named keep the default.
std::map<std::string, uint32_t> Wanted(const Capacities& c) {
  std::map<std::string, uint32_t> out;
  if (c.endpoints) out["endpoints"] = Entries(std::max(c.endpoints, 16u), 1);
  if (c.peers) out["peers"] = Entries(c.peers, SP_PEER_WAYS);
  if (c.rules) out["rules"] = Entries(c.rules, SP_RULE_WAYS);
  if (c.port_sets) out["port_sets"] = c.port_sets + 2;
  if (c.port_pages) out["port_pages"] = c.port_pages + 2;
  if (c.prefixes) out["prefixes"] = c.prefixes + 1;
  if (c.flows) out["flows"] = Entries(c.flows, SP_FLOW_WAYS);
  if (c.fragments) out["fragments"] = c.fragments;
  return out;
}

Status CheckCapacities(const Capacities& c) {
  for (uint32_t n :
       {c.endpoints, c.peers, c.rules, c.port_sets, c.port_pages, c.prefixes, c.flows, c.fragments})
    if (n > kMostEntries)
      return Error{"a capacity of " + std::to_string(n) + " is more than a table can have (" +
                   std::to_string(kMostEntries) + ")"};
  if (c.endpoints > SP_ENDPOINTS_MOST)
    return Error{"a capacity of " + std::to_string(c.endpoints) +
                 " endpoints is more than a node can have (" + std::to_string(SP_ENDPOINTS_MOST) +
                 ")"};
  return Ok();
}

class PodObjects : public KernelObjects {
 public:
  ~PodObjects() override {
    if (skeleton_) pod__destroy(skeleton_);
  }
  Status Start(const Options& options, const Upgrade* upgrade, std::vector<std::string>* notes);

  Tables tables() const override;
  EgressTables::Memory egress() const override;
  int program(Role role, sp_direction direction) const override {
    const auto& all = skeleton_->progs;
    const bpf_program* at[kRoles][2] = {{all.pod_egress, all.pod_ingress},
                                        {all.node_ingress, all.node_egress},
                                        {all.tunnel_ingress, all.tunnel_egress},
                                        {all.egress_in, all.egress_out}};
    return bpf_program__fd(at[static_cast<int>(role)][direction]);
  }
  int ways() const override { return bpf_map__fd(skeleton_->maps.ways); }
  int control() const override { return bpf_map__fd(skeleton_->maps.control); }
  int counters() const override { return bpf_map__fd(skeleton_->maps.counters); }
  int events() const override { return bpf_map__fd(skeleton_->maps.events); }
  int flows() const override { return bpf_map__fd(skeleton_->maps.flows); }
  int pins() const override { return bpf_map__fd(skeleton_->maps.pins); }
  int outside() const override { return bpf_map__fd(skeleton_->maps.outside); }
  int egress_counters() const override { return bpf_map__fd(skeleton_->maps.egress_counters); }
  int guarded() const override { return bpf_map__fd(skeleton_->maps.guarded); }
  int entrances() const override { return bpf_map__fd(skeleton_->maps.entrances); }
  int fragments() const override { return bpf_map__fd(skeleton_->maps.fragments); }
  uint32_t flow_buckets() const override { return bpf_map__max_entries(skeleton_->maps.flows); }
  uint32_t most_fragments() const override {
    return bpf_map__max_entries(skeleton_->maps.fragments);
  }
  uint32_t event_bytes() const override { return bpf_map__max_entries(skeleton_->maps.events); }
  std::set<std::string> maps() const override {
    std::set<std::string> out;
    for (const bpf_map* map : Maps()) out.insert(bpf_map__name(map));
    return out;
  }

 private:
  std::string PathOf(const bpf_map* map) const {
    bool beside = upgrade_ && !IsAdopted(map);
    return (beside ? Upgrade::Folder(pins_) : pins_ + "/maps") + "/" + bpf_map__name(map);
  }
  bool IsAdopted(const bpf_map* map) const {
    return upgrade_ ? upgrade_->Shares(bpf_map__name(map)) : adopted_;
  }
  std::vector<bpf_map*> Maps() const;
  Result<bool> FindPins();
  Status AdoptMap(bpf_map* map);
  void SizeMaps(const Capacities& capacities, std::vector<std::string>* notes);
  void Configure(const Options& options, std::vector<std::string>* notes);
  Status Load();
  Status PinMaps();
  Status MapMemory();
  void Begin();

  std::string pins_;
  const Upgrade* upgrade_ = nullptr;  // while it starts
  pod* skeleton_ = nullptr;
  bool adopted_ = false;
  uint32_t hash_seed_ = 0;
  uint32_t mark_ = 0;
  std::map<const bpf_map*, Mapped> memory_;
};

// One interface after the other gets the new programs: until the last has, all need the same mark.
std::string KeepsMark(uint32_t mark, uint32_t wanted) {
  char text[200];
  std::snprintf(text, sizeof text,
                "the mark stays 0x%x, not 0x%x: programs in force set it; sallyportd --detach, "
                "then a start, would change it",
                mark, wanted);
  return text;
}

Error NoControlEntry(const std::string& path) {
  return Error{"the pinned map " + path + " is not a control entry of ours" + kStartAfresh};
}

std::vector<bpf_map*> PodObjects::Maps() const {
  std::vector<bpf_map*> out;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton_->obj) {
    bool of_programs = bpf_map__type(map) == BPF_MAP_TYPE_PROG_ARRAY;  // links.h
    if (!bpf_map__is_internal(map) && !of_programs) out.push_back(map);
  }
  return out;
}

// Whether there is something to adopt; if so, its secret. The control entry gets its version after
// everything else was pinned, so without one nobody has ever used what is there.
Result<bool> PodObjects::FindPins() {
  Result<uint32_t> version = PinnedVersion(pins_);
  if (!version) return std::move(version).error();
  if (*version == 0) return false;
  std::string path = PathOf(skeleton_->maps.control);
  Result<UniqueFd> pin = OpenPin(path);
  if (!pin) return std::move(pin).error().Context(path);
  sp_control control{};
  Result<MapInfo> info = InfoOfMap(pin->get());
  bool readable =
      info && info->value_size == sizeof control && ReadElement(pin->get(), 0, &control).ok();
  if (!readable) return NoControlEntry(path);
  hash_seed_ = control.hash_seed;
  mark_ = control.mark;
  return true;
}

Status PodObjects::AdoptMap(bpf_map* map) {
  std::string path = PathOf(map);
  Result<UniqueFd> pin = OpenPin(path);
  if (!pin)
    return std::move(pin).error().Context(path + " (the other maps of " + pins_ + " are there" +
                                          kStartAfresh + ")");
  Result<MapInfo> info = InfoOfMap(pin->get());
  if (!info) return std::move(info).error().Context(path);
  bool same = info->type == bpf_map__type(map) && info->key_size == bpf_map__key_size(map) &&
              info->value_size == bpf_map__value_size(map) &&
              info->flags == bpf_map__map_flags(map);
  if (!same) return Error{path + " has another layout than this agent's" + kStartAfresh};
  int result = bpf_map__reuse_fd(map, pin->get());
  return result < 0 ? Status(ErrnoError(path, -result)) : Ok();
}

void PodObjects::SizeMaps(const Capacities& capacities, std::vector<std::string>* notes) {
  std::map<std::string, uint32_t> wanted = Wanted(capacities);
  for (bpf_map* map : Maps()) {
    auto it = wanted.find(bpf_map__name(map));
    if (it == wanted.end()) continue;
    if (!IsAdopted(map)) {
      bpf_map__set_max_entries(map, it->second);
    } else if (bpf_map__max_entries(map) != it->second) {
      notes->push_back("table \"" + it->first + "\" keeps its size of " +
                       std::to_string(bpf_map__max_entries(map)) + " entries, not " +
                       std::to_string(it->second) +
                       ": it is in use; sallyportd --detach, then a start, would change it");
    }
  }
  // One beside each flow, also of those that another version has left.
  if (!IsAdopted(skeleton_->maps.pins))
    bpf_map__set_max_entries(skeleton_->maps.pins, bpf_map__max_entries(skeleton_->maps.flows));
  // Packets that are on their way name their sender by its place.
  if (upgrade_) bpf_map__set_max_entries(skeleton_->maps.endpoints, upgrade_->endpoints());
  if (!adopted_)
    bpf_map__set_max_entries(skeleton_->maps.counters,
                             bpf_map__max_entries(skeleton_->maps.endpoints) + 1);
}

void PodObjects::Configure(const Options& options, std::vector<std::string>* notes) {
  sp_config& config = skeleton_->rodata->config;
  config.endpoint_mask = bpf_map__max_entries(skeleton_->maps.endpoints) - 1;
  config.peer_mask = bpf_map__max_entries(skeleton_->maps.peers) - 1;
  config.rule_mask = bpf_map__max_entries(skeleton_->maps.rules) - 1;
  config.flow_mask = flow_buckets() - 1;
  config.mark = mark_;
  config.anti_spoofing = options.anti_spoofing ? 1 : 0;
  config.fast_path = options.fast_path ? 1 : 0;
  config.events_per_tick =
      options.events_per_second ? options.events_per_second : SP_EVENTS_PER_TICK;
  config.hash_seed = hash_seed_;
  config.tunnels_from_pods = options.tunnels_from_pods ? 1 : 0;
  if (Result<sp_skb_layout> layout = FindSkbLayout(); layout) {
    config.skb = *layout;
  } else {
    notes->push_back(layout.error().message +
                     ": a pod with CAP_NET_RAW can have its packets' ports written over behind the "
                     "programs, as a checksum");
  }
}

Status PodObjects::Load() {
  TakeBpfLog();
  int result = pod__load(skeleton_);
  if (result == 0) return Ok();
  Error error = ErrnoError("load the programs", -result);
  if (error.code == EPERM) error.message += " (root, or CAP_BPF and CAP_NET_ADMIN, is needed)";
  std::string log = TakeBpfLog();
  if (!log.empty()) error.message += "; libbpf says:\n" + log;
  return error;
}

Status PodObjects::PinMaps() {
  for (bpf_map* map : Maps()) {
    if (IsAdopted(map)) continue;
    std::string path = PathOf(map);
    ::unlink(path.c_str());  // of a start that did not get to its end
    if (Status status = Pin(bpf_map__fd(map), path); !status.ok())
      return std::move(status).error().Context(path);
  }
  return Ok();
}

Status PodObjects::MapMemory() {
  const auto& maps = skeleton_->maps;
  for (const bpf_map* map :
       {maps.control, maps.endpoints, maps.peers, maps.rules, maps.port_sets, maps.port_pages,
        maps.prefixes, maps.pin_sets, maps.pin_prefixes, maps.egress_ips, maps.port_blocks,
        maps.port_owners, maps.tunnel_nodes, maps.tunnel}) {
    size_t size = size_t{bpf_map__value_size(map)} * bpf_map__max_entries(map);
    Result<Mapped> memory = Mapped::Open(bpf_map__fd(map), size, /*writable=*/true);
    if (!memory) return std::move(memory).error().Context(PathOf(map));
    memory_[map] = *std::move(memory);
  }
  return Ok();
}

Tables PodObjects::tables() const {
  const auto& maps = skeleton_->maps;
  Tables out;
  out.control = memory_.at(maps.control).As<sp_control>().data();
  out.endpoints = memory_.at(maps.endpoints).As<sp_endpoint>();
  out.peers = memory_.at(maps.peers).As<sp_peer_bucket>();
  out.rules = memory_.at(maps.rules).As<sp_rule_bucket>();
  out.port_sets = memory_.at(maps.port_sets).As<sp_port_set>();
  out.port_pages = memory_.at(maps.port_pages).As<sp_port_page>();
  out.prefixes = memory_.at(maps.prefixes).As<sp_trie_node>();
  out.pin_sets = memory_.at(maps.pin_sets).As<sp_pin_set>();
  out.pin_prefixes = memory_.at(maps.pin_prefixes).As<sp_trie_node>();
  out.hash_seed = hash_seed_;
  return out;
}

EgressTables::Memory PodObjects::egress() const {
  const auto& maps = skeleton_->maps;
  return {memory_.at(maps.egress_ips).As<sp_egress_ip>(),
          memory_.at(maps.port_blocks).As<sp_port_blocks>(),
          memory_.at(maps.port_owners).As<sp_port_owners>(),
          memory_.at(maps.tunnel_nodes).As<sp_tunnel_node>(),
          memory_.at(maps.tunnel).As<sp_tunnel>().data()};
}

Status PodObjects::Start(const Options& options, const Upgrade* upgrade,
                         std::vector<std::string>* notes) {
  pins_ = options.pins;
  upgrade_ = upgrade;
  if (Status status = MakeDirectory(pins_ + "/maps"); !status.ok()) return status;
  skeleton_ = pod__open();
  if (!skeleton_) return ErrnoError("open the programs' object");
  if (upgrade_) {
    hash_seed_ = upgrade_->hash_seed();
    mark_ = upgrade_->mark();
  } else {
    Result<bool> adopted = FindPins();
    if (!adopted) return std::move(adopted).error();
    adopted_ = *adopted;
    if (!adopted_) hash_seed_ = std::random_device{}();
    if (!adopted_) mark_ = options.mark;
  }
  for (bpf_map* map : Maps())
    if (IsAdopted(map))
      if (Status status = AdoptMap(map); !status.ok()) return status;
  if (mark_ != options.mark) notes->push_back(KeepsMark(mark_, options.mark));
  SizeMaps(options.capacities, notes);
  Configure(options, notes);
  if (Status status = Load(); !status.ok()) return status;
  if (Status status = PinMaps(); !status.ok()) return status;
  if (Status status = MapMemory(); !status.ok()) return status;
  if (!adopted_) Begin();
  upgrade_ = nullptr;
  return Ok();
}

// The version last: until then the entry is nobody's.
void PodObjects::Begin() {
  Pen pen;
  sp_control* entry = tables().control;
  pen.Store(entry->hash_seed, hash_seed_);
  pen.Store(entry->mark, mark_);
  if (upgrade_) {  // one under which the node's flows were judged, so that the next one is another
    pen.Store(entry->former, upgrade_->generation());
    pen.Store(entry->generation, upgrade_->generation());
  }
  pen.Store(entry->abi_version, SP_ABI_VERSION);
}

}  // namespace

Result<UniqueFd> LockPins(const std::string& pins) {
  namespace fs = std::filesystem;
  fs::path existing = fs::path(pins).lexically_normal();
  std::error_code failed;
  while (!fs::exists(existing, failed) && existing.has_relative_path())
    existing = existing.parent_path();
  if (Status status = CheckBpffs(existing); !status.ok()) return std::move(status).error();
  fs::create_directories(pins, failed);
  if (failed) return ErrnoError("make directory " + pins, failed.value());
  UniqueFd lock(::open(pins.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock) return ErrnoError(pins);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK)
    return Error{"another agent uses " + pins + "; give this one a --pins of its own", EWOULDBLOCK};
  return ErrnoError("lock " + pins);
}

// The first word of every version's entry; what follows it may be another's.
Result<uint32_t> PinnedVersion(const std::string& pins) {
  std::string path = pins + "/maps/control";
  Result<UniqueFd> pin = OpenPin(path);
  if (!pin && pin.error().code == ENOENT) return uint32_t{0};
  if (!pin) return std::move(pin).error().Context(path);
  Result<MapInfo> info = InfoOfMap(pin->get());
  bool entry = info && info->type == BPF_MAP_TYPE_ARRAY && info->max_entries == 1 &&
               info->value_size >= sizeof(uint32_t);
  std::vector<uint32_t> words(entry ? (info->value_size + 3) / 4 : 0);
  if (!entry || !ReadElement(pin->get(), 0, words.data()).ok()) return NoControlEntry(path);
  return words[0];
}

Result<std::unique_ptr<KernelObjects>> KernelObjects::Open(const Options& options,
                                                           const Upgrade* upgrade,
                                                           std::vector<std::string>* notes) {
  if (Status status = CheckCapacities(options.capacities); !status.ok())
    return std::move(status).error();
  CaptureBpfLog();
  auto objects = std::make_unique<PodObjects>();
  if (Status status = objects->Start(options, upgrade, notes); !status.ok())
    return std::move(status).error();
  return std::unique_ptr<KernelObjects>(std::move(objects));
}

}  // namespace sallyport::dataplane
