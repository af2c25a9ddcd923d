// SPDX-License-Identifier: Apache-2.0
#include "dataplane/tc_filters.h"

#include <net/if.h>

#include <algorithm>
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

constexpr uint32_t kHandle = 0x5350;  // "SP"
// Before everybody else. Two, as a filter goes to the head only when it is new.
constexpr FilterPlace kFirstPlace = {1, kHandle}, kOtherFirstPlace = {1, kHandle + 1};
// Where somebody has the first priority for filters of another kind.
constexpr FilterPlace kBehindPlace = {kHandle, kHandle};

bool IsOurPlace(const Filter& filter) {
  return filter.kind == "bpf" && (filter.place == kFirstPlace || filter.place == kOtherFirstPlace ||
                                  filter.place == kBehindPlace);
}

// Those at our places, whosever their programs.
Result<std::vector<Filter>> AtOurPlaces(uint32_t ifindex, sp_direction direction) {
  auto filters = FiltersAt(ifindex, direction);
  if (filters) std::erase_if(*filters, [](const Filter& filter) { return !IsOurPlace(filter); });
  return filters;
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

bool HasGone(const Status& status) {
  int code = status.ok() ? 0 : status.error().code;
  return code == ENOENT || code == ENODEV || code == EINVAL;
}

// Fine if filter, qdisc or interface have gone.
Status Remove(uint32_t ifindex, sp_direction direction, FilterPlace place) {
  Status status = DetachFilter(ifindex, direction, place);
  return HasGone(status) ? Ok() : status;
}

// A new filter at the head of them all if that can be had.
Result<FilterPlace> AttachFirst(int program, uint32_t ifindex, sp_direction direction,
                                const std::vector<Filter>& filters) {
  bool taken = std::any_of(filters.begin(), filters.end(),
                           [](const Filter& filter) { return filter.place == kFirstPlace; });
  FilterPlace place = taken ? kOtherFirstPlace : kFirstPlace;
  Status status = AttachFilter(program, ifindex, direction, place);
  if (!status.ok() && (status.error().code == EINVAL || status.error().code == EOPNOTSUPP)) {
    place = kBehindPlace;
    status = AttachFilter(program, ifindex, direction, place);
  }
  if (!status.ok()) return std::move(status).error();
  return place;
}

}  // namespace

Status TcFilters::Adopt() {
  for (uint32_t ifindex : Interfaces())
    for (sp_direction direction : kDirections) {
      auto filters = AtOurPlaces(ifindex, direction);
      if (!filters) return std::move(filters).error();
      for (const Filter& filter : *filters) {
        std::optional<Role> role = known_.RoleOf(filter.program);
        if (!role) continue;
        Status status =
            AttachFilter(programs_[*role].fd[direction], ifindex, direction, filter.place);
        if (!status.ok() && !HasGone(status)) return status;
      }
    }
  return Ok();
}

// What is first and at a place of ours is replaced there, in one step. Else the new one is there
// before the old one goes.
Status TcFilters::AttachOne(uint32_t ifindex, Role role, sp_direction direction) {
  int program = programs_[role].fd[direction];
  auto filters = FiltersAt(ifindex, direction);
  if (!filters) return std::move(filters).error();
  FilterPlace place;
  if (!filters->empty() && IsOurPlace(filters->front())) {
    place = filters->front().place;
    if (filters->front().program != programs_[role].id[direction])
      if (Status status = AttachFilter(program, ifindex, direction, place); !status.ok())
        return status;
  } else {
    Result<FilterPlace> first = AttachFirst(program, ifindex, direction, *filters);
    if (!first) return std::move(first).error();
    place = *first;
  }
  for (const Filter& filter : *filters)
    if (IsOurPlace(filter) && filter.place != place)
      if (Status status = Remove(ifindex, direction, filter.place); !status.ok()) return status;
  return Ok();
}

Status TcFilters::Attach(uint32_t ifindex, Role role) {
  Result<bool> made = AddClsact(ifindex);
  if (!made) return std::move(made).error();
  if (*made) made_.insert(ifindex);
  for (sp_direction direction : kDirections)
    if (Status status = AttachOne(ifindex, role, direction); !status.ok()) return status;
  return Ok();
}

Status TcFilters::Detach(uint32_t ifindex) {
  for (sp_direction direction : kDirections) {
    auto filters = AtOurPlaces(ifindex, direction);
    if (!filters) return std::move(filters).error();
    for (const Filter& filter : *filters)
      if (known_.Knows(filter.program))
        if (Status status = Remove(ifindex, direction, filter.place); !status.ok()) return status;
  }
  return made_.erase(ifindex) > 0 ? RemoveEmptyClsact(ifindex) : Ok();
}

std::map<uint32_t, Role> TcFilters::Attached() const {
  std::map<uint32_t, Role> out;
  for (uint32_t ifindex : Interfaces()) {
    std::optional<Role> role;
    bool both = true;
    for (sp_direction direction : kDirections) {
      auto filters = AtOurPlaces(ifindex, direction);
      bool there = filters && !filters->empty();
      std::optional<Role> here = there ? known_.RoleOf(filters->front().program) : std::nullopt;
      both = both && here && filters->front().program == programs_[*here].id[direction] &&
             (!role || role == here);
      if (!both) break;
      role = here;
    }
    if (both) out[ifindex] = *role;
  }
  return out;
}

Result<TcFilters::Hook> TcFilters::LookAt(uint32_t ifindex, sp_direction direction) const {
  auto filters = FiltersAt(ifindex, direction);
  if (!filters) return std::move(filters).error();
  auto is_ours = [&](const Filter& filter) {
    return IsOurPlace(filter) && known_.RoleOf(filter.program);
  };
  Hook out;
  out.ours = std::any_of(filters->begin(), filters->end(), is_ours);
  if (filters->empty()) return out;
  out.first = filters->front();
  out.ours_first = is_ours(out.first);
  return out;
}

Status TcFilters::RemoveAll(const ProgramPins& known) {
  Status result;
  for (uint32_t ifindex : Interfaces()) {
    bool ours = false;
    for (sp_direction direction : kDirections) {
      auto filters = AtOurPlaces(ifindex, direction);
      if (!filters) return std::move(filters).error();
      for (const Filter& filter : *filters) {
        if (!known.Knows(filter.program)) {
          result = Stranger(ifindex, direction);
          continue;
        }
        ours = true;
        Status status = Remove(ifindex, direction, filter.place);
        if (!status.ok()) result = std::move(status);
      }
    }
    if (!ours) continue;
    if (Status status = RemoveEmptyClsact(ifindex); !status.ok()) result = std::move(status);
  }
  return result;
}

}  // namespace sallyport::dataplane
