// SPDX-License-Identifier: Apache-2.0
// Pods' addresses and other nodes', and the identity of each.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "model/diagnostic.h"
#include "model/snapshot.h"
#include "policy/identities.h"
#include "policy/node_ports.h"
#include "policy/peer_groups.h"
#include "policy/prefix_table.h"
#include "policy/rules.h"

namespace sallyport::policy {

class Peers {
 public:
  // All must outlive this.
  Peers(PeerGroups& groups, const PrefixTable& prefixes, const Rules& rules,
        const NamedPorts& names, NodePorts& node_ports, Identities& identities, Image& image)
      : groups_(groups),
        prefixes_(prefixes),
        rules_(rules),
        names_(names),
        node_ports_(node_ports),
        identities_(identities),
        image_(image) {}

  // A live pod claims its addresses, or gives them up. The pod is kept by reference until then.
  void Claim(const model::Pod& pod);
  void Unclaim(const model::Pod& pod);

  // One more node, or one less, beside the own one has the address.
  void ChangeNode(const net::Address& address, int by);
  // `node_ports` is to learn the address's signature, or no longer.
  void SetBackend(const net::Address& address, bool backend);

  // Addresses to look at again.
  void MarkEveryone() { everyone_ = true; }
  // True when there are so many to look at that one might as well look at everyone.
  bool ManyMarked() const { return everyone_ || marked_.size() >= entries_.size(); }
  void MarkPod(const model::Pod& pod);
  void MarkRange(const net::Cidr& range);

  // Gives each marked address the identity it has now; nodes' once it is known what their
  // NodePorts lead to. `node_ports_matter`: to some policy set.
  void Settle(bool node_ports_matter, Changes& changes);

  // Addresses that several pods claim.
  model::Diagnostics Diagnose() const;

 private:
  // An address that someone cares for.
  struct Entry {
    std::vector<const model::Pod*> pods;  // claimants: one nearly always
    int nodes = 0;                        // other nodes that have it
    bool backend = false;                 // of a NodePort
    IdentityId identity = kNoIdentity;    // in the image; kNoIdentity: not in it
    bool idle() const { return pods.empty() && nodes == 0 && !backend; }
  };

  void Look(const net::Address& address, Entry& entry, Changes& changes);
  void NoteNode(const net::Address& address, const Entry& entry, Changes& changes);
  void SettleNodes(bool node_ports_matter, Changes& changes);
  void Sign(const net::Address& address, Entry& entry, Changes& changes);
  Signature SignatureOf(const Entry& entry, IdentityId around);
  const Numbers& LeavesOf(const model::Pod& pod);
  Numbers SharedLeaves(const Entry& entry);
  Resolution PortsOf(const Entry& entry, const Numbers& groups) const;
  bool Matters(NamedPortId name, const Numbers& groups) const;

  PeerGroups& groups_;
  const PrefixTable& prefixes_;
  const Rules& rules_;
  const NamedPorts& names_;
  NodePorts& node_ports_;
  Identities& identities_;
  Image& image_;
  std::map<net::Address, Entry> entries_;
  std::set<net::Address> shared_;
  std::set<net::Address> nodes_;  // those of other nodes
  std::set<net::Address> marked_nodes_;
  std::vector<net::Address> marked_;
  bool everyone_ = false;
  // A pod's addresses are looked at one after the other: its leaves are looked up once.
  const model::Pod* last_pod_ = nullptr;
  Numbers last_leaves_;
};

}  // namespace sallyport::policy
