// SPDX-License-Identifier: Apache-2.0
// Which ports of which egress IPs this node may translate to. Entry point: PortBlocks::Decide.
//
// Promise: no port is in use by two nodes, and none that another node's live flow may still have.
//
// - A block is claimed by creating its Lease; it is used once the watch has told of it, and of no
//   other that overlaps it (of another block size). Of two that are created at once one sees the
//   other.
// - Not being able to renew changes nothing, until `keep_after` since the last success: no new
//   translations; and until `drop_after`: none at all. The kernel holds to these times by itself.
// - Another node's block is taken only when no flow of it can be alive: its Lease is expired, and
// its
//   Node object has been gone for five minutes more, or has another boot since, or it is expired
//   for longer than any flow lives. To delete the Node object of a node that runs on without the
//   API server is to say that its flows do not matter.
// - A Lease of ours that another node has is not ours any more, at once. One that somebody deleted
// is
//   created again; until then its translations stay, and there are no new ones.
//
// How many: enough that the ports not used for a minute are one block or half of those that are,
// whichever is more; as many as those that are, once some flows were refused and as far as the
// node's fair part goes; and more while ports are used again sooner than after a minute. Idle ones
// beyond that are returned. A node's fair part of an address is its ports divided by the nodes that
// have some. Beyond its part a node takes more only while an eighth of the address (one block at
// least) stays free for others, and none of them has claimed a block on the way to its own part for
// a minute; and while another node is short (the annotation says so) it returns what is idle.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "egress/block_leases.h"
#include "egress/lease.h"

namespace sallyport::egress {

struct PortBlockTimes {
  Millis duration = 15 * kMinute;  // of a Lease; renewed after a third of it
  Millis keep_after;
  Millis drop_after;
  Millis reclaim_after;               // since it expired
  Millis reclaim_gone = 5 * kMinute;  // since it expired and the Node object is gone
  Millis idle = 5 * kMinute;          // since the last flow ended, to be returned
  Millis rest = kMinute;              // between two uses of a port
  Millis retry = 5 * kSecond;         // after a failure

  PortBlockTimes();  // from the longest life of a flow (abi/limits.h)
};

// What the kernel says of an own block.
struct BlockUse {
  int busy = 0;      // ports that have a translation, or had one within the last minute
  int live = 0;      // translations
  Millis quiet = 0;  // since the last one ended, or since it is in use; while there is one, 0
};
// And of an egress IP, since the last time.
struct AddressUse {
  uint64_t refused = 0;            // packets, for want of a port
  std::optional<Millis> youngest;  // the shortest time after which a port was used again
};

struct PortBlocksInput {
  Millis now = 0;
  std::string wall;  // now as a renewTime
  // The egress IPs that pods here are pinned to, and how many ports a block has.
  std::map<net::Address, int> needed;
  // Measured while the last decision was in force.
  std::map<BlockId, BlockUse> use;
  std::map<net::Address, AddressUse> demand;
  bool nodes_listed = false;
  std::map<std::string, std::string> boot_ids;  // of all Node objects
};

struct BlockAction {
  enum class Kind { kCreate, kUpdate, kDelete };
  Kind kind = Kind::kCreate;
  // As it shall stand; of kDelete, as it stands. Its meta is the precondition of kUpdate (version)
  // and kDelete (uid and version).
  BlockLease lease;
};

struct OwnBlock {
  int size = 0;
  bool use = false;  // else: existing translations only
  // When to stop by itself, if nothing else is said until then.
  Millis use_until = 0;
  Millis keep_until = 0;
  friend bool operator==(const OwnBlock&, const OwnBlock&) = default;
};

struct PortBlocksDecision {
  // False: not all Leases are known yet. Then no block of the kernel's is to be taken away.
  bool complete = false;
  std::map<BlockId, OwnBlock> own;
  std::vector<BlockOwner> owners;  // of all nodes, this one's too
  // Egress IPs with fewer blocks than it takes, and why there are no more.
  std::map<net::Address, std::string> exhausted;
  // To do once the above is in force, in any order. Each is answered with Done.
  std::vector<BlockAction> actions;
};

class PortBlocks {
 public:
  // `boot_id`: of this node, now.
  PortBlocks(std::string node, std::string boot_id, PortBlockTimes times = {});

  // What the watch tells, in its order.
  void Set(const BlockLease& lease, Millis now);
  void Remove(const BlockId& id, const std::string& uid, Millis now);
  // All there are have been told once.
  void Listed() { listed_ = true; }

  // `stands`: the Lease as it is after the action, or instead of it; nothing if there is none (or,
  // of kFailed, nobody knows).
  void Done(const BlockAction& action, Outcome outcome, const std::optional<BlockLease>& stands,
            Millis now);

  PortBlocksDecision Decide(const PortBlocksInput& input);
  const BlockLeases& leases() const { return leases_; }

 private:
  struct Own {
    int size = 0;
    Millis renewed = 0;    // when the last write that succeeded was sent
    Millis since = 0;      // here
    bool written = false;  // by this boot, and not asked to be deleted since
    // It was asked to be deleted at this version: it is written again when a later one shows.
    uint64_t doubted = 0;
    bool shown = false;    // nothing overlapped when the watch had come so far
    bool resting = false;  // out of use, to be returned
    bool deleted = false;  // by somebody: to be created again
  };
  struct Sum {  // of an address
    int size = 0;
    int own = 0;   // ports in own blocks
    int free = 0;  // of those in use, and of those that are on their way
    int busy = 0;
    int coming = 0;        // blocks
    bool crowded = false;  // more are asked for than `free` says
    int need = 0;          // how many must be free
    int fair = 0;          // ports that are this node's part
    bool others_short = false;
    bool others_grow = false;  // towards their part
  };

  void Learn(const BlockLease& lease, Millis now);
  void NoteNodes(const PortBlocksInput& input);
  void Show(const PortBlocksInput& input);
  Sum Add(const PortBlocksInput& input, const net::Address& address) const;
  int SharesOf(const net::Address& address, Millis now, Sum& sum) const;
  void Wake(const PortBlocksInput& input, std::map<net::Address, Sum>& sums);
  void Rest(const PortBlocksInput& input, std::map<net::Address, Sum>& sums);
  void Tend(const PortBlocksInput& input, std::map<net::Address, Sum>& sums,
            PortBlocksDecision& out);
  void Claim(const PortBlocksInput& input, const net::Address& address, Sum& sum,
             PortBlocksDecision& out);
  bool Reclaim(const PortBlocksInput& input, const net::Address& address, PortBlocksDecision& out);
  void Collect(const PortBlocksInput& input, PortBlocksDecision& out);
  std::optional<Millis> FreeFrom(const BlockLeases::Entry& entry) const;
  std::optional<uint16_t> FindFree(const PortBlocksInput& input, const net::Address& address,
                                   int size) const;
  void Ask(BlockAction::Kind kind, BlockLease lease, PortBlocksDecision& out);
  BlockLease Written(const BlockId& id, int size, const PortBlocksInput& input) const;
  bool MayAsk(const BlockId& id, Millis now) const;
  bool IsUnderWay(const BlockId& id, BlockAction::Kind kind) const;
  bool IsIdle(const BlockId& id, const Own& own, const PortBlocksInput& input) const;
  bool InUse(const Own& own, Millis now) const;

  const std::string node_;
  const std::string boot_id_;
  const PortBlockTimes times_;
  BlockLeases leases_;
  bool listed_ = false;
  std::map<BlockId, Own> own_;
  std::map<BlockId, BlockAction::Kind> under_way_;
  std::map<BlockId, Millis> not_before_;                        // after a failure
  std::map<net::Address, Millis> last_crowded_;                 // claims beyond what is free
  std::map<net::Address, std::map<std::string, Millis>> grew_;  // others, by a block
  std::map<net::Address, std::string> exhausted_;               // since when
  bool nodes_listed_ = false;
  std::map<std::string, std::string> boots_;
  std::map<std::string, std::map<std::string, Millis>> former_boots_;  // when they ended
  std::map<std::string, Millis> absent_since_;
};

}  // namespace sallyport::egress
