// SPDX-License-Identifier: Apache-2.0
// Port blocks and their Leases: names, places, and what is known of all of them.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "egress/lease.h"
#include "net/address.h"

namespace sallyport::egress {

// Blocks begin at 1024 + k * size and end at 65535 or before: lower ports are never used.
inline constexpr int kFirstPort = 1024;
inline constexpr int kPorts = 65536;
// Gateways find a port's owner by groups of so many.
inline constexpr int kGroup = 64;

struct BlockId {
  net::Address address;
  uint16_t first = 0;
  friend auto operator<=>(const BlockId&, const BlockId&) = default;
};
// "ports-203.0.113.10-2048", "ports-2001-0db8-0000-0000-0000-0000-0000-0010-2048": the Lease's
// name.
std::string NameOf(const BlockId& id);
std::optional<BlockId> ParseBlockName(std::string_view name);
// How many blocks of this size an address has.
int BlocksOf(int size);

struct BlockLease {
  BlockId id;
  int size = 0;
  std::string holder;      // node
  std::string boot_id;     // annotation: the holder's boot when it wrote this
  Millis renewed = 0;      // annotation: by the holder's clock, of that boot
  std::string renew_time;  // spec.renewTime as it stands
  Millis duration = 0;
  std::string
      exhausted_since;  // annotation: since when the holder finds no more blocks; "": it does
  LeaseMeta meta;
  friend bool operator==(const BlockLease&, const BlockLease&) = default;
};
bool Overlap(const BlockLease& a, const BlockLease& b);

// Which node a port belongs to. Of an address's, no two overlap.
struct BlockOwner {
  BlockId id;
  int size = 0;
  std::string node;
  friend bool operator==(const BlockOwner&, const BlockOwner&) = default;
};

// All block Leases as the server last told, by watching and by answering: of both, whichever is
// later counts.
class BlockLeases {
 public:
  struct Entry {
    BlockLease lease;
    Millis changed = 0;    // when this renewTime (or holder) was first seen
    bool watched = false;  // the watch has told of it: and so of all that came before it
  };

  // False: it is old news.
  bool Set(const BlockLease& lease, bool watched, Millis now);
  // It is gone. `uid`: which creation of it; "": whatever stands there. False: it was not there.
  bool Remove(const BlockId& id, const std::string& uid, Millis now);

  const std::map<BlockId, Entry>& all() const { return all_; }
  const Entry* Find(const BlockId& id) const;
  // Lease of another node that shares ports with this one.
  const BlockLease* Overlapping(const BlockLease& lease) const;
  // Groups of 64 ports of the address that a Lease stands for, or stood for until a minute ago.
  std::vector<bool> Taken(const net::Address& address, Millis now) const;
  // In order. Where leases overlap, the one that was created first.
  std::vector<BlockOwner> Owners() const;
  // It was this node that ended it, so nobody's packets are on the way.
  void Settle(const BlockId& id) { vanished_.erase(id); }

 private:
  std::map<BlockId, Entry> all_;
  std::map<BlockId, std::pair<int, Millis>> vanished_;  // size, when
  std::map<std::string, Millis> ended_;                 // uids that will not come back
};

}  // namespace sallyport::egress
