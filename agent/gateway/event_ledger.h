// SPDX-License-Identifier: Apache-2.0
// Which Events are to be written: what happens again within ten minutes counts up the Event that
// there is, and no more are written than a server can bear.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "base/clock.h"
#include "gateway/status_object.h"

namespace sallyport::gateway {

struct EventLimits {
  Duration same = std::chrono::minutes(10);  // since the last one of its reason
  int burst = 20;                            // writes at once,
  Duration each = std::chrono::seconds(5);   // and then one in so long
  size_t most = 256;                         // objects and reasons that are remembered
};

// Not thread-safe; reads no clock.
class EventLedger {
 public:
  explicit EventLedger(EventLimits limits = {}) : limits_(limits), tokens_(limits.burst) {}

  void Add(GatewayEvent event, MonotonicTime now, WallTime wall);

  using Key = std::tuple<std::string, bool, std::string>;  // object, warning, reason
  struct Write {
    Key key;
    GatewayEvent event;
    EventCount times;
    std::string name;  // of the Event to patch; "": it is to be created
  };
  // What is to be written now, the longest waiting first; it takes its part of the rate.
  std::optional<Write> Next(MonotonicTime now);
  // It is written, under this name.
  void Written(const Write& write, const std::string& name);
  // It is not, and is to be written again; `gone`: the Event of that name is no more.
  void Failed(const Write& write, bool gone);

  // How long Next has nothing, if nothing happens; nothing: until something does.
  std::optional<Duration> Wait(MonotonicTime now) const;
  // Events that were never told, for want of room.
  uint64_t dropped() const { return dropped_; }

 private:
  struct Series {
    GatewayEvent event;
    EventCount times;
    std::string name;
    MonotonicTime last{};
    uint64_t waits_since = 0;  // order of Add; 0: all is written
  };
  void Refill(MonotonicTime now);

  const EventLimits limits_;
  std::map<Key, Series> series_;
  int tokens_;
  std::optional<MonotonicTime> refilled_;
  uint64_t order_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace sallyport::gateway
