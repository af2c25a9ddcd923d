// SPDX-License-Identifier: Apache-2.0
// Makes the tables say what an image says: the pure core of the data plane. Entry point: Apply.
//
//   image, changes, bindings -> peers, prefixes, rules, endpoints   written where nobody reads
//                            -> control.generation                  one word: the flip
//                            -> grace period -> Settle              the other half follows
//
// The process may be killed after any store: the half in force is then a complete image, and the
// next Encoder adopts it and takes everything else for free. A failure is taken back: the tables
// and the Encoder are as before. What finds no room is no failure: it is denied, the rest comes
// into force, and what that freed is given out again, in a few rounds. The one exception is a grace
// period that fails after the flip: then endpoints that got an address do not have it before the
// next Apply() or Settle().
#pragma once

#include <vector>

#include "dataplane/dataplane.h"
#include "dataplane/endpoint_table.h"
#include "dataplane/identity_uses.h"
#include "dataplane/peer_table.h"
#include "dataplane/pin_table.h"
#include "dataplane/set_table.h"
#include "dataplane/tables.h"
#include "dataplane/trie.h"

namespace sallyport::dataplane {

class Encoder {
 public:
  Encoder(const Tables& tables, Surroundings around);
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  // Takes over what is in force. Call first, once.
  Status Adopt();
  // As Dataplane::Apply and Dataplane::Settle.
  Status Apply(const policy::Image& image, const policy::Changes* changes,
               const Bindings& bindings);
  Status Settle();
  // As Dataplane::Defer, but at first it does: the tables know nothing of interfaces.
  void Defer(bool defer) { defer_ = defer; }

  // As Dataplane::shortfalls.
  const std::vector<Shortfall>& shortfalls() const { return shortfalls_; }

  uint32_t generation() const { return tables_.control->generation; }
  // Open endpoints, or about to be closed: ifindex to place in "endpoints" and "counters".
  const std::unordered_map<uint32_t, uint32_t>& places() const { return endpoints_.places(); }
  std::vector<TableUse> Use() const;

 private:
  uint32_t half() const { return generation() & 1; }
  bool IsDeferring() const { return tables_.control->deferring[half()] != 0; }
  void WriteDeferring(uint32_t half, bool deferring);
  // Which of the bindings have room, and the table that has none for the others.
  struct Admitted {
    Bindings bindings;
    PeerTable::Local local;  // addresses
    std::map<model::ObjectName, std::string> refused;
  };
  Result<bool> Step(const policy::Image& image, const policy::Changes* changes,
                    const Bindings& bindings);
  Status Prepare(const policy::Image& image, const policy::Changes* changes,
                 const Bindings& bindings, Admitted& admitted);
  bool changed() const;
  Status Flip();
  void Commit(const policy::Image& image, const Admitted& admitted);
  void Undo();

  Tables tables_;
  const Surroundings around_;
  IdentityUses uses_;
  PeerTable peers_;
  PrefixTrie prefixes_;
  SetTable sets_;
  PinTable pins_;
  EndpointTable endpoints_;
  std::vector<Shortfall> shortfalls_;  // of what is in force
  bool synced_ = false;  // an image of this process is in force, all of it: changes mean something
  bool defer_ = true;
  bool settled_ = true;  // both halves say the same
};

}  // namespace sallyport::dataplane
