// SPDX-License-Identifier: Apache-2.0
#include "dataplane/program_pins.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "dataplane/bpf_calls.h"

namespace sallyport::dataplane {
namespace {

namespace fs = std::filesystem;

std::optional<Role> RoleByName(const std::string& name) {
  if (name.starts_with("pod_")) return Role::kPod;
  if (name.starts_with("node_")) return Role::kNode;
  if (name.starts_with("tunnel_")) return Role::kTunnel;
  if (name.starts_with("egress_")) return Role::kEgress;
  return std::nullopt;
}

Status MakeFolder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return Ok();
  return ErrnoError("make directory " + path);
}

Status Remove(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return Ok();
  return ErrnoError("remove pin " + path);
}

std::string WaysFolder(const std::string& pins) { return pins + "/ways"; }

}  // namespace

Result<ProgramPins> ProgramPins::Open(const std::string& pins) {
  ProgramPins out(pins);
  if (Status status = MakeFolder(out.directory_); !status.ok()) return std::move(status).error();
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(out.directory_, failed)) {
    Result<UniqueFd> program = OpenPin(entry.path());
    Status status = program ? out.Know(program->get()) : Status(std::move(program).error());
    if (!status.ok()) return std::move(status).error().Context(entry.path().string());
  }
  if (failed) return ErrnoError("read " + out.directory_, failed.value());
  return out;
}

std::optional<Role> ProgramPins::RoleOf(uint32_t program_id) const {
  auto it = known_.find(program_id);
  return it == known_.end() ? std::nullopt : it->second.role;
}

Status ProgramPins::Know(int program) {
  Result<ProgramInfo> info = InfoOfProgram(program);
  if (!info) return std::move(info).error();
  Result<std::vector<uint32_t>> maps = MapsOfProgram(program);
  if (!maps) return std::move(maps).error();
  known_[info->id] = {RoleByName(info->name), *std::move(maps)};
  return Ok();
}

Status ProgramPins::Add(int program) {
  Result<ProgramInfo> info = InfoOfProgram(program);
  if (!info) return std::move(info).error();
  if (known_.contains(info->id)) return Ok();
  std::string path = PathOf(info->id);
  if (Status status = Pin(program, path); !status.ok())
    return std::move(status).error().Context(path);
  return Know(program);
}

Status ProgramPins::AddWays(int ways) {
  Result<MapInfo> info = InfoOfMap(ways);
  if (!info) return std::move(info).error();
  if (Status status = MakeFolder(WaysFolder(pins_)); !status.ok()) return status;
  std::string path = WaysFolder(pins_) + "/" + std::to_string(info->id);
  Status status = Pin(ways, path);
  if (status.ok() || status.error().code == EEXIST) return Ok();  // no other has its id
  return std::move(status).error().Context(path);
}

Status ProgramPins::KeepOnly(const std::set<uint32_t>& program_ids) {
  std::set<uint32_t> used, left, leaving;
  for (const auto& [id, program] : known_) {
    bool foreign = !program.role;  // where those of another version are is theirs to say
    bool stays = foreign || program_ids.contains(id);
    (stays ? used : left).insert(program.maps.begin(), program.maps.end());
    if (!stays) leaving.insert(id);
  }
  for (uint32_t map : left)
    if (!used.contains(map))
      if (Status status = Remove(WaysFolder(pins_) + "/" + std::to_string(map)); !status.ok())
        return status;
  for (uint32_t id : leaving) {
    if (Status status = Remove(PathOf(id)); !status.ok()) return status;
    known_.erase(id);
  }
  return Ok();
}

}  // namespace sallyport::dataplane
