// SPDX-License-Identifier: Apache-2.0
#include "dataplane/tcx_links.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>

#include "dataplane/bpf_calls.h"

namespace sallyport::dataplane {
namespace {

namespace fs = std::filesystem;

const char* NameOf(sp_direction direction) {
  return direction == SP_EGRESS ? "-egress" : "-ingress";
}

std::vector<std::string> FilesIn(const std::string& directory) {
  std::vector<std::string> out;
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, none))
    out.push_back(entry.path());
  return out;
}

// A link whose pin somebody removed is taken off by the kernel in the background; until then the
// same program cannot be put there again.
Result<UniqueFd> AttachWhenFree(int program, uint32_t ifindex, sp_direction direction) {
  constexpr int kTries = 50;
  constexpr useconds_t kPause = 10'000;
  for (int i = 1;; ++i) {
    Result<UniqueFd> link = AttachTcx(program, ifindex, direction);
    if (link || link.error().code != EEXIST || i == kTries) return link;
    ::usleep(kPause);
  }
}

Status Unlink(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return Ok();
  return ErrnoError("remove pin " + path);
}

}  // namespace

TcxLinks::TcxLinks(const std::string& pins, const Links::Programs& programs,
                   const ProgramPins& known)
    : directory_(pins + "/links"), programs_(programs), known_(known) {}

std::string TcxLinks::PathOf(uint32_t ifindex, sp_direction direction) const {
  return directory_ + "/" + std::to_string(ifindex) + NameOf(direction);
}

std::set<uint32_t> TcxLinks::Pinned() const {
  std::set<uint32_t> out;
  for (const std::string& path : FilesIn(directory_)) {
    std::string name = fs::path(path).filename();
    uint32_t ifindex = 0;
    std::from_chars(name.data(), name.data() + name.size(), ifindex);
    if (path == PathOf(ifindex, SP_EGRESS) || path == PathOf(ifindex, SP_INGRESS))
      out.insert(ifindex);
  }
  return out;
}

std::optional<UniqueFd> TcxLinks::Living(uint32_t ifindex, sp_direction direction,
                                         uint32_t* program_id) const {
  Result<UniqueFd> link = OpenPin(PathOf(ifindex, direction));
  if (!link) return std::nullopt;
  Result<LinkInfo> info = InfoOfLink(link->get());
  if (!info || !info->is_tcx || info->ifindex != ifindex || info->direction != direction)
    return std::nullopt;
  *program_id = info->program_id;
  return *std::move(link);
}

bool TcxLinks::IsFirst(uint32_t ifindex, sp_direction direction, uint32_t program_id) const {
  auto row = TcxPrograms(ifindex, direction);
  return row && !row->empty() && row->front() == program_id;
}

// A program stands on a hook but once, so one that is not first leaves before it comes back.
Status TcxLinks::AttachOne(uint32_t ifindex, Role role, sp_direction direction) {
  int program = programs_[role].fd[direction];
  std::string path = PathOf(ifindex, direction);
  uint32_t program_id = 0;
  if (std::optional<UniqueFd> link = Living(ifindex, direction, &program_id)) {
    if (IsFirst(ifindex, direction, program_id)) {
      if (program_id == programs_[role].id[direction]) return Ok();
      return UpdateLink(link->get(), program);
    }
    if (Status status = DetachLink(link->get()); !status.ok()) return status;
  }
  if (Status status = Unlink(path); !status.ok()) return status;
  Result<UniqueFd> link = AttachWhenFree(program, ifindex, direction);
  if (!link) return std::move(link).error();
  Status status = Pin(link->get(), path);
  return status.ok() ? Ok() : Status(std::move(status).error().Context(path));
}

Status TcxLinks::DetachOne(uint32_t ifindex, sp_direction direction) {
  uint32_t program_id = 0;
  if (std::optional<UniqueFd> link = Living(ifindex, direction, &program_id))
    if (Status status = DetachLink(link->get()); !status.ok()) return status;
  return Unlink(PathOf(ifindex, direction));
}

// The interface may go at any moment.
Status TcxLinks::AdoptOne(uint32_t ifindex, sp_direction direction) {
  uint32_t program_id = 0;
  if (std::optional<UniqueFd> link = Living(ifindex, direction, &program_id)) {
    std::optional<Role> role = known_.RoleOf(program_id);
    if (!role) return Ok();  // what it does stays in force until somebody attaches
    Status status = UpdateLink(link->get(), programs_[*role].fd[direction]);
    if (status.ok() || status.error().code != ENOLINK) return status;
  }
  return Unlink(PathOf(ifindex, direction));
}

Status TcxLinks::Adopt() {
  for (uint32_t ifindex : Pinned()) {
    for (sp_direction direction : kDirections) {
      if (Status status = AdoptOne(ifindex, direction); !status.ok())
        return std::move(status).error().Context("interface " + std::to_string(ifindex));
    }
  }
  return Ok();
}

TcxLinks::Place TcxLinks::PlaceOf(uint32_t ifindex) const {
  Place out = Place::kFirst;
  for (sp_direction direction : kDirections) {
    uint32_t program_id = 0;
    if (!Living(ifindex, direction, &program_id)) return Place::kNone;
    if (!IsFirst(ifindex, direction, program_id)) out = Place::kBehind;
  }
  return out;
}

Status TcxLinks::Attach(uint32_t ifindex, Role role) {
  for (sp_direction direction : kDirections)
    if (Status status = AttachOne(ifindex, role, direction); !status.ok()) return status;
  return Ok();
}

Status TcxLinks::Detach(uint32_t ifindex) {
  for (sp_direction direction : kDirections)
    if (Status status = DetachOne(ifindex, direction); !status.ok()) return status;
  return Ok();
}

std::map<uint32_t, Role> TcxLinks::Attached() const {
  std::map<uint32_t, Role> out;
  for (uint32_t ifindex : Pinned()) {
    uint32_t id[2] = {};
    bool both = Living(ifindex, SP_EGRESS, &id[SP_EGRESS]).has_value() &&
                Living(ifindex, SP_INGRESS, &id[SP_INGRESS]).has_value();
    std::optional<Role> role = both ? known_.RoleOf(id[SP_EGRESS]) : std::nullopt;
    if (role && std::equal(id, id + 2, programs_[*role].id)) out[ifindex] = *role;
  }
  return out;
}

Status TcxLinks::RemoveAll(const std::string& pins) {
  Status result;
  for (const std::string& path : FilesIn(pins + "/links")) {
    // Unpinning would end the link too, if nobody else holds it.
    if (Result<UniqueFd> link = OpenPin(path); link) (void)DetachLink(link->get());
    if (Status status = Unlink(path); !status.ok()) result = std::move(status);
  }
  return result;
}

}  // namespace sallyport::dataplane
