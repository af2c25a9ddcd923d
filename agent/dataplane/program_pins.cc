// SPDX-License-Identifier: Apache-2.0
#include "dataplane/program_pins.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "dataplane/bpf_calls.h"

namespace sallyport::dataplane {
namespace {

std::optional<Role> RoleByName(const std::string& name) {
  if (name.starts_with("pod_")) return Role::kPod;
  if (name.starts_with("node_")) return Role::kNode;
  if (name.starts_with("tunnel_")) return Role::kTunnel;
  if (name.starts_with("egress_")) return Role::kEgress;
  return std::nullopt;
}

}  // namespace

Result<ProgramPins> ProgramPins::Open(const std::string& pins) {
  ProgramPins out(pins + "/programs");
  if (::mkdir(out.directory_.c_str(), 0700) != 0 && errno != EEXIST)
    return ErrnoError("make directory " + out.directory_);
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(out.directory_, failed)) {
    Result<UniqueFd> program = OpenPin(entry.path());
    if (!program) return std::move(program).error().Context(entry.path().string());
    Result<ProgramInfo> info = InfoOfProgram(program->get());
    if (!info) return std::move(info).error().Context(entry.path().string());
    out.roles_[info->id] = RoleByName(info->name);
  }
  if (failed) return ErrnoError("read " + out.directory_, failed.value());
  return out;
}

std::optional<Role> ProgramPins::RoleOf(uint32_t program_id) const {
  auto it = roles_.find(program_id);
  return it == roles_.end() ? std::nullopt : it->second;
}

Status ProgramPins::Add(int program) {
  Result<ProgramInfo> info = InfoOfProgram(program);
  if (!info) return std::move(info).error();
  if (roles_.contains(info->id)) return Ok();
  std::string path = PathOf(info->id);
  if (Status status = Pin(program, path); !status.ok())
    return std::move(status).error().Context(path);
  roles_[info->id] = RoleByName(info->name);
  return Ok();
}

Status ProgramPins::KeepOnly(const std::set<uint32_t>& program_ids) {
  for (auto it = roles_.begin(); it != roles_.end();) {
    bool foreign = !it->second;  // where those of another version are is theirs to say
    if (foreign || program_ids.contains(it->first)) {
      ++it;
      continue;
    }
    std::string path = PathOf(it->first);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoError("remove pin " + path);
    it = roles_.erase(it);
  }
  return Ok();
}

}  // namespace sallyport::dataplane
