// SPDX-License-Identifier: Apache-2.0
// Keeps our programs where they were put. Whoever takes them off, or puts another before them, is
// noticed within about a second; ours are put back, and it is told.
//
// The kernel tells nobody of tcx programs, so it looks. Of filters it tells.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/backoff.h"
#include "base/clock.h"
#include "dataplane/dataplane.h"

namespace sallyport::control {

class Upkeep {
 public:
  // Both must outlive it.
  Upkeep(dataplane::Dataplane& dataplane, Clock& clock);

  // What carries our programs, and how to put them there again.
  struct Carriers {
    std::set<uint32_t> pods, nodes;
    std::function<std::string(uint32_t ifindex)> name;
    std::function<Status(uint32_t ifindex)> attach;
  };
  // Somebody put or took filters there.
  void FiltersChanged(const std::set<uint32_t>& interfaces);
  void Forget(uint32_t ifindex) { troubles_.erase(ifindex); }
  MonotonicTime next_look() const { return look_at_; }
  // True if something is other than it was.
  bool Look(const Carriers& carriers);

  // Those where ours are not there, or not first, at this moment; why, for a person.
  std::vector<std::string> Reasons() const;
  size_t disturbed() const;
  // How often they were put back: after they were missing, or had somebody before them.
  struct PutBack {
    uint64_t missing = 0, displaced = 0;
  };
  const PutBack& put_back() const { return put_back_; }

 private:
  struct Trouble {
    Backoff pauses;  // two that both want to be first do not fight without end
    MonotonicTime next_try{};
    std::string why;  // "" when ours are back
  };
  std::map<uint32_t, dataplane::Disturbance> Find(const Carriers& carriers);
  void Repair(const Carriers& carriers, const dataplane::Disturbance& found, Trouble& trouble);

  dataplane::Dataplane& dataplane_;
  Clock& clock_;
  MonotonicTime look_at_, verify_at_;
  std::set<uint32_t> heard_of_;
  std::map<uint32_t, Trouble> troubles_;  // and those that are over, for a while
  PutBack put_back_;
};

}  // namespace sallyport::control
