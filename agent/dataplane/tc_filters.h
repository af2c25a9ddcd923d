// SPDX-License-Identifier: Apache-2.0
// Programs on interfaces as clsact filters, for kernels without tcx: direct action, one handle and
// one priority. A filter is ours if its program uses our control map.
#pragma once

#include <set>
#include <vector>

#include "dataplane/links.h"
#include "dataplane/program_pins.h"

namespace sallyport::dataplane {

class TcFilters {
 public:
  // `known` must outlive it.
  TcFilters(const Links::Programs& programs, const ProgramPins& known)
      : programs_(programs), known_(known) {}

  // Swaps the programs of filters of ours.
  Status Adopt();
  Status Attach(uint32_t ifindex, Role role);
  Status Detach(uint32_t ifindex);
  // Interfaces with both of our programs for this role.
  std::set<uint32_t> Attached(Role role) const;

  // Removes the filters whose program is known, and a clsact qdisc that is then empty.
  static Status RemoveAll(const ProgramPins& known);

 private:
  Links::Programs programs_;
  const ProgramPins& known_;
};

}  // namespace sallyport::dataplane
