// SPDX-License-Identifier: Apache-2.0
// The table "peers": addresses known one by one: pods in policies, this node's own addresses, and
// the addresses of endpoints here.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "dataplane/buckets.h"
#include "dataplane/identity_uses.h"
#include "dataplane/tables.h"
#include "policy/image.h"

namespace sallyport::dataplane {

struct PeerTraits {
  using Entry = sp_peer;
  using Bucket = sp_peer_bucket;
  static constexpr uint32_t kWays = SP_PEER_WAYS;
  static constexpr const char* kName = "peers";
  static sp_peer* Places(Bucket& bucket) { return bucket.peer; }
  static const sp_peer* Places(const Bucket& bucket) { return bucket.peer; }
  static uint32_t Hash(uint32_t seed, const sp_peer& peer) {
    return sp_hash_peer(seed, &peer.address);
  }
  static bool SameKey(const sp_peer& a, const sp_peer& b) {
    return SameAddress(a.address, b.address);
  }
  // A place without an identity holds nothing, whatever address it shows.
  static void Write(const Pen& pen, sp_peer& place, const sp_peer& peer) {
    pen.Update(place.address.halves[0], peer.address.halves[0]);
    pen.Update(place.address.halves[1], peer.address.halves[1]);
  }
  static void Copy(const Pen& pen, sp_peer& to, const sp_peer& from) {
    Write(pen, to, from);
    pen.Update(to.ifindex, from.ifindex);
    pen.Update(to.identity[0], from.identity[0]);
    pen.Update(to.identity[1], from.identity[1]);
  }
  static void Clear(const Pen& pen, sp_peer& place) {
    pen.Update(place.identity[0], 0);
    pen.Update(place.identity[1], 0);
    pen.Update(place.ifindex, 0);
  }
};

class PeerTable {
 public:
  using Local = std::map<net::Address, uint32_t>;  // endpoints' addresses here: to ifindex

  // All three outlive the table.
  PeerTable(Tables& tables, const Surroundings& around, IdentityUses& uses);

  // Keeps what `half` holds, makes the other half the same.
  void Adopt(uint32_t half);

  // Writes into half `next` what differs from the other. `changes`: as for Dataplane::Apply, but
  // nullptr after a time when something was left out. `defer`: Service addresses are known as such.
  // On failure (a grace period): call Undo().
  //
  // Where there is no room, pods are left out: they are what the prefixes say of them, which is
  // allowed less. What the programs must know of an address has its place before pods.
  Status Prepare(const policy::Image& image, const policy::Changes* changes, const Local& local,
                 bool defer, uint32_t next);
  bool changed() const { return !edits_.empty(); }
  void Undo();
  void Commit(const policy::Image& image, const Local& local);
  // After the flip and a grace period.
  void Settle();

  // Of the last Prepare(): addresses without a place.
  const std::set<net::Address>& left_out() const { return left_out_; }
  // Without a place is one that allows less as what it is than as any address: a node's, a
  // Service's. Nobody may be judged by such a table.
  bool is_misleading() const { return misleading_; }

  size_t used() const { return table_.used(); }
  size_t capacity() const { return table_.capacity(); }

 private:
  struct Edit {
    sp_peer key;
    uint32_t value;  // the new identity word; 0: gone
    uint32_t ifindex;
    uint32_t old_ifindex;
    bool written;
  };

  std::vector<net::Address> Candidates(const policy::Image& image, const policy::Changes* changes,
                                       const Local& local) const;
  Edit Desired(const policy::Image& image, const Local& local, const net::Address& address) const;
  Status Place(const policy::Image& image);
  void MakeRoom(const policy::Image& image, size_t count);
  void AddServices(const policy::Image& image, const policy::Changes* changes,
                   std::vector<net::Address>& out) const;
  void Count(uint32_t word, int64_t by);

  BucketTable<PeerTraits> table_;
  const Surroundings& around_;
  IdentityUses& uses_;
  uint32_t next_ = 0;
  bool defer_ = false;     // as wanted
  bool deferred_ = false;  // in force
  std::vector<Edit> edits_;
  std::set<net::Address> left_out_;
  bool misleading_ = false;
  std::set<net::Address> node_;  // in force
  Local local_;                  // in force
};

}  // namespace sallyport::dataplane
