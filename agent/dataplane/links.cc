// SPDX-License-Identifier: Apache-2.0
#include "dataplane/links.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/bpf_calls.h"
#include "dataplane/program_pins.h"
#include "dataplane/tc_filters.h"
#include "dataplane/tcx_links.h"

namespace sallyport::dataplane {
namespace {

class BothKinds : public Links {
 public:
  BothKinds(const std::string& pins, ProgramPins known, const Programs& programs, bool has_tcx,
            bool use_tcx)
      : known_(std::move(known)),
        programs_(programs),
        tcx_(pins, programs, known_),
        filters_(programs, known_),
        has_tcx_(has_tcx),
        use_tcx_(use_tcx) {}

  // At each moment every program that is on an interface is pinned.
  Status Adopt() {
    std::set<uint32_t> current = programs_.kept;
    for (const Programs::Pair& pair : programs_.of) {
      for (int fd : pair.fd)
        if (Status status = known_.Add(fd); !status.ok()) return status;
      current.insert(std::begin(pair.id), std::end(pair.id));
    }
    if (programs_.ways >= 0)
      if (Status status = known_.AddWays(programs_.ways); !status.ok()) return status;
    if (Status status = AdoptBoth(); !status.ok()) return status;
    return known_.KeepOnly(current);
  }

  Status Attach(uint32_t ifindex, Role role) override {
    if (!use_tcx_) {
      Status status = filters_.Attach(ifindex, role);
      return status.ok() ? tcx_.Detach(ifindex) : status;
    }
    // No time without us while links move to the front. Elsewhere only Close() does that: a qdisc
    // that comes or goes costs an interface in use some packets.
    if (tcx_.PlaceOf(ifindex) == TcxLinks::Place::kBehind) HoldPlace(ifindex, role);
    Status status = tcx_.Attach(ifindex, role);
    return status.ok() ? DropOtherKind(ifindex) : status;
  }

  void Close(const std::vector<uint32_t>& interfaces) override {
    for (uint32_t ifindex : interfaces)
      if (tcx_.PlaceOf(ifindex) == TcxLinks::Place::kNone) HoldPlace(ifindex, Role::kPod);
  }

  Status Detach(uint32_t ifindex) override {
    Status status = tcx_.Detach(ifindex);
    if (status.ok() && (!use_tcx_ || filtered_.contains(ifindex)))
      status = filters_.Detach(ifindex);
    if (status.ok()) filtered_.erase(ifindex);
    return status;
  }

  std::map<uint32_t, Role> Attached() override {
    std::map<uint32_t, Role> out = tcx_.Attached();
    if (!use_tcx_ || !filtered_.empty()) out.merge(filters_.Attached());
    return out;
  }

  std::vector<Disturbance> Disturbed(const std::set<uint32_t>& interfaces, bool filters) override {
    std::vector<Disturbance> out;
    for (uint32_t ifindex : interfaces) {
      for (sp_direction direction : kDirections) {
        auto found = LookAt(ifindex, direction, filters);
        if (!found) continue;
        found->ifindex = ifindex;
        out.push_back(*std::move(found));
        break;
      }
    }
    return out;
  }

 private:
  Status AdoptBoth() {
    if (Status status = filters_.Adopt(); !status.ok()) return status;
    for (const auto& [ifindex, role] : filters_.Attached()) filtered_.insert(ifindex);
    return tcx_.Adopt();
  }

  // Where that fails the link comes all the same, somewhat later.
  void HoldPlace(uint32_t ifindex, Role role) {
    filtered_.insert(ifindex);
    (void)filters_.Attach(ifindex, role);
  }

  // An earlier instance may have attached in the other way; a filter may have held the place.
  // Judged twice for a moment, never not.
  Status DropOtherKind(uint32_t ifindex) {
    if (!filtered_.contains(ifindex)) return Ok();
    Status status = filters_.Detach(ifindex);
    if (status.ok()) filtered_.erase(ifindex);
    return status;
  }

  // tcx programs come before all filters.
  std::optional<Disturbance> LookAt(uint32_t ifindex, sp_direction direction, bool filters) {
    const Disturbance missing{.missing = true, .ifindex = ifindex, .what = {}};
    uint32_t foreign = 0;
    if (has_tcx_) {
      auto row = TcxPrograms(ifindex, direction);
      if (!row) return std::nullopt;  // the interface has gone: its news follows
      auto ours = [this](uint32_t program) { return known_.RoleOf(program).has_value(); };
      if (!row->empty() && ours(row->front())) return std::nullopt;
      if (!row->empty()) foreign = row->front();
      bool there = std::any_of(row->begin(), row->end(), ours);
      if (there || (foreign != 0 && !use_tcx_)) return Behind(direction, "tcx program", foreign);
      if (use_tcx_ && !filtered_.contains(ifindex)) return missing;
    }
    if (!filters) return std::nullopt;
    auto hook = filters_.LookAt(ifindex, direction);
    if (!hook || hook->ours_first) return std::nullopt;
    if (!hook->ours) return missing;
    return Behind(direction, "filter of kind " + hook->first.kind, hook->first.program);
  }

  static Disturbance Behind(sp_direction direction, const std::string& what, uint32_t program) {
    Disturbance out;
    out.what = "a " + what + " on " + (direction == SP_EGRESS ? "ingress" : "egress") +
               " comes before ours and may let packets pass";
    if (program != 0) out.what += ": bpftool prog show id " + std::to_string(program);
    return out;
  }

  ProgramPins known_;
  const Programs programs_;
  TcxLinks tcx_;
  TcFilters filters_;
  const bool has_tcx_, use_tcx_;
  std::set<uint32_t> filtered_;  // beside or instead of links: these may have filters of ours
};

}  // namespace

Result<std::unique_ptr<Links>> Links::Open(const std::string& pins, const Programs& programs,
                                           AttachMode mode) {
  std::string directory = pins + "/links";
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return ErrnoError("make directory " + directory);
  bool has_tcx = HasTcx(programs[Role::kPod].fd[SP_EGRESS]);
  bool use_tcx = has_tcx && mode != AttachMode::kClsact;
  if (mode == AttachMode::kTcx && !has_tcx)
    return Error{"this kernel has no tcx (it came with 6.6); attach with clsact"};
  Result<ProgramPins> known = ProgramPins::Open(pins);
  if (!known) return std::move(known).error();
  auto links = std::make_unique<BothKinds>(pins, *std::move(known), programs, has_tcx, use_tcx);
  if (Status status = links->Adopt(); !status.ok()) return std::move(status).error();
  return std::unique_ptr<Links>(std::move(links));
}

Status Links::RemoveAll(const std::string& pins) {
  Result<ProgramPins> known = ProgramPins::Open(pins);
  if (!known) return std::move(known).error();
  Status filters = TcFilters::RemoveAll(*known);
  Status tcx = TcxLinks::RemoveAll(pins);
  return filters.ok() ? tcx : filters;
}

}  // namespace sallyport::dataplane
