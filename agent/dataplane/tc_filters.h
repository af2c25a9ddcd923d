// SPDX-License-Identifier: Apache-2.0
// Programs on interfaces as clsact filters, for kernels without tcx: direct action, at one of three
// places. A filter is ours if it is at one of them and its program is pinned (program_pins.h).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "dataplane/links.h"
#include "dataplane/program_pins.h"
#include "dataplane/qdisc.h"

namespace sallyport::dataplane {

class TcFilters {
 public:
  // `known` must outlive it.
  TcFilters(const Links::Programs& programs, const ProgramPins& known)
      : programs_(programs), known_(known) {}

  // Swaps the programs of filters of ours.
  Status Adopt();
  // Before all others; behind them only where filters of another kind have the first priority.
  Status Attach(uint32_t ifindex, Role role);
  // With the qdisc, if Attach() made it, as long as nobody else uses it.
  Status Detach(uint32_t ifindex);
  // Interfaces with both of our programs for a role.
  std::map<uint32_t, Role> Attached() const;
  // What is asked first there, and whether ours is there at all.
  struct Hook {
    bool ours = false, ours_first = false;
    Filter first;
  };
  Result<Hook> LookAt(uint32_t ifindex, sp_direction direction) const;

  // Removes the filters whose program is known, and a clsact qdisc that is then empty.
  static Status RemoveAll(const ProgramPins& known);

 private:
  Status AttachOne(uint32_t ifindex, Role role, sp_direction direction);

  Links::Programs programs_;
  const ProgramPins& known_;
  std::set<uint32_t> made_;  // interfaces that had no clsact qdisc before
};

}  // namespace sallyport::dataplane
