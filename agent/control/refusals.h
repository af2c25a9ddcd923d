// SPDX-License-Identifier: Apache-2.0
// New flows that found no place in the last minute, by what the programs count.
//
// A table that is full is the node's trouble: connections that policy allows fail for any pod, so
// the agent is not ready. An endpoint that holds its share is that pod's doing, or of who floods
// it, and felt by nobody else: told, and no reason to take the agent out of service.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "dataplane/dataplane.h"

namespace sallyport::control {

class Refusals {
 public:
  // What is counted before is another agent's.
  explicit Refusals(const std::map<uint32_t, dataplane::Counters>& before);

  bool IsDue(MonotonicTime now) const { return now >= next_; }
  // By ifindex, as the kernel counts at this moment. Logs when the table becomes full, and when it
  // no longer is.
  void Take(const std::map<uint32_t, dataplane::Counters>& counted, MonotonicTime now);
  // Another interface has this index, or none.
  void Forget(uint32_t ifindex);

  // For a person; "": the table had a place for each.
  std::string WhyFull(MonotonicTime now) const;
  // One for each endpoint that had its share; `name` of the pod or interface behind an index.
  std::vector<std::string> SpentShares(MonotonicTime now,
                                       const std::function<std::string(uint32_t)>& name) const;

 private:
  struct Refused {
    uint64_t full = 0, share = 0;
  };
  struct Sample {
    MonotonicTime time;
    std::map<uint32_t, Refused> by_endpoint;  // only where there are some
  };
  static Refused Count(const dataplane::Counters& counters);
  std::map<uint32_t, Refused> Lately(MonotonicTime now) const;

  std::map<uint32_t, Refused> last_;
  std::deque<Sample> samples_;
  MonotonicTime next_{};
  bool full_ = false;  // as logged
};

}  // namespace sallyport::control
