// SPDX-License-Identifier: Apache-2.0
// The programs and maps in the kernel: loaded, or adopted from the pins of an earlier instance.
//
//   PINS/maps/NAME                    every map; beside an older version's: upgrade.h
//   PINS/links/IFINDEX-DIRECTION      tcx links: links.h
//   PINS/programs/ID, PINS/ways/ID    what the links lead to: program_pins.h
//
// The directory itself is the lock: flock(2) on it, as a bpffs holds no plain files. The secret of
// the hashes stays in the pinned control entry.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "dataplane/dataplane.h"
#include "dataplane/tables.h"

namespace sallyport::dataplane {

// Makes the directory if need be, and locks it. Fails where it is not on a bpffs, and when another
// process holds it.
Result<UniqueFd> LockPins(const std::string& pins);

// The version of the tables that are pinned there, by whatever build; 0: none are, or not to the
// end. Fails where what is pinned is no control entry.
Result<uint32_t> PinnedVersion(const std::string& pins);

class Upgrade;

class KernelObjects {
 public:
  // Requires that the pins are locked, and are of this version or none unless `upgrade` (or
  // nullptr) says which. `notes`: what a person should know about this start.
  static Result<std::unique_ptr<KernelObjects>> Open(const Options& options, const Upgrade* upgrade,
                                                     std::vector<std::string>* notes);
  virtual ~KernelObjects() = default;

  virtual Tables tables() const = 0;
  virtual EgressTables::Memory egress() const = 0;
  // `direction` says the hook, as for a pod: SP_EGRESS is the interface's ingress.
  virtual int program(Role role, sp_direction direction) const = 0;
  virtual int ways() const = 0;  // that the programs go through
  virtual int control() const = 0;
  virtual int counters() const = 0;
  virtual int events() const = 0;
  virtual int flows() const = 0;
  virtual int pins() const = 0;  // as many buckets as flows
  virtual int outside() const = 0;
  virtual int egress_counters() const = 0;
  virtual int guarded() const = 0;
  virtual int entrances() const = 0;
  virtual int fragments() const = 0;
  virtual uint32_t flow_buckets() const = 0;
  virtual uint32_t most_fragments() const = 0;
  virtual uint32_t event_bytes() const = 0;
  virtual std::set<std::string> maps() const = 0;
};

}  // namespace sallyport::dataplane
