// SPDX-License-Identifier: Apache-2.0
// The one place where links, CNI results and objects become what the kernel enforces.
//
// Not thread-safe: everything happens on the reconciler's thread. Rules:
// - A new interface is closed at once, whatever else is known.
// - Until links, CNI results and objects have been listed once, nothing that is in force changes.
// - What fails is tried again, with growing pauses; meanwhile what was in force stays.
// - What a full table has no room for is denied, said, and tried again in the same way.
// - Bad objects remove nothing (watch/ sees to it); bad CNI results neither (endpoint/).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/backoff.h"
#include "base/clock.h"
#include "control/home.h"
#include "control/inputs.h"
#include "control/left_alone.h"
#include "control/own_addresses.h"
#include "control/pin_keeper.h"
#include "control/refusals.h"
#include "control/shortfalls.h"
#include "control/upkeep.h"
#include "dataplane/dataplane.h"
#include "endpoint/tracker.h"
#include "observe/measures.h"
#include "policy/compile.h"
#include "state/store.h"

namespace sallyport::control {

class Reconciler {
 public:
  // All references must outlive it.
  Reconciler(const std::string& node, dataplane::Dataplane& dataplane, endpoint::Tracker tracker,
             LeftAlone& left_alone, Clock& clock);

  void Take(LinksChanged links);
  void Take(const endpoint::CniUpdate& update);
  void Take(ObjectsChanged objects);

  // Brings the kernel to what is known by now.
  void Reconcile();
  // Looks whether our programs are where they were put, if it is time to, and puts them back. True
  // if Reconcile() should follow.
  bool Look();
  // Nothing is waiting: does what can be done in the background.
  void Settle();
  // How long it may wait for the next input before one of the two should be called again.
  Duration Patience() const;
  // Something failed, and should be tried again.
  bool IsDue() const { return !failures_.empty() && clock_.Now() >= retry_at_; }

  const policy::Image& image() const { return compiler_.image(); }
  // As this node knows them: objects are the API server's, but for its own pods' addresses.
  const model::Snapshot& snapshot() const { return compiler_.snapshot(); }
  const endpoint::Decision& decision() const { return decision_; }
  const endpoint::Links& links() const { return tracker_.links(); }
  // Bindings that the kernel enforces policy for.
  const dataplane::Bindings& in_force() const { return in_force_; }
  // The table that has no room for this pod, which is closed for it; "": it has.
  std::string NoRoomFor(const model::ObjectName& pod) const { return shortfalls_.NoRoomFor(pod); }
  // Tables that have no room for all of the policy, for a person; "": there are none.
  std::string FullTables() const { return shortfalls_.Names(); }
  const std::set<uint32_t>& attached() const { return attached_; }
  EgressNews egress_news() const { return pins_.News(snapshot()); }
  // False: objects that were there may be missing still.
  bool complete() const { return store_.complete(); }
  // Moves with the objects and the bindings.
  uint64_t revision() const { return revision_; }
  // Why what is known is not in force, for a person; empty when it is.
  std::vector<std::string> Reasons() const;
  // What is wrong with objects and files.
  std::vector<std::string> Diagnostics() const;
  // What a person should know although all that is known is in force.
  std::vector<std::string> Notices() const;
  const observe::Timings& timings() const { return timings_; }
  // How long the oldest change has been waiting to come into force; zero: none does.
  Duration Waiting() const;
  const Upkeep& upkeep() const { return upkeep_; }
  // Of the cluster as it is known: equal where the objects are.
  const std::string& Fingerprint() const;

 private:
  void Store(std::vector<model::Delta> deltas);
  void Reused(uint32_t ifindex);
  void Measure();
  void Sweep();
  void Decide();
  void Noticed();
  void Compile();
  void Pin();
  // False where one that is still there does not carry the programs.
  bool Guard(const std::set<uint32_t>& interfaces);
  Status AttachAgain(uint32_t ifindex);
  bool IsNodes(uint32_t ifindex) const;
  void Watch(bool all_guarded);
  void Enforce();
  void AdoptOpened();
  void Enclose();
  bool MustNotCarry(uint32_t ifindex) const;
  void Unguard();
  void Told(const std::string& what, const Status& status);
  void LogDoors(const dataplane::Bindings& before);
  void LogDiagnostics();

  const std::string node_;
  dataplane::Dataplane& dataplane_;
  endpoint::Tracker tracker_;
  LeftAlone& left_alone_;
  Clock& clock_;
  policy::Compiler compiler_;

  // What is known.
  state::Store store_;
  OwnAddresses own_addresses_;
  PinKeeper pins_;
  Home home_;
  bool endpoints_changed_ = false, diagnostics_changed_ = false;
  std::vector<model::Delta> deltas_;  // in the store, not compiled yet
  endpoint::Decision decision_;
  dataplane::Bindings bindings_;
  std::string cni_error_;
  std::map<std::string, std::string> unreadable_;
  model::Diagnostics object_diagnostics_;

  // What is in force.
  std::set<uint32_t> attached_;
  const std::set<uint32_t> attached_at_start_;
  std::set<uint32_t> watched_;  // the node's own interfaces that carry the programs for them
  Upkeep upkeep_;               // of both
  Refusals refusals_;
  bool all_watched_ = false;
  bool deferring_ = false;                        // what pods send to Services is judged there
  std::optional<dataplane::Enclosure> enclosed_;  // as the kernel was told by this process
  bool enforced_ = false;                         // by this process
  policy::Changes changes_;                       // since the last time
  dataplane::Bindings in_force_;
  Shortfalls shortfalls_;
  bool certain_ = true;  // ... and nothing else: no Apply() has failed since
  bool unsettled_ = false;
  bool unswept_ = true;  // endpoints have gone, or may have while no agent ran
  MonotonicTime sweep_at_{};
  std::optional<MonotonicTime> waiting_since_;  // news that is not in force yet
  observe::Timings timings_;
  uint64_t revision_ = 0;
  mutable std::string fingerprint_;  // "" when it must be worked out

  std::map<std::string, std::string> failures_;  // by what was tried: why it failed
  Backoff backoff_;
  MonotonicTime retry_at_{};
  std::set<std::string> logged_;  // diagnostics
};

}  // namespace sallyport::control
