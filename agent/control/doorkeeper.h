// SPDX-License-Identifier: Apache-2.0
// Closes new interfaces, watches the node's own, and takes away what is left of those that have
// gone. Runs on the thread that hears of them, so that no compilation stands between a pod's
// interface and its closed door.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "control/left_alone.h"
#include "dataplane/dataplane.h"
#include "endpoint/device_filter.h"
#include "endpoint/link.h"

namespace sallyport::control {

// What the doorkeeper did about an update, for the reconciler.
struct Doors {
  std::set<uint32_t> closed;                     // carry the programs for pods now
  std::set<uint32_t> watched = {};               // those for the node's own interfaces
  std::optional<std::set<uint32_t>> left_alone;  // of the first update
  std::string failure;                           // what to leave alone could not be known
};

// The first one says everything.
struct LinksChanged {
  endpoint::LinkUpdate update;
  Doors doors;
};

// Of an interface of the node's own.
dataplane::Role RoleOf(const endpoint::Link& link);

class Doorkeeper {
 public:
  using Tell = std::function<void(LinksChanged)>;

  // All must outlive it. The dataplane takes calls from several threads. `tell` is called by Hear()
  // and Work(): the reconciler hears of a new interface when its programs are where they stay.
  Doorkeeper(dataplane::Dataplane& dataplane, LeftAlone& left_alone,
             const endpoint::DeviceFilter& filter, Tell tell)
      : dataplane_(dataplane), left_alone_(left_alone), filter_(filter), tell_(std::move(tell)) {}

  // Nothing passes a new interface unjudged from here on; what else it gets waits for Work(), since
  // it takes milliseconds, and more interfaces may come meanwhile. All else is done at once.
  void Hear(const endpoint::LinkUpdate& update);
  // Attaches to the next interface that waits. Returns whether one more does.
  bool Work();

 private:
  bool IsNew(const endpoint::Link& link) const {
    return endpoint::IsCandidate(link, filter_) && !seen_.contains(link.ifindex);
  }
  void Close(const endpoint::LinkUpdate& update);
  Doors Take(const endpoint::LinkUpdate& update);
  void Watch(const endpoint::Link& link, Doors& doors);
  std::set<uint32_t> First(const endpoint::LinkUpdate& update, Doors& doors);

  dataplane::Dataplane& dataplane_;
  LeftAlone& left_alone_;
  const endpoint::DeviceFilter& filter_;
  const Tell tell_;
  bool first_ = true;
  endpoint::Links waiting_;     // closed, for Work()
  std::set<uint32_t> seen_;     // candidates that were dealt with
  std::set<uint32_t> pods_;     // carry the programs for pods, or did at the start
  std::set<uint32_t> watched_;  // carry those for the node's own interfaces
};

}  // namespace sallyport::control
