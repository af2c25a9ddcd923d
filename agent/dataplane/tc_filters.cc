// SPDX-License-Identifier: Apache-2.0
#include "dataplane/tc_filters.h"

#include <net/if.h>

#include <cerrno>

#include "dataplane/bpf_calls.h"
#include "dataplane/qdisc.h"

namespace sallyport::dataplane {
namespace {

std::vector<uint32_t> Interfaces() {
  std::vector<uint32_t> out;
  struct if_nameindex* all = ::if_nameindex();
  for (struct if_nameindex* i = all; i && i->if_index != 0; ++i) out.push_back(i->if_index);
  if (all) ::if_freenameindex(all);
  return out;
}

// Of a filter of ours; nothing where there is none, or somebody else's.
std::optional<Role> RoleThere(uint32_t ifindex, sp_direction direction, const ProgramPins& known) {
  std::optional<uint32_t> program = FilterProgram(ifindex, direction);
  return program ? known.RoleOf(*program) : std::nullopt;
}

// Where only we would put one, but with a program that nobody can tell whose it is.
Error Stranger(uint32_t ifindex, sp_direction direction) {
  char name[IF_NAMESIZE] = "?";
  ::if_indextoname(ifindex, name);
  return Error{
      std::string("the filter on ") + name + (direction == SP_EGRESS ? " ingress" : " egress") +
      " has a program that is not pinned here: it stays, and so do the tables; take it off "
      "with: tc filter del dev " +
      name + (direction == SP_EGRESS ? " ingress" : " egress")};
}

// Fine if filter, qdisc or interface have gone.
Status Remove(uint32_t ifindex, sp_direction direction) {
  Status status = DetachFilter(ifindex, direction);
  int code = status.ok() ? 0 : status.error().code;
  bool gone = code == ENOENT || code == ENODEV || code == EINVAL;
  return gone ? Ok() : status;
}

}  // namespace

Status TcFilters::Adopt() {
  for (uint32_t ifindex : Interfaces())
    for (sp_direction direction : kDirections)
      if (std::optional<Role> role = RoleThere(ifindex, direction, known_)) {
        Status status = AttachFilter(programs_[*role].fd[direction], ifindex, direction);
        if (!status.ok() && status.error().code != ENODEV) return status;
      }
  return Ok();
}

Status TcFilters::Attach(uint32_t ifindex, Role role) {
  for (sp_direction direction : kDirections) {
    if (FilterProgram(ifindex, direction) == programs_[role].id[direction]) continue;
    Status status = AttachFilter(programs_[role].fd[direction], ifindex, direction);
    if (!status.ok()) return status;
  }
  return Ok();
}

Status TcFilters::Detach(uint32_t ifindex) {
  for (sp_direction direction : kDirections)
    if (std::optional<uint32_t> program = FilterProgram(ifindex, direction);
        program && known_.Knows(*program))
      if (Status status = Remove(ifindex, direction); !status.ok()) return status;
  return Ok();
}

std::set<uint32_t> TcFilters::Attached(Role role) const {
  const auto& id = programs_[role].id;
  std::set<uint32_t> out;
  for (uint32_t ifindex : Interfaces())
    if (FilterProgram(ifindex, SP_EGRESS) == id[SP_EGRESS] &&
        FilterProgram(ifindex, SP_INGRESS) == id[SP_INGRESS])
      out.insert(ifindex);
  return out;
}

Status TcFilters::RemoveAll(const ProgramPins& known) {
  Status result;
  for (uint32_t ifindex : Interfaces()) {
    bool ours = false;
    for (sp_direction direction : kDirections) {
      std::optional<uint32_t> program = FilterProgram(ifindex, direction);
      if (!program) continue;
      if (!known.Knows(*program)) {
        result = Stranger(ifindex, direction);
        continue;
      }
      ours = true;
      if (Status status = Remove(ifindex, direction); !status.ok()) result = std::move(status);
    }
    if (!ours) continue;
    if (Status status = RemoveEmptyClsact(ifindex); !status.ok()) result = std::move(status);
  }
  return result;
}

}  // namespace sallyport::dataplane
