// SPDX-License-Identifier: Apache-2.0
// From an older version's tables to ours. At each moment, whoever is killed, the whole node has the
// complete policy of one version: the older one's until ours is applied for the first time.
//
//   PINS/maps/NAME           in force: the older version's
//   PINS/maps/next/NAME      ours, being filled; what both versions mean the same by is shared
//   PINS/maps/next/gates-ID  where the gates lead (bpf/gate.bpf.c), and our programs from there
//   PINS/maps/next/former    the older control entry, once ours has taken its place
//
//   1. Open, PutGates  our maps beside the older ones; gates take the place of the older programs,
//                      on one interface after the other, and lead to these: nothing changes
//   2. Announce        right before the first flip PINS/maps/control is ours: older agents refuse
//   3. the flip        one word, and all gates lead to our programs
//   4. Finish, Clean   our maps move; our programs take the gates' place; all else goes
//
// Killed before 2, an older agent may go on as well: the gates are programs of its roles, and its
// tables were not touched. Between 2 and 3 the next start goes back to 1, after 3 to 4.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "abi/tables.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "dataplane/links.h"
#include "dataplane/mapped.h"

struct gate;

namespace sallyport::dataplane {

class Upgrade {
 public:
  // Requires that the pins are locked. Nothing where there is nothing older to take over from; else
  // what earlier tries have left is gone. An error for a newer version's pins, which stay.
  static Result<std::unique_ptr<Upgrade>> Find(const std::string& pins);
  // When no gate stands anywhere: removes what an upgrade leaves, and maps that are not `ours`.
  static Status Clean(const std::string& pins, const std::set<std::string>& ours);
  static std::string Folder(const std::string& pins) { return pins + "/maps/next"; }
  ~Upgrade();

  uint32_t version() const { return version_; }
  uint32_t generation() const { return generation_; }
  uint32_t hash_seed() const { return hash_seed_; }
  uint32_t mark() const { return mark_; }
  uint32_t endpoints() const { return endpoint_capacity_; }
  // Is this map of the older version ours as well?
  bool Shares(const std::string& map) const;

  // Gates between the older programs and `ours`, by our control entry.
  Result<Links::Programs> MakeGates(int control, const Links::Programs& ours);
  // They are on every interface: those of earlier tries are not needed any more.
  Status GatesStand();
  // In the older tables, which are in force: these interfaces are no endpoints.
  void Close(uint32_t ifindex);
  void CloseAllBut(const std::set<uint32_t>& interfaces);

  Status Announce();
  Status Finish();

 private:
  explicit Upgrade(std::string pins) : pins_(std::move(pins)) {}
  Status PinGates(int map);
  Status ReadFormer();
  Status FindPrograms();
  std::string Folder() const { return Folder(pins_); }

  const std::string pins_;
  uint32_t version_ = 0, generation_ = 0, hash_seed_ = 0, mark_ = 0;
  uint32_t endpoint_capacity_ = 0, endpoint_words_ = 0;
  Mapped endpoints_;
  UniqueFd control_;
  UniqueFd former_[kRoles][2];
  std::set<uint32_t> former_ids_;
  gate* gates_ = nullptr;
  std::set<std::string> gates_pins_;
  bool announced_ = false;
};

// Flows of versions before SP_CONFIRMS_SINCE say of a connection that was answered that it lives
// long, ours of one that the opener has confirmed. For all but those judged under `generation`.
void ConfirmAnswered(std::span<sp_flow_bucket> buckets, uint32_t generation);

}  // namespace sallyport::dataplane
