// SPDX-License-Identifier: Apache-2.0
// What agents say of an EgressGateway: its status, and Events about it, as texts for the API. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sallyport::gateway {

struct GatewayCondition {
  std::string type;    // "Ready", "Degraded"
  std::string status;  // "True", "False", "Unknown"
  std::string reason;  // one word, for programs
  std::string message;
  friend bool operator==(const GatewayCondition&, const GatewayCondition&) = default;
};

struct GatewayAddress {
  std::string ip;
  std::string node;  // "": nobody holds it
  friend bool operator==(const GatewayAddress&, const GatewayAddress&) = default;
};

struct GatewayStatus {
  std::string name;        // of the EgressGateway
  int64_t generation = 0;  // that this speaks of
  std::vector<GatewayCondition> conditions;
  std::vector<GatewayAddress> addresses;
  friend bool operator==(const GatewayStatus&, const GatewayStatus&) = default;
};

// The merge patch that brings `object`, as the server has it, to `wanted`; it fails if the object
// has changed since. Nothing: there is nothing to change, or the object's status speaks of a later
// generation. Since when a condition is so, and a node holds an address, stays as the object says,
// else is `now`; conditions of other types stay.
Result<std::optional<std::string>> StatusPatch(const GatewayStatus& wanted, std::string_view object,
                                               const std::string& now);

struct GatewayEvent {
  std::string gateway;  // the EgressGateway's name
  std::string uid;      // and uid: `kubectl describe` looks for it
  bool warning = false;
  std::string reason;  // one word: "AddressMoved"
  std::string message;
};
struct EventCount {
  int count = 1;
  std::string first, last;  // times
};
// An Event that is to be created, `name` in namespace default, where those of objects without a
// namespace are.
std::string EventObject(const GatewayEvent& event, const EventCount& times, const std::string& name,
                        const std::string& node);
// The merge patch of one that happened again.
std::string EventPatch(const GatewayEvent& event, const EventCount& times);

}  // namespace sallyport::gateway
