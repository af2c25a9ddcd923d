// SPDX-License-Identifier: Apache-2.0
// Programs on interfaces as clsact filters, for kernels without tcx: direct action, one handle and
// one priority. A filter is ours if its program uses our control map.
#pragma once

#include <set>
#include <vector>

#include "dataplane/links.h"

namespace sallyport::dataplane {

class TcFilters {
 public:
  explicit TcFilters(const Links::Programs& programs) : programs_(programs) {}

  // Swaps the programs of filters of ours.
  Status Adopt();
  Status Attach(uint32_t ifindex, Role role);
  Status Detach(uint32_t ifindex);
  // Interfaces with both of our programs for this role.
  std::set<uint32_t> Attached(Role role) const;

  // Removes the filters whose program uses one of the maps, and a clsact qdisc that is then empty.
  static Status RemoveAll(const std::vector<uint32_t>& maps);

 private:
  Links::Programs programs_;
};

}  // namespace sallyport::dataplane
