// SPDX-License-Identifier: Apache-2.0
// Programs on interfaces as pinned tcx links (kernel 6.6 and later).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "abi/verdict.h"
#include "base/unique_fd.h"
#include "dataplane/links.h"
#include "dataplane/program_pins.h"

namespace sallyport::dataplane {

class TcxLinks {
 public:
  // `known` must outlive it.
  TcxLinks(const std::string& pins, const Links::Programs& programs, const ProgramPins& known);

  // Swaps the programs of living links for ours; removes the pins of dead ones.
  Status Adopt();
  // Before all others.
  Status Attach(uint32_t ifindex, Role role);
  // How links of ours stand on both hooks, whatever their role: the worse of the two.
  enum class Place { kFirst, kBehind, kNone };
  Place PlaceOf(uint32_t ifindex) const;
  Status Detach(uint32_t ifindex);
  // Interfaces with both of our programs for a role.
  std::map<uint32_t, Role> Attached() const;
  // Interfaces with a pin, dead or alive.
  std::set<uint32_t> Pinned() const;

  // Detaches and unpins every link below `pins`.
  static Status RemoveAll(const std::string& pins);

 private:
  std::string PathOf(uint32_t ifindex, sp_direction direction) const;
  bool IsFirst(uint32_t ifindex, sp_direction direction, uint32_t program_id) const;
  Status AdoptOne(uint32_t ifindex, sp_direction direction);
  Status AttachOne(uint32_t ifindex, Role role, sp_direction direction);
  Status DetachOne(uint32_t ifindex, sp_direction direction);
  // The pinned link, if it is alive and what its name says.
  std::optional<UniqueFd> Living(uint32_t ifindex, sp_direction direction,
                                 uint32_t* program_id) const;

  std::string directory_;
  Links::Programs programs_;
  const ProgramPins& known_;
};

}  // namespace sallyport::dataplane
