// SPDX-License-Identifier: Apache-2.0
// Which gateway holds which egress IP. Entry point: Holders::Decide.
//
// Every node asks this; gateways hold addresses by it, and all nodes send to the gateway that it
// names.
//
// - A claim is (node, epoch): what a gateway says in its heartbeats, or a Lease of one that cannot
// be
//   heard. The greatest epoch counts, of equal ones that of the Lease, then the lesser name.
//   Whoever holds an address and sees a claim before its own gives it up, and forwards for a while
//   more.
// - A holder keeps an address while it is as good as any candidate: alive, named by the node
// selector,
//   not leaving; ready if any is, not cordoned if any is not. One that returns takes nothing back.
// - Else the others line up: who the Lease names, then who holds fewest addresses, then by
// rendezvous
//   hashing. The first takes the address at once, in the next epoch, and writes the Lease then; the
//   second acts if that is not heard of soon. Two at once do no harm, none does.
// - An address's first holder is chosen among all nodes that may hold it, so that who starts first
// does
//   not get them all.
// - Without the API server heartbeats alone decide, and readiness does not count. A gateway that
// has
//   neither the server nor a word from any other node for as long as a Lease lasts gives up what it
//   holds, if there are other gateways.
// - A node that others say they do not hear takes nothing.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "egress/address_leases.h"
#include "egress/addresses.h"
#include "egress/gateway_peers.h"
#include "egress/heartbeat.h"
#include "egress/lease.h"
#include "model/snapshot.h"

namespace sallyport::egress {

struct HolderInput {
  Millis now = 0;
  std::string wall;  // now as a renewTime
  bool api_reachable = false;
  bool leases_listed = false;  // all there are have been told once
  Millis last_word = 0;        // when anything came from another node, by tunnel or heartbeat
  bool leaving = false;        // this node is to give up what it holds
  // Since when heartbeats can come in: what was silent before was not. Nothing: since the start.
  std::optional<Millis> listening;
  std::set<net::Address> unusable;  // this node has no working uplink for them
};

// How to reach an egress IP.
struct GatewayRoute {
  std::string node;
  uint32_t epoch = 0;
  friend bool operator==(const GatewayRoute&, const GatewayRoute&) = default;
};

// This node took an address.
struct TakeOver {
  net::Address address;
  std::string from;  // "": nobody
  uint32_t epoch = 0;
  std::string why;  // "gateway n1 is not heard any more"
};

struct HolderDecision {
  std::map<net::Address, uint32_t> hold;  // configure and announce; with the epoch
  std::set<net::Address> forward;         // not held any more, but packets may still come
  std::map<net::Address, GatewayRoute> routes;
  std::map<net::Address, std::string> nobody;  // egress IPs that no gateway can hold, and why
  std::vector<TakeOver> taken;
  std::vector<AddressAction> actions;  // each is answered with Done
  std::vector<Heartbeat> heartbeats;   // to send now: one a beat, and at once what is new
  std::optional<Millis> next_beat;     // when to ask again; nothing: this node is no gateway
  std::vector<std::string> beat_to;    // the other gateways
  bool announce = false;               // to all nodes, not to gateways alone
};

class Holders {
 public:
  // `configured`: egress IPs that this node's interfaces have from an earlier agent: held until it
  // is known better.
  Holders(std::string node, uint64_t incarnation, const std::set<net::Address>& configured,
          Millis now, const HolderTimes& times = {});

  // Whenever EgressGateways or Nodes change.
  void SetCluster(const Addresses& addresses, const std::map<std::string, model::NodePtr>& nodes);
  // Whether it is worth asking before the next beat.
  bool Heard(const Heartbeat& heartbeat, Millis now);
  // What the watch tells. `uid`: which creation of it; "": whatever stands there.
  void SetLease(const AddressLease& lease, Millis now);
  void RemoveLease(const net::Address& address, const std::string& uid, Millis now);
  // `stands`: as for blocks (port_blocks.h).
  void Done(const AddressAction& action, Outcome outcome, const std::optional<AddressLease>& stands,
            Millis now);

  // To be asked at every beat and after every change.
  HolderDecision Decide(const HolderInput& input);

 private:
  struct Held {
    uint32_t epoch = 0;
    std::optional<Millis> unfit_since;
  };
  struct Known {
    AddressLease lease;
    Millis changed = 0;
  };
  struct Candidate {
    std::string node;
    bool ready = false;
    bool cordoned = false;
  };
  using Candidates = std::vector<Candidate>;
  struct Claim {
    std::string node;
    uint32_t epoch = 0;
    bool leased = false;  // the Lease says so too
  };
  // What there is to say of an address now.
  struct View {
    std::optional<Claim> first;     // of all claims
    std::vector<std::string> best;  // candidates that are as good as any
    bool good = false;              // `first` is one of them
    bool may = false;               // this node can hold it, if not as well as others
  };

  static bool IsBefore(const Claim& a, const Claim& b);
  const Known* LeaseOf(const net::Address& address) const;
  const Candidates& CandidatesOf(const net::Address& address) const;
  bool IsGateway() const;
  // Smaller is better; nothing: it cannot hold the address.
  std::optional<int> TierOf(const Candidate& candidate, const net::Address& address,
                            const HolderInput& input) const;
  View Look(const net::Address& address, const HolderInput& input) const;
  void NoteApi(const HolderInput& input);
  bool HasListened(const HolderInput& input) const;
  bool IsCutOff(const HolderInput& input) const;
  void GiveUp(const net::Address& address, Millis now);
  void Review(const HolderInput& input, std::map<net::Address, View>& views);
  bool MustGo(const net::Address& address, Held& held, const View& view,
              const HolderInput& input) const;
  void TakeOrphans(const HolderInput& input, const std::map<net::Address, View>& views,
                   HolderDecision& out);
  std::vector<std::string> LineUp(const net::Address& address, std::vector<std::string> nodes,
                                  const std::map<std::string, int>& loads) const;
  std::vector<std::string> FirstHolders(const net::Address& address) const;
  std::string WhyNobody(const net::Address& address) const;
  void Take(const net::Address& address, const View& view, const HolderInput& input,
            HolderDecision& out);
  std::string WhyTaken(const net::Address& address, const View& view,
                       const HolderInput& input) const;
  uint32_t GreatestEpoch(const net::Address& address) const;
  void WriteLeases(const HolderInput& input, HolderDecision& out);
  void Ask(AddressAction::Kind kind, AddressLease lease, HolderDecision& out);
  std::optional<GatewayRoute> RouteTo(const net::Address& address, const HolderInput& input) const;
  void Speak(const HolderInput& input, HolderDecision& out);

  const std::string node_;
  const uint64_t incarnation_;
  const HolderTimes times_;
  const Millis started_;
  GatewayPeers peers_;
  bool known_ = false;  // SetCluster was called
  Addresses addresses_;
  std::map<std::string, model::NodePtr> nodes_;
  std::map<net::Address, std::shared_ptr<const Candidates>> candidates_;
  std::map<net::Address, Held> held_;
  std::map<net::Address, Millis> forward_until_;
  std::map<net::Address, Millis> orphan_since_;
  std::map<net::Address, Known> leases_;
  std::map<std::string, Millis> ended_;  // uids of Leases that will not come back
  std::map<net::Address, Millis> renewed_;
  std::set<net::Address> under_way_;
  std::map<net::Address, Millis> not_before_;
  std::optional<Millis> api_lost_;
  uint64_t sequence_ = 0;
  std::optional<Millis> spoke_;
  std::vector<HeldAddress> said_holds_;
  bool said_leaving_ = false;
  std::optional<Millis> announced_;
  Millis announce_until_ = 0;
};

}  // namespace sallyport::egress
