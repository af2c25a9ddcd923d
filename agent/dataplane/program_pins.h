// SPDX-License-Identifier: Apache-2.0
// Which programs in the kernel are ours, and for which role of an interface.
//
// Each one is pinned as PINS/programs/ID before it is put anywhere, and until it is nowhere any
// more. A program's number alone does not lead to it without CAP_SYS_ADMIN (capabilities(7)), which
// the agent need not have; a pin does, with CAP_BPF.
//
// The table through which they lead to `long_way` (bpf/lib/onward.h) is pinned as PINS/ways/ID for
// as long: the kernel empties a table of programs that nobody holds open or pinned, whoever goes
// through it, and they would drop all but the usual packets. It comes after their pins and goes
// before them, so whoever is killed in between leaves none behind.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "dataplane/dataplane.h"

namespace sallyport::dataplane {

class ProgramPins {
 public:
  // Requires that the pins are locked. Those of all earlier instances.
  static Result<ProgramPins> Open(const std::string& pins);

  // A program that is pinned here, of whatever version.
  bool Knows(uint32_t program_id) const { return known_.contains(program_id); }
  // Nothing for one that is not known, or is for a role that this version has not.
  std::optional<Role> RoleOf(uint32_t program_id) const;
  Status Add(int program);
  Status AddWays(int ways);
  // Of those whose role is known, the others are on no interface any more: they go, with the tables
  // through which only they led.
  Status KeepOnly(const std::set<uint32_t>& program_ids);

 private:
  struct Known {
    std::optional<Role> role;
    std::vector<uint32_t> maps;  // their ids
  };

  explicit ProgramPins(const std::string& pins) : pins_(pins), directory_(pins + "/programs") {}
  Status Know(int program);
  std::string PathOf(uint32_t program_id) const {
    return directory_ + "/" + std::to_string(program_id);
  }

  std::string pins_, directory_;
  std::map<uint32_t, Known> known_;
};

}  // namespace sallyport::dataplane
