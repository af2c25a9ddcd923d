// SPDX-License-Identifier: Apache-2.0
// Which programs in the kernel are ours, and for which role of an interface.
//
// Each one is pinned as PINS/programs/ID before it is put anywhere, and until it is nowhere any
// more. A program's number alone does not lead to it without CAP_SYS_ADMIN (capabilities(7)), which
// the agent need not have; a pin does, with CAP_BPF.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/result.h"
#include "dataplane/dataplane.h"

namespace sallyport::dataplane {

class ProgramPins {
 public:
  // Requires that the pins are locked. Those of all earlier instances.
  static Result<ProgramPins> Open(const std::string& pins);

  // A program that is pinned here, of whatever version.
  bool Knows(uint32_t program_id) const { return roles_.contains(program_id); }
  // Nothing for one that is not known, or is for a role that this version has not.
  std::optional<Role> RoleOf(uint32_t program_id) const;
  Status Add(int program);
  // Of those whose role is known, the others are on no interface any more.
  Status KeepOnly(const std::set<uint32_t>& program_ids);

 private:
  explicit ProgramPins(std::string directory) : directory_(std::move(directory)) {}
  std::string PathOf(uint32_t program_id) const {
    return directory_ + "/" + std::to_string(program_id);
  }

  std::string directory_;
  std::map<uint32_t, std::optional<Role>> roles_;
};

}  // namespace sallyport::dataplane
