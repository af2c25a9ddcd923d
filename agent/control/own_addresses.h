// SPDX-License-Identifier: Apache-2.0
// Addresses of this node's pods, where the node knows them better than the API server: a pod has
// its addresses as soon as its interface is found, before its status says so, and has none once its
// interface has gone, for as long as its object outlives it. Another pod may have them by then.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "endpoint/tracker.h"
#include "model/snapshot.h"

namespace sallyport::control {

class OwnAddresses {
 public:
  // The interface has gone. What is said of its pod holds until that is placed again.
  void Gone(uint32_t ifindex);
  // Pods, as their objects are, whose addresses may be others than before.
  std::set<model::ObjectName> Update(const endpoint::Decision& decision,
                                     const model::Snapshot& objects);
  // The pod of this object as the node knows it.
  model::PodPtr Of(const model::PodPtr& pod) const;

 private:
  struct Placed {
    std::string uid;
    uint32_t ifindex = 0;
    std::vector<net::Address> addresses;
    friend bool operator==(const Placed&, const Placed&) = default;
  };
  std::map<model::ObjectName, Placed> placed_;
  std::map<model::ObjectName, std::string> gone_;  // UID
  std::set<model::ObjectName> changed_;
};

}  // namespace sallyport::control
