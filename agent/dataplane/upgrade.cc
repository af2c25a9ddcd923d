// SPDX-License-Identifier: Apache-2.0
#include "dataplane/upgrade.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>

#include "dataplane/bpf_calls.h"
#include "dataplane/loader.h"
#include "dataplane/pen.h"

#include <gate.skel.h>

namespace sallyport::dataplane {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGates = "gates-";

static_assert(SP_GATES == SP_GATE(kRoles - 1, 1, SP_GATES_NEXT) + 1);

// Not to be taken away: that would open a node which a newer agent can take over as it is.
Error OfANewer(const std::string& pins, uint32_t version) {
  return Error{"what is pinned in " + pins + " has version " + std::to_string(version) +
               " of the tables, of a newer sallyportd; this one knows version " +
               std::to_string(SP_ABI_VERSION) +
               " and leaves it as it is, and in force; run that sallyportd, or a newer one"};
}

Error Halfway(const std::string& pins, uint32_t version) {
  return Error{"what is pinned in " + pins + " is halfway to version " + std::to_string(version) +
               " of the tables: left as it is, and in force; run the sallyportd of that version "
               "until it is ready, and then this one"};
}

bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

Status Remove(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return Ok();
  return ErrnoError("remove pin " + path);
}

Status Move(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return Ok();
  return ErrnoError("move pin " + from + " to " + to);
}

std::vector<std::string> NamesIn(const std::string& directory) {
  std::vector<std::string> out;
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, none))
    out.push_back(entry.path().filename());
  return out;
}

bool IsGates(const std::string& name) { return name.starts_with(kGates); }

// Of our own version. Announced and not flipped: as before. Flipped: our maps move.
Status Resume(const std::string& pins) {
  const std::string folder = Upgrade::Folder(pins), control = pins + "/maps/control";
  if (!Exists(folder + "/former") || Exists(folder + "/control")) return Ok();  // not announced
  Result<UniqueFd> pin = OpenPin(control);
  if (!pin) return std::move(pin).error().Context(control);
  sp_control entry{};
  Result<MapInfo> info = InfoOfMap(pin->get());
  if (!info || info->value_size != sizeof entry || !ReadElement(pin->get(), 0, &entry).ok())
    return Error{"cannot read " + control};
  if (entry.generation == entry.former) return Move(folder + "/former", control);
  for (const std::string& name : NamesIn(folder))
    if (name != "former" && !IsGates(name))
      if (Status status = Move(folder + "/" + name, pins + "/maps/" + name); !status.ok())
        return status;
  return Ok();
}

}  // namespace

Upgrade::~Upgrade() {
  if (gates_) gate__destroy(gates_);
}

Result<std::unique_ptr<Upgrade>> Upgrade::Find(const std::string& pins) {
  std::unique_ptr<Upgrade> none;
  Result<uint32_t> version = PinnedVersion(pins);
  if (version && *version == SP_ABI_VERSION) {
    if (Status status = Resume(pins); !status.ok()) return std::move(status).error();
    version = PinnedVersion(pins);
  }
  if (!version) return std::move(version).error();
  if (*version > SP_ABI_VERSION) return OfANewer(pins, *version);
  if (*version == 0 || *version == SP_ABI_VERSION) return none;
  std::unique_ptr<Upgrade> out(new Upgrade(pins));
  out->version_ = *version;
  const std::string folder = out->Folder();
  if (Exists(folder + "/former") && !Exists(folder + "/control")) return Halfway(pins, *version);
  // First what would say that it was announced.
  if (Status status = Remove(folder + "/former"); !status.ok()) return std::move(status).error();
  for (const std::string& name : NamesIn(folder))
    if (!IsGates(name))  // those may be in use
      if (Status status = Remove(folder + "/" + name); !status.ok())
        return std::move(status).error();
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return ErrnoError("make directory " + folder);
  Status status = out->ReadFormer();
  if (status.ok()) status = out->FindPrograms();
  if (!status.ok())
    return std::move(status).error().Context("take over from version " + std::to_string(*version) +
                                             " of the tables in " + pins);
  return out;
}

// What is the same in every version: abi/tables.h.
Status Upgrade::ReadFormer() {
  std::string path = pins_ + "/maps/control";
  Result<UniqueFd> control = OpenPin(path);
  if (!control) return std::move(control).error().Context(path);
  control_ = *std::move(control);
  Result<MapInfo> info = InfoOfMap(control_.get());
  if (!info) return std::move(info).error().Context(path);
  std::vector<uint32_t> words(std::max<size_t>(8, (info->value_size + 3) / 4));
  if (Status status = ReadElement(control_.get(), 0, words.data()); !status.ok())
    return std::move(status).error().Context(path);
  generation_ = words[offsetof(sp_control, generation) / 4];
  hash_seed_ = words[offsetof(sp_control, hash_seed) / 4];
  mark_ = words[offsetof(sp_control, mark) / 4];

  path = pins_ + "/maps/endpoints";
  Result<UniqueFd> endpoints = OpenPin(path);
  if (!endpoints) return std::move(endpoints).error().Context(path);
  info = InfoOfMap(endpoints->get());
  if (!info) return std::move(info).error().Context(path);
  endpoint_capacity_ = info->max_entries;
  endpoint_words_ = (info->value_size + 7) / 8 * 2;  // as the kernel lays them out
  Result<Mapped> memory = Mapped::Open(
      endpoints->get(), size_t{endpoint_words_} * 4 * endpoint_capacity_, /*writable=*/true);
  if (!memory) return std::move(memory).error().Context(path);
  endpoints_ = *std::move(memory);
  return Ok();
}

// The newest of each name: an older agent may have been killed while it swapped them.
Status Upgrade::FindPrograms() {
  static constexpr const char* kNames[kRoles][2] = {{"pod_egress", "pod_ingress"},
                                                    {"node_ingress", "node_egress"},
                                                    {"tunnel_ingress", "tunnel_egress"},
                                                    {"egress_in", "egress_out"}};
  uint32_t newest[kRoles][2] = {};
  for (const std::string& name : NamesIn(pins_ + "/programs")) {
    const std::string path = pins_ + "/programs/" + name;
    Result<UniqueFd> program = OpenPin(path);
    if (!program) return std::move(program).error().Context(path);
    Result<ProgramInfo> info = InfoOfProgram(program->get());
    if (!info) return std::move(info).error().Context(path);
    UniqueFd* place = nullptr;
    for (int role = 0; role < kRoles; ++role)
      for (sp_direction direction : kDirections)
        if (info->name == kNames[role][direction] && info->id > newest[role][direction]) {
          newest[role][direction] = info->id;
          place = &former_[role][direction];
        }
    if (place) *place = *std::move(program);
  }
  for (const auto& role : newest)
    for (uint32_t id : role)
      if (id != 0) former_ids_.insert(id);
  return Ok();
}

bool Upgrade::Shares(const std::string& map) const {
  if (map == "flows") return version_ >= SP_SAME_FLOWS_SINCE;
  if (map == "events") return version_ >= SP_SAME_EVENTS_SINCE;
  if (map == "fragments") return version_ >= SP_SAME_FRAGMENTS_SINCE;
  // Connections go on with the ports that they have.
  static const std::set<std::string> kEgress = {"pins",        "egress_ips",     "port_blocks",
                                                "port_owners", "tunnel_nodes",   "tunnel",
                                                "outside",     "egress_counters"};
  if (kEgress.contains(map)) return version_ >= SP_SAME_EGRESS_SINCE;
  return map == "guarded" && version_ >= SP_SAME_GUARDED_SINCE;
}

// The kernel empties a table of programs that nobody holds open or pinned, whoever goes through it.
Result<Links::Programs> Upgrade::MakeGates(int control, const Links::Programs& ours) {
  gates_ = gate__open();
  if (!gates_) return ErrnoError("open the gates' object");
  int result = bpf_map__reuse_fd(gates_->maps.control, control);
  if (result == 0) result = gate__load(gates_);
  if (result != 0) return ErrnoError("load the gates; libbpf says:\n" + TakeBpfLog(), -result);
  const int map = bpf_map__fd(gates_->maps.gates);
  const bpf_program* programs[kRoles][2] = {
      {gates_->progs.pod_gate_in, gates_->progs.pod_gate_out},
      {gates_->progs.node_gate_in, gates_->progs.node_gate_out},
      {gates_->progs.tunnel_gate_in, gates_->progs.tunnel_gate_out},
      {gates_->progs.egress_gate_in, gates_->progs.egress_gate_out}};
  Links::Programs out;
  out.kept = former_ids_;
  for (int role = 0; role < kRoles; ++role)
    for (sp_direction direction : kDirections) {
      const int ends[] = {former_[role][direction].get(), ours.of[role].fd[direction]};
      for (uint32_t which : {SP_GATES_FORMER, SP_GATES_NEXT}) {
        uint32_t place = SP_GATE(static_cast<uint32_t>(role), direction, which);
        if (ends[which] < 0) continue;  // a role that the older version has not
        if (Status status = WriteElement(map, place, &ends[which]); !status.ok())
          return std::move(status).error().Context("table \"gates\"");
      }
      int fd = bpf_program__fd(programs[role][direction]);
      Result<ProgramInfo> info = InfoOfProgram(fd);
      if (!info) return std::move(info).error();
      out.of[role].fd[direction] = fd;
      out.of[role].id[direction] = info->id;
    }
  for (int table : {map, ours.ways})
    if (Status status = PinGates(table); !status.ok()) return std::move(status).error();
  return out;
}

Status Upgrade::PinGates(int map) {
  Result<MapInfo> info = InfoOfMap(map);
  if (!info) return std::move(info).error();
  std::string name = kGates + std::to_string(info->id);
  gates_pins_.insert(name);
  Status status = Pin(map, Folder() + "/" + name);
  return status.ok() ? Ok() : Status(std::move(status).error().Context(Folder() + "/" + name));
}

Status Upgrade::GatesStand() {
  for (const std::string& name : NamesIn(Folder()))
    if (IsGates(name) && !gates_pins_.contains(name))
      if (Status status = Remove(Folder() + "/" + name); !status.ok()) return status;
  return Ok();
}

void Upgrade::Close(uint32_t ifindex) {
  Pen pen;
  std::span<uint32_t> words = endpoints_.As<uint32_t>();
  for (size_t at = 0; at < words.size(); at += endpoint_words_)
    if (words[at] == ifindex) pen.Update(words[at], 0);
}

void Upgrade::CloseAllBut(const std::set<uint32_t>& interfaces) {
  Pen pen;
  std::span<uint32_t> words = endpoints_.As<uint32_t>();
  for (size_t at = 0; at < words.size(); at += endpoint_words_)
    if (!interfaces.contains(words[at])) pen.Update(words[at], 0);
}

Status Upgrade::Announce() {
  if (announced_) return Ok();
  const std::string former = Folder() + "/former";
  if (Status status = Remove(former); !status.ok()) return status;
  if (Status status = Pin(control_.get(), former); !status.ok())
    return std::move(status).error().Context(former);
  Status status = Move(Folder() + "/control", pins_ + "/maps/control");
  announced_ = status.ok();
  return status;
}

Status Upgrade::Finish() { return Resume(pins_); }

Status Upgrade::Clean(const std::string& pins, const std::set<std::string>& ours) {
  // First what would say that it was announced.
  if (Status status = Remove(Folder(pins) + "/former"); !status.ok()) return status;
  std::error_code failed;
  fs::remove_all(Folder(pins), failed);
  if (failed) return ErrnoError("remove " + Folder(pins), failed.value());
  for (const std::string& name : NamesIn(pins + "/maps"))
    if (!ours.contains(name) && !fs::is_directory(pins + "/maps/" + name, failed))
      if (Status status = Remove(pins + "/maps/" + name); !status.ok()) return status;
  return Ok();
}

void ConfirmAnswered(std::span<sp_flow_bucket> buckets, uint32_t generation) {
  constexpr uint64_t kBusy = 0x8000;
  for (sp_flow_bucket& bucket : buckets)
    for (sp_flow& flow : bucket.flow) {
      std::atomic_ref<__u64> word(flow.state);
      __u64 state = word.load();
      bool answered = (state & SP_FLOW_ANSWERED) && !(state & kBusy);
      if (answered && state >> 32 != generation)
        word.compare_exchange_strong(state, state | SP_FLOW_CONFIRMED);
    }
}

}  // namespace sallyport::dataplane
