// SPDX-License-Identifier: Apache-2.0
#include "dataplane/links.h"

#include <sys/stat.h>

#include <cerrno>

#include "dataplane/bpf_calls.h"
#include "dataplane/program_pins.h"
#include "dataplane/tc_filters.h"
#include "dataplane/tcx_links.h"

namespace sallyport::dataplane {
namespace {

class BothKinds : public Links {
 public:
  BothKinds(const std::string& pins, ProgramPins known, const Programs& programs, bool use_tcx)
      : known_(std::move(known)),
        programs_(programs),
        tcx_(pins, programs, known_),
        filters_(programs, known_),
        use_tcx_(use_tcx) {}

  // At each moment every program that is on an interface is pinned.
  Status Adopt() {
    std::set<uint32_t> current;
    for (const Programs::Pair& pair : programs_.of) {
      for (int fd : pair.fd)
        if (Status status = known_.Add(fd); !status.ok()) return status;
      current.insert(std::begin(pair.id), std::end(pair.id));
    }
    if (Status status = AdoptBoth(); !status.ok()) return status;
    return known_.KeepOnly(current);
  }

  Status Attach(uint32_t ifindex, Role role) override {
    Status status = use_tcx_ ? tcx_.Attach(ifindex, role) : filters_.Attach(ifindex, role);
    return status.ok() ? DropOtherKind(ifindex) : status;
  }

  Status Detach(uint32_t ifindex) override {
    Status status = tcx_.Detach(ifindex);
    if (status.ok() && (!use_tcx_ || filtered_.contains(ifindex)))
      status = filters_.Detach(ifindex);
    if (status.ok()) filtered_.erase(ifindex);
    return status;
  }

  std::vector<uint32_t> Attached(std::initializer_list<Role> roles) override {
    std::set<uint32_t> out;
    for (Role role : roles) {
      out.merge(tcx_.Attached(role));
      if (!use_tcx_ || !filtered_.empty()) out.merge(filters_.Attached(role));
    }
    return {out.begin(), out.end()};
  }

 private:
  Status AdoptBoth() {
    if (Status status = filters_.Adopt(); !status.ok()) return status;
    for (Role role : {Role::kPod, Role::kNode, Role::kTunnel})
      filtered_.merge(filters_.Attached(role));
    return tcx_.Adopt();
  }

  // An earlier instance may have attached in the other way. Judged twice for a moment, never not.
  Status DropOtherKind(uint32_t ifindex) {
    if (!use_tcx_) return tcx_.Detach(ifindex);
    if (!filtered_.contains(ifindex)) return Ok();
    Status status = filters_.Detach(ifindex);
    if (status.ok()) filtered_.erase(ifindex);
    return status;
  }

  ProgramPins known_;
  const Programs programs_;
  TcxLinks tcx_;
  TcFilters filters_;
  const bool use_tcx_;
  std::set<uint32_t> filtered_;  // had filters of an earlier instance at the start
};

}  // namespace

Result<std::unique_ptr<Links>> Links::Open(const std::string& pins, const Programs& programs,
                                           AttachMode mode) {
  std::string directory = pins + "/links";
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return ErrnoError("make directory " + directory);
  bool has_tcx = mode != AttachMode::kClsact && HasTcx(programs[Role::kPod].fd[SP_EGRESS]);
  if (mode == AttachMode::kTcx && !has_tcx)
    return Error{"this kernel has no tcx (it came with 6.6); attach with clsact"};
  Result<ProgramPins> known = ProgramPins::Open(pins);
  if (!known) return std::move(known).error();
  auto links = std::make_unique<BothKinds>(pins, *std::move(known), programs, has_tcx);
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
