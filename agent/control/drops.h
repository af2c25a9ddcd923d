// SPDX-License-Identifier: Apache-2.0
// From the kernel's drop events to lines that name both ends, the policies and the rule that came
// nearest.
#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "control/reconciler.h"
#include "dataplane/dataplane.h"
#include "observe/event_log.h"

namespace sallyport::control {

// Between the thread that reads the kernel's events and the reconciler. Bounded: what does not fit
// is counted into the next event's `suppressed`. Thread-safe.
class DropMailbox {
 public:
  // True when it was empty: somebody should be told.
  bool Put(const dataplane::DropEvent& event);
  // At most `limit`, in order; sets `more` if some are left.
  std::vector<dataplane::DropEvent> Take(size_t limit, bool& more);
  // All that did not fit, ever.
  uint64_t lost() const;

 private:
  static constexpr size_t kCapacity = 2048;
  mutable std::mutex mutex_;
  std::deque<dataplane::DropEvent> events_;
  uint32_t lost_ = 0;  // since the last Take
  uint64_t all_lost_ = 0;
};

// Explains drops by the engine that decides them, on the reconciler's thread. An explanation is
// worked out once for the same question, and so many a second, of which one endpoint gets a quarter
// at most: a flood of drops must delay neither policy nor what is said of others. Past that, drops
// are still reported, without the nearest rule.
class DropReporter {
 public:
  DropReporter(observe::EventLog& log, Clock& clock) : log_(log), clock_(clock) {}

  // Into the event log, and a line to the log; where that is JSON, with a member "drop" as
  // /v1/events has it.
  void Report(const dataplane::DropEvent& event, const Reconciler& reconciler);
  uint64_t reported() const { return reported_; }

 private:
  struct Explanation {
    std::string source_pod, destination_pod;
    std::vector<std::string> isolating;
    std::string near_miss;
  };
  using Question = std::tuple<uint32_t, policy::Direction, net::Address, net::Address,
                              net::Protocol, uint16_t, bool>;

  void Refresh(const Reconciler& reconciler);
  std::string PodAt(const Reconciler& reconciler, const net::Address& address) const;
  bool MayExplain(uint32_t endpoint);
  Explanation Explain(const dataplane::DropEvent& event, const Reconciler& reconciler);

  observe::EventLog& log_;
  Clock& clock_;
  uint64_t reported_ = 0;
  uint64_t revision_ = 0;
  bool fresh_ = false;
  std::map<uint32_t, model::ObjectName> pods_;           // by ifindex
  std::map<net::Address, model::ObjectName> endpoints_;  // that are open here
  std::map<Question, Explanation> known_;
  MonotonicTime second_{};
  int explained_ = 0;  // in this second
  std::map<uint32_t, int> explained_of_;
};

}  // namespace sallyport::control
